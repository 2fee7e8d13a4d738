"""Shares, thresholds and ranking measures with 95 % intervals; no input or output, only arrays.

Scores: higher means more spun. Every ranking measure here is written in terms of *placements*: for each spun row, the
share of human rows that score above it (`low`) and at least as high (`high`). Placements do not depend on the scale of
a model's scores, so rows scored by different models may be averaged; and resampling rows costs nothing. The tests hold
each measure against its scikit-learn namesake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Groups = Sequence[str] | NDArray[np.int64]  # one label a row; rows with the same label are not independent
FPR_TARGETS = (0.001, 0.01, 0.05)  # of the operating points strict, balanced, sensitive
PREVALENCES = (0.01, 0.05, 0.20)  # shares of spun articles in a stream at which precision is reported
AUPRC_PREVALENCE = 0.05  # the middle of PREVALENCES: the area under precision and recall means nothing without one
PARTIAL_FPR = 0.01  # the partial area stops here, the rate of the default operating point
_RELATIVE_SLACK = 1e-9  # rounding of p = 3/3000 against 0.001; far below the smallest step of a p-value, 1/(n+1)


@dataclass(frozen=True, slots=True)
class Share:
    """A share in [0, 1] with its 95 % interval. `n`: rows; `groups`: independent groups that they form."""

    value: float
    low: float
    high: float
    n: int
    groups: int

    def __post_init__(self) -> None:
        if not 0.0 <= self.low <= self.value <= self.high <= 1.0:
            raise ValueError(
                f"Share: expected 0 <= low <= value <= high <= 1, got {self.low}, {self.value}, {self.high}"
            )


def wilson_interval(successes: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of `successes` out of `n` (both may be fractional, as effective sizes are).

    Wilson (1927), without continuity correction. `level`: 0.95, or higher where several intervals must hold at once.

    Raises:
        ValueError: n is not positive or successes is outside [0, n].
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"wilson_interval: expected 0 <= successes <= n and n > 0, got {successes} of {n}")
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # The bounds of 0 of n and n of n are exact; in floating point they miss by 1e-17.
    return (min(float(max(centre - half, 0.0)), share), max(float(min(centre + half, 1.0)), share))


def clustered_share(values: ArrayLike, groups: Groups, level: float = 0.95) -> Share:
    """Return the mean of `values` (each in [0, 1]) with a Wilson interval at the effective sample size.

    Rows of one group (six rewrites of one text, one row scored by three models) are not independent. The sample size is
    divided by the design effect, the variance over groups relative to that of independent rows, and never grows; where
    all values are 0 or all 1 it is the number of groups. Modified Wilson interval of Dean and Pagano (2015, JSSAM
    3:484-503).

    Raises:
        ValueError: no values, or lengths differ.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array) or len(array) != len(groups):
        raise ValueError(f"clustered_share: expected equal lengths > 0, got {array.shape} and {len(groups)}")
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    n, n_groups, mean = len(array), int(codes.max()) + 1, float(array.mean())
    effective = float(n_groups)
    if 0.0 < mean < 1.0 and n_groups > 1:
        totals = np.bincount(codes, weights=array - mean)
        variance = float(np.sum(totals**2)) / n**2 * n_groups / (n_groups - 1)
        effective = n / max(variance / (mean * (1 - mean) / n), 1.0) if variance > 0 else float(n_groups)
    low, high = wilson_interval(mean * effective, effective, level)
    return Share(mean, low, high, n, n_groups)


def conformal_p_values(human_scores: ArrayLike, scores: ArrayLike) -> Floats:
    """Return for each score (1 + the number of human scores at least as high) / (n + 1), in (0, 1].

    "Flagged at the false-positive rate a" means p <= a. For a human row exchangeable with `human_scores` but not among
    them P(p <= a) <= a holds exactly, ties included (split conformal prediction; Vovk, Gammerman, Shafer 2005). A rate
    below 1 / (n + 1) cannot be reached: see `smallest_reachable_fpr`.
    """
    human = np.sort(np.asarray(human_scores, dtype=np.float64))
    wanted = np.asarray(scores, dtype=np.float64)
    at_least = len(human) - np.searchsorted(human, wanted, side="left")
    return np.asarray((1.0 + at_least) / (1.0 + len(human)), dtype=np.float64)


