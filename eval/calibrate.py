"""Fit an operating point to a user's own labelled texts, or say how many texts that would take.

For a false-positive rate: the lowest threshold whose one-sided upper confidence limit meets the target. With n
independent texts that are not spun, and the threshold just above the (k + 1)-th highest of their probabilities, the
true rate is at most the (k + 1, n - k) beta quantile of the confidence level, whatever the distribution of the
probabilities (order statistics as tolerance limits: Wilks 1941, Annals of Mathematical Statistics 12:91-96; the same
number as the limit of Clopper and Pearson 1934 for k of n). k is the largest for which that limit is within the target
and depends on n alone, so that choosing it costs nothing.

For precision at a prevalence: the lower limit of the recall and the upper limit of the false-positive rate together.
Candidates are the thresholds with k = 0, 1, 2, 4, 8 ... up to the k beyond which no recall would do, which again
depends on n alone. Each limit is taken at a level such that all of them hold at once with the confidence asked for
(Bonferroni); the lowest threshold that passes is chosen.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector import SpinDetector, Verdict, __version__
from detector.errors import InputError, MissingExtraError
from detector.operating_point import SCHEMA_VERSION, OperatingPoint
from eval.protocols import stable_hash
from eval.suite import LABELS, read_rows
from train.corpora import text_key

CONFIDENCE = 0.95
_STEP = 1e-6  # probabilities have six decimals (detector/detect.py), so nothing lies between two such numbers
Json = dict[str, Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Target:
    """What the operating point must keep: a false-positive rate, or a precision at a prevalence; each in (0, 1)."""

    fpr: float | None = None
    precision: float | None = None
    prevalence: float | None = None

    def __post_init__(self) -> None:
        given = [self.fpr is not None, self.precision is not None]
        if sum(given) != 1 or (self.precision is None) != (self.prevalence is None):
            raise InputError("give either a target false-positive rate, or a target precision with a prevalence")
        for name, value in (("fpr", self.fpr), ("precision", self.precision), ("prevalence", self.prevalence)):
            if value is not None and not 0.0 < value < 1.0:
                raise InputError(f"target {name}: expected a number between 0 and 1, got {value}")

    def to_dict(self) -> Json:
        """Return the parts that were given."""
        return {k: v for k, v in vars(self).items() if v is not None}


@dataclass(frozen=True)
class Labelled:
    """Probabilities of independent texts, those not spun and those spun, and how many rows did not count and why."""

    negatives: Floats
    positives: Floats
    left_out: dict[str, int]


def upper_limit(k: int, n: int, level: float) -> float:
    """Return the one-sided upper confidence limit of a share of which k of n were seen (Clopper and Pearson 1934)."""
    return 1.0 if k >= n else float(_beta().ppf(level, k + 1, n - k))


def lower_limit(k: int, n: int, level: float) -> float:
    """Return the one-sided lower confidence limit of a share of which k of n were seen (Clopper and Pearson 1934)."""
    return 0.0 if k <= 0 else float(_beta().ppf(1 - level, k, n - k + 1))


def _beta() -> Any:
    try:
        from scipy.stats import beta
    except ImportError as error:
        raise MissingExtraError("calibrate needs SciPy: pip install '.[eval]'") from error
    return beta


def texts_needed(rate: float, level: float) -> int:
    """Return the smallest n for which none flagged of n shows a rate of at most `rate` at that level.

    >>> texts_needed(0.001, 0.95), texts_needed(0.01, 0.95)
    (2995, 299)
    """
    return math.ceil(math.log(1 - level) / math.log1p(-rate))


def threshold_above(negatives: Floats, k: int) -> float | None:
    """Return the lowest threshold that flags at most k of the probabilities; None if even 1 flags more."""
    ordered = np.sort(negatives)[::-1]
    value = round(float(ordered[k]) + _STEP, 6) if k < len(ordered) else _STEP
    return value if value <= 1.0 else None


def allowed(n: int, rate: float, level: float) -> int | None:
    """Return the largest k for which k flagged of n still show at most `rate`; None if no k does."""
    low, high = -1, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if upper_limit(middle, n, level) <= rate else (low, middle)
    return low if low >= 0 else None


def fit_fpr(data: Labelled, rate: float, confidence: float = CONFIDENCE) -> tuple[float, int]:
    """Return the lowest threshold whose false-positive rate is at most `rate` with that confidence, and its k.

    Raises:
        InputError: too few texts, or too many of them have a probability of 1.
    """
    n = len(data.negatives)
    k = allowed(n, rate, confidence)
    if k is None:
        needed = texts_needed(rate, confidence)
        smallest = f"; with {n:,} the smallest rate that can be shown is {100 * upper_limit(0, n, confidence):.2g} %"
        raise InputError(
            f"{n:,} texts that are not spun cannot show a false-positive rate of {100 * rate:g} % with "
            f"{100 * confidence:g} % confidence: it takes {needed:,} or more{smallest if n else ''}"
        )
    threshold = threshold_above(data.negatives, k)
    if threshold is None:
        raise InputError(
            f"more than {k} of {n:,} texts that are not spun have a probability of 1, so no threshold keeps the rate "
            "within the target; look at these texts first, they may be spun"
        )
    return threshold, k


def highest_fpr(target: Target, recall: float) -> float:
    """Return the false-positive rate at which the target precision is just met with that recall."""
    assert target.precision is not None and target.prevalence is not None
    odds = target.prevalence / (1 - target.prevalence)
    return recall * odds * (1 - target.precision) / target.precision


def fit_precision(data: Labelled, target: Target, confidence: float = CONFIDENCE) -> tuple[float, int]:
    """Return the lowest threshold whose precision meets the target with that confidence, and its k.

    Raises:
        InputError: the texts are too few to show it; says how many it takes.
    """
    n, m = len(data.negatives), len(data.positives)
    if not n or not m:
        raise InputError(f"a target precision needs texts of both labels, got {m:,} spun and {n:,} not spun")
    candidates, level = _candidates(n, target, confidence)
    best: tuple[float, int] | None = None
    for k in candidates:
        threshold = threshold_above(data.negatives, k)
        if threshold is None:
            continue
        recall = lower_limit(int(np.sum(data.positives >= threshold)), m, level)
        if upper_limit(k, n, level) <= highest_fpr(target, recall):
            best = threshold, k
    if best is None:
        raise InputError(_too_few(data, target, confidence))
    return best


def _candidates(n: int, target: Target, confidence: float) -> tuple[list[int], float]:
    """Return the k to try with n texts, and the level of each limit at which all of them hold at once."""
    highest = min(n * highest_fpr(target, 1.0), n - 1)
    candidates = [0, *(2**i for i in range(64) if 2**i <= highest)]
    return candidates, 1 - (1 - confidence) / (2 * len(candidates))


def _too_few(data: Labelled, target: Target, confidence: float) -> str:
    n, m = len(data.negatives), len(data.positives)
    assert target.precision is not None and target.prevalence is not None
    wanted = (
        f"a precision of {100 * target.precision:g} % where {100 * target.prevalence:g} % are spun, with "
        f"{100 * confidence:g} % confidence"
    )
    threshold = threshold_above(data.negatives, 0)
    found = 0 if threshold is None else int(np.sum(data.positives >= threshold))
    if not found:
        return (
            f"{wanted}: cannot be shown, because no spun text has a higher probability than all {n:,} others; look at "
            "the highest of those, and add spun texts that the model finds"
        )
    needed = n
    while True:
        _, level = _candidates(needed, target, confidence)
        recall = lower_limit(found, m, level)
        more = texts_needed(highest_fpr(target, recall), level)
        if more <= needed:
            break
        needed = more
    # Half the recall that was seen is all that so few spun texts can show.
    few = f"; with more spun texts than {m:,} fewer would do" if found / m > 2 * recall else ""
    return (
        f"{n:,} texts that are not spun and {m:,} spun cannot show {wanted}. A threshold that flags none of the former "
        f"finds {found:,} of the latter: it would take {needed:,} texts that are not spun, none of them flagged{few}"
    )


def read_labelled(
    path: Path, text_column: str = "text", label_column: str = "label", group_column: str = "group"
) -> tuple[list[tuple[str, bool]], dict[str, int]]:
    """Return (text, spun) of independent rows of a labelled file, and the numbers of rows left out.

    Of copies, and of rows of one group, one counts. Without a label column all rows count as not spun. What is not
    spun (human, translated, written by a language model) counts as such.

    Raises:
        InputError: the file cannot be read, has no such column, or has a label that is not known.
    """
    rows = read_rows(path)
    if not rows:
        raise InputError(f"{path}: holds no rows")
    if text_column not in rows[0]:
        raise InputError(f"{path}: no column {text_column!r}; columns: {', '.join(rows[0])}; see --text-column")
    has_labels = label_column in rows[0]
    if not has_labels and label_column != "label":
        raise InputError(f"{path}: no column {label_column!r}; columns: {', '.join(rows[0])}; see --label-column")
    chosen: dict[str, tuple[int, str, bool]] = {}
    left_out = {"empty": 0, "same_text_or_group": 0}
    for number, row in enumerate(rows, 1):
        text = row.get(text_column)
        if not isinstance(text, str) or not text.strip():
            left_out["empty"] += 1
            continue
        spun = has_labels and _is_spun(row.get(label_column), f"{path} row {number}")
        key = text_key(text)
        group = str(row.get(group_column) or key)
        # By hash, so that which row of a group counts depends neither on its place nor on its score.
        order = stable_hash(0, "group", key)
        known = chosen.get(f"{spun}{group}")
        left_out["same_text_or_group"] += known is not None
        if known is None or order < known[0]:
            chosen[f"{spun}{group}"] = order, text, spun
    return [(text, spun) for _, text, spun in chosen.values()], left_out


def _is_spun(value: Any, where: str) -> bool:
    label = LABELS.get(str(int(value) if isinstance(value, (bool, float)) else value).strip().lower())
    if label is None:
        raise InputError(f"{where}: label {value!r} is none of {', '.join(LABELS)}")
    return label == "spun"


def score_rows(detector: SpinDetector, rows: Sequence[tuple[str, bool]], workers: int = 1) -> Labelled:
    """Return the probabilities of the rows; what is not scored is left out, as its verdict is never `spun`."""
    results = detector.score_batch((text for text, _ in rows), workers=workers)
    scored = [
        (r.probability, spun) for r, (_, spun) in zip(results, rows, strict=True) if r.verdict is not Verdict.NOT_SCORED
    ]
    negatives, positives = (np.array([p for p, spun in scored if spun is s], dtype=np.float64) for s in (False, True))
    return Labelled(negatives, positives, {"not_scored": len(rows) - len(scored)})


def _limits(k: int, n: int, confidence: float) -> Json | None:
    """Return a share with its two-sided interval (Clopper and Pearson 1934), None of nothing."""
    if not n:
        return None
    level = (1 + confidence) / 2
    return {"value": k / n, "low": lower_limit(k, n, level), "high": upper_limit(k, n, level), "n": n}


def calibrate(
    path: Path,
    target: Target,
    name: str,
    *,
    model: str | Path | None = None,
    confidence: float = CONFIDENCE,
    text_column: str = "text",
    label_column: str = "label",
    workers: int = 1,
) -> Json:
    """Return the content of an operating-point file; see docs/calibration.md.

    Raises:
        InputError: the file cannot be used, or is too small to support the target (the message says what it takes).
    """
    if not 0.5 <= confidence < 1.0:
        raise InputError(f"confidence: expected a number from 0.5 to below 1, got {confidence}")
    detector = SpinDetector.load(model)
    OperatingPoint(name, 1.0, detector.model_id, "--name")  # refuses a bad name before the work
    rows, left_out = read_labelled(path, text_column, label_column)
    data = score_rows(detector, rows, workers)
    if target.fpr is not None:
        threshold, k = fit_fpr(data, target.fpr, confidence)
        shown = {"fpr_at_most": upper_limit(k, len(data.negatives), confidence)}
    else:
        threshold, k = fit_precision(data, target, confidence)
        assert target.precision is not None
        shown = {"precision_at_least": target.precision}
    flagged = int(np.sum(data.negatives >= threshold))
    found = int(np.sum(data.positives >= threshold))
    own = {
        point: {
            "threshold": value,
            "fpr": _limits(int(np.sum(data.negatives >= value)), len(data.negatives), confidence),
            "recall": _limits(int(np.sum(data.positives >= value)), len(data.positives), confidence),
        }
        for point, value in detector.operating_points.items()
    }
    return {
        "schema": SCHEMA_VERSION,
        "name": name,
        "threshold": threshold,
        "model": detector.model_id,
        "target": target.to_dict(),
        "confidence": confidence,
        "shown": shown,
        "fpr": _limits(flagged, len(data.negatives), confidence),
        "recall": _limits(found, len(data.positives), confidence),
        "left_out": {**left_out, **data.left_out},
        "own_operating_points": own,
        "data": {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
        "made_by": f"detect-spin {__version__}, python -m eval calibrate",
    }


def to_text(point: Json) -> str:
    """Return what a person wants to know of the operating point."""
    lines = [f"{point['name']}: threshold {point['threshold']:g} for {point['model']}"]
    if "fpr_at_most" in point["shown"]:
        shown = f"at most {100 * point['shown']['fpr_at_most']:.3g} % of texts like these that are not spun are flagged"
    else:
        prevalence = point["target"]["prevalence"]
        shown = (
            f"where {100 * prevalence:g} % are spun, at least {100 * point['shown']['precision_at_least']:g} % of the "
            "flagged are"
        )
    lines.append(f"with {100 * point['confidence']:g} % confidence, {shown}")
    lines.append(_line("on these texts", point))
    lines += [
        _line(f"the model's {name} ({own['threshold']:g})", own) for name, own in point["own_operating_points"].items()
    ]
    if left := ", ".join(f"{n:,} {why.replace('_', ' ')}" for why, n in point["left_out"].items() if n):
        lines.append(f"rows that did not count: {left}")
    return "\n".join(lines)


def _line(head: str, entry: Json) -> str:
    parts = []
    for key, what in (("fpr", "not spun"), ("recall", "spun")):
        if (share := entry[key]) is not None:
            low, high = 100 * share["low"], 100 * share["high"]
            parts.append(f"{100 * share['value']:.3g} % ({low:.3g} to {high:.3g}) of {share['n']:,} {what}")
    return f"{head}: flags {' and '.join(parts)}"


def write(point: Json, path: Path) -> None:
    """Write an operating-point file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(point, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
