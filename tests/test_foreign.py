"""Stretches in another language are left out of an English article; texts close to English are told by their words."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import SpinDetector, store
from detector.foreign import LANGUAGE, MIN_REST_WORDS, close_share, find_foreign, merge_ignored
from detector.results import Ignored, Reason
from detector.scorable import MAX_CLOSE_SHARE
from detector.segment import prepare
from detector.words import tokenise

ROOT = Path(__file__).parent.parent
LANGUAGES = tomli.loads((ROOT / "eval" / "inputs" / "samples" / "languages.toml").read_text(encoding="utf-8"))
# Languages that the identifier knows, and is sure of on a paragraph.
SURE = [n for n in LANGUAGES["other"] if n not in ("Hindi, romanised", "Arabic, romanised", "Swahili")]
ENGLISH = (ROOT / "examples" / "original.txt").read_text(encoding="utf-8")
CLOSE = ("Scots", "Nigerian Pidgin", "Jamaican Patois")


def foreign(text):
    return find_foreign(text, tokenise(text))


@pytest.fixture(scope="module")
def detector():
    if store.DEFAULT_MODEL not in store.model_names():
        pytest.skip("the model is not trained yet")
    return SpinDetector.load()


def test_an_english_article_is_left_whole():
    assert foreign(ENGLISH) == []


@pytest.mark.parametrize("name", SURE)
def test_a_paragraph_in_another_language_is_left_out(detector, name):
    passage = " ".join(LANGUAGES["other"][name].split())
    first, second = ENGLISH.split("\n\n", 1)
    text = f"{first}\n\n{passage}\n\n{second}"
    result = detector.score(text)
    found = [text[i.start : i.end] for i in result.ignored if i.why == LANGUAGE]
    assert sum(map(len, found)) >= 0.85 * len(passage)
    assert all(part in passage for part in found)
    assert result.probability == pytest.approx(detector.score(ENGLISH).probability, abs=0.02)


def test_a_text_mostly_in_another_language_is_scored_by_its_english_part_or_refused(detector):
    german = " ".join(LANGUAGES["other"]["German"].split())
    article = ENGLISH.replace("\n\n", " ")[:800]
    result = detector.score(f"{german}\n\n{german.upper()}\n\n{article}")
    assert result.words == detector.score(article).words >= MIN_REST_WORDS
    short = " ".join(article.split()[:20])
    assert detector.score(f"{german} {short}.").reason is Reason.NOT_ENGLISH


@pytest.mark.parametrize("name", CLOSE)
def test_scots_and_creoles_are_not_english(detector, name):
    text = LANGUAGES["close"][name]
    assert close_share(tokenise(text)) > MAX_CLOSE_SHARE
    assert detector.score(text).reason is Reason.NOT_ENGLISH
    assert close_share(tokenise(ENGLISH)) == 0


def test_overlapping_ranges_are_cut():
    one, two, three = Ignored(0, 5, "a"), Ignored(3, 9, "b"), Ignored(4, 5, "c")
    assert merge_ignored([two], [one, three]) == [one, Ignored(5, 9, "b")]


@given(st.lists(st.sampled_from(["the cat sat on the mat. ", "der Hund lief schnell weg. ", "3. ", "\n", "Oui! "])))
@settings(max_examples=60)
def test_ranges_lie_within_the_text_in_order(parts):
    text = "".join(parts)
    found = prepare(text).ignored
    assert all(0 <= i.start < i.end <= len(text) for i in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
