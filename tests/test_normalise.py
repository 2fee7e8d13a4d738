"""The normal form: what is folded, what is kept, and that every position leads back."""

# The samples stand on one line each.
# ruff: noqa: E501

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.normalise import normalise

# Any code point, lone surrogates too, with the characters that the module treats specially made frequent.
_SPECIAL = (
    "\u2018\u2019\u201c\u201d\u2013\u2014\u00a0\u2009\u200b\u200d\ufeff\u00ad\ufe0f\u0301\u0308\u0316\u20d0\ufb01\ufb03\u2160\u2122\u2026\u00bd\u00b2"
    "\uff21\uff0d\uff07\u212b\u212a\u2126\u00e2\u20ac\u00c3\u00c2\u00a9\u00a1\u0153\u009d\u0092\u0085\u2028\ufffd\ud800\udfff\u0430\u0435\u043e\u0439\u03bf\u03b1"
    "\u0410\u0301\u017f\u1e9b\u0132\u01c4\U0001d400\U0001f600\U000e0041 \n\r\x00ae"
)
_TEXT = st.text(st.one_of(st.characters(), st.sampled_from(_SPECIAL), st.sampled_from("abc xyz")), max_size=40)


@given(_TEXT)
@settings(max_examples=250, deadline=None)
def test_the_normal_form_of_a_normal_form_is_itself(text: str) -> None:
    once = normalise(text)
    assert normalise(once.text).text == once.text


@given(_TEXT)
@settings(max_examples=250, deadline=None)
def test_every_range_leads_back_to_a_covering_range(text: str) -> None:
    result = normalise(text)
    if result.to_original is None:
        assert len(result.text) == len(text)
        offsets = np.arange(len(text) + 1)
    else:
        offsets = result.to_original
    assert offsets.shape == (len(result.text) + 1,)
    assert offsets[-1] == len(text)
    assert (np.diff(offsets) >= 0).all()
    assert (offsets >= 0).all()
    previous = (0, 0)
    for at in range(len(result.text)):
        start, end = result.original_span(at, at + 1)
        assert 0 <= start < end <= len(text)
        assert start >= previous[0]
        assert end >= previous[1]
        previous = (start, end)
    if result.text:
        start, end = result.original_span(0, len(result.text))
        # What lies before the whole range was dropped, and nothing lies behind it.
        assert normalise(text[:start]).text == ""
        assert end == len(text)


@given(_TEXT)
@settings(max_examples=150, deadline=None)
def test_the_normal_form_can_be_encoded(text: str) -> None:
    normalise(text).text.encode("utf-8")


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_left_alone(text: str) -> None:
    result = normalise(text)
    assert result.text is text
    assert result.to_original is None
    assert result.warnings == ()


def test_common_typography_needs_no_map() -> None:
    text = "\u201cIt\u2019s a caf\u00e9\u201d \u2013 she said\u2014twice\u00a0\u2026 \u00a35, 3\u00bd m\u00b2, na\u00efve \u20ac9"
    result = normalise(text)
    assert (
        result.text
        == '"It\'s a caf\u00e9" \u2013 she said\u2014twice \u2026 \u00a35, 3\u00bd m\u00b2, na\u00efve \u20ac9'
    )
    assert result.to_original is None
    assert result.warnings == ()
    assert result.original_span(1, 5) == (1, 5)


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("\uff46\uff55\uff4c\uff4c width", "full width"),
        ("\ufb01sh and e\ufb03cient", "fish and efficient"),
        ("\U0001d5d5\U0001d5fc\U0001d5f9\U0001d5f1 words", "Bold words"),
        ("cafe\u0301 nai\u0308ve", "caf\u00e9 na\u00efve"),
        ("z\u0300\u0316\u0320a\u0334lgo", "zalgo"),
        ("co\u00adoper\u00adate", "cooperate"),
        ("x\u00b2 + 10\u2079 \u2122 1\u00bd", "x\u00b2 + 10\u2079 \u2122 1\u00bd"),
        ("one\r\ntwo\r\n", "one\r\ntwo\r\n"),
        ("non\u2011breaking \u2212 minus", "non-breaking - minus"),
        ("\u212bngstr\u00f6m", "\u00c5ngstr\u00f6m"),
        ("a\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f", "a\U0001f468\U0001f469\U0001f467 \u2764"),
        ("\ufeffStart", "Start"),
    ],
)
def test_harmless_forms_are_folded_without_a_warning(given_text: str, expected: str) -> None:
    result = normalise(given_text)
    assert result.text == expected
    assert result.warnings == ()


