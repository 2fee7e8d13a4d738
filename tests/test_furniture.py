"""What does not count as the article: furniture, records, repeats; and that prose always counts."""

# The samples stand on one line each.
# ruff: noqa: E501

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.furniture import find_ignored

BODY = (
    "The ferry between the two islands will run every hour from June, the harbour board said on Friday.\n\n"
    "Fishermen had asked for a later start, because the early boats wake the whole village before dawn.\n\n"
    "A spokesman for the board said that the timetable could still be changed after the first summer.\n"
)


def ignored_text(text: str) -> list[tuple[str, str]]:
    """Return (why, the text ignored)."""
    return [(i.why, text[i.start : i.end]) for i in find_ignored(text)]


def test_plain_article_is_kept_whole() -> None:
    assert find_ignored(BODY) == []


@pytest.mark.parametrize(
    "line",
    [
        "Related Articles", "Leave a Reply", "Your email address will not be published. Required fields are marked *", "Back to top button", "4 Min Read",
        "Share This Article", "Leave a comment", "ADVERTISEMENT", "Read more: Harbour board elects a new chair", "\u00a9 2022 Island Post. All rights reserved.",
        "Copyright 2019 The Island Post, LLC", "Sign up for our newsletter and never miss a story", "We use cookies to improve your experience on this site.",
        "Home > News > Harbour", "Share on Facebook Share on Twitter", "Facebook Twitter WhatsApp Email", "Photo: Ann Lee/Island Post", "(Photo by Ann Lee/Getty Images)",
        "Image copyright Getty Images", "Save my name, email, and website in this browser for the next time I comment.", "Scroll down for video", "12 Comments",
        "Filed under: Ferries, Harbour, Timetables", "Tags: ferries, harbour", "Follow us on Twitter @islandpost", "Skip to main content", "Story continues below advertisement",
        "* Email", "Name *", "SEE ALSO: The boats that never came back", "Published: 17:23, 3 November 2012 | Updated: 17:34, 3 November 2012", "3 hours ago",
        "Home | About us | Contact | Privacy policy",
    ],
)  # fmt: skip
def test_furniture_lines_are_ignored_alone(line: str) -> None:
    text = f"{BODY}\n{line}\n\nThe board meets again in May, when the first bookings are known and counted.\n"
    assert [found for _, found in ignored_text(text)] == [line]


@pytest.mark.parametrize(
    "line",
    [
        "Q: What does the ferry cost?", "A: It costs four crowns for adults and nothing for children.", "The harbour dispute", "\"Yes,\" he said.", "No comment.",
        "Read on.", "Cookies are baked in the village hall every Friday, and the smell reaches the pier.", "We use cookies at Christmas.", "More than forty boats came.",
        "Share prices fell on Friday, said the board.", "Photographs of the old pier hang in the hall.", "JOHN: I never saw the boat.", "Follow the path to the left of the church.",
        "Copyright law does not protect a timetable, the court ruled.", "Comments by the chairman angered the fishermen, who left the hall.", "1. Fill the kettle and wait.",
        "Like all my projects, it began with a leak, she posted on Facebook.", "Top boats need top crews.", "Watch out for the step!", "5 boats are missing.",
        "Home is where the boat is.", "Subscribers pay less for the ferry.", "From the harbour: a long walk.", "Ingredients: flour, butter and sugar.",
        "Related to this, the board closed the slipway.", "He left at 10.", "Summary", "By Ann Lee",
    ],
)  # fmt: skip
def test_prose_headings_and_dialogue_are_kept(line: str) -> None:
    text = f"{BODY}\n{line}\n\nThe board meets again in May, when the first bookings are known and counted.\n"
    assert find_ignored(text) == []


def test_verse_is_kept() -> None:
    verse = (
        "The tide goes out, the tide comes in,\nThe gulls are on the wall,\nAnd nobody knows where the ships have been,\nAnd nobody knows at all.\n\n"
        "The tide comes in, the tide goes out,\nThe gulls are on the wall,\nAnd somebody gives a distant shout,\nAnd nobody hears at all.\n"
    )
    assert find_ignored(verse) == []


def test_a_faq_is_kept() -> None:
    text = BODY + "\n".join(
        f"Q: How long does trip number {i} take?\nA: It takes about {i} hours, said the board." for i in range(2, 8)
    )
    assert find_ignored(text) == []


def test_related_headlines_go_with_their_header() -> None:
    headlines = "Similar Readings (3 items)\nHarbour board elects a new chair\nWhy the old pier fell\nFerry fares to rise again, says 'Island Post'"
    text = f"{BODY}{headlines}\n\nThe board meets again in May, when the first bookings are known and counted.\n"
    assert ignored_text(text) == [("furniture", headlines)]


def test_reader_record_and_its_summary_are_metadata() -> None:
    tail = (
        "Summary\nThe ferry will run hourly from June, although fishermen asked for\nStatistics\n182\nWords1\nRead CountDetails\nID: 1f0c2d3e-aaaa-4bbb-8ccc-0123456789ab\n"
        "Category ID: island\nURL: https://news.example.org/ferry/1/\nDate: June 3, 2021\nCreated: 2021/06/03 09:15\nLast Read: 2021/06/04 11:02"
    )
    text = f"{BODY}Related stories\nWhy the old pier fell\n{tail}\n"
    assert ignored_text(text) == [("furniture", "Related stories\nWhy the old pier fell"), ("metadata", tail)]


