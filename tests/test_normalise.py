"""The normal form: what is folded, what is kept, and that every position leads back."""

# The samples stand on one line each.
# ruff: noqa: E501

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detector.normalise import WARNINGS, normalise
from detector.spaced import WordSplitter

# Any code point, lone surrogates too, with the characters that the module treats specially made frequent.
_SPECIAL = (
    "\u2018\u2019\u201c\u201d\u2013\u2014\u00a0\u2009\u200b\u200d\ufeff\u00ad\ufe0f\u0301\u0308\u0316\u20d0\ufb01\ufb03\u2160\u2122\u2026\u00bd\u00b2"
    "\uff21\uff0d\uff07\u212b\u212a\u2126\u00e2\u20ac\u00c3\u00c2\u00a9\u00a1\u0153\u009d\u0092\u0085\u2028\ufffd\ud800\udfff\u0430\u0435\u043e\u0439\u03bf\u03b1"
    "\u0410\u0301\u017f\u1e9b\u0132\u01c4\U0001d400\U0001f600\U000e0041 \n\r\x00ae"
    "\b`\u00b4\u202e\u202c\u2066\u2009\u2003-.th\u00e9\u0131\u0251\u1d1b\u00f8\u0442\u02bc\u00ca\u00bc\u0393\u00c7\u00d6\u2190"
)
# Words in which each trick can show, so that a few of them make the text give itself away.
_TRICKS = st.sampled_from(
    [
        "th\u00e9", "w\u00efth", "t h e", "s p a c e d", "w-o-r-d", "x\by", "\u202etaht\u202c", "th\u0435", "\u03bff", "\u1d1b\u029c\u1d07",
        "It\u00e2\u20ac\u2122s", "caf\u00c3\u00a9", "\u0441\u0430\u0440\u0435", "a  b", "a\u0334b\u0334c\u0334", "so\u00adft", " ", "  ", "\n", "\u2009", "and", ", ",
    ]
)  # fmt: skip
_TRICKY = st.lists(st.one_of(_TRICKS, st.text(st.sampled_from(_SPECIAL), max_size=3)), max_size=25).map("".join)
_TEXT = (
    st.text(st.one_of(st.characters(), st.sampled_from(_SPECIAL), st.sampled_from("abc xyz")), max_size=40) | _TRICKY
)


@given(_TEXT)
@example("\u00e2\u20ac\uff01")  # a full-width mark completes a garbled quote once it is folded
@settings(max_examples=150, deadline=None)
def test_the_normal_form_of_a_normal_form_is_itself(text: str) -> None:
    once = normalise(text)
    assert normalise(once.text).text == once.text


@given(_TEXT)
@settings(max_examples=150, deadline=None)
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


@given(st.text(st.characters(max_codepoint=127, exclude_characters="\b`"), max_size=6))
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
    result = normalise("a tru\u200bce was con\u2060curred")
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


