"""What page furniture is told by: phrases, patterns of whole lines, keys of records. Data for `furniture`.

Collected from news pages, blog themes (WordPress comment forms) and reader applications.
"""

from __future__ import annotations

import re

DECORATION = " \t\u00a0*>\u00bb\u203a\u2192|\u2022\u00b7-\u2013\u2014_.\u2026:!#[]()<\u00ab\u25bc\u25b2+=~"


def entries(block: str) -> frozenset[str]:
    """Return the entries of a list written with bars and line ends between them."""
    return frozenset(entry for line in block.split("\n") for entry in line.strip().split("|") if entry)


# Lines that are furniture as a whole: lower case, decoration at both ends cut off.
PHRASES: frozenset[str] = entries(
    """
    advertisement|advertisements|ad|sponsored|sponsored content|promoted|promoted content|paid content
    partner content|share|share this|share this article|share this story|share this post|share this page
    share article|share story|share via|share on|share your thoughts|now share your opinion|what do you think
    have your say|join the conversation|join the discussion|leave a reply|leave a comment|leave a reply cancel reply
    cancel reply|post a comment|post comment|add a comment|add comment|write a comment|submit comment|submit
    comments|comment|no comments|no comments yet|view comments|show comments|read comments|comments are closed
    be the first to comment|reply|log in to reply|name|email|e-mail|website|your name|your email|your comment
    back to top|back to top button|go back to top|return to top|to top|top|scroll to top|scroll down
    scroll down for video|scroll down for videos|skip to content|skip to main content|skip to navigation
    skip navigation|main menu|menu|navigation|search|search for|close|open menu|toggle navigation|home|about us
    contact us|contact|privacy policy|privacy|terms of use|terms of service|terms and conditions|terms|cookie policy
    sitemap|site map|log in|login|sign in|sign up|register|subscribe|subscribe now|subscribe today|my account
    log out|download the app|get the app|accept|accept all|accept cookies|accept all cookies|reject all
    manage cookies|cookie settings|manage preferences|privacy settings|read more|read more here|read full article
    read the full story|read full story|read the full article|continue reading|continue reading the main story
    keep reading|show more|load more|see more|view more|view all|see all|show less|more|expand|learn more
    find out more|story continued below|story continues below|story continues below advertisement
    article continues below|article continues below advertisement|article continues after advertisement
    advertisement continue reading the main story|continue reading below|continue reading after the ad|next article
    previous article|next post|previous post|next story|previous story|next|previous|prev|older posts|newer posts
    print|print this page|print this article|print article|email this article|email this story|save|save for later
    bookmark|copy link|link copied|tweet|pin|pin it|whatsapp|facebook|twitter|linkedin|reddit|telegram|instagram
    pinterest|youtube|follow us|follow|like us on facebook|follow us on twitter|follow us on facebook
    follow us on instagram|follow us on social media|connect with us|newsletter|newsletters
    sign up for daily newsletters|sign up for our newsletter|manage newsletters
    sign up for daily newsletters manage newsletters|subscribe to our newsletter|get our newsletter
    join our newsletter|enter your email|enter your email address|your email address|email address|loading
    please wait|loading comments|buy now|shop now|image|photo|photos|video|gallery|slideshow|play|play video
    media playback is unsupported on your device|playback is not supported on this device|enable javascript
    please enable javascript|about the author|about this site|all rights reserved|written by|posted by|filed under
    tags|tagged|category|categories|was this article helpful|did you find this helpful|thank you for reading
    thanks for reading
    caption|hide caption|toggle caption|image caption|enlarge this image
    """
)

# Headers of a list of other articles; the headlines that follow go with them.
RELATED: frozenset[str] = entries(
    """
    related|related article|related articles|related stories|related story|related posts|related post|related news
    related content|related coverage|related links|related topics|related reading|related readings|related videos
    related video|related items|similar articles|similar stories|similar posts|similar readings|similar reading
    similar news|recommended|recommended for you|recommended stories|recommended articles|recommended reading
    recommended videos|more stories|more articles|more news|more posts|more like this|more on this
    more on this story|more on this topic|more from this section|more coverage|most popular|most read|most viewed
    most shared|popular|popular posts|popular articles|popular stories|popular now|trending|trending now
    trending stories|latest news|latest stories|latest articles|latest posts|recent posts|recent articles
    recent stories|recent news|recent comments|top stories|top news|you may like|you might like|you may also like
    you might also like|you may also be interested in|you might be interested in|you may have missed|read next
    up next|what to read next|read this next|also read|read also|see also|editor's picks|editors' picks
    editor's choice|editors picks|our picks|don't miss|in case you missed it|other stories|other articles|other news
    from around the web|around the web|from the web|elsewhere on the web|further reading
    """
)
COUNT = re.compile(r"\s*[(\[]\s*\d+(?:\s+(?:items?|articles?|stories|posts?))?\s*[)\]]\s*$")

