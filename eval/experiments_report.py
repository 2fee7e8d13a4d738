"""The variants of `experiments.toml` and the report on what they scored; no torch.

Thresholds are set on human texts alone: the judged human texts are cut in two halves by group, a human text is judged
by the threshold of the half that it is not in, any other text by both, and its two verdicts are averaged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import tomli
from numpy.typing import NDArray

from detector.calibrate import spun_log_odds
from detector.errors import InputError
from eval.metrics import auroc, placements, wilson_interval
from eval.protocols import stable_hash
from train.screen import SPUN

VARIANTS = Path(__file__).parent / "experiments.toml"
TARGET = 0.01
HEADS = ("token head", "kind head")
MEAN = "mean"
Interval = tuple[float, float]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sizes:
    """The section [sizes]; explained in `experiments.toml`."""

    fold: int
    steps: int
    batch: int
    layers: int
    seed: int
    human: int
    spun: int
    others: int
    windows: int
    simulated_documents: int
    simulated_llm_documents: int
    simulated_mt_documents: int
    change_rates: Sequence[float]
    swap_share: float
    swap_texts: int
    shipped_texts: int
    bootstrap: int


@dataclass(frozen=True)
class Variant:
    """One training, as it differs from the base.

    `leave_out`: simulators by the beginning of their names. `leave_out_tables`: likewise, of real texts. `rates`:
    change rates to draw from. `real`: the tool family held out while all other real output is trained on; "" trains on
    none. `unlabelled`: weight of the multiple-instance loss. `halves`: windows cut in two. `case`: case of pieces as a
    further embedding. `no_levels`: nothing is told of how well words go together. `teacher`: variant as some of whose
    layers it begins and whose answers it learns beside the labels. `translations`: with simulated spinning of machine
    translations. `first_look_steps`: not an examiner is trained but the small network of the first look, from the
    encoder, so many steps of its own batches. `against`: the variant that it is compared with.
    """

    name: str
    title: str
    expected: str
    found: str = ""
    against: str = "base"
    leave_out: Sequence[str] = ()
    leave_out_tables: Sequence[str] = ()
    rates: Sequence[float] = ()
    real: str = ""
    unlabelled: float | None = None
    layers: int | None = None
    teacher: str = ""
    case: bool = False
    halves: bool = False
    no_levels: bool = False
    seed: int | None = None
    translations: bool = False
    first_look_steps: int = 0


@dataclass(frozen=True)
class Judged:
    """A judged text; `family`: of its tool, "swaps" for the test sets of embedding swaps, "" for no tool."""

    table: str
    label: str
    group: str
    family: str


@dataclass(frozen=True)
class Scores:
    """What a variant gave the judged texts. `articles`, `windows`: by head, higher = more spun; `owner`: of windows."""

    plan: Mapping[str, Any]
    articles: Mapping[str, Floats]
    windows: Mapping[str, Floats]
    owner: NDArray[np.int64]
    facts: Mapping[str, float] = field(default_factory=dict)


def read_variants(path: Path | None = None) -> tuple[Sizes, list[Variant]]:
    """Return the sizes and the variants in the order of the file.

    Raises:
        InputError: a key is unknown or missing, or a variant names one that does not stand before it.
    """
    path = path or VARIANTS
    raw = tomli.loads(path.read_text(encoding="utf-8"))
    known = {f.name for f in fields(Sizes)}
    if wrong := sorted(set(raw["sizes"]) ^ known):
        raise InputError(f"{path}: [sizes] unknown or missing {', '.join(wrong)}")
    variants: list[Variant] = []
    for name, given in raw["variants"].items():
        if wrong := sorted(set(given) - {f.name for f in fields(Variant)}):
            raise InputError(f"{path}: [variants.{name}] unknown {', '.join(wrong)}")
        variant = Variant(name, **given)
        before = {v.name for v in variants} | {"", name if name == "base" else ""}
        if missing := sorted({variant.against, variant.teacher} - before):
            raise InputError(f"{path}: [variants.{name}] names {', '.join(missing)}, which stands not before it")
        if variant.case and variant.teacher:
            raise InputError(f"{path}: [variants.{name}] a teacher without case cannot teach one with it")
        variants.append(variant)
    return Sizes(**raw["sizes"]), variants


def read_notes(path: Path | None = None) -> list[str]:
    """Return the paragraphs with which the reading of the report begins."""
    raw = tomli.loads((path or VARIANTS).read_text(encoding="utf-8"))
    return [str(note) for note in raw.get("reading", {}).get("notes", [])]


def read_scores(file: Path, count: int) -> Scores:
    """Return what `run_variant` kept, with the mean of the windows of each of `count` texts, weighted by pieces."""
    kept = np.load(file)
    owner, pieces = kept["texts"].astype(np.int64), kept["pieces"].astype(np.float64)
    windows = {"token head": kept["replaced"].astype(np.float64), "kind head": spun_log_odds(kept["kinds"])}
    articles = {head: article_means(values, owner, pieces, count) for head, values in windows.items()}
    facts = {k: float(kept[k]) for k in ("train_seconds", "score_seconds", "trained_windows", "pool")}
    return Scores(json.loads(str(kept["plan"])), articles, windows, owner, facts)


def article_means(values: Floats, owner: NDArray[np.int64], pieces: Floats, count: int) -> Floats:
    """Return the mean of the windows of each of `count` texts, weighted by `pieces`; NaN for a text without windows.

    `owner`: the text of each window.
    """
    weight, total = np.bincount(owner, pieces, count), np.bincount(owner, pieces * values, count)
    return np.asarray(np.divide(total, weight, out=np.full(count, np.nan), where=weight > 0))


def threshold(human: Floats, target: float = TARGET) -> float:
    """Return the score above which at most `target` of exchangeable human texts are expected; infinite if too few."""
    allowed = int(target * (len(human) + 1) + 1e-9)  # 1e-9: rounding of 0.01 * 100
    return float(np.sort(human)[-allowed]) if allowed >= 1 else float("inf")


def recall(scores: Floats, rows: NDArray[np.int64], halves: Sequence[NDArray[np.int64]]) -> float:
    """Return the share of `rows` above the thresholds of the two halves of human texts, averaged."""
    return float(np.mean([np.mean(scores[rows] > threshold(scores[half])) for half in halves]))


class Table:
    """The judged texts by set, the halves of the human ones, and the same resamples of them for every variant."""

    def __init__(self, judged: Sequence[Judged], present: NDArray[np.bool_], sizes: Sizes) -> None:
        self.judged, self.sizes = judged, sizes
        tables = np.array([j.table for j in judged])
        human = np.array([j.label == "original" for j in judged]) & present
        half = np.array([stable_hash(sizes.seed, "half", j.group) % 2 for j in judged])
        self.halves = [np.flatnonzero(human & (half == h)) for h in (0, 1)]
        self.human = np.flatnonzero(human)
        names = dict.fromkeys(tables[present & ~human].tolist())
        self.rows = {t: np.flatnonzero(present & (tables == t)) for t in names}
        self.human_rows = {t: np.flatnonzero(human & (tables == t)) for t in dict.fromkeys(tables[human].tolist())}
        self.family = {t: judged[rows[0]].family for t, rows in self.rows.items()}
        self.spun = [t for t in names if judged[self.rows[t][0]].label == SPUN]
        self.others = [t for t in names if t not in self.spun]

    def is_unseen(self, variant: Variant, table: str) -> bool:
        """Return whether the variant was trained without the family of a spun set."""
        return not variant.real or self.family[table] in (variant.real, "swaps")

    def false_positives(self, scores: Floats) -> dict[str, tuple[int, int]]:
        """Return flagged and all human texts of each set, each judged by the threshold of the other half."""
        limits = [threshold(scores[half]) for half in self.halves]
        own = {int(i): limits[1 - h] for h, half in enumerate(self.halves) for i in half}
        return {t: (sum(scores[i] > own[int(i)] for i in rows), len(rows)) for t, rows in self.human_rows.items()}

    def differences(self, ours: Floats, theirs: Floats, tables: Sequence[str]) -> dict[str, dict[str, Interval]]:
        """Return 95 % intervals of the difference in recall and in area, for each set and for the mean over `tables`.

        Texts of both sides are resampled, the same for both variants and for all sets.
        """
        rng = np.random.default_rng(self.sizes.seed)
        count = self.sizes.bootstrap
        halves = [[half[rng.integers(0, len(half), len(half))] for half in self.halves] for _ in range(count)]
        weights = np.stack([np.bincount(np.concatenate(h), minlength=len(self.judged))[self.human] for h in halves])
        recalls, areas = {}, {}
        for table in tables:
            rows = self.rows[table]
            drawn = rng.integers(0, len(rows), (count, len(rows)))
            recalls[table] = np.array(
                [recall(ours, rows[d], h) - recall(theirs, rows[d], h) for d, h in zip(drawn, halves, strict=True)]
            )
            better = [
                (s[rows][:, None] > s[self.human]) + 0.5 * (s[rows][:, None] == s[self.human]) for s in (ours, theirs)
            ]
            per_text = (better[0] - better[1]) @ weights.T / weights.sum(axis=1)  # shape (texts, resamples)
            areas[table] = np.take_along_axis(per_text, drawn.T, axis=0).mean(axis=0)
        found = {}
        for name, values in (("recall", recalls), ("auc", areas)):
            everything = {**values, MEAN: np.mean(list(values.values()), axis=0)} if values else {}
            found[name] = {
                t: (float(np.quantile(v, 0.025)), float(np.quantile(v, 0.975))) for t, v in everything.items()
            }
        return found


def area(scores: Floats, human: NDArray[np.int64], rows: NDArray[np.int64]) -> float:
    """Return the area under the ROC curve of `rows` against the human rows."""
    return float(auroc(*placements(scores[human], scores[rows])))


def measure(
    judged: Sequence[Judged], sizes: Sizes, variants: Sequence[Variant], scores: Mapping[str, Scores]
) -> dict[str, Any]:
    """Return all figures of the report as plain JSON."""
    present = np.isfinite(next(iter(scores.values())).articles[HEADS[0]])
    table = Table(judged, present, sizes)
    result: dict[str, Any] = {
        "human": len(table.human),
        "sets": {t: len(table.rows[t]) for t in [*table.spun, *table.others]},
        "variants": {},
    }
    for variant in (v for v in variants if v.name in scores):
        own = scores[variant.name]
        figures: dict[str, Any] = {"facts": dict(own.facts), "heads": {}}
        for head in HEADS:
            values = own.articles[head]
            unseen = [t for t in table.spun if table.is_unseen(variant, t)]
            row: dict[str, Any] = {}
            means: dict[str, Any] = {}
            for t in unseen:
                found = recall(values, table.rows[t], table.halves)
                n = len(table.rows[t])
                member = np.isin(own.owner, table.rows[t])
                people = np.isin(own.owner, table.human)
                row[t] = {
                    "recall": found,
                    "interval": wilson_interval(found * n, n),
                    "auc": area(values, table.human, table.rows[t]),
                    "window_auc": area(own.windows[head], np.flatnonzero(people), np.flatnonzero(member)),
                }
            if variant.against in scores and variant.against != variant.name:
                other = next(v for v in variants if v.name == variant.against)
                both = [t for t in unseen if table.is_unseen(other, t)]
                found_intervals = table.differences(values, scores[variant.against].articles[head], both)
                for t in both:
                    row[t] |= {
                        k: found_intervals[f][t] for k, f in (("difference", "recall"), ("auc_difference", "auc"))
                    }
                means = {f: {"sets": both, "interval": i[MEAN]} for f, i in found_intervals.items() if i}
            false = table.false_positives(values)
            figures["heads"][head] = {
                "sets": row,
                "mean_differences": means,
                "human": {t: [int(k), n] for t, (k, n) in false.items()},
                "others": {t: recall(values, table.rows[t], table.halves) for t in table.others},
            }
        result["variants"][variant.name] = figures
    return result
