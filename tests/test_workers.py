"""Scoring in several processes gives what scoring in one gives, in the same order and as lazily."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from detector.detect import SpinDetector
from tests.tiny_model import article, tiny


@pytest.fixture(scope="module")
def detector():
    return SpinDetector.load(tiny().folder)


def test_processes_give_the_same_results_in_order(detector):
    rng = Random(5)
    texts = [article(rng, sentences=rng.randrange(2, 14)) for _ in range(90)]
    texts[7], texts[50] = "", None
    assert list(detector.score_batch(texts, workers=2)) == list(detector.score_batch(texts))


def test_processes_read_an_endless_source_only_as_far_as_needed(detector):
    taken = []
    endless = (taken.append(n) or f"text {n}" for n in itertools.count())
    results = detector.score_batch(endless, workers=2)
    assert next(results).reason.value == "too_short"
    results.close()
    assert 32 <= len(taken) <= 5 * 32


def test_a_count_below_one_is_refused(detector):
    with pytest.raises(ValueError, match="workers"):
        detector.score_batch(["x"], workers=0)