# Lines with a variable part: lower case, matched as a whole, every alternative begins with a word of FIRST_WORDS.
STARTS = re.compile(
    "|".join(
        (
            r"\d{1,3}[ -]?min(?:ute)?s?(?: read)?(?: time)?",
            r"(?:reading time|read time|estimated reading time|time to read)\W+\d+.{0,20}",
            r"\d[\d,.]*k? (?:comments?|shares?|views?|likes?|replies|retweets|followers|reads|votes?)",
            r"\d+ (?:seconds?|minutes?|mins?|hours?|hrs?|days?|weeks?|months?) ago|\d+ (?:of|/) \d+|"
            r"\d+/\d+(?: photos)?",
            # Comment forms.
            r"your e-?mail address will not be published.{0,120}|required fields are marked.{0,20}|required fields?",
            r"save my name,.{0,100}|notify me of .{0,80}by e-?mail.{0,5}|this site uses akismet.{0,120}|"
            r"learn how your comment data is processed.{0,5}",
            r"you must be (?:logged|signed) in to .{0,60}|(?:log|sign) in to (?:leave|post|add|write|view|see|"
            r"read).{0,60}",
            r"(?:please )?enter your (?:name|e-?mail|comment).{0,40}|(?:name|e-?mail|website|comment|message|"
            r"phone) ?\*",
            # Links to other pieces inside an article.
            r"(?:read more|read also|also read|see also|related|related (?:article|story|stories|coverage|video|"
            r"news)s?|more|watch|listen|"
            r"don't miss|must read|recommended|up next|read next|read|more on this(?: story)?|more from .{1,40}|"
            r"click here(?: to .{1,60})?)"
            r"(?: ?[:|>\u00bb] ?| [\u2013\u2014-] ).{3,200}",
            r"(?:please )?click here (?:to|for) .{3,120}|click (?:to|for) (?:share|view|enlarge|read|print|"
            r"email).{0,80}",
            r"more (?:from|by) .{2,40}|more (?:stories|news|articles) (?:from|by|on|about) .{2,40}",
            r"(?:view|show|leave|post|add|write|read|see|load)(?: all| more| the| your| our| a| an| \d+){0,3} "
            r"(?:comments?|repl(?:y|ies)|articles|stories|gallery|photos|slideshow)",
            # Credits of pictures.
            r"(?:photo|image|picture|photograph|illustration|photography|video|graphic|credit|cover image|"
            r"featured image)s?"
            r"(?: (?:credit|courtesy|source|copyright|caption)s?)?(?: by| of)? ?[:/|\u00a9] ?.{2,120}",
            r"(?:image|photo|media) (?:copyright|source|caption) .{2,250}",
            r"(?:photo|image|picture|photograph|photos|images) (?:by|courtesy|via|credit|from) [^.]{2,100}",
            r"(?:ap|afp|reuters|epa|pa|file|getty|upi|ap file|courtesy) (?:photo|image|picture)s?\b.{0,120}",
            # Copyright lines, also those of agencies.
            r"(?:copyright|\u00a9|c\)|&copy;)[ ,]*(?:\u00a9|\(c\)|&copy;)?[ ,]*(?:\d{4}|by |the |"
            r"all rights).{0,250}|\u00a9.{2,150}",
            # Newsletters, applications, social networks.
            r"(?:(?:sign up|subscribe|register|download)\b|(?:join|like|get|enter|receive|install) (?:us|our|the|"
            r"your|my)\b|(?:click|tap) (?:here|the|to|on|this)\b|"
            r"follow(?: \S+){1,6} on\b|follow us\b).{0,80}"
            r"\b(?:newsletters?|inbox|e-?mail alerts?|breaking news alerts|our app|news app|facebook|twitter|"
            r"instagram|telegram|whatsapp|youtube|"
            r"our channel|push notifications|apple news|google news)\b.{0,60}",
            r"(?:we|by (?:continuing|using|clicking|browsing)|"
            r"cookies)\b.{0,120}\bcookies?\b.{0,100}\b(?:(?:web)?site|experience|consent|policy|privacy|settings|"
            r"preferences|"
            r"traffic|analytics|advertis\w+|personali[sz]e)\b.{0,100}|(?:this|"
            r"our) (?:web)?site .{0,60}\bcookies\b.{0,150}",
            r"(?:mailonline|we|this article|this post|this site|some links).{0,30}\bmay (?:earn|receive|"
            r"contain) .{0,20}(?:commission|affiliate).{0,150}",
            # Menus, labels, paging.
            r"(?:tags?|filed under|categories|category|topics|posted in|tagged(?: with| as| in)?|labels|"
            r"keywords) ?: ?.{2,200}",
            r"home ?[>\u00bb\u203a/|] ?.{2,150}|page \d+ of \d+",
            r"(?:share|tweet|e-?mail|print|save|pin|post)(?: (?:this|on|via|to|with|by|article|story|page|"
            r"facebook|twitter|x|whatsapp|linkedin|e-?mail|"
            r"pinterest|reddit|telegram|print|tweet|share|save|pin|copy|link|and|more|messenger|tumblr|flipboard|"
            r"comments?|gmail|sms)[,|/]?){1,20}",
            r"(?:facebook|twitter|whatsapp|linkedin|pinterest|reddit|telegram|e-?mail)(?:[ ,|/]+(?:facebook|"
            r"twitter|x|whatsapp|linkedin|e-?mail|pinterest|"
            r"reddit|telegram|print|share|instagram|youtube|messenger|tumblr|copy link|link|more)){1,15}",
            r"go back to top.{0,60}|(?:story|article) continue[sd] (?:below|after).{0,40}|scroll down for.{0,40}",
            r"advertisement.{0,40}(?:continue reading|story continues).{0,40}|(?:continue reading|read more)\b.{0,5}",
        )
    )
)
FIRST_WORDS: frozenset[str] = entries(
    """
    reading|read|estimated|time|your|required|save|notify|this|learn|you|log|sign|please|enter|name|email|e-mail
    website|comment|message|phone|also|see|related|more|watch|listen|don't|must|recommended|up|click|view|show|leave
    post|add|write|load|photo|photos|image|images|picture|pictures|photograph|photographs|illustration|illustrations
    photography|video|videos|graphic|credit|credits|cover|featured|media|ap|afp|reuters|epa|pa|file|getty|upi|courtesy
    copyright|\u00a9|c|&copy|subscribe|register|join|follow|like|download|get|tap|receive|install|we|our|by|cookies
    mailonline|some|tag|tags|filed|categories|category|topics|posted|tagged|labels|keywords|home|page|share|tweet
    print|pin|facebook|twitter|whatsapp|linkedin|pinterest|reddit|telegram|go|story|article|scroll|advertisement
    continue
    """
)
# Lines that are told by what stands in them: (what the line must hold, pattern to search).
HOLDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("rights reserved", re.compile(r"\ball rights reserved\b")),
    ("may not be published", re.compile(r"\bthis material may not be published, broadcast")),
    (
        "/",
        re.compile(
            r"\A.{0,100}/ ?(?:getty images|reuters|afp|associated press|ap photo|ap|shutterstock|istock|unsplash|"
            r"alamy|epa|rex)(?: .{0,40})?\)?\Z"
        ),
    ),
    (
        "|",
        re.compile(r"\A.{1,60}\| ?(?:privacy|terms|contact|about|sitemap|cookies|login|home|news|sports?)\b.{0,120}\|"),
    ),
)
OPENING = "\"'*>-\u2013\u2014\u2022\u00b7[(<#\u00bb\u203a\u25bc\u25b2 "

