"""Pages made up around an article: whole and in order within them, different each time, and plain text throughout."""

from __future__ import annotations

from random import Random

import pytest

from detector.furniture import find_ignored
from eval.page_furniture import HELD_OUT, KNOWN, with_furniture
from tests.tiny_model import article

STYLES = [*KNOWN, *HELD_OUT]


def paragraphs(seed):
    return article(Random(seed), sentences=20).split("\n\n")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("seed", range(5))
def test_the_article_stands_whole_and_in_order_within_the_page(style, seed):
    parts = paragraphs(seed)
    page = with_furniture("\n\n".join(parts), style, Random(seed))
    at = 0
    for part in parts:
        at = page.index(part, at) + len(part)
    assert len(page) > len("\n\n".join(parts)) + 100
    # Lines end where it says, and a page read again from a file is the same.
    assert page == "\n".join(page.splitlines())


@pytest.mark.parametrize("style", STYLES)
def test_an_article_in_one_line_stays_in_one(style):
    text = " ".join(paragraphs(1))
    assert text in with_furniture(text, style, Random(1)).split("\n")


@pytest.mark.parametrize("style", STYLES)
def test_the_same_seed_makes_the_same_page(style):
    text = "\n\n".join(paragraphs(2))
    assert with_furniture(text, style, Random("a")) == with_furniture(text, style, Random("a"))


def test_most_styles_vary():
    text = "\n\n".join(paragraphs(2))
    varying = [s for s in STYLES if len({with_furniture(text, s, Random(i)) for i in range(8)}) > 1]
    assert set(STYLES) - set(varying) == {"cookie_wall", "duplicated_body"}


def test_styles_put_aside_are_not_known_ones():
    assert len(KNOWN) == len(HELD_OUT) == 6
    assert not KNOWN.keys() & HELD_OUT.keys()


@pytest.mark.parametrize("style", KNOWN)
def test_of_a_known_style_hardly_anything_is_left_and_nothing_of_the_article_is_lost(style):
    parts = paragraphs(3)
    page = with_furniture("\n\n".join(parts), style, Random(3))
    ignored = find_ignored(page)
    left = page
    for one in reversed(ignored):
        left = left[: one.start] + left[one.end :]
    assert all(part in left for part in parts)
    words = len(left.split()) - sum(len(part.split()) for part in parts)
    assert words <= 25
    assert len(page.split()) - len(left.split()) > 10


def test_an_unknown_style_is_an_error():
    with pytest.raises(KeyError):
        with_furniture("A text.", "gazette", Random(1))