def smallest_reachable_fpr(n_human: int) -> float:
    """Return the smallest false-positive rate for which `n_human` human scores can set a threshold."""
    return 1.0 / (1.0 + n_human)


def flagged(p_values: ArrayLike, target: float) -> NDArray[np.bool_]:
    """Return which p-values are flagged at the false-positive rate `target`."""
    return np.asarray(np.asarray(p_values, dtype=np.float64) <= target * (1 + _RELATIVE_SLACK), dtype=np.bool_)


def precision_at_prevalence(recall: float, fpr: float, prevalence: float) -> float:
    """Return the share of spun articles among the flagged, in [0, 1]; nan where nothing at all is flagged."""
    true, false = prevalence * recall, (1 - prevalence) * fpr
    return true / (true + false) if true + false > 0 else float("nan")


def precision_interval(recall: Share, fpr: Share, prevalence: float) -> tuple[float, float, float]:
    """Return precision, and the bounds that the worst and best corner of both intervals give (conservative)."""
    value = precision_at_prevalence(recall.value, fpr.value, prevalence)
    low = precision_at_prevalence(recall.low, fpr.high, prevalence)
    high = precision_at_prevalence(recall.high, fpr.low, prevalence)
    return value, low, high


def placements(human_scores: ArrayLike, spun_scores: ArrayLike) -> tuple[Floats, Floats]:
    """Return for each spun score the share of human scores above it and the share at least as high, each in [0, 1]."""
    human = np.sort(np.asarray(human_scores, dtype=np.float64))
    spun = np.asarray(spun_scores, dtype=np.float64)
    above = len(human) - np.searchsorted(human, spun, side="right")
    at_least = len(human) - np.searchsorted(human, spun, side="left")
    return above / len(human), at_least / len(human)


def auroc(low: Floats, high: Floats, weights: Floats | None = None) -> float:
    """Return the area under the ROC curve of the spun rows with these placements; ties count half."""
    return float(1.0 - np.average((low + high) / 2, weights=weights))


def partial_auroc(low: Floats, high: Floats, weights: Floats | None = None, max_fpr: float = PARTIAL_FPR) -> float:
    """Return the area up to `max_fpr`, scaled: chance 0.5, perfect 1 (McClish 1989, as in scikit-learn)."""
    # A row adds to the curve from the rate `high` on; between `low` and `high` (ties) the curve rises linearly.
    width = np.where(high > low, high - low, 1.0)
    before, inside = np.clip(max_fpr - high, 0.0, None), np.clip(np.minimum(high, max_fpr) - low, 0.0, None)
    area = float(np.average(before + inside**2 / (2 * width), weights=weights))
    chance = max_fpr**2 / 2
    return 0.5 * (1 + (area - chance) / (max_fpr - chance))


def average_precision(
    low: Floats, high: Floats, weights: Floats | None = None, prevalence: float = AUPRC_PREVALENCE
) -> float:
    """Return the area under precision and recall (average precision) in a stream with this share of spun rows.

    Rows with the same placement count as ties: no human score lies between them, so no threshold set on human scores
    parts them, and their order across models means nothing.
    """
    mass = np.ones(len(high)) if weights is None else weights
    kept = mass > 0
    rates, group = np.unique(np.column_stack([high[kept], low[kept]]), axis=0, return_inverse=True)
    masses = np.bincount(group.ravel(), weights=mass[kept])
    recall = np.cumsum(masses) / masses.sum()
    precision = prevalence * recall / (prevalence * recall + (1 - prevalence) * rates[:, 0])
    return float(np.average(precision, weights=masses))


