"""How much recall each attack costs and how many false alarms it raises, for the detector and for three baselines.

Every attacked text is compared with itself unattacked (paired), so the differences hold for the texts at hand even
where a system has seen them in training. Only the levels are flattered then: see `Sampled.held_out`.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector import SpinDetector, Verdict, __version__
from detector.errors import InputError
from eval.attacks import ATTACKS, Resources, attack
from eval.metrics import FPR_TARGETS, conformal_p_values, flagged, signature, wilson_interval
from eval.report import digest_tables, percent, table_lines
from eval.sampling import balanced_sample
from eval.systems import Association, Scorer, TfidfLogistic, TorturedPhrases, checked_scores
from train.corpora import Document, load_documents
from train.spinners.presets import Resources as SpinnerResources
from train.spinners.presets import make_spinner

log = logging.getLogger(__name__)

POINTS = ("strict", "balanced", "sensitive")
OURS = "detect-spin"
BASELINES = ("tortured", "association", "tfidf")
SECOND_SPINNER = "dictionary"  # fitted to no tool, so that it is another one than whatever spun the text first
FEWEST_FLAGGED = 20  # a share of fewer texts says nothing: its interval is wider than the whole scale
Json = dict[str, Any]
Flags = NDArray[np.bool_]
# Rows of (texts, flagged at each of POINTS); a judge says what a system flags.
Judge = Callable[[Sequence[str]], NDArray[np.bool_]]


@dataclass(frozen=True)
class Sizes:
    """`spun`, `human`: texts attacked. `words`: texts are cut after so many, and shorter than `fewest` left out.

    `pool`: human texts that set the baselines' thresholds (0.1 % needs 999). `train_rows`: of each table, what the
    baselines are trained on; neither shares a group with the attacked texts.
    """

    spun: int = 200
    human: int = 400
    words: int = 300
    fewest: int = 100
    pool: int = 1200
    train_rows: int = 200
    seed: int = 20220119


@dataclass(frozen=True)
class Sampled:
    """What is attacked and what the baselines may learn from. `held_out`: the model has not seen `spun` and `human`."""

    spun: list[Document]
    human: list[Document]
    pool: list[Document]
    train: list[Document]
    held_out: bool = False


def draw(documents: Sequence[Document], sizes: Sizes, held_out: bool = False) -> Sampled:
    """Return the texts of a run; sets of one group are disjoint from each other.

    Raises:
        InputError: there are no spun or no human texts of that length.
    """
    spun, human = (
        balanced_sample(documents, label, count, sizes.seed, longest=sizes.words, fewest=sizes.fewest)
        for label, count in (("spun", sizes.spun), ("original", sizes.human))
    )
    if not spun or not human:
        raise InputError(f"no {'human' if spun else 'spun'} texts of {sizes.fewest} words or more in the tables")
    taken = {d.group for d in (*spun, *human)}
    free = [d for d in documents if d.group not in taken and not d.licence_nc]
    # Of few human texts, half are left to train the baselines on.
    count = min(sizes.pool, sum(d.label == "original" for d in free) // 2)
    pool = balanced_sample(free, "original", count, sizes.seed, longest=sizes.words, fewest=sizes.fewest)
    taken = {d.group for d in pool}
    train: list[Document] = []
    for label in dict.fromkeys(d.label for d in free):
        tables = len({d.table for d in free if d.label == label})
        train += balanced_sample(
            free, label, sizes.train_rows * tables, sizes.seed, longest=sizes.words, taken=taken
        )  # fmt: skip
    return Sampled(spun, human, pool, train, held_out)


def our_judge(model: str | Path | None, workers: int = 1) -> tuple[Judge, str]:
    """Return the judge of a model at its own thresholds, and the model's id. A text not scored is not flagged."""
    detectors = [SpinDetector.load(model, operating_point=point) for point in POINTS]
    thresholds = np.array([d.threshold for d in detectors])

    def judge(texts: Sequence[str]) -> Flags:
        results = detectors[0].score_batch(texts, workers=workers)
        found = [-1.0 if r.verdict is Verdict.NOT_SCORED else float(r.probability or 0.0) for r in results]
        return np.asarray(np.array(found)[:, None] >= thresholds, dtype=np.bool_)

    return judge, detectors[0].model_id


