"""The whole-text model: the sum by its definition, in blocks as at once; what it is fitted on; its floor."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.screen import block_ngrams, find_ngrams, segment_blocks
from detector.whole_text import WholeText
from tests.test_screen import plain_ngrams, segmented
from tests.tiny_model import tiny
from train.kinds import KIND_BITS
from train.screen import SPUN, inner_fold, segment_matrix, word_ids
from train.whole_text import fit_whole_text


@given(segmented(), st.integers(1, 30), st.integers(0, 2**32 - 1))
@settings(max_examples=80)
def test_each_ngram_of_a_segment_counts_once_and_blocks_add_up(drawn, tokens, seed):
    ids, ends = drawn
    model = WholeText(np.random.default_rng(seed).normal(size=1 << 20).astype(np.float32), -0.5, -1e9)
    whole = find_ngrams(ids, ends)
    count = len({(segment, gram) for segment, _, gram in plain_ngrams(ids, ends)})
    one_by_one = sum(model.total(find_ngrams(ids[a:b], [b - a])) for a, b in pairwise([0, *ends]))
    assert len(whole.hashes) == count
    if all(ids[end - 1] == 0 for end in ends[:-1]):  # no n-gram goes over the end of a segment
        assert model.total(whole) == pytest.approx(one_by_one, abs=1e-4)
    blocks = [block_ngrams(ids, ends, first, last) for first, last in segment_blocks(ends, tokens)]
    assert sum(model.total(b) for b in blocks) == pytest.approx(model.total(whole), abs=1e-4)
    assert sum(len(b.hashes) for b in blocks) == count
    assert model.log_odds(model.total(whole), count) == pytest.approx(
        -0.5 + model.total(whole) / np.sqrt(max(count, 1)), abs=1e-9
    )


def test_the_least_it_says_is_the_floor():
    model = WholeText(np.zeros(4), -3.0, -1.0)
    assert model.log_odds(0.0, 0) == -1.0
    assert model.log_odds(-50.0, 9) == -1.0
    assert model.log_odds(30.0, 9) == pytest.approx(7.0)


@pytest.mark.parametrize("weights", [np.zeros(3), np.zeros((4, 2)), np.zeros(0)])
def test_weights_of_another_shape_are_refused(weights):
    with pytest.raises(ValueError, match="whole-text"):
        WholeText(weights, 0.0, 0.0)


def test_it_says_something_of_few_human_texts_and_of_most_spun_ones():
    fitted, share = tiny().fitted, tiny().settings.article["whole_text_floor"]
    found = fitted.whole_text.cross_fitted
    human = np.array([d.table.startswith("human/") for d in fitted.encoded])
    spun = np.array([d.table.startswith("spun/") for d in fitted.encoded])
    assert found.shape == (len(fitted.encoded),)
    assert found.min() == fitted.whole_text.floor
    assert (found[human] == fitted.whole_text.floor).mean() == pytest.approx(share, abs=1.5 / human.sum())
    assert (found[spun] > fitted.whole_text.floor).mean() > 0.9


def refit(labels):
    """Return the model of the tiny documents if they had these labels."""
    fitted = tiny().fitted
    encoded = [replace(d, label=label) for d, label in zip(fitted.encoded, labels, strict=True)]
    folds = np.array([inner_fold(d.group, 2) for d in encoded])
    segments = segment_matrix(encoded, fitted.vocabulary, KIND_BITS)
    return fit_whole_text(encoded, segments, KIND_BITS, folds, tiny().settings)


def test_fitting_leaves_the_segments_as_they_are():
    fitted = tiny().fitted
    segments = segment_matrix(fitted.encoded, fitted.vocabulary, KIND_BITS)
    before = segments.columns.copy()
    folds = np.array([inner_fold(d.group, 2) for d in fitted.encoded])
    found = [fit_whole_text(fitted.encoded, segments, KIND_BITS, folds, tiny().settings) for _ in range(2)]
    assert np.array_equal(segments.columns, before)
    assert all(np.array_equal(f.weights, fitted.whole_text.weights) for f in found)
    assert all(np.array_equal(f.cross_fitted, fitted.whole_text.cross_fitted) for f in found)


def test_simulated_spinning_takes_no_part():
    fitted = tiny().fitted
    labels = [d.label for d in fitted.encoded]
    other = ["original" if d.table.startswith("simulated/") else d.label for d in fitted.encoded]
    assert other != labels
    assert np.array_equal(refit(other).weights, fitted.whole_text.weights)


def test_scores_are_by_models_that_did_not_see_the_group():
    fitted = tiny().fitted
    inside = np.array([inner_fold(d.group, 2) == 0 for d in fitted.encoded])
    labels = np.array([d.label for d in fitted.encoded])
    # As if half of the spun texts of one fold were not: what is said of this fold stays, of the other it does not.
    labels[np.flatnonzero(inside & (labels == SPUN))[::2]] = "original"
    found = refit(labels.tolist())
    before = fitted.whole_text
    known = inside & (before.cross_fitted > max(before.floor, found.floor))
    assert known.sum() > 10
    assert np.array_equal(found.cross_fitted[known], before.cross_fitted[known])
    assert not np.array_equal(found.cross_fitted[~inside], before.cross_fitted[~inside])


def test_it_is_run_as_it_was_fitted():
    fitted = tiny().fitted
    model, segments = fitted.whole_text.model, segment_matrix(fitted.encoded, fitted.vocabulary, KIND_BITS)
    for number in range(0, len(fitted.encoded), 17):
        ngrams = find_ngrams(word_ids(fitted.encoded[number], fitted.vocabulary), list(fitted.encoded[number].ends))
        own = np.flatnonzero(segments.document == number)
        columns = segments.columns[segments.offsets[own[0]] : segments.offsets[own[-1] + 1]]
        expected = fitted.whole_text.bias + fitted.whole_text.weights[columns].astype(float).sum() / len(columns) ** 0.5
        found = model.log_odds(model.total(ngrams), len(ngrams.hashes))
        assert found == pytest.approx(max(expected, fitted.whole_text.floor), abs=1e-4)
