"""Whether probabilities mean what they say: ECE, Brier score, reliability diagram, in mixes of texts that are stated.

A probability is calibrated for one mix of texts and no other; asked of another mix, the same numbers are off without
any fault of theirs. All mixes here are half spun and half not (the `prevalence` that the recipe states); within a half:

- `recipe`: tables weigh as in the recipe that the model was trained by (`[mass]` in train/recipes/screen.toml, where
  `train.join.article_weights` takes them from). This is the mix that its probabilities are stated for.
- `sets`: every table weighs the same.
- `texts`: every text weighs the same, so the largest table decides.

Not spun: human, machine-translated and model-written texts. Copies with the search phrase cut out are left out, for
the same articles are there already, and texts that the system declined to score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.judging import NOT_SCORED, Judged
from eval.metrics import (
    Floats,
    brier_score,
    clustered_share,
    equal_mass_bins,
    expected_calibration_error,
    group_draws,
    wilson_interval,
)
from eval.protocols import MASKED_SUFFIX
from eval.suite import Item
from train.corpora import Document

RESAMPLES = 200  # each sorts all texts; the bounds are quoted to two digits
PRIOR = 0.5  # share of spun texts for which the model states its probabilities (config.json, calibration)
BINS = 15  # of the reliability diagram and of ECE
OTHER_MASS = 0.2  # of a table that the recipe does not name, as in train.join.article_weights
MIXES: Mapping[str, str] = {
    "recipe": "sets weigh as in the recipe that the model was trained by",
    "texts": "every text weighs the same",
    "sets": "every set weighs the same",
}
Json = dict[str, Any]
Bools = NDArray[np.bool_]


def mix_weights(tables: NDArray[np.str_], spun: Bools, mass: Callable[[str, int], float]) -> Floats:
    """Return the weight of each text, sum 1, half of it on the spun ones; `mass`: of a table of so many texts."""
    names, number, counts = np.unique(tables, return_inverse=True, return_counts=True)
    by_table = [mass(str(n), int(c)) / c for n, c in zip(names, counts, strict=True)]
    return _halved(np.array(by_table)[number], spun)


def _halved(weights: Floats, spun: Bools) -> Floats:
    sides = np.where(spun, weights[spun].sum(), weights[~spun].sum())
    return np.asarray(weights * np.where(spun, PRIOR, 1 - PRIOR) / sides, dtype=np.float64)


def _mixes(tables: NDArray[np.str_], spun: Bools, masses: Mapping[str, float] | None) -> dict[str, Floats]:
    mixes: dict[str, Callable[[str, int], float]] = {}
    if masses is not None:
        mixes["recipe"] = lambda name, _: masses.get(name, OTHER_MASS)
    mixes |= {"texts": lambda _, count: float(count), "sets": lambda _, __: 1.0}
    return {name: mix_weights(tables, spun, mass) for name, mass in mixes.items()}


def calibration(judged: Judged, items: Sequence[Item], seed: int, masses: Mapping[str, float] | None) -> Json | None:
    """Return the calibration of a system that states probabilities, in every mix; None for others.

    `masses`: weights of tables in the recipe of the model; None where there is none: the texts' own mix comes first.
    """
    if not judged.scores.calibrated:
        return None
    texts, p = judged.by_text(judged.scores.score)
    _, unscored = judged.by_text((judged.scores.score == NOT_SCORED).astype(np.float64))
    documents = [items[t].document for t in texts]
    kept = (unscored == 0) & np.array([not d.licence_nc and not d.table.endswith(MASKED_SUFFIX) for d in documents])
    documents = [d for d, k in zip(documents, kept, strict=True) if k]
    p, spun = p[kept], np.array([d.label == "spun" for d in documents], dtype=np.bool_)
    if not spun.any() or spun.all():
        return None
    y = spun.astype(np.float64)
    groups = np.unique([d.group for d in documents], return_inverse=True)[1].astype(np.int64)
    tables = set_names(documents)
    mixes = _mixes(tables, spun, masses)
    main = next(iter(mixes))
    out: Json = {"prior": PRIOR, "bins": BINS, "mix": main, "mixes": {}}
    for name, weights in mixes.items():
        out["mixes"][name] = _scores(p, y, weights, groups, seed)
    out |= out["mixes"][main]
    out["diagram"] = diagram(p, y, mixes[main], groups)
    out["sets"] = []
    for table in sorted(set(tables.tolist())):
        own = tables == table
        mean = clustered_share(p[own], groups[own])
        entry: Json = {
            "set": table,
            "texts": int(own.sum()),
            "spun": bool(spun[own][0]),
            "mean": {"value": mean.value, "low": mean.low, "high": mean.high, "n": mean.n},
            "brier": float(np.mean((p[own] - y[own]) ** 2)),
        }
        if entry["spun"]:
            rows = own | ~spun
            alone = _halved(np.where(own, 1.0, mixes[main])[rows], spun[rows])
            entry["against_rest"] = _scores(p[rows], y[rows], alone, groups[rows], seed)
        out["sets"].append(entry)
    return out


def set_names(documents: Sequence[Document]) -> NDArray[np.str_]:
    """Return the set of each text: its table, in two where a table holds spun texts and others."""
    sides = {(d.table, d.label == "spun") for d in documents}
    mixed = {table for table, spun in sides if (table, not spun) in sides}
    side = {True: "spun", False: "not spun"}
    return np.array([f"{d.table} ({side[d.label == 'spun']})" if d.table in mixed else d.table for d in documents])


def _scores(p: Floats, y: Floats, weights: Floats, groups: NDArray[np.int64], seed: int) -> Json:
    """Return ECE and Brier score with bootstrap intervals over groups; each resample keeps the halves."""
    functions: dict[str, Callable[[Floats], float]] = {
        "ece": lambda w: expected_calibration_error(p, y, w, BINS),
        "brier": lambda w: brier_score(p, y, w),
    }
    codes = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    drawn: dict[str, list[float]] = {k: [] for k in functions}
    for count in group_draws(codes, int(codes.max()) + 1, RESAMPLES, seed):
        w = count * weights
        if w[y == 1].sum() > 0 and w[y == 0].sum() > 0:
            w = _halved(w, y == 1)
            for k, f in functions.items():
                drawn[k].append(f(w))
    out: Json = {}
    for k, f in functions.items():
        value = f(weights)
        a, b = np.quantile(drawn[k], [0.025, 0.975])
        out[k] = {"value": value, "low": min(float(a), value), "high": max(float(b), value), "n": len(p)}
    return out


def diagram(p: Floats, y: Floats, weights: Floats, groups: NDArray[np.int64]) -> list[Json]:
    """Return the bins of the reliability diagram, with intervals that know weights and groups."""
    number = equal_mass_bins(p, weights, BINS)
    out = []
    for bin_number in np.unique(number):
        inside = number == bin_number
        w, own = weights[inside], y[inside]
        mass = float(w.sum())
        # Rounding of the weighted mean may leave [0, 1] by 1e-17.
        observed = min(max(float(np.average(own, weights=w)), 0.0), 1.0)
        # Kish's effective size of weighted rows, made smaller by what rows of one group have in common: their weighted
        # deviations are summed before they are squared (the variance of a ratio over clusters).
        effective = mass**2 / float((w**2).sum())
        codes = np.unique(groups[inside], return_inverse=True)[1]
        together = float((np.bincount(codes, weights=w) ** 2).sum())
        deviations = np.bincount(codes, weights=w * (own - observed))
        clusters = len(deviations)
        variance = float((deviations**2).sum()) / mass**2 * clusters / max(clusters - 1, 1)
        if variance > 0:
            effective = min(effective, observed * (1 - observed) / variance)
        else:
            effective = min(effective, mass**2 / together)
        low, high = wilson_interval(observed * effective, effective)
        out.append(
            {
                "probability": float(np.average(p[inside], weights=w)),
                "observed": observed,
                "low": low,
                "high": high,
                "n": int(inside.sum()),
                "mass": mass,
            }
        )
    return out