def baseline_judge(name: str, scorer: Scorer, pool: Sequence[str]) -> Judge:
    """Return the judge of a scorer, flagging at the thresholds of 0.1, 1 and 5 % of the pool (split conformal)."""
    human = checked_scores(scorer, pool, name)

    def judge(texts: Sequence[str]) -> Flags:
        p_values = conformal_p_values(human, checked_scores(scorer, texts, name))
        return np.column_stack([flagged(p_values, target) for target in FPR_TARGETS])

    return judge


def baseline_judges(data: Path, sampled: Sampled, names: Sequence[str], seed: int) -> dict[str, Judge]:
    """Return the baselines of eval/systems.py, fitted on `sampled.train` with thresholds from `sampled.pool`."""
    pool = [d.text for d in sampled.pool]
    judges: dict[str, Judge] = {}
    for name in names:
        if name == "tfidf":
            tfidf = TfidfLogistic()
            judges[name] = _forgetful(baseline_judge(name, tfidf.fit(sampled.train, seed), pool), tfidf._counts)
        else:
            system = TorturedPhrases(data) if name == "tortured" else Association()
            judges[name] = baseline_judge(name, system.fit(sampled.train, seed), pool)
    return judges


def _forgetful(judge: Judge, kept: dict[str, Any]) -> Judge:
    """Return the judge without the memory of texts that it will not see again."""

    def judge_and_forget(texts: Sequence[str]) -> Flags:
        found = judge(texts)
        kept.clear()
        return found

    return judge_and_forget


def ratio_interval(both: int, first_only: int, second_only: int) -> tuple[float, float, float]:
    """Return the ratio of two shares of the same texts, second over first, with a 95 % interval.

    Texts with the property in both runs, in the first only, in the second only. Hybrid Wilson interval for paired
    data (Bonett and Price 2006, Statistics in Medicine 25:3039-3047), which stays honest where no text changes. nan
    where no text has the property in the first run.
    """
    first, second, total = both + first_only, both + second_only, both + first_only + second_only
    if first == 0:
        return math.nan, math.nan, math.nan
    p1, p2 = (first + 1) / (total + 2), (second + 1) / (total + 2)
    joint = math.sqrt((first_only + second_only + 2) / ((first + 1) * (second + 1)))
    apart = math.sqrt((1 - p1) / (first + 1)) + math.sqrt((1 - p2) / (second + 1))
    z = 1.959963984540054 * joint / apart  # 97.5 % quantile of the normal distribution
    (low1, high1), (low2, high2) = (_wilson(x, total, z) for x in (first, second))
    return second / first, low2 / high1, high2 / low1


def _wilson(successes: int, n: int, z: float) -> tuple[float, float]:
    centre = (successes + z**2 / 2) / (n + z**2)
    half = z * math.sqrt(successes * (1 - successes / n) + z**2 / 4) / (n + z**2)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def _share(successes: int, n: int) -> Json:
    low, high = wilson_interval(successes, n)
    return {"value": successes / n, "low": low, "high": high, "n": n}


def compare(before: Flags, after: Flags) -> list[Json]:
    """Return for each operating point the shares flagged before and after, their ratio, and what was newly flagged."""
    rows = []
    for old, new in zip(before.T, after.T, strict=True):
        both, lost, gained = (int(np.sum(x)) for x in (old & new, old & ~new, ~old & new))
        value, low, high = ratio_interval(both, lost, gained) if both + lost >= FEWEST_FLAGGED else (math.nan,) * 3
        untouched = len(old) - both - lost
        rows.append(
            {
                "before": _share(both + lost, len(old)),
                "after": _share(both + gained, len(old)),
                "kept": None if math.isnan(value) else {"value": value, "low": low, "high": high, "n": both + lost},
                "newly_flagged": _share(gained, untouched) if untouched else None,
            }
        )
    return rows


