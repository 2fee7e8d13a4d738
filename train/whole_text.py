"""Fits the whole-text model (`detector/whole_text.py`) on the n-grams that the kinds are told by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detector.whole_text import WholeText

if TYPE_CHECKING:
    from train.screen import Encoded, SegmentMatrix, Settings

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FittedWholeText:
    """The model's parts; `cross_fitted`: shape (documents,), log odds by models that saw nothing of a text's group."""

    weights: NDArray[np.float16]
    bias: float
    floor: float
    cross_fitted: Floats

    @property
    def model(self) -> WholeText:
        """The model as it will be at run time."""
        return WholeText(self.weights, self.bias, self.floor)


def fit_whole_text(
    encoded: Sequence[Encoded], segments: SegmentMatrix, bits: int, folds: NDArray[np.int64], settings: Settings
) -> FittedWholeText:
    """Fit a logistic regression on real texts, those that spinners wrote against all others.

    Simulated spinning is left out: it exchanges words, which segments show, and a paraphraser does more. `segments`:
    n-grams in a table of 2**bits; `folds`: cross-fitting fold of each document.

    To the optimum, and not by a few rounds of stochastic gradient descent as the screen's weights: stopped so early, it
    finds half as much of QuillBot (eval/reports/spin-en-v2/examiner.md).
    """
    from train.screen import SPUN, sample_weights

    matrix = _document_matrix(segments, len(encoded), bits)
    spun = np.array([d.label == SPUN for d in encoded])
    human = np.array([d.table.startswith("human/") for d in encoded])
    taught = np.array([not d.table.startswith("simulated/") for d in encoded])
    masses = replace(settings, mass={**settings.mass, **settings.whole_text})

    def fit(chosen: NDArray[np.bool_]) -> Any:
        from sklearn.linear_model import LogisticRegression

        known = [encoded[i] for i in np.flatnonzero(chosen).tolist()]
        weights = sample_weights(known, np.arange(len(known)), masses, whole_articles=True)
        # The usual tolerance stops each fold elsewhere short of the optimum: log odds of half a unit more or less.
        model = LogisticRegression(C=1.0 / settings.article["whole_text_penalty"], max_iter=1000, tol=1e-6)
        return model.fit(matrix[chosen], spun[chosen], sample_weight=weights)

    log_odds = np.zeros(len(encoded))
    for fold in np.unique(folds):
        out = folds == fold
        log_odds[out] = fit(taught & ~out).decision_function(matrix[out])
    floor = float(np.quantile(log_odds[human], settings.article["whole_text_floor"]))
    model = fit(taught)
    weights = model.coef_[0].astype(np.float16)
    return FittedWholeText(weights, float(model.intercept_[0]), floor, np.maximum(log_odds, floor))


def _document_matrix(segments: SegmentMatrix, documents: int, bits: int) -> Any:
    """Return the matrix of whole documents: how many of its segments have an n-gram, over the root of all n-grams."""
    begins = np.searchsorted(segments.document, np.arange(documents + 1))
    # A copy: the matrix shares its columns with the segments, and adding up sorts them in their place.
    matrix = replace(segments, offsets=segments.offsets[begins]).to_csr(bits, np.float64).copy()
    matrix.sum_duplicates()
    return matrix