def test_zero_width_characters_are_dropped_with_a_warning() -> None:
    result = normalise("a tru\u200bce was con\u2060cur\u202ered")
    assert result.text == "a truce was concurred"
    assert result.warnings == ("zero_width",)
    assert result.original_span(2, 7) == (2, 8)


def test_lookalikes_in_latin_words_are_folded() -> None:
    result = normalise("the st\u0430te l\u0435\u0430der \u0440aid the b\u03bfnus")
    assert result.text == "the state leader paid the bonus"
    assert result.warnings == ("homoglyphs",)
    assert result.to_original is None


@pytest.mark.parametrize(
    "text",
    [
        "The word \u0441\u043e\u0440 means litter.",  # wholly of look-alikes, but a real word
        "\u041c\u043e\u0441\u043a\u0432\u0430 is the Russian name of Moscow, \u0420\u043e\u0441\u0441\u0438\u044f that of Russia.",
        "\u041e\u043d\u0430 \u0441\u043a\u0430\u0437\u0430\u043b\u0430, \u0447\u0442\u043e \u0440\u043e\u0441\u0430 \u0441\u0443\u0445\u0430\u044f.",
        "the pressure \u03c1gh and the shift \u0394x",
        "\u039f \u03ba\u03cc\u03c3\u03bc\u03bf\u03c2 \u03b5\u03af\u03bd\u03b1\u03b9 \u03bc\u03b9\u03ba\u03c1\u03cc\u03c2",
    ],
)
def test_real_words_of_other_scripts_are_kept(text: str) -> None:
    result = normalise(text)
    assert result.text == text
    assert "homoglyphs" not in result.warnings


def test_a_word_wholly_of_lookalikes_is_folded_where_others_give_it_away() -> None:
    assert normalise("th\u0435 \u0441\u0430\u0440\u0435 of \u0430 child").text == "the cape of a child"


def test_mojibake_is_repaired_with_a_warning() -> None:
    result = normalise("It\u00e2\u20ac\u2122s a caf\u00c3\u00a9 \u00e2\u20ac\u201c open")
    assert result.text == "It's a caf\u00e9 \u2013 open"
    assert result.warnings == ("mojibake",)
    assert result.original_span(0, 4) == (0, 6)
    assert normalise("It\x92s \ufffd").warnings == ("mojibake",)


def test_lone_surrogates_become_replacement_characters() -> None:
    assert normalise("a\ud800b").text == "a\ufffdb"


def test_a_ligature_split_by_a_range_is_covered_whole() -> None:
    result = normalise("\ufb01x")
    assert result.text == "fix"
    assert result.original_span(0, 1) == (0, 1)
    assert result.original_span(1, 2) == (0, 1)
    assert result.original_span(1, 3) == (0, 2)


@pytest.mark.parametrize("span", [(0, 0), (2, 1), (-1, 2), (0, 99)])
def test_empty_or_outside_ranges_are_refused(span: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="0 <= start < end"):
        normalise("some text").original_span(*span)


@pytest.mark.parametrize("unit", ["e\u0301\u0316", "\u00c3\u00c2", "\u200b", "\u0430 b ", "\u0301", "\u0430"])
def test_long_adversarial_texts_are_worked_off(unit: str) -> None:
    result = normalise(unit * 20_000 + "a")
    assert result.text.endswith("a")
    assert normalise(result.text).text == result.text