def run(
    data: Path,
    model: str | Path | None,
    sizes: Sizes,
    *,
    attacks: Sequence[str] = (),
    baselines: Sequence[str] = BASELINES,
    tables: Sequence[str] | None = None,
    held_out: bool = False,
    workers: int = 1,
) -> Json:
    """Attack the sample and return the comparison as plain JSON types. Same data, model and sizes, same numbers.

    Raises:
        InputError: the tables hold no spun or human texts that are long enough, or there is no such attack.
    """
    if unknown := [a for a in attacks if a not in ATTACKS]:
        raise InputError(f"unknown attack {', '.join(unknown)}; known: {', '.join(ATTACKS)}")
    documents = load_documents(data)
    names = {d.table for d in documents}
    attacked = [d for d in documents if tables is None or d.table in tables or d.label not in ("spun", "original")]
    if tables and (missing := sorted(set(tables) - names)):
        raise InputError(f"no table {', '.join(missing)} in {data}; existing: {', '.join(sorted(names))}")
    sampled = draw(attacked, sizes, held_out) if tables is None else _draw_from(attacked, documents, sizes, held_out)
    ours, model_id = our_judge(model, workers)
    judges = {OURS: ours, **baseline_judges(data, sampled, baselines, sizes.seed)}
    spinner = make_spinner(SECOND_SPINNER, SpinnerResources(data))
    resources = Resources(tuple(d.text for d in sampled.pool), spinner)
    texts = {"spun": [d.text for d in sampled.spun], "human": [d.text for d in sampled.human]}
    before = {(s, kind): judge(rows) for s, judge in judges.items() for kind, rows in texts.items()}
    found: Json = {}
    for name in attacks or ATTACKS:
        started = time.perf_counter()
        found[name] = {"about": ATTACKS[name].about, "changed": {}, "systems": {s: {} for s in judges}}
        for kind, rows in texts.items():
            if kind == "human" and not ATTACKS[name].keeps_label:
                continue
            changed = [attack(name, text, sizes.seed, resources) for text in rows]
            found[name]["changed"][kind] = sum(a != b for a, b in zip(rows, changed, strict=True))
            for system, judge in judges.items():
                outcome = compare(before[system, kind], judge(changed))
                found[name]["systems"][system][kind] = dict(zip(POINTS, outcome, strict=True))
        log.info("%s: %.1f s", name, time.perf_counter() - started)
    return {
        "schema": 1,
        "model": model_id,
        "held_out": sampled.held_out,
        "sizes": {**vars(sizes), "spun": len(sampled.spun), "human": len(sampled.human), "pool": len(sampled.pool)},
        "tables": {k: _counts(d) for k, d in (("spun", sampled.spun), ("human", sampled.human))},
        "points": {p: t for p, t in zip(POINTS, FPR_TARGETS, strict=True)},
        "without": {
            s: {kind: dict(zip(POINTS, compare(f := before[s, kind], f), strict=True)) for kind in texts}
            for s in judges
        },
        "attacks": found,
        "signature": signature(
            model=model_id,
            data=digest_tables(data, sorted(names)),
            protocol="attacks-paired" + ("" if sampled.held_out else "-in-sample"),
            fpr="as-shipped",
            n=f"{len(sampled.spun)}+{len(sampled.human)}",
            words=sizes.words,
            seed=sizes.seed,
            v=__version__,
        ),
    }


def _draw_from(attacked: Sequence[Document], documents: Sequence[Document], sizes: Sizes, held_out: bool) -> Sampled:
    """Attack texts of the named tables only; pool and training of the baselines come from all the others."""
    chosen = draw(attacked, sizes, held_out)
    taken = {d.group for d in (*chosen.spun, *chosen.human)}
    rest = draw([d for d in documents if d.group not in taken], sizes)
    return Sampled(chosen.spun, chosen.human, rest.pool, rest.train, held_out)


def _counts(documents: Sequence[Document]) -> Mapping[str, int]:
    tables = sorted({d.table for d in documents})
    return {table: sum(d.table == table for d in documents) for table in tables}


# --- the report ---

