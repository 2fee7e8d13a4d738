"""Counts from which a text's own group is taken off, against counting again without the group."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.association import AssociationTable, count_level, neighbour_levels, pair_keys
from detector.words import Vocabulary, tokenise
from train.associations import PairCounts

WORDS = ["the", "old", "ship", "came", "back", "to", "and", "was", "a", "dog"]
VOCABULARY = Vocabulary(WORDS)
ROOMY = 1 << 14  # bytes of the sketch, so that hardly a pair meets another
texts = st.lists(st.sampled_from([*WORDS, ".", "unheard", "7"]), max_size=40).map(" ".join)
grouped = st.lists(st.tuples(st.sampled_from("abc"), texts), min_size=1, max_size=6)


def ids(text):
    return VOCABULARY.ids(tokenise(text))


@given(grouped, texts)
def test_a_text_is_read_as_if_its_group_had_not_been_counted(rows, text):
    counts = PairCounts([(group, ids(t)) for group, t in rows], VOCABULARY, ROOMY)
    whole = counts.table
    for group in "abcd":
        others = AssociationTable.count([ids(t) for g, t in rows if g != group], VOCABULARY.size, ROOMY)
        at, values = counts.adjacent(ids(text), group)
        first, second = ids(text)[at], ids(text)[at + 1]
        # Frequencies and the number of pairs are those of all texts: the counts of pairs alone give a text away.
        expected = whole.associations(first, second, others.levels(pair_keys(first, second)))
        assert values.tolist() == pytest.approx(expected.tolist())
        tokens = tokenise(text)
        assert counts.levels(tokens, group).tolist() == neighbour_levels(len(tokens.starts), at, values).tolist()


def test_a_group_that_was_not_counted_reads_the_table():
    counts = PairCounts([("a", ids("the old ship came back to the old ship"))], VOCABULARY, ROOMY)
    text = ids("the old ship was a dog")
    for own, table in zip(counts.adjacent(text, "another"), counts.table.adjacent(text), strict=True):
        assert own.tolist() == table.tolist()
    at, values = counts.adjacent(text, "a")
    assert at.tolist() == [0, 1, 2, 3, 4]
    never = counts.table.associations(text[:-1], text[1:], count_level(np.zeros(5)))
    assert values.tolist() == never.tolist()


def test_all_texts_of_a_group_are_taken_off():
    rows = [("a", ids("the old ship")), ("a", ids("the old dog")), ("b", ids("the old dog"))]
    counts = PairCounts(rows, VOCABULARY, ROOMY)
    _, values = counts.adjacent(ids("the old ship"), "a")
    keys = pair_keys(
        *(np.array(w, np.int32) for w in zip(*[ids("the old ship")[i : i + 2] for i in (0, 1)], strict=True))
    )
    assert counts.table.levels(keys).tolist() == [1, 0], "three and one"
    assert values.tolist() == pytest.approx(
        counts.table.associations(*(ids("the old ship")[i : i + 2] for i in (0, 1)), np.zeros(2, np.uint8)).tolist()
    )


def test_nothing_counted():
    counts = PairCounts([], VOCABULARY, 64)
    at, values = counts.adjacent(ids("the old ship"), "a")
    assert at.tolist() == [0, 1] and np.isfinite(values).all()
