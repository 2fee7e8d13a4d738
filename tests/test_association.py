"""Pair counts against a plain count; the sketch may say more than the truth and never less."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.association import (
    FREQUENCY_BANDS,
    MIN_PAIR_COUNT,
    NEIGHBOUR_LEVELS,
    AssociationTable,
    count_level,
    neighbour_levels,
    pair_keys,
    weaker_level_shares,
)
from detector.words import FIRST_WORD_ID

SIZE = 12
sequences = st.lists(st.lists(st.integers(0, SIZE - 1), max_size=60), min_size=1, max_size=6)


def plain_level(count):
    """0 for rare pairs, then one more for each doubling, at most 15."""
    level = 0
    while count >= MIN_PAIR_COUNT * 2**level and level < 15:
        level += 1
    return level


def arrays(texts):
    return [np.array(t, np.int32) for t in texts]


def plain_counts(texts):
    return Counter(p for t in texts for p in pairwise(t) if min(p) >= FIRST_WORD_ID)


def test_levels_double():
    counts = np.arange(300_000, dtype=float)
    step = 997
    assert count_level(counts)[::step].tolist() == [plain_level(c) for c in counts[::step].tolist()]
    assert count_level(np.array([0.0, 1, 2, 3, 4, 7, 8])).tolist() == [0, 0, 1, 1, 2, 2, 3]


@given(sequences, st.sampled_from([1, 8, 4096]))
@settings(max_examples=60)
def test_the_sketch_is_never_below_the_true_level(texts, sketch_bytes):
    table = AssociationTable.count(arrays(texts), SIZE, sketch_bytes)
    counts = plain_counts(texts)
    assert table.pairs == sum(counts.values())
    pairs = [(a, b) for a in range(FIRST_WORD_ID, SIZE) for b in range(FIRST_WORD_ID, SIZE)]
    first, second = (np.array(side, np.int32) for side in zip(*pairs, strict=True))
    levels = table.levels(pair_keys(first, second)).tolist()
    truth = [plain_level(counts[p]) for p in pairs]
    assert all(found >= true for found, true in zip(levels, truth, strict=True))
    # Collisions are all that makes them differ: in a roomy table few pairs meet any.
    if sketch_bytes == 4096:
        assert sum(f != t for f, t in zip(levels, truth, strict=True)) <= 1
    ids = Counter(i for t in texts for i in t)
    total = max(sum(ids.values()), 1)
    assert table.frequencies.tolist() == pytest.approx([ids[i] / total for i in range(SIZE)])


def test_most_pairs_of_a_large_table_are_exact():
    rng = np.random.default_rng(2)
    ids = rng.integers(FIRST_WORD_ID, 300, 60_000).astype(np.int32)
    table = AssociationTable.count([ids], 300, 1 << 16)
    counts = plain_counts([ids.tolist()])
    pairs = list(counts)
    first, second = (np.array(side, np.int32) for side in zip(*pairs, strict=True))
    levels = table.levels(pair_keys(first, second))
    truth = np.array([plain_level(counts[p]) for p in pairs])
    assert (levels >= truth).all()
    assert (levels == truth).mean() > 0.95


def test_association_is_positive_for_words_that_go_together_and_negative_for_those_that_avoid_each_other():
    a, b, c = 4, 5, 6
    ids = np.array(([a, b, 0] * 300 + [c, a, 0] * 2 + [c, 0] * 300), np.int32)
    table = AssociationTable.count([ids], 7, 4096)
    at, values = table.adjacent(np.array([a, b, 0, b, c, a, 1, a, b], np.int32))
    assert at.tolist() == [0, 3, 4, 7]
    together, never, seldom, again = values.tolist()
    assert together == again > 0.5
    assert never < -1
    assert seldom < 0
    frequency = {i: float(table.frequencies[i]) for i in (a, b)}
    expected = frequency[a] * frequency[b] * table.pairs
    # 300 pairs lie in the level of 256 to 512, whose middle is 256 * sqrt(2).
    assert together == pytest.approx(math.log((256 * 2**0.5 + 0.5) / (expected + 0.5)), abs=1e-5)


@given(st.lists(st.integers(0, SIZE - 1), max_size=50), sequences)
@settings(max_examples=60)
def test_associations_are_finite_and_between_vocabulary_words_only(ids, texts):
    table = AssociationTable.count(arrays(texts), SIZE, 16)
    at, values = table.adjacent(np.array(ids, np.int32))
    assert at.tolist() == [i for i, p in enumerate(pairwise(ids)) if min(p) >= FIRST_WORD_ID]
    assert values.shape == at.shape
    assert np.isfinite(values).all()
    assert (abs(values) < 20).all()
    assert np.isfinite(table.log_frequencies).all()


def test_levels_tell_each_word_of_both_its_neighbours():
    a, b, c = 4, 5, 6
    table = AssociationTable.count([np.array(([a, b, 0] * 300 + [c, a, 0] * 2 + [c, 0] * 300), np.int32)], 7, 4096)
    ids = np.array([a, b, 0, b, c, a, 1, a], np.int32)
    levels = neighbour_levels(len(ids), *table.adjacent(ids))
    assert levels.shape == (8, 2)
    together, never = levels[1, 0], levels[4, 0]
    assert 1 <= never < together <= 15
    assert levels[0].tolist() == [0, together], "nothing before the first word"
    assert levels[1].tolist() == [together, 0], "a boundary behind"
    assert levels[2].tolist() == [0, 0], "a boundary is no word"
    assert levels[3].tolist() == [0, never]
    assert levels[4, 1] == levels[5, 0] > never
    assert levels[5, 1] == levels[7, 0] == 0, "a number is no word of the vocabulary"


@given(st.lists(st.integers(0, SIZE - 1), max_size=50), sequences)
@settings(max_examples=60)
def test_levels_are_in_range_and_zero_only_where_there_is_no_pair(ids, texts):
    table = AssociationTable.count(arrays(texts), SIZE, 16)
    levels = neighbour_levels(len(ids), *table.adjacent(np.array(ids, np.int32)))
    assert levels.shape == (len(ids), 2)
    pairs = [min(p) >= FIRST_WORD_ID for p in pairwise(ids)]
    assert (levels[:, 1] > 0).tolist() == [*pairs, False][: len(ids)]
    assert (levels[:, 0] > 0).tolist() == [False, *pairs][: len(ids)]
    assert (levels < NEIGHBOUR_LEVELS).all()
    assert levels[1:, 0].tolist() == levels[:-1, 1].tolist()


def test_words_are_counted_by_frequency_and_by_their_weaker_neighbour():
    levels = np.array([[0, 9], [3, 9], [9, 3], [15, 15]])
    rare, frequent = -20.0, -2.0
    shares = weaker_level_shares(levels, np.array([rare, frequent, frequent, frequent], np.float32))
    found = (shares**2).reshape(FREQUENCY_BANDS, NEIGHBOUR_LEVELS)
    assert found[0, 0] == pytest.approx(0.25), "no neighbour on one side"
    assert found[-1, 3] == pytest.approx(0.5), "whichever side the weaker is on"
    assert found[-1, 15] == pytest.approx(0.25)
    assert found.sum() == pytest.approx(1.0)


@given(st.lists(st.integers(FIRST_WORD_ID, SIZE - 1), min_size=1, max_size=50), sequences)
@settings(max_examples=60)
def test_shares_of_levels_do_not_depend_on_length(ids, texts):
    table = AssociationTable.count(arrays(texts), SIZE, 16)
    levels = neighbour_levels(len(ids), *table.adjacent(np.array(ids, np.int32)))
    logs = table.log_frequencies[ids]
    once = weaker_level_shares(levels, logs)
    assert once.shape == (FREQUENCY_BANDS * NEIGHBOUR_LEVELS,)
    assert (once**2).sum() == pytest.approx(1.0)
    assert weaker_level_shares(np.tile(levels, (3, 1)), np.tile(logs, 3)) == pytest.approx(once)


def test_a_digest_tells_tables_apart():
    texts = arrays([[4, 5, 6] * 9])
    one, same, other = (AssociationTable.count(texts * n, SIZE, 64) for n in (1, 1, 3))
    assert one.digest() == same.digest() != other.digest()
    assert len(one.digest()) == 16


def test_word_order_makes_another_pair():
    first, second = np.array([4, 5], np.int32), np.array([5, 4], np.int32)
    assert len(set(pair_keys(first, second).tolist())) == 2


@pytest.mark.parametrize("shape", [(0,), (3,), (2, 2)])
def test_a_sketch_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="sketch"):
        AssociationTable(np.ones(5, np.float32), np.zeros(shape, np.uint8), 1.0)