_IN_SAMPLE = (
    "**Not held out.** The model was trained on most of these texts and its thresholds were set on human texts among "
    "them; the baselines were trained on other texts. So the levels, *without an attack*, flatter the model and are no "
    "comparison of systems. What each loses and gains under an attack is paired: the same texts, with and without."
)
_HELD_OUT = "The model was trained without these texts, by the word of who ran this (`--held-out`)."
_READING = """\
*Recall kept*: share of spun texts flagged under the attack, relative to the share without it; 95 % interval for a
ratio of paired shares (Bonett and Price 2006), above 100 where the attack adds flags; – where fewer than {fewest}
texts were flagged without it, n being how many were. *Newly flagged*: share of the human texts flagged under the attack
among those that were not without it, 95 % Wilson interval. One text a group, so that texts are independent. A text
that a system refuses to score counts as not flagged. Ours at the thresholds of its operating points; baselines at
thresholds for 0.1, 1 and 5 % of {pool} other human texts."""


def _cell(entry: Json | None) -> str:
    if entry is None:
        return "–"
    value, low, high = (100 * entry[k] for k in ("value", "low", "high"))
    return f"{value:.1f} ({low:.1f}–{high:.1f})"


def to_markdown(result: Json) -> str:
    """Return the comparison as Markdown."""
    systems, sizes = list(result["without"]), result["sizes"]
    lines = [
        f"# {result['model']} under attack",
        "",
        _HELD_OUT if result["held_out"] else _IN_SAMPLE,
        "",
        f"{sizes['spun']} spun texts of {len(result['tables']['spun'])} tables and {sizes['human']} human texts of "
        f"{len(result['tables']['human'])}, as many of each as there are, {sizes['fewest']} words or more, cut after "
        f"{sizes['words']} words. " + _READING.format(pool=f"{sizes['pool']:,}", fewest=FEWEST_FLAGGED),
        "",
        f"`{result['signature']}`",
        "",
        "![Recall kept and false alarms under each attack](robustness.png)",
        "",
    ]
    for point in POINTS:
        target = percent(result["points"][point])
        lines += [f"## At {point} ({target})", "", f"### Spun: recall kept, %; n = {sizes['spun']}", ""]
        first = [
            "*flagged without an attack*",
            "",
            *(_cell(result["without"][s]["spun"][point]["before"]) for s in systems),
        ]
        rows = [first]
        for name, entry in result["attacks"].items():
            found = [entry["systems"][s]["spun"][point]["kept"] for s in systems]
            rows.append([name, str(entry["changed"]["spun"]), *map(_cell, found)])
        flagged_n = [f"{s}, n = {round(r['value'] * r['n'])}" for s, r in _before(result, "spun", point)]
        lines += table_lines(["attack", "texts changed", *flagged_n], rows)
        lines += [f"### Human: newly flagged, %; n = {sizes['human']}", ""]
        rows = [["*flagged without an attack*", "", *(_cell(r) for _, r in _before(result, "human", point))]]
        for name, entry in result["attacks"].items():
            if "human" in entry["changed"]:
                found = [entry["systems"][s]["human"][point]["newly_flagged"] for s in systems]
                rows.append([name, str(entry["changed"]["human"]), *map(_cell, found)])
        flagged_n = [f"{s}, n = {r['n'] - round(r['value'] * r['n'])}" for s, r in _before(result, "human", point)]
        lines += table_lines(["attack", "texts changed", *flagged_n], rows)
    lines += ["## The attacks", "", *(f"- `{name}`: {entry['about']}." for name, entry in result["attacks"].items())]
    return "\n".join(lines) + "\n"


def _before(result: Json, kind: str, point: str) -> list[tuple[str, Json]]:
    return [(s, result["without"][s][kind][point]["before"]) for s in result["without"]]


def write(result: Json, out: Path) -> list[Path]:
    """Write metrics.json, report.md and robustness.png into the folder `out` (made if missing); return their paths."""
    from eval.robustness_plot import draw_plot

    out.mkdir(parents=True, exist_ok=True)
    paths = [out / "metrics.json", out / "report.md", out / "robustness.png"]
    paths[0].write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    paths[1].write_text(to_markdown(result), encoding="utf-8")
    draw_plot(result, "balanced", paths[2])
    return paths