def test_a_front_matter_record_is_metadata() -> None:
    record = "Title: Ferry every hour\nAuthor: Ann Lee\nDate: 2021-06-03\nURL: https://news.example.org/ferry/1/"
    assert ignored_text(f"{record}\n\n{BODY}") == [("metadata", record)]


def test_the_second_copy_of_the_body_is_a_repeat() -> None:
    again = BODY.strip().replace("The ferry", "The  FERRY")
    text = f"{BODY}\nThe board meets again in May, when the first bookings are known.\n{again}"
    assert ignored_text(text) == [("repeat", again)]


def test_a_heading_goes_with_the_copy_that_it_stands_in() -> None:
    part = "The timetable\nFishermen had asked for a later start, because the early boats wake the whole village."
    assert ignored_text(f"{part}\nNothing more was said about it on that day in the hall.\n{part}") == [
        ("repeat", part)
    ]


def test_short_lines_may_come_twice() -> None:
    assert find_ignored("he said.\nThe boat left.\nhe said.\nThe boat left.\n") == []


def test_line_ends_of_all_systems_are_alike() -> None:
    for end in ("\n", "\r\n", "\r"):
        text = f"It rained all day.{end}{end}Leave a Reply{end}"
        assert [(why, found) for why, found in ignored_text(text)] == [("furniture", "Leave a Reply")]


def test_curly_apostrophes_are_understood() -> None:
    assert ignored_text("It rained.\nDon\u2019t miss: The pier fell\n") == [
        ("furniture", "Don\u2019t miss: The pier fell")
    ]


_LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "Related Articles",
                "Leave a Reply",
                "ID: 12",
                "URL: http://a.b",
                "Date: 2021-01-02",
                "Summary",
                "12",
                "",
                "  ",
                "Read more: x y z",
                BODY.split("\n")[0],
            ]
        ),
        st.text(max_size=30),
    ),
    max_size=12,
)


@given(_LINES, st.sampled_from(["\n", "\r\n", "\n\n", "\r", "\n\t"]))
@settings(max_examples=200, deadline=None)
def test_ranges_are_sorted_apart_and_within_the_text(lines: list[str], end: str) -> None:
    text = end.join(lines)
    ranges = find_ignored(text)
    at = 0
    for item in ranges:
        assert at <= item.start < item.end <= len(text)
        assert item.why in ("furniture", "metadata", "repeat")
        assert text[item.start : item.end] == text[item.start : item.end].strip()
        at = item.end


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "\n" * 300_000,
        "a: b\n" * 50_000,
        "related articles\n" * 50_000,
        ("share " * 48 + "\n") * 2_000,
        ("sign up " * 36 + "\n") * 2_000,
        ("a|" * 140 + "\n") * 3_000,
    ],
    ids=["one word", "newlines", "pairs", "headers", "share", "sign up", "bars"],
)
def test_long_adversarial_texts_are_worked_off(text: str) -> None:
    assert all(item.end <= len(text) for item in find_ignored(text))


def test_blocks_around_an_article_go_with_the_furniture_known_in_them() -> None:
    head = (
        "Menu\nGardens\nFerries\nTrains\nSign in\nOld mills\nOur valley\nHarbour news\nThe ferry timetable\nBy Ann Lee"
    )
    tail = "Leave a Reply\nThe quiet return of the night train\nWhy the mill was sold\nArchives\nMay 2021\nMeta\nLog in\nBlog at Valley Press."
    found = ignored_text(f"{head}\n\n{BODY}\n{tail}")
    # The last two lines before the article may be its title and its writer.
    assert found == [("furniture", head.removesuffix("\nThe ferry timetable\nBy Ann Lee")), ("furniture", tail)]


def test_a_list_at_the_end_without_known_furniture_is_kept() -> None:
    assert find_ignored(f"{BODY}\nBring with you\nA warm coat\nTwo crowns\nSome bread\nThe timetable") == []


@pytest.mark.parametrize(
    "line",
    [
        "Support our journalism: become a member for unlimited access, cancel any time.", "Home / News / Ferries / Timetables / Summer",
        "HOME | FERRIES | TRAINS | GARDENS", "March 3, 2021", "https://ferries.example.org/summer", "Want our newsletter in your inbox? Sign up here.",
    ],
)  # fmt: skip
def test_appeals_menus_and_stamps_are_ignored(line: str) -> None:
    text = f"{BODY}\n{line}\n\nThe board meets again in May, when the first bookings are known and counted.\n"
    assert [found for _, found in ignored_text(text)] == [line]


def test_a_caption_that_stands_twice_is_furniture_both_times() -> None:
    caption = "The harbour on a calm morning in May"
    text = f"{BODY}\n{caption}\n{caption}\n\nThe board meets again in May, when the first bookings are known and counted.\n"
    assert ignored_text(text) == [("furniture", f"{caption}\n{caption}")]


def test_prose_about_sites_is_kept() -> None:
    text = BODY + (
        "\nSubscribers told the court that cookies on your device are no crime, and that the newsletter asked for consent.\n"
        'He said: "Click on our website to download the app, sign up and register."\n'
    )
    assert find_ignored(text) == []
