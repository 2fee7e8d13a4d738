"""The report on the experiments as Markdown, from the figures of `experiments_report.measure` and from the variants."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.experiments_report import HEADS, Judged, Sizes, Variant, measure, read_notes, read_scores, read_variants
from eval.metrics import wilson_interval

NAME = "experiments"
_SHORT = {
    "spun/spinbot_news": "news",
    "spun/spinbot_science": "science",
    "spun/finance_glossary": "finance",
    "spun/glossary_more": "glossary",
    "spun/paired_paragraphs": "paragraphs",
    "spun/paired_openings": "openings",
    "spun/quillbot_pairs": "QuillBot",
    "spun/wild": "wild",
    "swaps/own": "swaps, own",
    "swaps/encoder": "swaps, encoder",
}
_FEWEST = 30
"""Sets with fewer texts are left out of the tables: one text is more than three points."""


def write(cache: Path, out: Path, recipe: Path | None = None) -> list[Path]:
    """Write NAME.md and NAME.json of whatever the cache holds; returns the files."""
    sizes, variants = read_variants(recipe)
    shipped = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(cache.glob("shipped-*.json"))]
    files = {v.name: cache / f"{v.name}.npz" for v in variants}
    judged_file = cache / "judged.json"
    result: dict[str, Any] = {"variants": {}, "sets": {}, "human": 0}
    if judged_file.exists() and any(f.exists() for f in files.values()):
        judged = [Judged(**j) for j in json.loads(judged_file.read_text(encoding="utf-8"))]
        scores = {name: read_scores(file, len(judged)) for name, file in files.items() if file.exists()}
        result = measure(judged, sizes, variants, scores)
    result["shipped"] = [_shipped_figures(s) for s in shipped]
    out.mkdir(parents=True, exist_ok=True)
    text = to_markdown(result, sizes, variants, read_notes(recipe))
    paths = [out / f"{NAME}.md", out / f"{NAME}.json"]
    paths[0].write_text(text, encoding="utf-8", newline="\n")
    paths[1].write_text(json.dumps(_rounded(result), indent=1) + "\n", encoding="utf-8", newline="\n")
    return paths


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(v) for v in value]
    return round(value, 4) if isinstance(value, float) else value


def _shipped_figures(shipped: Mapping[str, Any]) -> dict[str, Any]:
    """Return recall at the thresholds as shipped and at 1 % of these human texts, for the verdict and the examiner."""
    result: dict[str, Any] = {"model": shipped["model"], "changed": shipped["changed"], "sets": {}}
    human = {
        kind: np.array([np.nan if p is None else p for p in shipped[kind]["human"]])
        for kind in ("probabilities", "examiner")
    }
    for name in shipped["probabilities"]:
        row: dict[str, Any] = {"n": len(shipped["probabilities"][name])}
        values = np.array([-1.0 if p is None else p for p in shipped["probabilities"][name]])
        # A text that the model refuses is not found.
        row["points"] = {k: float(np.mean(values >= t)) for k, t in shipped["thresholds"].items()}
        for kind, people in human.items():
            own = np.array([-1.0 if p is None else p for p in shipped[kind][name]])
            row[kind] = float(np.mean(own > np.nanquantile(people, 0.99)))
        result["sets"][name] = row
    return result


def to_markdown(result: Mapping[str, Any], sizes: Sizes, variants: Sequence[Variant], notes: Sequence[str] = ()) -> str:
    """Return the report; `notes`: paragraphs with which its reading begins."""
    titles = {v.name: v for v in variants}
    lines = [
        "# Experiments with the examiner",
        "",
        "Made by `python -m eval experiments --cache DIR`; what varies, what was expected and what was found stand in "
        "`eval/experiments.toml`, all figures in `experiments.json`.",
        "",
        *_swap_section(result["shipped"], sizes),
    ]
    ran = result["variants"]
    lines += ["## Expected before the runs", ""]
    lines += [f"- **{v.name}** ({v.title}): {v.expected}" for v in variants]
    lines.append("")
    if not ran:
        return "\n".join([*lines, "No variant has been run yet.", ""])
    lines += _method(result, sizes)
    for head in HEADS:
        lines += [f"## Recall at 1 % false positives, {head}", "", *_recall_table(result, titles, head), ""]
    for head in HEADS:
        lines += [f"## Area under the ROC curve, {head}: article / single window", ""]
        lines += [*_area_table(result, titles, head), ""]
    lines += ["## False positives and cost", "", *_cost_table(result, titles), ""]
    lines += ["## Reading", "", *(line for note in notes for line in (note, ""))]
    lines += [f"- **{v.name}**: {v.found}" for v in variants if v.found and v.name in ran]
    missing = [v.name for v in variants if v.name not in ran]
    if missing:
        lines += ["", f"Not run: {', '.join(missing)}."]
    return "\n".join([*lines, ""])


def _swap_section(shipped: Sequence[Mapping[str, Any]], sizes: Sizes) -> list[str]:
    if not shipped:
        return []
    lines = [
        f"## Embedding swaps, {100 * sizes.swap_share:.0f} % of words: shipped models",
        "",
        "News that neither model was trained on, as it is and with words swapped for embedding neighbours (two tables: "
        "`eval/swaps.py`; the shipped models trained on swaps from a third one). Recall in % with the 95 % interval; "
        "`own 1 %`: at the 99th percentile of these human texts, of the verdict's probability and of the mean of the "
        "token head on all texts, also those that the screen clears.",
        "",
        "| model | set | texts | strict | balanced | sensitive | own 1 % | token head alone, own 1 % |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in shipped:
        for name, row in one["sets"].items():
            label = "human, unchanged" if name == "human" else f"{name}, {100 * one['changed'][name]:.1f} % of words"
            cells = [
                _with_interval(v, row["n"]) for v in (*row["points"].values(), row["probabilities"], row["examiner"])
            ]
            lines.append(f"| {one['model']} | {label} | {row['n']} | {' | '.join(cells)} |")
    return [*lines, ""]


def _with_interval(share: float, n: int) -> str:
    low, high = wilson_interval(share * n, n)
    return f"{100 * share:.1f} ({100 * low:.0f}-{100 * high:.0f})"


def _method(result: Mapping[str, Any], sizes: Sizes) -> list[str]:
    return [
        "## How",
        "",
        f"{sizes.layers} layers, {sizes.steps} steps of {sizes.batch} windows (the recipe: thousands), one "
        "seed, one thread. Out of training: all output of the tools judged, and human fold "
        f"{sizes.fold} with its groups. Judged: {sizes.windows} windows of each text, averaged by length; "
        f"{result['human']} human texts. Thresholds: the human texts are cut in two halves by group; a human text is "
        "judged by the half that it is not in, the others by both, averaged.",
        "",
        "In brackets the Wilson interval. `+`/`-`: better/worse than the variant compared with, the 95 % bootstrap "
        "interval of the difference (texts of both sides resampled, the same for both) excludes zero; everything else "
        "is a tie. The interval knows nothing of the seed's luck: see base-second-seed. Imitations of a tool carry "
        "its own glue phrases and what was mined from its pairs, so that base has seen no text of a tool but knows its "
        "words; no-imitations and the variants with real output do without.",
        "",
    ]


def _columns(result: Mapping[str, Any]) -> list[str]:
    return [t for t, n in result["sets"].items() if t in _SHORT and n >= _FEWEST]


def _mark(interval: Sequence[float] | None) -> str:
    return "" if interval is None else "+" if interval[0] > 0 else "-" if interval[1] < 0 else ""


def _recall_table(result: Mapping[str, Any], titles: Mapping[str, Variant], head: str) -> list[str]:
    columns = _columns(result)
    lines = [
        "| variant | against | " + " | ".join(f"{_SHORT[t]} ({result['sets'][t]})" for t in columns) + " | mean |",
        "| --- | --- |" + " ---: |" * (len(columns) + 1),
    ]
    for name, figures in result["variants"].items():
        own = figures["heads"][head]
        cells = []
        for one in (own["sets"].get(t) for t in columns):
            if one is None:
                cells.append("")
                continue
            low, high = one["interval"]
            cells.append(f"{100 * one['recall']:.0f}{_mark(one.get('difference'))} ({100 * low:.0f}-{100 * high:.0f})")
        against = titles[name].against if titles[name].against != name else ""
        lines.append(f"| {name} | {against} | {' | '.join(cells)} | {_mean(own, columns, 'recall', 100.0, 1)} |")
    return lines


def _mean(own: Mapping[str, Any], columns: Sequence[str], what: str, factor: float, digits: int) -> str:
    """Return the mean over all sets with the mark of its difference, or the mark alone where sets are missing."""
    known = own["mean_differences"].get(what)
    mark = _mark(known["interval"] if known else None)
    if any(t not in own["sets"] for t in columns):
        return mark
    return f"{factor * np.mean([own['sets'][t][what] for t in columns]):.{digits}f}{mark}"


def _area_table(result: Mapping[str, Any], titles: Mapping[str, Variant], head: str) -> list[str]:
    columns = _columns(result)
    lines = [
        "| variant | against | " + " | ".join(_SHORT[t] for t in columns) + " | mean |",
        "| --- | --- |" + " ---: |" * (len(columns) + 1),
    ]
    for name, figures in result["variants"].items():
        own = figures["heads"][head]
        cells = [
            f"{own['sets'][t]['auc']:.3f}{_mark(own['sets'][t].get('auc_difference'))} / "
            f"{own['sets'][t]['window_auc']:.3f}"
            if t in own["sets"]
            else ""
            for t in columns
        ]
        against = titles[name].against if titles[name].against != name else ""
        lines.append(f"| {name} | {against} | {' | '.join(cells)} | {_mean(own, columns, 'auc', 1.0, 3)} |")
    return lines


def _cost_table(result: Mapping[str, Any], titles: Mapping[str, Variant]) -> list[str]:
    lines = [
        "Flagged at 1 % by the token head / the kind head, in %: all human texts, the worst human set, machine "
        "translations, texts that a language model wrote (all of the fold that no variant trains on). Seconds are wall "
        "time beside other work.",
        "",
        "| variant | human | worst human set | translated | language model | windows to draw from | training s |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for name, figures in result["variants"].items():
        cells: dict[str, list[str]] = {k: [] for k in ("human", "worst", "machine_translated/", "llm/")}
        for head in HEADS:
            own = figures["heads"][head]
            counts = own["human"]
            cells["human"].append(
                f"{100 * sum(k for k, _ in counts.values()) / sum(n for _, n in counts.values()):.1f}"
            )
            worst = max(counts, key=lambda t: counts[t][0] / counts[t][1])
            cells["worst"].append(f"{worst.removeprefix('human/')} {counts[worst][0]} of {counts[worst][1]}")
            for kind in ("machine_translated/", "llm/"):
                rows = [(v, result["sets"][t]) for t, v in own["others"].items() if t.startswith(kind)]
                total = sum(n for _, n in rows)
                cells[kind].append(f"{100 * sum(v * n for v, n in rows) / total:.1f}" if total else "")
        facts = figures["facts"]
        joined = " | ".join(" / ".join(v) for v in cells.values())
        lines.append(f"| {name} | {joined} | {facts['pool']:,.0f} | {facts['train_seconds']:.0f} |")
    return lines