@pytest.mark.parametrize(
    ("tricked", "code"),
    [
        ("The st\u0430te le\u0430der pa\u0456d", "homoglyphs"),
        ("\u0422h\u0435 stat\u0435 l\u0435\u0430d\u0435r p\u0430\u0456\u0501", "homoglyphs"),
        ("\u13a2h\u0435 s\u1d1bate \ua4e1ead\u0435r \u03c1aid", "homoglyphs"),
        ("T\u029c\u1d07 s\u1d1b\u1d00\u1d1b\u1d07 \u029f\u1d07\u1d00\u1d05\u1d07\u0280 \u1d18\u1d00\u026a\u1d05", "homoglyphs"),
        ("T\u200bhe st\u200date le\ufeffader paid", "zero_width"),
        ("T\u200ehe \u202astate\u202c \u2066leader\u2069 paid", "bidi"),
        ("\u202eehT\u202c state \u202eredael\u202c paid", "bidi"),
        ("T\u0336h\u0336e\u0336 st\u0316ate leade\u0301r paid", "combining_marks"),
        ("\uff34\uff48\uff45 state \uff4c\uff45\uff41\uff44\uff45\uff52 paid", "styled_letters"),
        ("The \U0001d42c\U0001d42d\U0001d41a\U0001d42d\U0001d41e leader paid", "styled_letters"),
        ("The \U0001f142\U0001f143\U0001f130\U0001f143\u24d4 leader paid".replace("STATE", "state"), "styled_letters"),
        ("T\u00adhe st\u00adate le\u00adader paid", "soft_hyphens"),
        ("T h e   s t a t e   l e a d e r   p a i d", "spaced_letters"),
        ("The s-t-a-t-e l.e.a.d.e.r p_a_i_d", "spaced_letters"),
        ("T\u2009h\u2009e s\u2009t\u2009a\u2009t\u2009e l\u2009e\u2009a\u2009d\u2009e\u2009r p\u2009a\u2009i\u2009d", "spaced_letters"),
        ("Tx\bhe stq\bate leaz\bder paid", "backspaces"),
    ],
)  # fmt: skip
def test_each_trick_is_seen_through_and_named(tricked: str, code: str) -> None:
    result = normalise(tricked)
    assert " ".join(result.text.split()).lower() == "the state leader paid"
    assert result.warnings == (code,)
    assert code in WARNINGS
    at = result.text.lower().index("leader")
    start, end = result.original_span(at, at + 6)
    assert 0 < start < end < len(tricked)
    assert "paid" not in normalise(tricked[start:end]).text


def test_accents_on_english_words_are_dropped_where_function_words_give_them_away() -> None:
    result = normalise("Th\u00e9 st\u00e4te \u00e4nd \u00efts l\u0117ader")
    assert result.text == "The state and its leader"
    assert result.warnings == ("combining_marks",)


def test_an_override_around_text_in_its_order_is_only_dropped() -> None:
    result = normalise("\u202ethat\u202c and \u202ethis\u202c")
    assert result.text == "that and this"
    assert result.warnings == ("bidi",)


def test_apostrophes_of_all_kinds_are_one() -> None:
    result = normalise("It\u00b4s, don\u02b9t, we`re, they\u2032ve, it\uff07s")
    assert result.text == "It's, don't, we're, they've, it's"
    assert result.warnings == ("fancy_quotes",)
    assert normalise("don`t").text == "don't"
    assert normalise("``quoted'' `x`").text == "``quoted'' `x`"


MANY_SPACES = "it is said to be so, as\u00a0all\u00a0of\u00a0us\u00a0know\u00a0by now"


@pytest.mark.parametrize(
    ("text", "warns"),
    [
        ("\u201cIt\u2019s the mayor\u2019s,\u201d she said \u2014 and \u2018no one\u2019s\u2019 but ours\u2026", False),
        ("It\u00b4s the mayor\u00b4s.", False),  # typed so by some: two are no mix
        ("It\u00b4s the mayor's and no one\u02bcs.", True),
        ("It\u02bcs the mayor\u2032s.", True),
        ("a well\u2010known face, a well\u2010meant word", False),  # as some journals print it
        ("a well\u2010known face, a well\u2011meant word", True),
        ("\u201cHere\u201d and \u201ethere\u201c", False),
        ("\u201cHere\u201d and \u201ethere\u00bb", True),
        (MANY_SPACES, False),  # as editors of web pages leave them
        (MANY_SPACES + ", and it`s well", True),
        (MANY_SPACES.replace(" ", "\u00a0") + ", and it`s well", False),  # all spaces: a whole page set so
    ],
)
def test_marks_that_nobody_mixes_are_named(text: str, warns: bool) -> None:
    assert normalise(text).warnings == (("fancy_quotes",) if warns else ())


