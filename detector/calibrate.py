"""Scores of segments -> one calibrated probability for the article -> a verdict at an operating point.

The article model is a logistic regression over ten numbers that say how high its segments score, how evenly, how
long it is, and how well its neighbouring words go together. Length is among them because the mean of few noisy
segments proves less than the same mean of many. The gate's model takes the same numbers, the log odds of the kinds and
of the whole text, and how many words of which frequency go how badly with a neighbour, and only asks whether somebody
should look closer: so a text that looks machine-written passes it. The joined model takes the log odds of all three and
the examiner's numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detector.association import FREQUENCY_BANDS, NEIGHBOUR_LEVELS, SURPRISING
from detector.results import KINDS

FEATURE_NAMES = (
    "mean_logit",
    "top_half_logit",
    "top_logit",
    "share_spun_looking",
    "log_words",
    "mean_logit_by_length",
    "association",
    "surprising_share",
    "log_frequency",
    "unknown_share",
)
GATE_NAMES = (
    *FEATURE_NAMES,
    *(f"kind_{kind}" for kind in KINDS if kind != "spun"),
    *(f"weaker_level_{band}_{level}" for band in range(FREQUENCY_BANDS) for level in range(NEIGHBOUR_LEVELS)),
    "whole_text",
)
WHOLE_TEXT = GATE_NAMES.index("whole_text")
JOINED_NAMES = (
    "screen_log_odds",
    "gate_log_odds",
    "whole_text",
    "mean_spun",
    "top_half_spun",
    "top_spun",
    "replaced",
    "replaced_share",
    "log_words",
    "mean_spun_by_length",
)
_TYPICAL_LOG_WORDS = 5.5  # the log of about 250 words, near the middle of the training texts: centres the interaction
_LOG_WORDS_LIMITS = (3.5, 7.0)  # 33 to 1,100 words, the lengths in training: nothing is extrapolated beyond
_LOGIT_LIMIT = 12.0  # segment log odds beyond it all mean "surely"; without a limit one odd segment decides


class Odds(NamedTuple):
    """Log odds of an article that cost no network: by the screen, by the gate, by `whole_text.WholeText`."""

    screen: float
    gate: float
    whole_text: float


def article_features(
    logits: NDArray[np.float64],
    segment_words: NDArray[np.int64],
    associations: NDArray[np.float64],
    mean_log_frequency: float,
    unknown_share: float,
) -> NDArray[np.float64]:
    """Return the numbers that the article model looks at, shape (len(FEATURE_NAMES),), in that order.

    `logits`, `segment_words`: shape (segments,), at least one. `associations`: of the adjacent pairs, maybe none.
    `mean_log_frequency`: natural log, mean over words. `unknown_share`: share of words outside the vocabulary.
    """
    limited = np.clip(logits, -_LOGIT_LIMIT, _LOGIT_LIMIT)
    weights = segment_words / segment_words.sum()
    mean = float(limited @ weights)
    log_words = float(np.clip(np.log(segment_words.sum()), *_LOG_WORDS_LIMITS))
    return np.array(
        [
            mean,
            _top_half_mean(limited, weights),
            float(limited.max()),
            float(weights @ (logits > 0)),
            log_words,
            mean * (log_words - _TYPICAL_LOG_WORDS),
            float(associations.mean()) if len(associations) else 0.0,
            float((associations < SURPRISING).mean()) if len(associations) else 0.0,
            mean_log_frequency,
            unknown_share,
        ]
    )


def gate_features(
    article: NDArray[np.float64],
    kinds: NDArray[np.float64],
    weaker_levels: NDArray[np.float64],
    whole_text: NDArray[np.float64] | float,
) -> NDArray[np.float64]:
    """Return the numbers that the gate looks at, shape (..., len(GATE_NAMES)), in that order.

    `article`: as `article_features`; `kinds`: log odds; `weaker_levels`: shares; their last axes are put behind each
    other. `whole_text`: shape (...,).
    """
    return np.concatenate([article, kinds, weaker_levels, np.asarray(whole_text)[..., np.newaxis]], axis=-1)


def joined_features(
    odds: Odds,
    kind_logits: NDArray[np.float32],
    token_logits: NDArray[np.float32],
    pieces: NDArray[np.int64],
    words: int,
) -> NDArray[np.float64]:
    """Return the numbers that the joined article model looks at, shape (len(JOINED_NAMES),), in that order.

    `kind_logits`: shape (segments, kinds) and `token_logits`: shape (pieces,), of the segments that were examined, at
    least one piece. `pieces`: shape (segments,), how many each has. `words`: of the whole article.
    """
    spun = np.clip(spun_log_odds(kind_logits), -_LOGIT_LIMIT, _LOGIT_LIMIT)
    weights = pieces / pieces.sum()
    mean = float(spun @ weights)
    log_words = float(np.clip(np.log(words), *_LOG_WORDS_LIMITS))
    return np.array(
        [
            *np.clip(odds, -_LOGIT_LIMIT, _LOGIT_LIMIT).tolist(),
            mean,
            _top_half_mean(spun, weights),
            float(spun.max()),
            replaced_log_odds(token_logits),
            float(np.mean(token_logits > 0.0)),
            log_words,
            mean * (log_words - _TYPICAL_LOG_WORDS),
        ]
    )


def replaced_log_odds(token_logits: NDArray[np.float32]) -> float:
    """Return the log odds of the mean probability that a piece was replaced; `token_logits`: shape (pieces,), some."""
    share = float(np.mean(sigmoid(token_logits.astype(np.float64))))
    return float(np.log((share + 1e-3) / (1.0 - share + 1e-3)))  # 1e-3: one piece in a thousand is none


def spun_log_odds(kind_logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the log odds of `spun` against all other kinds; `kind_logits`: shape (segments, kinds)."""
    at = KINDS.index("spun")
    logits = np.asarray(kind_logits, dtype=np.float64)
    return np.asarray(logits[:, at] - np.logaddexp.reduce(np.delete(logits, at, axis=1), axis=1))


