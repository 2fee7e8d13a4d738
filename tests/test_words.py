"""Tokens point at their words, are the same in blocks and at once, and stay out of what is left out."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detector import words as w

ODD = " \t\r\n\n.!?:;,'’@-–…°½²éßİıñ漢字かな한🙂👩‍👩‍👧\u0301\u200b\ufeff\u2028\ud800\udfff\U0001f600aAxX059ſK"
anything = st.text(st.one_of(st.characters(), st.sampled_from(ODD), st.sampled_from("the old man ")), max_size=120)
prose = st.text(st.sampled_from("ab c\n\n.3,'’:é漢 "), max_size=400)


def pairs(tokens):
    return list(zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True))


def strings(text, tokens=None):
    return [text[a:b] for a, b in pairs(tokens or w.tokenise(text))]


def as_lists(tokens):
    return [getattr(tokens, name).tolist() for name in w.Tokens.__slots__]


@pytest.fixture
def block(monkeypatch):
    """Set the size of a block for one test."""

    def set_size(size):
        monkeypatch.setattr(w, "_BLOCK", size)
        w._powers.cache_clear()

    yield set_size
    monkeypatch.undo()
    w._powers.cache_clear()


# ------------------------------------------------------------------------------------------------------ offsets


@given(anything)
@settings(max_examples=200)
@example("")
@example("\ud800")
@example("a")
@example("\r\n\r\n")
@example("\u3000")
@example("語\u3000語")
def test_tokens_lie_in_the_text_in_order_and_cover_every_ascii_letter_and_digit(text):
    tokens = w.tokenise(text)
    assert {len(part) for part in as_lists(tokens)} == {len(tokens.starts)}
    last = 0
    covered = np.zeros(len(text), bool)
    for (start, end), special in zip(pairs(tokens), tokens.special.tolist(), strict=True):
        assert last <= start < end <= len(text)
        last = end
        covered[start:end] = True
        if special == w.BOUNDARY:
            assert text[start:end] in {".", "!", "?", ":", ";", "\n"}
        else:
            assert not any(c.isspace() for c in text[start:end])
    assert all(covered[i] for i, c in enumerate(text) if c.isascii() and c.isalnum())


@given(st.lists(st.sampled_from(["ship", "Don't", "it’s", "café", "I", "a", "3.5", "1,200", "x", "@xmath", "ÉTÉ"])))
def test_words_between_spaces_are_given_back_whole(parts):
    text = " ".join(parts)
    assert strings(text) == parts


@given(anything)
@settings(max_examples=150)
def test_case_and_kind_of_apostrophe_do_not_matter(text):
    flat = text.translate({ord(c): None for c in text if (c.lower() != c and len(c.lower()) != 1) or not c.isascii()})
    one, other = w.tokenise(flat.lower().replace("'", "’")), w.tokenise(flat.upper())
    assert one.hashes.tolist() == other.hashes.tolist()
    assert one.special.tolist() == other.special.tolist()


def test_what_counts_as_one_token():
    text = "The ship's 3.5-metre mast, No. 7 of 1,200; e.g. @xmath rose (twice) at 5:30! A plan B? I agreed"
    assert strings(text) == (
        [
            "The",
            "ship's",
            "3.5",
            "metre",
            "mast",
            "No",
            ".",
            "7",
            "of",
            "1,200",
            ";",
            "e",
            ".",
            "g",
            ".",
            "@xmath",
            "rose",
            "twice",
            "at",
            "5",
            ":",
            "30",
            "!",
            "A",
            "plan",
            "B",
            "?",
            "I",
            "agreed",
        ]
    )
    kinds = dict(zip(strings(text), w.tokenise(text).special.tolist(), strict=True))
    for number in ("3.5", "7", "1,200", "e", "g", "@xmath", "5", "30", "B"):
        assert kinds[number] == w.NUMBER, number
    for word in ("The", "ship's", "A", "I", "agreed"):
        assert kinds[word] == -1, word
    for mark in (".", ";", ":", "!", "?"):
        assert kinds[mark] == w.BOUNDARY, mark


def test_quotes_at_the_edge_of_a_word_do_not_belong_to_it():
    assert strings("'Tis the dogs' bowl, 'she said'") == ["Tis", "the", "dogs", "bowl", "she", "said"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_blank_line_ends_a_sentence_and_a_line_break_does_not(newline):
    assert w.BOUNDARY not in w.tokenise(f"a big{newline}ship").special.tolist()
    for blank in (newline * 2, f"{newline} \t{newline}", newline * 5):
        tokens = w.tokenise(f"a big{blank}ship")
        assert w.BOUNDARY in tokens.special.tolist()
        assert [s for s in strings(f"a big{blank}ship") if s.strip()] == ["a", "big", "ship"]


def test_a_segment_may_end_after_a_sentence_and_a_line_but_not_after_a_clause():
    text = "one: two. three\nfour; five"
    ends = dict(zip(strings(text), w.tokenise(text).sentence_end.tolist(), strict=True))
    assert ends == {"one": 0, ":": 0, "two": 0, ".": 1, "three": 1, "four": 0, ";": 0, "five": 0}


# ------------------------------------------------------------------------------------------------------- hashes


def test_equal_words_have_equal_hashes_wherever_they_stand_and_others_do_not():
    rng = np.random.default_rng(3)
    chosen = ["".join(rng.choice(list("abcdefghij'é"), rng.integers(2, 12))).strip("'") for _ in range(4000)]
    chosen = sorted({re.sub("'+", "'", c) for c in chosen if len(c) > 2})
    text = " ".join(chosen)
    twice = w.tokenise(f"{text} 12 {text}")
    half = len(chosen)
    assert twice.hashes[:half].tolist() == twice.hashes[half + 1 :].tolist()
    assert len(np.unique(twice.hashes[:half])) == half
    with_emoji = w.tokenise("🙂 " + text)  # another path through the tables
    assert with_emoji.hashes.tolist() == twice.hashes[:half].tolist()


# ------------------------------------------------------------------------------------------------------- blocks


@given(prose, st.integers(16, 60))
@example("333333 3333333 ,\n", 16)  # the line's end belongs to the number before the comma
@example("333333 33333333’\n", 16)
@settings(max_examples=150)
def test_blocks_give_the_same_tokens_as_the_whole_text(text, size):
    # Words and gaps of these texts are shorter than the stretch in which a cut is looked for.
    text = re.sub(r"\S{8}", lambda m: m[0][:7] + " ", text)
    text = re.sub(r"\s{5,}", "\n\n", text)
    whole = as_lists(w.tokenise(text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(w, "_BLOCK", size)
        patch.setattr(w, "_LONGEST_WORD", 15)
        w._powers.cache_clear()
        try:
            assert as_lists(w.tokenise(text)) == whole
        finally:
            patch.undo()
            w._powers.cache_clear()


def test_blocks_and_left_out_ranges(block):
    text = "".join(f"word{i} of it.\n\n" * 3 for i in range(900))
    excluded = [(500, 5000), (5100, 5101), (9000, 9400)]
    whole = as_lists(w.tokenise(text, excluded))
    block(1100)
    assert as_lists(w.tokenise(text, excluded)) == whole


@pytest.mark.parametrize("extra", range(-3, 4))
def test_a_text_that_just_passes_one_block(extra):
    text = ("the ship, " * 7000)[: w._BLOCK + extra]
    found = strings(text)
    assert found == re.findall("[a-z]+", text)


@pytest.mark.parametrize("letter", ["a", "é", "漢", "9", ".", "\n", " "])
def test_an_endless_run_neither_fails_nor_loses_what_stands_around_it(letter):
    text = "the old ship " + letter * 200_000 + " came back"
    tokens = w.tokenise(text)
    assert strings(text)[:3] == ["the", "old", "ship"]
    assert strings(text)[-2:] == ["came", "back"]
    assert (np.diff(tokens.starts) > 0).all()
    if letter.isalnum():
        assert sum(b - a for a, b in pairs(tokens)) == len(text) - text.count(" ")


# ------------------------------------------------------------------------------------------------ left-out ranges


@given(prose, st.lists(st.tuples(st.integers(0, 100), st.integers(1, 30)), max_size=4))
@settings(max_examples=150)
@example("1a2", [(1, 1)])
@example("1,2", [(1, 1)])
@example("it's", [(2, 1)])
def test_nothing_of_a_left_out_range_is_a_word_and_a_boundary_stands_there(text, ranges):
    excluded = [(a, min(a + n, len(text))) for a, n in ranges if a < len(text)]
    tokens = w.tokenise(text, excluded)
    out = np.zeros(len(text), bool)
    for a, b in excluded:
        out[a:b] = True
    for (start, end), special in zip(pairs(tokens), tokens.special.tolist(), strict=True):
        if special != w.BOUNDARY:
            assert not out[start:end].any()
    boundaries = tokens.starts[tokens.special == w.BOUNDARY].tolist()
    for a, b in excluded:
        assert any(a <= place < b for place in boundaries) or any(c < a < d or (c, d) == (a, b) for c, d in excluded)


# --------------------------------------------------------------------------------------------------- vocabulary


def test_ids_of_words_names_numbers_and_unknown_words():
    vocabulary = w.Vocabulary(["the", "ship", "don't", "a", "i", "café"], ["marlow"])
    text = "The SHIP don’t café I a Marlow zebra 12 q @xmath. 1,5"
    assert vocabulary.ids(w.tokenise(text)).tolist() == [
        4, 5, 6, 9, 8, 7, w.NAME, w.UNKNOWN, w.NUMBER, w.NUMBER, w.NUMBER, w.BOUNDARY, w.NUMBER,
    ]  # fmt: skip
    assert vocabulary.size == 10


@given(st.lists(st.text(st.sampled_from("abcdeé"), min_size=2, max_size=6), unique=True, max_size=60), st.data())
def test_every_word_finds_its_id_among_any_others(listed, data):
    cut = data.draw(st.integers(0, len(listed)))
    vocabulary = w.Vocabulary(listed[:cut], listed[cut:])
    ids = vocabulary.ids(w.tokenise(" ".join(listed) + " zzz"))
    assert ids.tolist() == [*range(4, 4 + cut), *[w.NAME] * (len(listed) - cut), w.UNKNOWN]


def test_a_large_vocabulary_is_looked_up_as_a_dictionary_would():
    rng = np.random.default_rng(1)
    made = sorted({"".join(map(chr, rng.integers(97, 123, rng.integers(2, 9)))) for _ in range(30_000)})
    known, other = made[::2], made[1::2]
    vocabulary = w.Vocabulary(known)
    place = {word: i for i, word in enumerate(known, w.FIRST_WORD_ID)}
    shuffled = rng.permutation(made).tolist()
    assert len(other) > 10_000
    found = vocabulary.ids(w.tokenise(" ".join(shuffled))).tolist()
    assert found == [place.get(word, w.UNKNOWN) for word in shuffled]


@pytest.mark.parametrize(
    "bad", [["ab cd", "-"], ["ab", "", "cd"], ["3x"], ["ab", "ab"], ["ab", "AB"], [" ab"], ["."] * 2]
)
def test_an_entry_that_is_not_one_word_or_comes_twice_is_refused(bad):
    with pytest.raises(ValueError, match="vocabulary"):
        w.Vocabulary(bad)


def test_an_empty_vocabulary_knows_nothing():
    assert w.Vocabulary([]).ids(w.tokenise("the ship 3.")).tolist() == [w.UNKNOWN, w.UNKNOWN, w.NUMBER, w.BOUNDARY]
    assert w.Vocabulary(["ab"]).ids(w.tokenise("")).tolist() == []


# ----------------------------------------------------------------------------------------------------- segments

SENTENCE = re.compile(r"[.\n]")


@given(
    st.lists(st.tuples(st.integers(1, 260), st.sampled_from([". ", "\n\n", ": ", " ", "\n", "... "])), max_size=14),
    st.sampled_from([20, 60, w.SEGMENT_WORDS]),
)
@settings(max_examples=100)
def test_segments_cover_all_tokens_and_end_at_sentence_ends(pieces, target):
    text = "".join("word " * n + mark for n, mark in pieces)
    tokens = w.tokenise(text)
    ends = w.segment_ends(tokens, target)
    total = sum(n for n, _ in pieces)
    assert bool(ends) == bool(total)
    if not ends:
        return
    assert ends[-1] == len(tokens.starts)
    assert all(a < b for a, b in zip([0, *ends], ends, strict=False))
    is_word = tokens.special != w.BOUNDARY
    sizes = np.add.reduceat(is_word.astype(int), [0, *ends[:-1]]).tolist()
    assert sum(sizes) == total
    for end, size in zip(ends[:-1], sizes[:-1], strict=True):
        assert size >= target
        assert tokens.sentence_end[end - 1] or size == w._LONGEST_SEGMENT
    assert max(sizes) <= max(w._LONGEST_SEGMENT, target) + target // 2
    assert len(ends) == 1 or sizes[-1] >= target // 2


def test_a_short_rest_joins_the_segment_before_it():
    sentence = "word " * 22 + ". "
    for rest, expected in ((54, 1), (55, 2)):
        ends = w.segment_ends(w.tokenise(sentence * 5 + "word " * rest))
        assert len(ends) == expected, rest


def test_a_text_without_stops_is_cut_all_the_same():
    tokens = w.tokenise("word " * 5000)
    sizes = np.diff([0, *w.segment_ends(tokens)])
    assert sizes.max() <= w._LONGEST_SEGMENT + w.SEGMENT_WORDS // 2


def test_marks_alone_make_no_segment():
    for text in ("", "...", "\n\n\n", "?! – 🙂"):
        assert w.segment_ends(w.tokenise(text)) == []


def test_letters_in_normal_form_of_every_alphabet_are_words():
    for word in ("straße", "naïve", "œuvre", "жизнь", "ζωή"):
        assert strings(f"the {unicodedata.normalize('NFC', word)} of") == ["the", word, "of"]
