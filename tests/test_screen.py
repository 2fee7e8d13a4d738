"""N-grams as a plain reading of the rules gives them; shares of the score add up to the score."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.screen import LONGEST_NGRAM, Screen, find_ngrams, segment_numbers
from detector.words import BOUNDARY, FIRST_WORD_ID, NAME, NUMBER, UNKNOWN

SPECIAL = [BOUNDARY, NUMBER, UNKNOWN, NAME]
token_ids = st.lists(st.sampled_from([*SPECIAL, *range(FIRST_WORD_ID, FIRST_WORD_ID + 6)]), min_size=1, max_size=40)


@st.composite
def segmented(draw):
    ids = draw(token_ids)
    cuts = draw(st.sets(st.integers(1, len(ids)), max_size=4))
    return np.array(ids, np.int32), sorted({*cuts, len(ids)})


def plain_ngrams(ids, ends):
    """(segment, first token, tuple of ids) of each n-gram, by the rules in words."""
    found = []
    segment_of = [k for k, (a, b) in enumerate(pairwise([0, *ends])) for _ in range(a, b)]
    for start in range(len(ids)):
        for n in range(1, LONGEST_NGRAM + 1):
            gram = tuple(ids[start : start + n].tolist())
            if len(gram) == n and BOUNDARY not in gram and any(i >= FIRST_WORD_ID for i in gram):
                found.append((segment_of[start], start, gram))
    return found


@given(segmented())
@settings(max_examples=80)
def test_every_ngram_is_found_at_its_place(drawn):
    ids, ends = drawn
    expected = plain_ngrams(ids, ends)
    ngrams = find_ngrams(ids, ends, distinct=False)
    found = sorted(zip(ngrams.segments.tolist(), ngrams.starts.tolist(), ngrams.lengths.tolist(), strict=True))
    assert found == sorted((segment, start, len(gram)) for segment, start, gram in expected)
    assert ngrams.counts.tolist() == [sum(1 for e in expected if e[0] == k) for k in range(len(ends))]
    # Equal n-grams have equal hashes and different ones different hashes.
    hash_of = {}
    for start, n, value in zip(ngrams.starts, ngrams.lengths, ngrams.hashes.tolist(), strict=True):
        hash_of.setdefault(tuple(ids[start : start + n].tolist()), set()).add(value)
    assert all(len(values) == 1 for values in hash_of.values())
    assert len(set.union(set(), *hash_of.values())) == len(hash_of)


@given(segmented())
@settings(max_examples=80)
def test_distinct_ngrams_are_the_first_of_each_kind_in_each_segment(drawn):
    ids, ends = drawn
    first = {}
    for segment, start, gram in plain_ngrams(ids, ends):
        first.setdefault((segment, gram), start)
    ngrams = find_ngrams(ids, ends)
    found = {
        (segment, tuple(ids[start : start + n].tolist())): start
        for segment, start, n in zip(
            ngrams.segments.tolist(), ngrams.starts.tolist(), ngrams.lengths.tolist(), strict=True
        )
    }
    assert found == first
    assert len(ngrams.hashes) == len(first)
    assert ngrams.counts.tolist() == [sum(1 for k in first if k[0] == segment) for segment in range(len(ends))]


def test_the_order_of_words_matters_and_a_boundary_parts_them():
    a, b = FIRST_WORD_ID, FIRST_WORD_ID + 1

    def hashes(*ids):
        return set(find_ngrams(np.array(ids, np.int32), [len(ids)]).hashes.tolist())

    assert hashes(a, b) & hashes(b, a) == hashes(a) | hashes(b)
    assert hashes(a, BOUNDARY, b) == hashes(a) | hashes(b)
    assert hashes(NUMBER, NAME, UNKNOWN) == set()
    assert len(hashes(NUMBER, a)) == 2  # the word, and the word with the number before it


@given(segmented(), st.integers(0, 2**32 - 1), st.sampled_from([np.float16, np.float32]), st.integers(1, 12))
@settings(max_examples=80)
def test_contributions_sum_to_the_logit(drawn, seed, kind, bits):
    ids, ends = drawn
    weights = np.random.default_rng(seed).normal(size=1 << bits).astype(kind)
    screen = Screen(weights, -0.25)
    ngrams = find_ngrams(ids, ends)
    shares = screen.contributions(ngrams)
    assert shares.shape == ngrams.hashes.shape
    for segment, logit in enumerate(screen.logits(ngrams).tolist()):
        own = shares[ngrams.segments == segment]
        assert logit == pytest.approx(-0.25 + own.sum(), abs=1e-9)
        columns = (ngrams.hashes[ngrams.segments == segment] >> np.uint64(64 - bits)).astype(int)
        norm = np.sqrt(max(len(columns), 1))
        assert logit == pytest.approx(-0.25 + weights[columns].astype(float).sum() / norm, abs=2e-3)


def test_columns_fill_the_table_evenly():
    ids = np.random.default_rng(0).integers(FIRST_WORD_ID, 30_000, 60_000).astype(np.int32)
    columns = find_ngrams(ids, [len(ids)]).columns(10)
    assert columns.min() == 0
    assert columns.max() == 1023
    counts = np.bincount(columns, minlength=1024)
    # Poisson: a bucket of a thousand lies six standard deviations off about never.
    assert abs(counts - counts.mean()).max() < 6 * np.sqrt(counts.mean())


def test_a_segment_without_ngrams_scores_the_bias():
    ngrams = find_ngrams(np.array([NUMBER, BOUNDARY], np.int32), [2])
    assert Screen(np.ones(8, np.float32), 0.5).logits(ngrams).tolist() == [0.5]
    empty = find_ngrams(np.zeros(0, np.int32), [])
    assert Screen(np.ones(8, np.float32), 0.5).logits(empty).tolist() == []


def test_segment_numbers():
    assert segment_numbers([2, 3, 6]).tolist() == [0, 0, 1, 2, 2, 2]
    assert segment_numbers([]).tolist() == []


@pytest.mark.parametrize("shape", [(0,), (3,), (2, 2)])
def test_weights_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError):
        Screen(np.zeros(shape, np.float32), 0.0)
