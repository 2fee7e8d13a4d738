"""What stands around articles on pages, in plain text: made up here, in twelve styles of site.

Half of the styles (`HELD_OUT`) were written before detector/furniture.py was last worked on and never looked at while
that was done; what the report says about them is what to expect of sites not seen. A style takes the paragraphs of an
article and returns the lines of the page, the article's among them.
"""

# Lines of a page stand as they are.
# ruff: noqa: E501

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random

_Style = Callable[[list[str], Random], list[str]]

_TITLES = (
    """
Harbour board elects its first woman chair|Why the old mill was sold for a single coin|Five gardens to see in spring
Council votes to keep the library open|Storm leaves thousands without power|Ten questions for the new headmaster
The quiet return of the night train|Farmers count the cost of a dry summer|Bridge to close for nine weeks from May
Rents rise again in the lake district|What the new tax rules mean for you|Museum finds a lost letter in its attic
Opinion: the ferry deserves better|Young chess team wins in Lisbon|How to grow tomatoes on a balcony
""".replace("\n", "|")
    .strip("|")
    .split("|")
)
_NAMES = ("Ann Lee", "Tom Okafor", "Maria Lindqvist", "Pat Novak", "Jo Haddad", "Ruth Banerjee")
_MONTHS = ("January", "March", "May", "July", "September", "November")


def _titles(rng: Random, count: int) -> list[str]:
    return rng.sample(_TITLES, count)


def _date(rng: Random) -> str:
    return f"{rng.choice(_MONTHS)} {rng.randint(1, 28)}, {rng.randint(2009, 2023)}"


def _between(paragraphs: list[str], rng: Random, *blocks: Sequence[str]) -> list[str]:
    """Return the paragraphs with each block put behind one of them (never the last)."""
    places = sorted(rng.randint(1, max(1, len(paragraphs) - 1)) for _ in blocks)
    out = list(paragraphs)
    for place, block in reversed(list(zip(places, blocks, strict=True))):
        out[place:place] = list(block)
    return out


def news_portal(paragraphs: list[str], rng: Random) -> list[str]:
    """Menus, breadcrumb, byline, share bar, promotions inside, newsletter box, lists of stories, footer."""
    titles = _titles(rng, 6)
    return [
        "Skip to main content", "Home", "News", "Politics", "Business", "Sport", "Culture", "Weather",
        "Sign in", "Subscribe", "", f"Home > News > {rng.choice(('Local', 'World', 'Europe'))}", "",
        f"By {rng.choice(_NAMES)}", f"Published: {rng.randint(6, 22)}:{rng.randint(10, 59)}, {rng.randint(1, 28)} May 2019",
        "Share this article", "Facebook Twitter WhatsApp Email", "",
        *_between(
            paragraphs, rng, ["", f"Read more: {titles[0]}", ""], ["Advertisement", ""], [f"SEE ALSO: {titles[1]}", ""]
        ),
        "", "Sign up for our daily newsletter", "Enter your email address", "", "Related stories", *titles[2:5], "",
        "Most read", *[f"{i}. {t}" for i, t in enumerate(titles[:4], 1)], "", "12 comments", "Leave a comment", "",
        "About us | Contact | Privacy policy | Terms of use | Cookies",
        f"© {rng.randint(2012, 2023)} Lakeside Herald. All rights reserved.",
    ]  # fmt: skip


def weblog(paragraphs: list[str], rng: Random) -> list[str]:
    """A weblog's theme: tags, likes, neighbours, a comment form, archives."""
    titles = _titles(rng, 5)
    return [
        "Skip to content", "Letters from the Valley", "Notes on gardens, trains and everything between", "Menu",
        "Home", "About", "Recipes", "Contact", "", f"Posted on {_date(rng)} by {rng.choice(_NAMES)}", "",
        *paragraphs, "", "Share this:", "Click to share on Twitter (Opens in new window)",
        "Click to share on Facebook (Opens in new window)", "Like this:", "Like Loading...", "", "Related", *titles[:3],
        "", "Posted in Uncategorized", "Tagged gardens, trains, valley", "", "Post navigation",
        f"← {titles[3]}", f"{titles[4]} →", "", f"{rng.randint(2, 9)} thoughts on “{titles[0]}”", "Leave a Reply",
        "Your email address will not be published. Required fields are marked *", "Comment *", "Name *", "Email *",
        "Website", "Notify me of new posts by email.", "Recent Posts", *titles[:3], "Archives", "May 2021",
        "April 2021", "December 2020", "Categories", "Gardens", "Trains", "Meta", "Log in", "Entries feed",
        "Comments feed", "Blog at WordPress.com.",
    ]  # fmt: skip