def _top_half_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the mean of the highest values that hold half of the weight; `weights` sum to 1."""
    order = np.argsort(-values, kind="stable")
    taken = np.cumsum(weights[order])
    half = np.clip(0.5 - (taken - weights[order]), 0.0, weights[order])  # weight of each value within the top half
    return float(values[order] @ half) / 0.5


def sigmoid(log_odds: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x)) without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * np.asarray(log_odds, dtype=np.float64))))


@dataclass(frozen=True)
class ArticleModel:
    """A logistic regression; `weights`, `means`, `scales`: shape (features,); all from the model's config."""

    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    scales: NDArray[np.float64]
    bias: float
    names: tuple[str, ...] = FEATURE_NAMES

    @classmethod
    def from_config(cls, config: Mapping[str, Any], names: tuple[str, ...] = FEATURE_NAMES) -> ArticleModel:
        """Read the model of the features `names` from its JSON form.

        Raises:
            ValueError: the features are not those of this version.
        """
        if tuple(config["features"]) != names:
            raise ValueError(f"article model: features {config['features']} are not those of this version")
        weights, means, scales = (np.asarray(config[n], dtype=np.float64) for n in ("weights", "means", "scales"))
        if {weights.shape, means.shape, scales.shape} != {(len(names),)}:
            raise ValueError(f"article model: expected {len(names)} weights, means and scales")
        return cls(weights, means, scales, float(config["bias"]), names)

    def to_config(self) -> dict[str, Any]:
        """Return the JSON form that `from_config` reads."""
        return {
            "features": list(self.names),
            "weights": self.weights.tolist(),
            "means": self.means.tolist(),
            "scales": self.scales.tolist(),
            "bias": self.bias,
        }

    def log_odds(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log odds of spinning; `features`: shape (..., features)."""
        return np.asarray((features - self.means) / self.scales @ self.weights + self.bias)

    def probability(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return P(spun) in [0, 1]; `features`: shape (..., features)."""
        return sigmoid(self.log_odds(features))
