"""Verse, lyrics, subtitles, code, tables and lists are told from prose; prose in odd shapes is let through."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from detector import SpinDetector, store
from detector.prose import Layout, find_layout
from detector.results import Reason

SAMPLES = tomli.loads(
    (Path(__file__).parent.parent / "eval" / "inputs" / "samples" / "not_prose.toml").read_text(encoding="utf-8")
)
PROSE = SAMPLES["prose"]
NOT_PROSE = {f"{kind} {n}": text for kind, texts in SAMPLES.items() if kind != "prose" for n, text in enumerate(texts)}
LONG = " ".join(text.strip() for text in PROSE.values() if "words = line" not in text)


@pytest.fixture(scope="module")
def detector():
    if store.DEFAULT_MODEL not in store.model_names():
        pytest.skip("the model is not trained yet")
    return SpinDetector.load()


@pytest.mark.parametrize("name", NOT_PROSE)
def test_what_is_no_prose_is_not_scored(detector, name):
    result = detector.score(NOT_PROSE[name])
    # A table of a page may be left out as such, and then there is nothing to be scored.
    assert result.reason is Reason.NOT_PROSE or (result.reason is Reason.TOO_SHORT and result.words == 0)


@pytest.mark.parametrize("name", PROSE)
def test_prose_in_odd_shapes_is_scored(detector, name):
    assert detector.score(PROSE[name]).reason is None


@pytest.mark.parametrize("width", [40, 55, 72, 80])
def test_prose_cut_at_a_width_is_prose(width):
    assert find_layout(textwrap.fill(LONG, width)) is None


def test_capitals_and_short_lines_make_verse_and_a_width_does_not():
    verse = NOT_PROSE["verse 0"]
    assert find_layout(verse) is Layout.VERSE
    assert find_layout(verse.lower()) is Layout.VERSE
    assert find_layout(textwrap.fill(" ".join(verse.split()), 60)) is None


def test_a_verse_or_a_menu_within_an_article_changes_nothing():
    article = textwrap.dedent(PROSE["tabloid paragraphs"]) * 3
    assert find_layout(article + NOT_PROSE["verse 1"][:200]) is None
    assert find_layout("Home\nNews\nSport\nWeather\n" * 5 + article) is None


@given(st.text(st.sampled_from("ab \n.:-|,;1\t{}#"), max_size=400))
def test_no_text_raises(text):
    assert find_layout(text) is None or isinstance(find_layout(text), Layout)


def test_wire_copy_whose_lines_begin_with_names_is_prose():
    text = """
The council said that Alderman Pratt will meet the mayors of
Northwick and Southwick in June to talk about the line from
Harrow Bridge to the coast, which the Ministry closed after
Easter. The announcement said that he would travel by way of
Marlow and see the works that have been built there since
October. Later in the month he is to go to the meeting with
Mrs Ondine Hartwell, who speaks for those who live close to
Ruane Water, and then to the long hearing before Sir Edward
Brigby in London before he returns home on the first of
July.""".strip()
    assert find_layout(text) is None
    # Set as verse the same capitals are what they mostly are.
    assert find_layout(text.replace(" and ", "\nAnd ").replace(" the ", "\nThe ")) is Layout.VERSE