def cookie_wall(paragraphs: list[str], rng: Random) -> list[str]:
    """A consent dialogue before the article and a newsletter dialogue behind it."""
    return [
        "We value your privacy", "We and our partners store and access information on a device, such as cookies, and "
        "process personal data for personalised ads and content. You may click to consent or manage your preferences.",
        "Accept all", "Reject all", "Manage preferences", "Strictly necessary cookies", "Always active",
        "Performance cookies", "Targeting cookies", "Confirm my choices", "", *paragraphs, "",
        "Don't miss a story", "Get the best of our reporting in your inbox every morning.", "Your email address",
        "Subscribe", "By subscribing you agree to our Terms of Service and Privacy Policy. You can unsubscribe at any "
        "time.", "This site is protected by reCAPTCHA and the Google Privacy Policy and Terms of Service apply.",
    ]  # fmt: skip


def reader_record(paragraphs: list[str], rng: Random) -> list[str]:
    """The record that a reading application keeps beside the text."""
    number = "".join(rng.choice("0123456789abcdef") for _ in range(32))
    return [
        f"Title: {rng.choice(_TITLES)}", f"Author: {rng.choice(_NAMES)}", "Source: lakeside-herald.example",
        f"URL: https://lakeside-herald.example/{rng.randint(1000, 9999)}/", f"Date: 2021-0{rng.randint(1, 9)}-14", "",
        *paragraphs, "", "Statistics", str(rng.randint(200, 900)), "Words1", "Read CountDetails", f"ID: {number}",
        "Category ID: local", f"Created: 2021/0{rng.randint(1, 9)}/14 09:15", "Last Read: 2021/06/04 11:02",
    ]  # fmt: skip


def captions(paragraphs: list[str], rng: Random) -> list[str]:
    """Pictures: each caption twice, once as the description and once below the picture, with credits."""
    said = [
        f"The harbour of {rng.choice(('Northfield', 'Eastmere', 'Wendle'))} on a calm morning in {rng.choice(_MONTHS)}",
        f"{rng.choice(_NAMES)}, who has run the mill since 1998, beside its great wheel",
        "Visitors wait in front of the museum, which opened its doors for the first time since winter",
    ]
    blocks = [["", caption, caption, f"Photo: {rng.choice(_NAMES)}/Lakeside Herald", ""] for caption in said]
    return [
        *_between(paragraphs, rng, *blocks),
        "View gallery",
        "1 of 12",
        "Hide caption",
        "Image copyright Getty Images",
    ]


def duplicated_body(paragraphs: list[str], rng: Random) -> list[str]:
    """The body twice, as for a phone and for a wide screen, with a share bar between the copies."""
    return [*paragraphs, "", "Share", "Tweet", "Print", "", *paragraphs]


def forum(paragraphs: list[str], rng: Random) -> list[str]:
    """A board's thread: the poster's record, buttons, signature, similar threads."""
    titles = _titles(rng, 4)
    return [
        "Forums", "New posts", "Search forums", "Members", "What's new", "Log in", "Register",
        f"Thread starter valleygardener{rng.randint(1, 99)}", f"Start date {_date(rng)}", "Jump to new", "Watch",
        f"valleygardener{rng.randint(1, 99)}", "Well-Known Member", "Joined: Mar 2014", f"Messages: {rng.randint(20, 4000)}",
        f"Reaction score: {rng.randint(1, 900)}", "Location: Northfield", "#1", "", *paragraphs, "",
        "Last edited by a moderator: " + _date(rng), "Click to expand...", "Reactions: oldmill and 3 others", "Quote",
        "Reply", "Report", "You must log in or register to reply here.", "Similar threads", *titles,
        f"Replies: {rng.randint(0, 30)} Views: {rng.randint(100, 9000)}", "Share: Facebook Reddit Email Link",
        "Contact us Terms and rules Privacy policy Help Home RSS", "Community platform by XenForo",
    ]  # fmt: skip


def paywall(paragraphs: list[str], rng: Random) -> list[str]:
    """A magazine that wants subscribers."""
    titles = _titles(rng, 3)
    return [
        "Subscribe for £1 a week", "Already a subscriber? Log in", "My account", "Today's paper", "Puzzles", "Podcasts",
        "You have 2 free articles left this month.", "", *_between(
            paragraphs, rng,
            ["Support independent journalism. Become a member today and enjoy unlimited access.", ""],
            ["Recommended", titles[0], titles[1], ""],
        ),
        "", "Start your free trial", "Cancel any time. Terms apply.", "Gift this article",
        "This article appears in the print edition under the headline “" + titles[2] + "”",
        "Want to read more? Subscribe now for full digital access.", "View offers",
        "Listen to this story. Enjoy more audio and podcasts on iOS or Android.", "Your browser does not support the <audio> element.",
        "Reuse this content", "Copyright © The Valley Review Limited 2021. All rights reserved.",
    ]  # fmt: skip


