"""The batch benchmark as Markdown and as a picture."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from detector.errors import MissingExtraError
from detector.workers import CHUNK_TEXTS
from eval.bench import Json
from eval.plots import save


def to_markdown(result: Json) -> str:
    """Return the measurements as Markdown; what was not measured is left out."""
    info = result["machine"]
    lines = [
        "# Speed and memory of the batch job",
        "",
        f"{info['cpu']}, {info['cores']} cores, Python {info['python']}. Model {result['model']}. Every line is "
        "`detect-spin-batch` from Parquet to Parquet, from its start to the finished file. Processor seconds "
        "are those of all processes; on a busy machine they say more than wall time. "
        "Numbers vary by machine.",
        "",
    ]
    if "start" in result:
        lines += [
            "## Start-up",
            "",
            "A table with one article, from the command's start to its end.",
            "",
            "| workers | s (median) | s (slowest) | CPU s |",
            "| ---: | ---: | ---: | ---: |",
        ]
        lines += [
            f"| {s['workers']} | {s['seconds']:.2f} | {s['slowest_seconds']:.2f} | {s['cpu_seconds']:.2f} |"
            for s in result["start"]
        ]
        lines.append("")
    if "rounds" in result:
        lines += _articles(result)
    if "steps" in result:
        lines += _steps(result["steps"])
    if result.get("rows"):
        lines += _rows(result)
    return "\n".join(lines).rstrip() + "\n"


def _articles(result: Json) -> list[str]:
    count = result["articles"]
    lines = [
        "## Against score_batch in memory",
        "",
        f"{count:,} articles of {result['words_each']} words ({result['texts']}), which the examiner reads where the "
        "screen cannot clear them. Both ways in turns, so that other load slows both; medians of "
        f"{_number_of_rounds(result)} rounds, and the least and greatest share. The share counts the job's start, "
        "reading and writing, and of `score_batch` the start of its processes; the last column leaves that out of "
        "`score_batch` too, not of the job.",
        "",
        "| workers | articles/s | score_batch | share | least to greatest | CPU s | score_batch, CPU s "
        "| CPU s per million words | share, processes of score_batch running |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    memory = []
    for workers in sorted({r["workers"] for r in result["rounds"]}):
        rounds = [r for r in result["rounds"] if r["workers"] == workers]
        jobs, plain = [r["job"] for r in rounds], [r["in_memory"] for r in rounds]
        shares = [p["seconds"] / j["seconds"] for j, p in zip(jobs, plain, strict=True)]
        running = [_rate_running(p, count) for p in plain]
        strict = [count / j["seconds"] / rate for j, rate in zip(jobs, running, strict=True)]
        cpu = statistics.median(j["cpu_seconds"] for j in jobs)
        lines.append(
            f"| {workers} | {statistics.median(count / j['seconds'] for j in jobs):,.0f} "
            f"| {statistics.median(count / p['seconds'] for p in plain):,.0f} "
            f"| **{statistics.median(shares):.0%}** | {min(shares):.0%} to {max(shares):.0%} "
            f"| {cpu:.2f} | {statistics.median(p['cpu_seconds'] for p in plain):.2f} "
            f"| {cpu / plain[0]['words_scored'] * 1e6:.1f} | {statistics.median(strict):.0%} |"
        )
        top = {key: max(j[key] or 0 for j in jobs) for key in ("main_mb", "worker_mb", "all_mb", "together_mb")}
        memory.append(
            f"| {workers} | {top['main_mb']:.0f} | {top['worker_mb']:.0f} "
            f"| {top['together_mb']:.0f} | {top['all_mb']:.0f} |"
        )
    return [
        *lines,
        "",
        "Peak memory of these jobs in MB, the examiner loaded: of the main process, of the largest worker, of all "
        "processes together at one moment (shared pages counted once), and the sum of all their peaks (counted as "
        "often as they are shared).",
        "",
        "| workers | main process | worker | all together | sum of peaks |",
        "| ---: | ---: | ---: | ---: | ---: |",
        *memory,
        "",
    ]


def _number_of_rounds(result: Json) -> int:
    return len(result["rounds"]) // len({r["workers"] for r in result["rounds"]})


def _rate_running(plain: Json, articles: int) -> float:
    """Return the rate of `score_batch` after its first result; by then each process has done a chunk."""
    done = CHUNK_TEXTS * plain["workers"] if plain["workers"] > 1 else 1
    return max(articles - done, 1) / max(float(plain["seconds"] - plain["first_seconds"]), 1e-9)


def _steps(steps: Json) -> list[str]:
    total = sum(steps["cpu_seconds"].values())
    return [
        "## Step by step",
        "",
        f"The same articles, all steps in one process, without start-up: {total:.2f} CPU s, "
        f"{total / steps['words_scored'] * 1e6:.2f} per million words; {steps['peak_memory_mb']:.0f} MB at the peak.",
        "",
        "| step | CPU s | share | µs a row |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {step} | {seconds:.3f} | {seconds / total:.1%} | {seconds / steps['rows'] * 1e6:,.0f} |"
            for step, seconds in steps["cpu_seconds"].items()
        ),
        "",
        "Parts are the finished pieces that `--resume` needs, output is putting the file together from them.",
        "",
    ]


def _rows(result: Json) -> list[str]:
    lines = [
        "## By the number of rows",
        "",
        f"Rows of {result['row_words']} words, which are too short to be scored: what a row costs beside its "
        "words, and what is held for the whole job.",
        "",
        "| rows | workers | rows/s | CPU s | CPU µs a row | peak, MB: main | worker | all together | sum of peaks |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {r['rows']:,} | {r['workers']} | {r['rows'] / r['seconds']:,.0f} | {r['cpu_seconds']:.2f} "
        f"| {r['cpu_seconds'] / r['rows'] * 1e6:,.0f} | {r['main_mb']:.0f} | {r['worker_mb']:.0f} "
        f"| {r['together_mb'] or 0:.0f} | {r['all_mb']:.0f} |"
        for r in result["rows"]
    ]
    return [
        *lines,
        "",
        *_growth(result["rows"]),
        "![rows/s and peak memory by the number of rows](bench-batch.png)",
        "",
    ]


def _growth(rows: list[Json]) -> list[str]:
    """Return how much more memory the largest job takes than the one of 10,000 rows."""
    told = []
    for workers in sorted({r["workers"] for r in rows}):
        found = {r["rows"]: r for r in rows if r["workers"] == workers}
        small, large = found.get(10_000), found[max(found)]
        if small is None or large["rows"] <= 10_000:
            continue
        parts = [f"main process {large['main_mb'] / small['main_mb'] - 1:+.1%}"]
        if workers > 1:
            parts.append(f"worker {large['worker_mb'] / small['worker_mb'] - 1:+.1%}")
        parts.append(f"sum {large['all_mb'] / small['all_mb'] - 1:+.1%}")
        told.append(
            f"{workers} worker{'' if workers == 1 else 's'}: {', '.join(parts)} from 10,000 to {large['rows']:,}"
        )
    return [f"Peak memory, {'; '.join(told)} rows.", ""] if told else []


def plot(result: Json, path: Path) -> None:
    """Draw rows/s, processor time and peak memory against the number of rows.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("pictures need matplotlib: pip install '.[eval]'") from error
    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    speed, cost, memory = figure.subplots(1, 3)
    colours = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # of Okabe and Ito (2008)
    for number, count in enumerate(sorted({r["workers"] for r in result["rows"]})):
        found = [r for r in result["rows"] if r["workers"] == count]
        sizes = [r["rows"] for r in found]
        style = {"color": colours[number % len(colours)], "marker": "os^D"[number % 4]}
        name = f"{count} worker{'' if count == 1 else 's'}"
        speed.plot(sizes, [r["rows"] / r["seconds"] for r in found], label=name, **style)
        cost.plot(sizes, [r["cpu_seconds"] / r["rows"] * 1e6 for r in found], label=name, **style)
        memory.plot(sizes, [r["main_mb"] for r in found], label=f"{name}: main process", **style)
        if count > 1:
            dashed = {**style, "linestyle": "--", "markerfacecolor": "none"}
            memory.plot(sizes, [r["worker_mb"] for r in found], label=f"{name}: each worker", **dashed)
    for axes, title, unit in (
        (speed, "Speed", "rows/s, start-up included"),
        (cost, "Cost", "CPU µs a row, start-up included"),
        (memory, "Memory", "peak resident set, MB"),
    ):
        axes.set(xscale="log", xlabel="rows", ylabel=unit, title=title)
        sizes = sorted({r["rows"] for r in result["rows"]})
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    save(figure, path, dpi=80)


def write(result: Json, out: Path) -> list[Path]:
    """Write bench-batch.json, .md and .png into the folder `out` (made if missing) and return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"bench-batch.{ending}" for ending in ("json", "md", "png")]
    paths[0].write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    paths[1].write_text(to_markdown(result), encoding="utf-8")
    if not result.get("rows"):
        return paths[:2]
    plot(result, paths[2])
    return paths
