"""Judged scores -> every number of a report, as one plain JSON document (metrics.json). No text of the data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.judging import NOT_SCORED, Ints, Judged
from eval.metrics import (
    FPR_TARGETS,
    PARTIAL_FPR,
    PREVALENCES,
    RANKING_MEASURES,
    Estimate,
    Floats,
    Share,
    clustered_share,
    group_draws,
    guarded,
    precision_interval,
)
from eval.protocols import MASKED_SUFFIX
from eval.reliability import calibration
from eval.suite import Item, Suite, band

RESAMPLES = 1000
SMALL_SET = 100  # texts below which a rate of 1 % means one text or none: marked, and not eligible as worst set
Json = dict[str, Any]
Bools = NDArray[np.bool_]


def share_json(share: Share) -> Json:
    """Return a share with its interval and n."""
    return {"value": share.value, "low": share.low, "high": share.high, "n": share.n}


def estimate_json(estimate: Estimate | None) -> Json | None:
    """Return an estimate with its interval and n, None for None."""
    if estimate is None:
        return None
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}


class Flags:
    """Flagged shares of one system by text, at the target rates ("0.01") and the operating points ("balanced")."""

    def __init__(self, judged: Judged, items: Sequence[Item]) -> None:
        self.columns: dict[str, Floats] = {}
        self.texts: Ints = np.zeros(0, dtype=np.int64)
        for target in FPR_TARGETS:
            if judged.smallest_fpr <= target * (1 + 1e-9):  # the slack of `metrics.flagged`
                self.texts, self.columns[str(target)] = judged.flags(target)
        for name, threshold in judged.scores.points.items():
            self.texts, self.columns[name] = judged.flags_at(threshold)
        if not self.columns:
            self.texts = np.unique(judged.scores.text)
        chosen = [items[i] for i in self.texts]
        self.items = chosen
        self.label = np.array([i.document.label for i in chosen])
        self.nc = np.array([i.document.licence_nc for i in chosen], dtype=np.bool_)
        self.groups = np.unique([i.document.group for i in chosen], return_inverse=True)[1].astype(np.int64)
        self.spun: Bools = self.label == "spun"
        # Without the copies with their search phrase cut out, which would count passages twice.
        self.spun_once: Bools = self.spun & np.array(
            [not i.document.table.endswith(MASKED_SUFFIX) for i in chosen], dtype=np.bool_
        )
        self.human: Bools = (self.label == "original") & ~self.nc

    def shares(self, rows: Bools, level: float = 0.95) -> dict[str, Share]:
        """Return the flagged share of the texts of a mask at every threshold."""
        return {k: clustered_share(v[rows], self.groups[rows], level) for k, v in self.columns.items()}


def _slice(name: str, flags: Flags, rows: Bools) -> Json:
    n = int(rows.sum())
    return {
        "set": name,
        "texts": n,
        "groups": len(np.unique(flags.groups[rows])),
        "small": n < SMALL_SET,
        "flagged": {k: share_json(s) for k, s in flags.shares(rows).items()},
    }


def slices(
    flags: Flags, rows: Bools, name_of: Callable[[Item], str | None], least: int, order: Sequence[str] = ()
) -> list[Json]:
    """Return the flagged shares of the texts of a mask by name; those of fewer than `least` texts are put together.

    `name_of` returns None for a text that has no such property. Names in `order` come first, the others by name.
    """
    names = [name_of(item) if row else None for item, row in zip(flags.items, rows, strict=True)]
    counts = Counter(n for n in names if n is not None)
    rare = {n for n, c in counts.items() if c < least} if least else set()
    if len(rare) < 2:  # one small slice alone is itself
        rare = set()
    out = []
    for name in sorted(counts, key=lambda n: (order.index(n) if n in order else len(order), n)):
        if name not in rare:
            out.append(_slice(name, flags, np.array([n == name for n in names], dtype=np.bool_)))
    if rare:
        out.append(_slice(f"{len(rare)} others", flags, np.array([n in rare for n in names], dtype=np.bool_)))
    return out


def worst(entries: Sequence[Json], flags: Flags, rows: Mapping[str, Bools], key: str, *, highest: bool) -> Json | None:
    """Return the slice with the highest or lowest flagged share, with an interval that holds for all slices at once.

    Slices of `SMALL_SET` texts or more where there are two, else all of 10 or more. The simultaneous interval is
    Wilson's at the level 1 - 0.05 / k for k slices (Bonferroni): the worst of many looks worse than it is.
    """
    large = [e for e in entries if not e["small"]]
    if len(large) < 2:
        large = [e for e in entries if e["texts"] >= 10]
    large = [e for e in large if e["set"] in rows]
    if len(large) < 2:
        return None
    found = (max if highest else min)(large, key=lambda e: (e["flagged"][key]["value"], e["set"]))
    both = flags.shares(rows[found["set"]], 1 - 0.05 / len(large))[key]
    return {"set": found["set"], "of": len(large), **found["flagged"][key], "all_low": both.low, "all_high": both.high}


def ranking(judged: Judged, items: Sequence[Item], sets: Mapping[str, Bools], seed: int) -> dict[str, Json]:
    """Return AUROC, AUPRC and partial AUC of each set of spun rows (masks over the rows), with intervals.

    Bootstrap over groups of spun *and* of human texts (each human group weighs the same in every unit it is in), so
    that the uncertainty of the far left of the curve, which few human texts decide, is in it.
    """
    s = judged.scores
    groups = np.unique([items[i].document.group for i in s.text], return_inverse=True)[1].astype(np.int64)
    values = {
        name: {m: [f(judged.low[rows], judged.high[rows], None)] for m, f in RANKING_MEASURES.items()}
        for name, rows in sets.items()
    }
    units = []
    for unit in np.unique(s.unit):
        own = np.flatnonzero(s.unit == unit)
        pool = own[judged.in_pool[own]]
        pool = pool[np.argsort(s.score[pool], kind="stable")]
        spun = own[np.logical_or.reduce(list(sets.values()))[own]]
        left = np.searchsorted(s.score[pool], s.score[spun], side="left")
        right = np.searchsorted(s.score[pool], s.score[spun], side="right")
        units.append((pool, spun, left, right))
    low, high = judged.low.copy(), judged.high.copy()
    for weight in group_draws(groups, int(groups.max()) + 1, RESAMPLES, seed):
        for pool, spun, left, right in units:
            below = np.concatenate([[0.0], np.cumsum(weight[pool])])
            low[spun], high[spun] = 1 - below[right] / below[-1], 1 - below[left] / below[-1]
        for name, rows in sets.items():
            if weight[rows].sum() > 0:
                for measure, function in RANKING_MEASURES.items():
                    values[name][measure].append(function(low[rows], high[rows], weight[rows]))
    out: dict[str, Json] = {}
    for name, by_measure in values.items():
        out[name] = {}
        independent = len(np.unique(groups[sets[name]]))
        for measure, drawn in by_measure.items():
            if measure == "partial_auroc" and judged.smallest_fpr > PARTIAL_FPR:
                out[name][measure] = None  # no human text lies in that part of the curve
                continue
            a, b = np.quantile(drawn[1:], [0.025, 0.975])
            value = drawn[0]
            low_bound, high_bound = guarded(value, float(a), float(b), independent)
            n = len(np.unique(s.text[sets[name]]))
            out[name][measure] = {"value": value, "low": low_bound, "high": high_bound, "n": n}
    return out


def precision_and_f1(flags: Flags, seed: int) -> dict[str, Json]:
    """Return precision, recall and F1 over all spun and human texts of the suite, in its own mix, by threshold.

    Intervals: bootstrap over groups, thresholds held fixed. None where nothing is flagged.
    """
    counted = flags.spun_once | flags.human
    codes = np.unique(flags.groups[counted], return_inverse=True)[1]
    n_groups = int(codes.max()) + 1
    rng = np.random.default_rng(seed)
    draws = [rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups)) for _ in range(RESAMPLES)]
    out = {}
    for key, column in flags.columns.items():
        hit = column[counted]
        spun = flags.spun[counted].astype(np.float64)
        parts = (hit * spun, hit * (1 - spun), spun)  # true positives, false positives, all spun
        sums = np.column_stack([np.bincount(codes, weights=x, minlength=n_groups) for x in parts])
        total = sums.sum(axis=0)
        drawn = np.array([d @ sums for d in draws])
        with np.errstate(invalid="ignore", divide="ignore"):
            measures: dict[str, Callable[[Floats], Any]] = {
                "precision": lambda t: t[..., 0] / (t[..., 0] + t[..., 1]),
                "recall": lambda t: t[..., 0] / t[..., 2],
                "f1": lambda t: 2 * t[..., 0] / (t[..., 0] + t[..., 1] + t[..., 2]),
            }
            entry: Json = {}
            for name, f in measures.items():
                value, values = float(f(total)), np.asarray(f(drawn))
                values = values[np.isfinite(values)]
                if math.isnan(value) or not len(values):
                    entry[name] = None
                    continue
                a, b = np.quantile(values, [0.025, 0.975])
                # All flags right, or all texts found: as many independent cases as groups with one.
                independent = int(np.sum(sums[:, 0] + sums[:, 1] > 0 if name == "precision" else sums[:, 2] > 0))
                low, high = guarded(value, float(a), float(b), independent)
                entry[name] = {"value": value, "low": low, "high": high}
        entry["n"] = {"spun": int(spun.sum()), "human": int(len(spun) - spun.sum())}
        out[key] = entry
    return out


def at_prevalences(recall: Mapping[str, Share], fpr: Mapping[str, Share]) -> Json:
    """Return precision by threshold and share of spun articles, bounds from the worst and best corner of both."""
    out: Json = {}
    for key, share in recall.items():
        out[key] = {}
        for prevalence in PREVALENCES:
            values = precision_interval(share, fpr[key], prevalence)
            names = ("value", "low", "high")
            out[key][str(prevalence)] = {k: None if math.isnan(v) else v for k, v in zip(names, values, strict=True)}
            out[key][str(prevalence)]["n"] = {"spun": share.n, "human": fpr[key].n}
    return out


def _masks(flags: Flags, rows: Bools, name_of: Callable[[Item], str | None]) -> dict[str, Bools]:
    names = np.array([name_of(i) or "" for i in flags.items])
    return {str(n): rows & (names == n) for n in np.unique(names[rows])} if rows.any() else {}


def summarise_system(
    whole: Judged,
    items: Sequence[Item],
    suite: Suite,
    texts: Ints | None = None,
    masses: Mapping[str, float] | None = None,
) -> Json:
    """Return everything a report says about one system, as plain JSON types.

    `texts`: numbers of those to report on (default: all), such as those that every system scored. The human texts that
    thresholds and ranks refer to stay all those that the system scored. `masses`: of tables in the model's recipe.
    """
    judged = whole if texts is None else whole.keep(np.isin(whole.scores.text, texts))
    flags = Flags(judged, items)
    everything: Bools = np.ones(len(flags.items), dtype=np.bool_)
    machine = ~flags.spun & (flags.label != "original")
    human_all = flags.label == "original"

    lengths = [band(b, suite.length_bands) for b in suite.length_bands]
    shares = [band(b, suite.share_bands, percent=True) for b in suite.share_bands]

    def table(i: Item) -> str:
        return i.document.table

    def tool(i: Item) -> str:
        return i.document.tool or "unknown"

    def length(i: Item) -> str:
        return band(i.words, suite.length_bands)

    def share(i: Item) -> str | None:
        return None if i.spun_share is None else band(i.spun_share, suite.share_bands, percent=True)

    least = suite.min_slice
    spun_sets = slices(flags, flags.spun, table, 0)
    human_sets = slices(flags, human_all, table, 0)
    out: Json = {
        "origin": judged.scores.origin,
        "model": judged.scores.model,
        "calibrated": judged.scores.calibrated,
        "operating_points": dict(judged.scores.points),
        "smallest_pool": judged.smallest_pool,
        "smallest_fpr": judged.smallest_fpr,
        "thresholds": list(flags.columns),
        "texts": {k: int(v) for k, v in sorted(Counter(flags.label[~flags.spun | flags.spun_once].tolist()).items())},
        "not_scored": int(np.sum(judged.scores.score == NOT_SCORED)) if judged.scores.calibrated else 0,
    }
    out["human"] = _slice("all human texts that may set thresholds", flags, flags.human)
    out["points_set_on_these_texts"] = _points_are_of_these_texts(judged)
    out["spun"] = _slice("all spun texts", flags, flags.spun_once) if flags.spun_once.any() else None
    nc = {i.document.table for i in flags.items if i.document.licence_nc}
    new_sets = _new_set_rates(judged, flags)
    out["human"]["threshold_without_set"] = new_sets.get("")
    for entry in human_sets:
        entry["in_thresholds"] = entry["set"] not in nc
        entry["threshold_without_set"] = new_sets.get(entry["set"])
    if flags.spun.any():
        out["overall"] = precision_and_f1(flags, suite.seed)
        fpr = flags.shares(flags.human)
        out["precision"] = at_prevalences(flags.shares(flags.spun_once), fpr)
        names = np.array([items[t].document.table for t in whole.scores.text])
        reported = np.isin(whole.scores.text, judged.scores.text)
        rows = {e["set"]: (names == e["set"]) & reported for e in spun_sets}
        rows[""] = np.logical_or.reduce([r for name, r in rows.items() if not name.endswith(MASKED_SUFFIX)])
        ranks = ranking(whole, items, rows, suite.seed)
        out["ranking"] = ranks.pop("")
        masks = _masks(flags, flags.spun, table)
        for entry in spun_sets:
            entry["ranking"] = ranks[entry["set"]]
            own = _unit_fpr(whole, flags, items, rows[entry["set"]])
            entry["precision"] = at_prevalences(flags.shares(masks[entry["set"]]), own)
    out["sets"] = {
        "spun": spun_sets,
        "human": human_sets,
        "machine_made": slices(flags, machine, table, 0) if machine.any() else [],
    }
    out["slices"] = {
        "spun": {
            "tool": slices(flags, flags.spun_once, tool, least),
            "domain": slices(flags, flags.spun_once, lambda i: i.domain, least),
            "length": slices(flags, flags.spun_once, length, 0, lengths),
            "share": slices(flags, flags.spun_once, share, 0, shares),
        },
        "human": {
            "writer": slices(flags, human_all, lambda i: i.writer, least),
            "domain": slices(flags, human_all, lambda i: i.domain, least),
            "length": slices(flags, human_all, length, 0, lengths),
        },
        "machine_made": {"tool": slices(flags, machine & everything, tool, least)},
    }
    tools, writers = _masks(flags, flags.spun_once, tool), _masks(flags, human_all, lambda i: i.writer)
    out["worst"] = {
        "tool": {k: worst(out["slices"]["spun"]["tool"], flags, tools, k, highest=False) for k in flags.columns},
        "writer": {k: worst(out["slices"]["human"]["writer"], flags, writers, k, highest=True) for k in flags.columns},
    }
    out["calibration"] = calibration(judged, items, suite.seed, masses)
    return out


def _points_are_of_these_texts(judged: Judged) -> bool:
    """Return whether the operating points were set on the very human texts that are reported on.

    So it is with held-out scores of our own model: `train.join` fits the points on all human texts that neither model
    saw. Their false-positive rates are then what was chosen, not what is to be expected.
    """
    return bool(judged.scores.points) and judged.scores.origin.startswith("file ")


def _new_set_rates(judged: Judged, flags: Flags) -> dict[str, Json]:
    """Return for each human table the share flagged at thresholds that no text of the table took part in.

    Under "": all of them together. Operating points that were set on these texts are set anew without the table, by the
    rule that set them.
    """
    columns: dict[str, Floats] = {}
    for target in FPR_TARGETS:
        if str(target) in flags.columns:
            columns[str(target)] = judged.flags(target, new_set=True)[1]
    masks = _masks(flags, flags.human, lambda i: i.document.table)
    if _points_are_of_these_texts(judged) and len(masks) > 1:
        columns |= _points_anew(judged, flags, masks)
    out: dict[str, Json] = {}
    for key, values in columns.items():
        for name, rows in {**masks, "": flags.human}.items():
            if rows.any():
                out.setdefault(name, {})[key] = share_json(clustered_share(values[rows], flags.groups[rows]))
    return out


def _points_anew(judged: Judged, flags: Flags, masks: Mapping[str, Bools]) -> dict[str, Floats]:
    """Return flags by text at operating points that were set on the human texts of all other tables."""
    from train.export import thresholds
    from train.join import SMALLEST_SET

    _, p = judged.by_text(judged.scores.score)
    odds = np.log(np.clip(p, 1e-12, 1 - 1e-12)) - np.log1p(-np.clip(p, 1e-12, 1 - 1e-12))
    tables = np.array([i.document.table for i in flags.items])
    out = {name: np.zeros(len(p)) for name in judged.scores.points}
    for own in masks.values():
        rest = flags.human & ~own & (p != NOT_SCORED)
        points, _ = thresholds(tables[rest], odds[rest], SMALLEST_SET)
        for name, threshold in points.items():
            if name in out:
                out[name][own] = p[own] >= threshold
    return out


def _unit_fpr(judged: Judged, flags: Flags, items: Sequence[Item], rows: Bools) -> dict[str, Share]:
    """Return the false-positive rates of the models that scored the rows of a spun set, on their own human texts."""
    units = np.unique(judged.scores.unit[rows])
    inside = judged.in_pool & np.isin(judged.scores.unit, units)
    texts = np.unique(judged.scores.text[inside])
    out = {}
    for key in flags.columns:
        p = judged.p_value[inside]
        if key in judged.scores.points:
            hits = (judged.scores.score[inside] >= judged.scores.points[key]).astype(np.float64)
        else:
            hits = (p <= float(key) * (1 + 1e-9)).astype(np.float64)  # the slack of `metrics.flagged`
        place = np.searchsorted(texts, judged.scores.text[inside])
        values = np.bincount(place, weights=hits) / np.bincount(place)
        out[key] = clustered_share(values, [items[t].document.group for t in texts])
    return out
