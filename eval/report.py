"""Outcomes of a protocol -> one plain JSON document -> Markdown. Numbers and names of sets, never text of the data."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from detector import __version__
from eval.metrics import (
    AUPRC_PREVALENCE,
    FPR_TARGETS,
    PARTIAL_FPR,
    PREVALENCES,
    RANKING_MEASURES,
    Share,
    bootstrap_interval,
    clustered_share,
    flagged,
    precision_interval,
    signature,
    smallest_reachable_fpr,
)
from eval.protocols import MASKED_SUFFIX, Outcome, Round, Scores, Settings, judge
from train.corpora import Document

SCHEMA_VERSION = 1
RESAMPLES = 1000
SMALL_SET = (
    100  # texts below which a rate of 1 % means one text or none: flagged in the tables, not eligible as worst set
)
Json = dict[str, Any]


def percent(target: float) -> str:
    """Return a rate as it is written in tables.

    >>> percent(0.001), percent(0.05)
    ('0.1 %', '5 %')
    """
    return f"{100 * target:g} %"


def digest_tables(data: Path, tables: Iterable[str]) -> str:
    """Return 12 hex digits over the names and bytes of the tables."""
    total = hashlib.sha256()
    for table in sorted(tables):
        total.update(f"{table}\0".encode())
        total.update(hashlib.sha256((data / f"{table}.parquet").read_bytes()).digest())
    return total.hexdigest()[:12]


def _share(share: Share) -> Json:
    return {"value": share.value, "low": share.low, "high": share.high}


def _precision(recall: Share, fpr: Share, prevalence: float) -> Json:
    """Return precision with its interval; None where nothing is flagged, so that there is no precision."""
    values = precision_interval(recall, fpr, prevalence)
    return {k: None if math.isnan(v) else v for k, v in zip(("value", "low", "high"), values, strict=True)}


def _rates(outcomes: Sequence[Outcome], documents: Sequence[Document], attribute: str = "p_value") -> dict[str, Share]:
    """Return the flagged share at each target rate; a text scored by several models counts once, with its mean."""
    by_text: dict[int, list[float]] = {}
    for outcome in outcomes:
        by_text.setdefault(outcome.index, []).append(getattr(outcome, attribute))
    groups = [documents[i].group for i in by_text]
    return {
        str(target): clustered_share([float(np.mean(flagged(p, target))) for p in by_text.values()], groups)
        for target in FPR_TARGETS
    }


def _set(name: str, rates: Mapping[str, Share]) -> Json:
    first = next(iter(rates.values()))
    return {"set": name, "texts": first.n, "groups": first.groups, "small": first.n < SMALL_SET}


def _spun_set(
    name: str, outcomes: Sequence[Outcome], fpr: Mapping[str, Share], documents: Sequence[Document], seed: int
) -> Json:
    recall = _rates(outcomes, documents)
    low = np.array([o.rank_low for o in outcomes])
    high = np.array([o.rank_high for o in outcomes])
    groups = [documents[o.index].group for o in outcomes]
    ranking = {}
    for measure, function in RANKING_MEASURES.items():
        bounds = bootstrap_interval(function, low, high, groups, seed, RESAMPLES)
        ranking[measure] = {"value": function(low, high, None), "low": bounds[0], "high": bounds[1]}
    precision = {
        target: {str(prevalence): _precision(share, fpr[target], prevalence) for prevalence in PREVALENCES}
        for target, share in recall.items()
    }
    return {
        **_set(name, recall),
        "left_out": outcomes[0].left_out,
        "recall": {t: _share(s) for t, s in recall.items()},
        "precision": precision,
        **ranking,
    }


def summarise_system(
    rounds: Sequence[Round], scores: Sequence[Scores], documents: Sequence[Document], settings: Settings
) -> Json:
    """Return everything the report says about one system, as plain JSON types."""
    outcomes: list[Outcome] = []
    smallest_half: int | None = None
    for one, values in zip(rounds, scores, strict=True):
        found, halves = judge(one, values, documents, settings)
        outcomes += found
        smallest_half = min(halves) if smallest_half is None else min(smallest_half, *halves)
    by_table: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_table.setdefault(documents[outcome.index].table, []).append(outcome)

    left_outs = list(dict.fromkeys(o.left_out for o in outcomes))
    fpr = {x: _rates([o for o in outcomes if o.in_pool and o.left_out == x], documents) for x in left_outs}
    pooled = _rates([o for o in outcomes if o.in_pool], documents)

    spun, human, other = [], [], []
    for table in sorted(by_table):
        rows = by_table[table]
        label = documents[rows[0].index].label
        if label == "spun":
            spun.append(_spun_set(table, rows, fpr[rows[0].left_out], documents, settings.seed))
            continue
        rates = _rates(rows, documents)
        entry = {**_set(table, rates), "label": label, "flagged": {t: _share(s) for t, s in rates.items()}}
        if label != "original":
            other.append(entry)
            continue
        in_pool = all(o.in_pool for o in rows)
        entry["in_thresholds"] = in_pool
        if in_pool:
            new = _rates(rows, documents, "p_value_new_set")
            entry["flagged_threshold_without_set"] = {t: _share(s) for t, s in new.items()}
        human.append(entry)
    return {
        "smallest_half": smallest_half,
        "human_pooled": {
            **_set("all human sets in thresholds", pooled),
            "flagged": {t: _share(s) for t, s in pooled.items()},
        },
        "human_pooled_by_left_out": {
            x or "none": {t: _share(s) for t, s in shares.items()} for x, shares in fpr.items()
        },
        "spun": spun,
        "human": human,
        "machine_made": other,
        "worst_human_set": {str(t): worst_human_set(human, str(t)) for t in FPR_TARGETS},
    }


def worst_human_set(human: Sequence[Json], target: str) -> str | None:
    """Return the name of the human set flagged most at this target among those of `SMALL_SET` texts or more."""
    large = [h for h in human if not h["small"]]
    return str(max(large, key=lambda h: (h["flagged"][target]["value"], h["set"]))["set"]) if large else None


def summarise(
    name: str,
    protocol: str,
    systems: Mapping[str, Sequence[Scores]],
    rounds: Sequence[Round],
    documents: Sequence[Document],
    settings: Settings,
    data_digest: str,
) -> Json:
    """Return the whole report as plain JSON types. `systems`: the scores of each round, by system."""
    results: dict[str, Json] = {}
    for system, scores in systems.items():
        results[system] = summarise_system(rounds, scores, documents, settings)
        results[system]["signature"] = signature(
            system=system,
            model="one-per-round",
            data=data_digest,
            protocol=protocol,
            fpr="+".join(percent(t).replace(" ", "") for t in FPR_TARGETS),
            n=len({i for one in rounds for i in one.pool + one.others}),
            pool=settings.pool_rows,
            train=settings.train_rows,
            folds=settings.folds,
            bs=RESAMPLES,
            seed=settings.seed,
            v=__version__,
        )
    half = min(r["smallest_half"] for r in results.values())
    return {
        "schema": SCHEMA_VERSION,
        "name": name,
        "protocol": protocol,
        "data": data_digest,
        "version": __version__,
        "settings": asdict(settings),
        "libraries": {
            "python": platform.python_version(),
            **{p: metadata.version(p) for p in ("numpy", "scikit-learn")},
        },
        "rounds": [
            {
                "left_out": one.left_out or None,
                "fold": one.fold,
                "train_texts": len(one.train),
                "train_spun": sum(documents[i].label == "spun" for i in one.train),
                "human_texts": len(one.pool),
                "human_sets": sorted({documents[i].table for i in one.pool}),
            }
            for one in rounds
        ],
        "smallest_half": half,
        "smallest_fpr": smallest_reachable_fpr(half),
        "systems": results,
    }


def cell(entry: Json, digits: int = 1) -> str:
    """Return a share as percent with its interval, or a dash where there is none."""
    values = [entry[k] for k in ("value", "low", "high")]
    if any(v is None for v in values):
        return "–"
    text = [f"{100 * v:.{digits}f}" for v in values]
    return f"{text[0]} ({text[1]}–{text[2]})"


def table_lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table, first column left, others right, and an empty line."""
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def _mark(entry: Json) -> str:
    return f"{entry['set']} †" if entry["small"] else str(entry["set"])