RankingMeasure = Callable[[Floats, Floats, Floats | None], float]
RANKING_MEASURES: dict[str, RankingMeasure] = {
    "auroc": auroc,
    "auprc": average_precision,
    "partial_auroc": partial_auroc,
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number that need not be a share, with its 95 % interval and the number of rows behind it."""

    value: float
    low: float
    high: float
    n: int


def group_draws(codes: NDArray[np.int64], n_groups: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Yield for each bootstrap resample how often each row counts: whole groups drawn with replacement.

    `codes`: group of each row, in range(n_groups). Same seed, same draws.
    """
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = np.bincount(rng.integers(0, n_groups, n_groups), minlength=n_groups)
        yield drawn.astype(np.float64)[codes]


def ratio_estimate(
    numerator: ArrayLike, denominator: ArrayLike, groups: Groups, seed: int, resamples: int = 1000
) -> Estimate | None:
    """Return sum(numerator) / sum(denominator) over rows, with a bootstrap interval over groups; None without a sum.

    For rates whose rows weigh differently, such as characters of a text. `n`: rows that count.
    """
    above, below = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    if not len(below) or below.sum() <= 0:
        return None
    codes = np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
    n_groups = int(codes.max()) + 1
    sums = np.column_stack([np.bincount(codes, weights=x, minlength=n_groups) for x in (above, below)])
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=resamples) @ sums
    kept = drawn[drawn[:, 1] > 0]
    bounds = np.quantile(kept[:, 0] / kept[:, 1], [0.025, 0.975])
    value = float(above.sum() / below.sum())
    low, high = min(float(bounds[0]), value), max(float(bounds[1]), value)
    # Resampling texts without an event shows no spread: the exact Poisson bound for none takes its place.
    none = -np.log(0.025) / float(below.sum())
    if above.sum() == 0:
        high = none
    elif np.array_equal(above, below):
        low = max(0.0, 1.0 - none)
    return Estimate(value, low, high, int(np.sum(below > 0)))


def guarded(value: float, low: float, high: float, n: float) -> tuple[float, float]:
    """Return bootstrap bounds, or Wilson's for n where the sample is all of one kind, so that resampling shows nothing.

    >>> guarded(1.0, 1.0, 1.0, 16)[0] < 0.85, guarded(0.9, 0.8, 0.95, 16)
    (True, (0.8, 0.95))
    """
    # Not `low == high`: weighted sums of one value differ in the last digit.
    if any(np.allclose([value, low, high], end, rtol=0, atol=1e-12) for end in (0.0, 1.0)) and n > 0:
        value = float(round(value))
        return wilson_interval(value * n, n)
    return min(low, value), max(high, value)


def equal_mass_bins(probabilities: Floats, weights: Floats, bins: int) -> NDArray[np.int64]:
    """Return the bin of each row, in range(bins): bins hold about the same weight, equal probabilities share one."""
    order = np.argsort(probabilities, kind="stable")
    values, first = np.unique(probabilities[order], return_index=True)
    before = np.concatenate([[0.0], np.cumsum(weights[order])])[first]
    of_value = np.minimum((bins * before / weights.sum()).astype(np.int64), bins - 1)
    return np.asarray(of_value[np.searchsorted(values, probabilities)], dtype=np.int64)


def expected_calibration_error(
    probabilities: Floats, labels: Floats, weights: Floats | None = None, bins: int = 15
) -> float:
    """Return the mean gap between probability and observed share over bins of equal mass, in [0, 1].

    15 bins as in Guo et al. (2017), of equal mass (Nixon et al. 2019) since most probabilities lie near 0 or 1. The
    estimate is biased upwards by about the noise within a bin.
    """
    mass = np.ones(len(labels)) if weights is None else weights
    rows = equal_mass_bins(probabilities, mass, bins)
    gaps = np.bincount(rows, weights=mass * (probabilities - labels), minlength=bins)
    return float(np.abs(gaps).sum() / mass.sum())


def brier_score(probabilities: Floats, labels: Floats, weights: Floats | None = None) -> float:
    """Return the mean squared gap between probability and label, in [0, 1] (Brier 1950); a constant 0.5 gets 0.25."""
    return float(np.average((probabilities - labels) ** 2, weights=weights))


def roc_points(high: Floats, weights: Floats | None = None) -> tuple[Floats, Floats]:
    """Return (false-positive rate, recall) where each spun row is first caught, rates ascending; ties count against."""
    mass = np.ones(len(high)) if weights is None else weights
    order = np.argsort(high, kind="stable")
    return high[order], np.cumsum(mass[order]) / mass.sum()


def signature(**parts: str | int | float) -> str:
    """Return `detect-spin|key:value|...` in the order given: what a number needs to be compared with another.

    >>> signature(protocol="known-tool", n=12)
    'detect-spin|protocol:known-tool|n:12'
    """
    return "|".join(["detect-spin", *(f"{key}:{value}" for key, value in parts.items())])
