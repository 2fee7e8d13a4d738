"""From the scores of one system to what they say of each text: p-values, placements, flags. Arrays only.

Every score is made by one model (its *unit*), and only scores of one unit are on one scale. Human texts of a unit set
its thresholds; each text is judged by the human texts that lie in other *parts* than it does, so that no text takes
part in a threshold used on it:

- a model trained without the texts (`unit` named): the parts are two halves by group, as in `eval.protocols`;
- one model for all texts (`unit` ""): the parts hold whole tables, whole kinds of writer, or groups, as the suite says,
  so that the writers judged are new to the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError
from eval.metrics import Floats, conformal_p_values, flagged, placements, smallest_reachable_fpr
from eval.protocols import Settings, fold_of, half_of, stable_hash
from eval.suite import Item

Ints = NDArray[np.int64]
ONE_MODEL = ""
NOT_SCORED = -1.0
"""What a calibrated system returns for a text that it declines to score: below any probability, never flagged."""


@dataclass(frozen=True)
class SystemScores:
    """The scores of one system, as arrays of equal length; higher = more spun.

    `text`: number of the item. `unit`: which model made the score, "" where one model made all. `calibrated`: they
    are probabilities (or `NOT_SCORED`). `points`: thresholds by operating point, for calibrated ones. `model`: for the
    signature. `origin`: where the scores come from, for the report.
    """

    name: str
    text: Ints
    unit: NDArray[np.str_]
    score: Floats
    calibrated: bool = False
    points: Mapping[str, float] = field(default_factory=dict)
    model: str = ""
    origin: str = "run"

    def __post_init__(self) -> None:
        if not len(self.text) == len(self.unit) == len(self.score):
            raise ValueError(f"SystemScores {self.name}: arrays of different lengths")
        if not np.isfinite(self.score).all():
            raise InputError(f"system {self.name!r}: a score is not finite")

    def keep(self, rows: NDArray[np.bool_]) -> SystemScores:
        """Return the same with the rows of a mask only."""
        return SystemScores(
            self.name,
            self.text[rows],
            self.unit[rows],
            self.score[rows],
            self.calibrated,
            self.points,
            self.model,
            self.origin,
        )


@dataclass(frozen=True)
class Judged:
    """Scores with their judgement, row by row.

    `in_pool`: the row may set thresholds. `p_value`: smallest false-positive rate at which it is flagged, by human
    texts of other parts; `p_value_new_set`: by those of other tables (nan outside the pool). `low`, `high`: share of
    the human texts of its unit above it and at least as high. `smallest_pool`: human texts behind the worst-supported
    threshold.
    """

    scores: SystemScores
    in_pool: NDArray[np.bool_]
    p_value: Floats
    p_value_new_set: Floats
    low: Floats
    high: Floats
    smallest_pool: int

    def keep(self, rows: NDArray[np.bool_]) -> Judged:
        """Return the judgement of the rows of a mask; what they were judged by stays."""
        return Judged(
            self.scores.keep(rows),
            self.in_pool[rows],
            self.p_value[rows],
            self.p_value_new_set[rows],
            self.low[rows],
            self.high[rows],
            self.smallest_pool,
        )

    @property
    def smallest_fpr(self) -> float:
        """The smallest false-positive rate that every threshold can be set for."""
        return smallest_reachable_fpr(self.smallest_pool)

    def by_text(self, values: Floats) -> tuple[Ints, Floats]:
        """Return the numbers of the texts, ascending, and the mean of `values` over the rows of each."""
        texts, rows = np.unique(self.scores.text, return_inverse=True)
        return texts, np.bincount(rows, weights=values) / np.bincount(rows)

    def flags(self, target: float, *, new_set: bool = False) -> tuple[Ints, Floats]:
        """Return texts and the share of their rows flagged at a false-positive rate."""
        p = self.p_value_new_set if new_set else self.p_value
        return self.by_text(flagged(p, target).astype(np.float64))

    def flags_at(self, threshold: float) -> tuple[Ints, Floats]:
        """Return texts and the share of their rows at or above a probability."""
        return self.by_text((self.scores.score >= threshold).astype(np.float64))


def parts_of(items: Sequence[Item], settings: Settings, threshold_unit: str) -> tuple[Ints, Ints]:
    """Return for each item its half, and its part where one model scored everything.

    A spun or machine-made text belongs to the part that its group hashes to.
    """
    documents = [i.document for i in items]
    halves = np.array([half_of(d, settings) for d in documents], dtype=np.int64)
    if threshold_unit == "table":
        return halves, np.array([fold_of(d, settings) for d in documents], dtype=np.int64)
    by_hash = np.array([stable_hash(settings.seed, "fold", d.group) for d in documents], dtype=np.uint64)
    if threshold_unit == "group":
        return halves, (by_hash % np.uint64(settings.folds)).astype(np.int64)
    writers = sorted({i.writer for i in items if i.document.label == "original"})
    number = {w: k for k, w in enumerate(writers)}
    elsewhere = by_hash % np.uint64(max(len(writers), 1))
    own = [
        number[i.writer] if i.document.label == "original" else int(h) for i, h in zip(items, elsewhere, strict=True)
    ]
    return halves, np.array(own, dtype=np.int64)


def judge(scores: SystemScores, items: Sequence[Item], halves: Ints, parts: Ints) -> Judged:
    """Return the judgement of every row. `halves`, `parts`: by item, of `parts_of`.

    Raises:
        InputError: a unit has no human texts in two parts, so that nothing can be judged by others than itself.
    """
    human = np.array([i.document.label == "original" and not i.document.licence_nc for i in items], dtype=np.bool_)
    tables = np.unique([i.document.table for i in items], return_inverse=True)[1]
    in_pool, n = human[scores.text], len(scores.text)
    p_value, p_new = np.ones(n), np.full(n, np.nan)
    low, high = np.full(n, np.nan), np.full(n, np.nan)
    smallest = n
    for unit in np.unique(scores.unit):
        rows = np.flatnonzero(scores.unit == unit)
        part = (halves if unit != ONE_MODEL else parts)[scores.text[rows]]
        pool = in_pool[rows]
        for own in np.unique(part):
            mine, judges = part == own, pool & (part != own)
            if not judges.any():
                raise InputError(
                    f"system {scores.name!r}{f', {unit}' if unit else ''}: no human texts outside part {own} to set a "
                    "threshold; a suite needs human texts of at least two tables, kinds of writer or groups"
                )
            smallest = min(smallest, int(judges.sum()))
            p_value[rows[mine]] = conformal_p_values(scores.score[rows[judges]], scores.score[rows[mine]])
        table = tables[scores.text[rows]]
        for own in np.unique(table[pool]):
            mine, judges = pool & (table == own), pool & (table != own)
            if judges.any():
                p_new[rows[mine]] = conformal_p_values(scores.score[rows[judges]], scores.score[rows[mine]])
        low[rows], high[rows] = placements(scores.score[rows[pool]], scores.score[rows])
    return Judged(scores, in_pool, p_value, p_new, low, high, smallest)


def common_texts(systems: Sequence[SystemScores]) -> tuple[Ints, int]:
    """Return the numbers of the texts that all systems scored, ascending, and how many only some did."""
    seen = [set(s.text.tolist()) for s in systems]
    common = set.intersection(*seen) if seen else set()
    return np.array(sorted(common), dtype=np.int64), len(set().union(*seen) - common)