def _reachable(report: Json) -> list[str]:
    return [str(t) for t in FPR_TARGETS if report["smallest_fpr"] <= t]


HOW_TO_READ = {
    "leave-one-tool-out": """\
Each spun set was scored by models that saw **no output of its tool family** in training: SpinBot (`spinbot_*`,
`paired_openings`), QuillBot (`quillbot_pairs`; `paired_openings`, of which some look like QuillBot, is then left
out of training as well), and the wild ones (`wild`, `finance_glossary`, `glossary_more`, `paired_paragraphs`).
Families are collections: which engine stands behind a page found in the wild is unknown, and some of those of 2022
may well be SpinBot's. Read the wild sets as *pages never seen*, not as surely a tool never seen.""",
    "known-tool": """\
Each spun set was scored by models that saw **other articles of the same tool** in training, and none that shares an
original, a title or a page with it. This is the estimate for new articles by known tools.""",
}
HUMAN_TEXTS = """\
Human texts were held out by writer: the thirteen small sets each wholly in one fold, `us_news` by outlet,
`dailymail` (one outlet) by article. `students_gulf`, which answers the questions of `quillbot_pairs`, stays in
training as human text whenever it is not in the held-out fold, also when QuillBot is left out. `learner_essays` is
licensed for non-commercial use: scored only, in no training and in no threshold. {copies}

Thresholds belong to one model and one half of its held-out human texts; a text is judged by the half that it is not
in, so every false-positive rate below is measured on texts that did not set the threshold. *Threshold without this
set*: the same with the set's other texts taken out of the threshold as well, as for writers of a kind not met before.

Cells: percent with the 95 % interval. Shares: Wilson, at the effective sample size where texts share an original.
Ranking measures: bootstrap over groups; AUPRC in a stream of which {prevalence} is spun; pAUC: area up to {partial}
false positives, 50 is chance. Precision: from both intervals, worst and best corner. † fewer than {small} texts: a
rate there says little. `wild{suffix}`: passages of `wild` with the phrase that they were found by cut out (they were
found by searching for known phrases, which flatters detectors that know them)."""