@pytest.mark.parametrize(
    ("garbled", "mended"),
    [
        ("It\u00e2\u20ac\u2122s na\u00c3\u00afve", "It's na\u00efve"),
        ("It\u201a\u00c4\u00f4s", "It's"),  # Mac Roman
        ("It\u0393\u00c7\u00d6s", "It's"),  # code page 437
        ("It\u00d4\u00c7\u00d6s", "It's"),  # code page 850
        ("It\u0432\u0402\u2122s", "It's"),  # cp1251
        ("It\u00c3\u00a2\u00e2\u201a\u00ac\u00e2\u201e\u00a2s", "It's"),  # twice
        ("It\u00ca\u00bcs", "It's"),
        ("\u00e2\u20ac\u0153So\u00e2\u20ac he said", '"So" he said'),
        ("\u00c2\u00a35 a\u00c2\u00a0day", "\u00a35 a day"),
    ],
)
def test_mojibake_of_many_encodings_is_mended(garbled: str, mended: str) -> None:
    result = normalise(garbled)
    assert result.text == mended
    assert result.warnings == ("mojibake",)


@pytest.mark.parametrize(
    "text",
    [
        "The U.S.S.R. and the U.S.A. signed, said J. R. R. Lee of A.B.C.D. Ltd.",
        "Options a b c are open; vitamins A, B, C and D are not.",
        "1 2 3 4 5 6 7 8 9",
        "Ch\u00e2teau d'\u00cele: \u00e0 la carte, d\u00e9j\u00e0 vu, \u00fcber, \u00c5ngstr\u00f6m, Dvo\u0159\u00e1k, \u0141\u00f3d\u017a, S\u00f8ren, \u015eanl\u0131urfa",
        "It is /b\u0259\u02c8r\u0252k/ or /\u02c8fo\u028av\u026azm/ in phonetic writing",
        "x \u2208 \U0001d53d, \u03b1\u03b2 decay, \u03bcg and \u0394t, K\u03b1 line",
        "A caf\u00e9 \u2615 \U0001f44d\U0001f3fd \U0001f1ec\U0001f1e7 5\ufe0f\u20e3",
        "B\u1ea3n th\u1ebf gi\u1edbi l\u00e0 m\u1ed9t t\u1edd b\u00e1o Vi\u1ec7t Nam \u0111\u01b0\u1ee3c in \u1edf H\u00e0 N\u1ed9i",
    ],
)
def test_honest_text_is_not_warned_about(text: str) -> None:
    assert normalise(text).warnings == ()


def test_accents_of_real_words_stay() -> None:
    text = "The na\u00efve r\u00e9sum\u00e9 of Fran\u00e7ois, S\u00f8ren and \u0141ukasz from \u015eanl\u0131urfa"
    assert normalise(text).text == text


def test_words_apart_are_told_by_a_word_list_where_spaces_do_not() -> None:
    frequencies = np.log(np.array([0.05, 0.001, 0.002], dtype=np.float32))
    splitter = WordSplitter(["the", "prime", "minister"], frequencies, ["delhi"])
    text = "so t h e p r i m e m i n i s t e r of D e l h i"
    result = normalise(text, splitter)
    assert result.text == "so the prime minister of Delhi"
    assert text[slice(*result.original_span(7, 12))] == "p r i m e"
    assert normalise("in D e l h i, t h e p r i m e", splitter).text == "in Delhi, the prime"
    assert normalise("so t h e p r i m e m i n i s t e r").text == "so t h e p r i m e m i n i s t e r"


@pytest.mark.parametrize(
    "unit",
    [
        "e\u0301\u0316", "\u00c3\u00c2", "\u200b", "\u0430 b ", "\u0301", "\u0430", "x\b", "a ", "a\u2009", "a.", "t h e   ", "\u202etaht\u202c ",
        "\u202e", "caf\u00c3\u00a9 ", "th\u00e9 ", "a`", "\ufb03", "\ud800", "\U0001d400",
    ],
)  # fmt: skip
def test_long_adversarial_texts_are_worked_off(unit: str) -> None:
    result = normalise(unit * 20_000 + "a")
    assert result.text.endswith("a")
    assert normalise(result.text).text == result.text
