"""Tells original, machine-translated and LLM text apart by the screen's n-grams: what a text is if it is not spun.

The answer for texts that no examiner reads, and a reason to read some: the output of QuillBot looks to the screen more
like a language model's than like a spinner's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detector.results import KINDS
from detector.screen import NGrams

if TYPE_CHECKING:
    from train.screen import Encoded, SegmentMatrix, Settings

KIND_BITS = 18
OTHER_KINDS = tuple(k for k in KINDS if k != "spun")
Floats = NDArray[np.float64]
_NEWS_MASS = 0.05
"""Weight of each news table: a fifth to a twentieth of the others, or news as a topic would mean "original"."""
_NEWS = {
    "human/dailymail_2020",
    "human/us_news_2006_2021",
    "human/rss_2016",
    "human/reuters_1987",
    "human/bbc_2004",
}


@dataclass(frozen=True)
class KindModel:
    """softmax(scale * (bias + mean over segments)) of a text's n-grams.

    `weights`: shape (2**KIND_BITS, 3), `bias`: one for each of OTHER_KINDS. `cross_fitted`: shape (documents, 3), the
    unscaled log odds of the documents by models that saw nothing of their groups; `accuracy`: of these, balanced.
    """

    weights: NDArray[np.float16]
    bias: list[float]
    scale: float
    cross_fitted: Floats
    accuracy: float

    def log_odds(self, ngrams: NGrams, segment_words: NDArray[np.int64]) -> Floats:
        """Return the unscaled log odds of a new text, shape (3,)."""
        shares = (segment_words / segment_words.sum()).take(ngrams.segments) * ngrams.norms()
        own = shares @ self.weights.take(ngrams.columns(KIND_BITS), axis=0).astype(np.float64)
        return np.asarray(self.bias + own, dtype=np.float64)


def fit_kinds(
    encoded: Sequence[Encoded], segments: SegmentMatrix, folds: NDArray[np.int64], settings: Settings
) -> KindModel:
    """Fit one logistic regression for each kind against the two others, and a common scale.

    The originals of rewritten texts weigh most among the human ones: same topics, so only the writing differs. Spun
    texts are none of the kinds and only get their log odds. `segments`: n-grams in a table of 2**KIND_BITS; `folds`:
    cross-fitting fold of each document.
    """
    from train.screen import SPUN

    matrix, owner = segments.to_csr(KIND_BITS), segments.document
    labels = np.array([d.label for d in encoded])
    taught = (labels != SPUN) & np.array([d.table != "simulated/original" for d in encoded])
    logits = np.zeros((len(owner), len(OTHER_KINDS)))
    for fold in np.unique(folds):
        columns, bias = _fit_each_kind(matrix, owner, encoded, taught & (folds != fold), settings)
        rows = folds[owner] == fold
        logits[rows] = matrix[rows] @ columns + bias
    share = segments.words.astype(np.float64)
    share /= np.bincount(owner, share, len(encoded))[owner]
    means: Floats = np.stack([np.bincount(owner, column * share, len(encoded)) for column in logits.T], axis=1)
    true = np.array([OTHER_KINDS.index(label) for label in labels[taught]])
    scale, accuracy = fit_kind_scale(means[taught], true)
    columns, bias = _fit_each_kind(matrix, owner, encoded, taught, settings)
    return KindModel(columns.astype(np.float16), bias.tolist(), scale, means, accuracy)


def fit_kind_scale(logits: Floats, labels: NDArray[np.int64]) -> tuple[float, float]:
    """Return the scale of the other kinds' logits by which they are calibrated, and their balanced accuracy.

    `logits`: shape (texts, kinds - 1); `labels`: column of each text's kind.
    """
    from scipy.optimize import minimize_scalar

    balance = 1.0 / np.bincount(labels, minlength=logits.shape[1])[labels]

    def loss(log_scale: float) -> float:
        scaled = np.exp(log_scale) * logits
        chosen = scaled[np.arange(len(labels)), labels] - np.logaddexp.reduce(scaled, axis=1)
        return -float(balance @ chosen)

    scale = float(np.exp(minimize_scalar(loss, bounds=(-4.0, 2.0), method="bounded").x))  # 0.02 to 7.4: wide enough
    right = logits.argmax(axis=1) == labels
    return scale, float(np.mean([right[labels == k].mean() for k in np.unique(labels)]))


def _fit_each_kind(
    matrix: Any, owner: NDArray[np.int64], encoded: Sequence[Encoded], wanted: NDArray[np.bool_], settings: Settings
) -> tuple[Floats, Floats]:
    """Return weights, shape (columns, kinds), and biases, shape (kinds,), of the wanted documents."""
    from sklearn.linear_model import SGDClassifier

    from train.screen import sample_weights

    rows = np.flatnonzero(wanted[owner])
    chosen = [encoded[i] for i in np.flatnonzero(wanted).tolist()]
    number = np.cumsum(wanted) - 1
    mass = {
        d.table: 1.0
        if d.table.endswith(":original")
        else _NEWS_MASS
        if d.table in _NEWS
        else settings.mass.get(d.table, 0.2)
        for d in chosen
    }
    weights = sample_weights(chosen, number[owner[rows]], replace(settings, mass=mass))
    labels = np.array([d.label for d in encoded])[owner[rows]]
    for kind in OTHER_KINDS:
        weights[labels == kind] /= weights[labels == kind].sum()
    columns, bias = [], []
    for kind in OTHER_KINDS:
        side = np.where(labels == kind, weights, 0.5 * weights)  # 0.5: the two other kinds together weigh as much
        model = SGDClassifier(
            loss="log_loss", alpha=settings.segments["penalty"], average=True, max_iter=6, tol=None,
            random_state=settings.seed,
        )  # fmt: skip
        model.fit(matrix[rows], labels == kind, sample_weight=side * len(labels))
        columns.append(model.coef_[0])
        bias.append(float(model.intercept_[0]))
    return np.stack(columns, axis=1), np.array(bias)