def _comparison(report: Json, names: Sequence[str], targets: Sequence[str]) -> list[str]:
    lines: list[str] = []
    systems = report["systems"]
    for target in targets:
        lines += [f"### At {percent(float(target))} false positives", ""]
        rows = []
        for position, entry in enumerate(systems[names[0]]["spun"]):
            cells = [cell(systems[n]["spun"][position]["recall"][target]) for n in names]
            rows.append([f"recall {_mark(entry)}", str(entry["texts"]), *cells])
        human = systems[names[0]]["human_pooled"]
        rows.append(
            [
                "false positives, human pooled",
                str(human["texts"]),
                *(cell(systems[n]["human_pooled"]["flagged"][target], 2) for n in names),
            ]
        )
        worst = []
        for n in names:
            name = systems[n]["worst_human_set"][target]
            found = next((h for h in systems[n]["human"] if h["set"] == name), None)
            worst.append(f"{name.split('/')[-1]} {100 * found['flagged'][target]['value']:.1f}" if found else "–")
        rows.append(["worst human set", "", *worst])
        lines += table_lines(["", "texts", *names], rows)
    lines += ["### Area under the ROC curve", ""]
    rows = [
        [_mark(entry), str(entry["texts"]), *(cell(systems[n]["spun"][position]["auroc"]) for n in names)]
        for position, entry in enumerate(systems[names[0]]["spun"])
    ]
    return [*lines, *table_lines(["", "texts", *names], rows)]