def local_video(paragraphs: list[str], rng: Random) -> list[str]:
    """A local station: weather, video player, poll, lists, partners."""
    titles = _titles(rng, 6)
    return [
        "WATCH LIVE", f"{rng.randint(50, 90)}° Northfield", "Mostly cloudy", "7-Day Forecast", "Traffic", "Closings", "Menu",
        "Video Player is loading.", "Current Time 0:00", "/", "Duration 1:47", "Loaded: 0%", "Stream Type LIVE",
        "Playback Rate 1x", "This is a modal window.", "Next Up", titles[0], "Autoplay",
        f"{rng.choice(_NAMES)}, Staff Writer", f"Updated: {rng.randint(1, 11)}:{rng.randint(10, 59)} PM EDT {_date(rng)}", "",
        *_between(paragraphs, rng, ["Advertisement - scroll to continue", ""], ["Trending:", *titles[1:4], ""]),
        "", "Copyright 2021 WNFD. All rights reserved. This material may not be published, broadcast, rewritten, or redistributed.",
        "Latest from WNFD", *titles[3:6], "Poll: Do you use the ferry?", "Yes", "No", "View results", "Sponsored Links by Taboola",
        "You May Like", "Download the WNFD News app for iOS and Android", "FCC Public File", "EEO Report", "Closed Captioning",
    ]  # fmt: skip


def one_line_menus(paragraphs: list[str], rng: Random) -> list[str]:
    """Menus, tags and footers that an extractor has put on one line each."""
    titles = _titles(rng, 3)
    return [
        "Home About Services Blog Shop Cart (0) Contact", "HOME | NEWS | SPORT | BUSINESS | OPINION | JOBS | CARS | HOMES",
        f"You are here: Home / Blog / {titles[0]}", f"{_date(rng)} • {rng.choice(_NAMES)} • {rng.randint(2, 12)} min read • 0 comments",
        "Facebook0 Tweet0 Pin0 LinkedIn0 Shares 0", "", *paragraphs, "",
        "Tags: gardens, ferries, mills, libraries, tomatoes", f"Previous: {titles[1]} Next: {titles[2]}",
        "Privacy Policy · Terms of Service · Cookie Settings · Advertise · Careers · Accessibility",
        "Powered by WordPress | Theme: Valley by Northfield Themes", "Back to top ↑",
    ]  # fmt: skip


def journal(paragraphs: list[str], rng: Random) -> list[str]:
    """A publisher's page around a paper or a report."""
    return [
        "Journals & Books", "Help", "Search", "My account", "Sign in", "Access through your institution", "Purchase PDF",
        "Article preview", "Abstract", "Introduction", "Section snippets", "References (42)", "Cited by (7)",
        f"Volume {rng.randint(2, 90)}, Issue {rng.randint(1, 12)}, {rng.choice(_MONTHS)} 2018, Pages {rng.randint(1, 300)}-{rng.randint(301, 400)}",
        f"https://doi.org/10.1016/j.valley.2018.0{rng.randint(1, 9)}.0{rng.randint(10, 99)}", "Get rights and content", "", *paragraphs,
        "", "Download PDF", "Download citation", f"Received {_date(rng)}", f"Accepted {_date(rng)}", "Export citation",
        "Recommended articles", "View full text", "© 2018 Published by Elsevier Ltd.", "Terms and conditions apply.",
        "Cookies are used by this site.",
    ]  # fmt: skip


def story_platform(paragraphs: list[str], rng: Random) -> list[str]:
    """A platform for essays."""
    titles = _titles(rng, 3)
    return [
        "Open in app", "Sign up", "Sign In", "Write", f"{rng.choice(_NAMES)}", "Follow", f"{rng.randint(2, 14)} min read", "·", "Mar 3, 2021",
        f"{rng.randint(20, 900)}", "4", "Listen", "Share", "", *paragraphs, "", "Gardens", "Trains", "Life Lessons",
        f"Written by {rng.choice(_NAMES)}", f"{rng.randint(1, 9)}.2K Followers", "Writes about valleys, ferries and slow travel.",
        "More from " + rng.choice(_NAMES), *titles, "Recommended from Medium", "Sign up to discover human stories that deepen your "
        "understanding of the world.", "Help", "Status", "About", "Careers", "Press", "Blog", "Privacy", "Terms", "Text to speech", "Teams",
    ]  # fmt: skip


KNOWN: Mapping[str, _Style] = {
    f.__name__: f for f in (news_portal, weblog, cookie_wall, reader_record, captions, duplicated_body)
}
HELD_OUT: Mapping[str, _Style] = {
    f.__name__: f for f in (forum, paywall, local_video, one_line_menus, journal, story_platform)
}


def with_furniture(text: str, style: str, rng: Random) -> str:
    """Return the page of a style around an article; its paragraphs stay as they are.

    A text in one line stays in one: only what is put around it has lines.
    """
    paragraphs = re.split(r"\n(?=\s*\n)|\n(?=\S)", text) if "\n" in text else [text]
    lines = {**KNOWN, **HELD_OUT}[style](paragraphs, rng)
    return "\n".join(lines)