MAX_KEY = 31
KEY_VALUE = re.compile(r"([A-Za-z][A-Za-z _/-]{0,30}):[ \t]+(\S.{0,250})")
# Keys of records that a reader or publishing system keeps beside an article.
KEYS: frozenset[str] = entries(
    """
    id|article id|category id|post id|story id|uuid|guid|category|section|url|link|permalink|canonical|source
    source url|date|created|created at|updated|updated at|last updated|modified|last modified|last read|published
    published at|published on|publication date|pub date|posted|posted on|author|authors|byline|publisher|site|feed
    status|type|format|language|lang|tags|keywords|slug|views|words|word count|read count|reading time|read time
    length|isbn|issn|doi|version|title|headline|subtitle|edition|crawled|fetched|retrieved|accessed|encoding
    content-type|content type|from|to|subject|sent|cc|message-id
    """
)
MACHINE_VALUE = re.compile(
    r"https?://\S+|www\.\S+|\d{4}[-/.]\d\d?[-/.]\d\d?\b.{0,30}|\d\d?[-/.]\d\d?[-/.]\d{2,4}\b.{0,30}|"
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{10,30}|[0-9a-f]{16,64}|"
    r"(?:\d{1,2} )?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.? (?:\d{1,2}(?:st|nd|rd|"
    r"th)?,? )?\d{4}\b.{0,30}|\d[\d,.]{0,12}(?: ?[a-z%]{1,10})?|\S{1,60}@\S{1,60}",
    re.IGNORECASE,
)