def _system(name: str, result: Json, targets: Sequence[str]) -> list[str]:
    heads = [percent(float(t)) for t in targets]
    lines = [f"## {name}", "", f"`{result['signature']}`", "", "### Spun sets: recall at false positives of", ""]
    lines += table_lines(
        [
            "set",
            "texts",
            "groups",
            *heads,
            "AUROC",
            f"AUPRC, {percent(AUPRC_PREVALENCE)} spun",
            f"pAUC, {percent(PARTIAL_FPR)}",
        ],
        [
            [_mark(s), str(s["texts"]), str(s["groups"])]
            + [cell(s["recall"][t]) for t in targets]
            + [cell(s[m]) for m in RANKING_MEASURES]
            for s in result["spun"]
        ],
    )
    for target in targets:
        lines += [f"### Precision at {percent(float(target))} false positives, by share of spun articles", ""]
        lines += table_lines(
            ["set", *(percent(p) for p in PREVALENCES)],
            [[_mark(s), *(cell(s["precision"][target][str(p)]) for p in PREVALENCES)] for s in result["spun"]],
        )
    lines += ["### Human sets: flagged at", ""]
    rows = []
    for h in [result["human_pooled"], *result["human"]]:
        new = h.get("flagged_threshold_without_set")
        rows.append(
            [
                _mark(h) + ("" if h.get("in_thresholds", True) else " (NC, in no threshold)"),
                str(h["texts"]),
                *(cell(h["flagged"][t], 2) for t in targets),
                *(cell(new[t], 2) if new else "–" for t in targets),
            ]
        )
    lines += table_lines(["set", "texts", *heads, *(f"{x}, threshold without this set" for x in heads)], rows)
    worst = ", ".join(f"{result['worst_human_set'][t]} at {percent(float(t))}" for t in targets)
    lines += [f"Worst human set of {SMALL_SET} texts or more: {worst}.", ""]
    lines += ["### Machine-translated and model-rewritten, never spun: flagged at", ""]
    return lines + table_lines(
        ["set", "texts", *heads],
        [[_mark(o), str(o["texts"]), *(cell(o["flagged"][t]) for t in targets)] for o in result["machine_made"]],
    )


def to_markdown(report: Json) -> str:
    """Return the report as Markdown: how to read it, all systems side by side, then each in full."""
    names = list(report["systems"])
    targets = _reachable(report)
    left = [percent(t) for t in FPR_TARGETS if str(t) not in targets]
    lines = [f"# {report['name']}: {report['protocol']}", "", HOW_TO_READ[report["protocol"]], ""]
    dropped = "Copies and near-copies were removed before splitting, so were texts close to the five seed articles."
    copies = (
        dropped if report["settings"]["deduplicated"] else "**Copies and near-copies were not removed (quick run).**"
    )
    texts = {"copies": copies, "prevalence": percent(AUPRC_PREVALENCE), "partial": percent(PARTIAL_FPR)}
    lines += [HUMAN_TEXTS.format(small=SMALL_SET, suffix=MASKED_SUFFIX, **texts), ""]
    lines.append(
        f"The smallest half of a human pool has {report['smallest_half']:,} texts and can set thresholds down to "
        f"{100 * report['smallest_fpr']:.3f} % false positives."
        + (f" **{' and '.join(left)} cannot be measured with so few and is left out.**" if left else "")
    )
    lines += ["", "## Side by side", "", *_comparison(report, names, targets)]
    for name in names:
        lines += _system(name, report["systems"][name], targets)
    lines += ["## Rounds", ""]
    lines += table_lines(
        ["left out", "fold", "texts in training", "of these spun", "human texts held out", "sets held out"],
        [
            [
                one["left_out"] or "–",
                str(one["fold"]),
                str(one["train_texts"]),
                str(one["train_spun"]),
                str(one["human_texts"]),
                ", ".join(s.split("/")[-1] for s in one["human_sets"]),
            ]
            for one in report["rounds"]
        ],
    )
    return "\n".join(lines).rstrip() + "\n"


def write_report(report: Json, out: Path) -> list[Path]:
    """Write report.json and report.md into the folder `out` (made if missing) and return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    as_json, as_markdown = out / "report.json", out / "report.md"
    as_json.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    as_markdown.write_text(to_markdown(report), encoding="utf-8")
    return [as_json, as_markdown]
