"""Speed and memory of `detect-spin-batch`: end to end, against `score_batch` in memory, and step by step.

Every job is the command itself in a process of its own. Beside the wall time stands the processor time of all its
processes, which a busy machine changes less. Numbers vary by machine.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from detector.errors import InputError, MissingExtraError
from eval.bench import (
    ROOT,
    Json,
    _fresh,
    articles_from_examples,
    articles_from_tables,
    first_words,
    machine,
    peak_memory_mb,
)

ARTICLES, WORDS = 2000, 500
ROWS, ROW_WORDS = (1_000, 10_000, 100_000), 12
WORKERS = (1, 2)
SPUN_SHARE = 0.02  # of the articles, as in the goal that the benchmark measures against
SPUN_TABLES = ("spun/spinbot_news", "spun/spinbot_science", "spun/wild")
START_RUNS = 3
_ROWS_AT_ONCE = 50_000  # of a table of short rows, while it is written

# Starts a command and watches it: wall time, processor time of it and of all its children, exit code, and the peak
# resident set of it and of the largest of its children. The peaks are the kernel's own, looked up twenty times a
# second, so that only what happens in the last moment of a process can be missed; where there is no /proc, getrusage
# tells the largest of all. Prints JSON.
_WATCHER = r"""
import json, os, re, resource, subprocess, sys, time

def family(pid):
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        return [int(c) for t in tasks for c in open(f"/proc/{pid}/task/{t}/children").read().split()]
    except OSError:
        return []

def peak(pid):
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", open(f"/proc/{pid}/status").read())
        return int(found[1]) * 1024 if found else 0
    except OSError:
        return 0

started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
own, children = 0, {}
while process.poll() is None:
    own = max(own, peak(process.pid))
    for child in family(process.pid):
        children[child] = max(children.get(child, 0), peak(child))
    time.sleep(0.05)
seconds = time.perf_counter() - started
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
largest = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({
    "seconds": seconds,
    "cpu_seconds": usage.ru_utime + usage.ru_stime,
    "code": process.returncode,
    "error": process.stderr.read()[-2000:],
    "main_mb": (own or largest) / 1e6,
    "worker_mb": max(children.values(), default=0) / 1e6,
    "all_mb": (own + sum(children.values()) or largest) / 1e6,
}))
"""


def spun_articles(data: Path, count: int, words: int) -> list[str]:
    """Return up to `count` spun texts of `words` words each, made of passages of one table put one behind the other."""
    import pyarrow.parquet as pq

    articles: list[str] = []
    for name in SPUN_TABLES:
        path = data / f"{name}.parquet"
        if not path.is_file():
            continue
        passages = ""
        for text in pq.read_table(path, columns=["text"])["text"].to_pylist():
            passages += ("\n\n" if passages else "") + text
            cut = first_words(passages, words)
            if cut is not None:
                articles.append(cut)
                passages = ""
            if len(articles) == count:
                return articles
    return articles


def make_articles(data: Path, count: int, words: int, seed: int) -> tuple[list[str], str]:
    """Return articles, some of them spun, in random order, and what they are in words."""
    spun = spun_articles(data, round(count * SPUN_SHARE), words)
    human = articles_from_tables(data, count - len(spun), words)
    if not spun or len(human) + len(spun) < count:
        examples = articles_from_examples(ROOT / "examples", count, words, seed)
        return examples, f"sentences of examples/, recombined to about {words} words"
    articles = [*human, *spun]
    random.Random(seed).shuffle(articles)
    return articles, f"texts of the tables, cut to {words} words, {len(spun) / count:.0%} of them spun"


def short_rows(articles: Sequence[str], count: int, words: int, seed: int) -> Iterator[str]:
    """Yield `count` stretches of `words` words of the articles."""
    rng = random.Random(seed)
    pool = " ".join(articles[:200]).split()
    for _ in range(count):
        start = rng.randrange(max(1, len(pool) - words))
        yield " ".join(pool[start : start + words])


def write_table(path: Path, texts: Iterator[str], count: int) -> None:
    """Write a Parquet table with the columns id and text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, pa.schema([("id", pa.int64()), ("text", pa.string())])) as writer:
        for first in range(0, count, _ROWS_AT_ONCE):
            ids = list(range(first, min(first + _ROWS_AT_ONCE, count)))
            writer.write_table(pa.table({"id": ids, "text": [next(texts) for _ in ids]}))


def run_job(path: Path, workers: int, model: str | None) -> Json:
    """Return what one job from Parquet to Parquet took.

    Raises:
        InputError: the command failed.
    """
    output = path.with_suffix(".out.parquet")
    job = [sys.executable, "-m", "detector.batch.cli", str(path), "-o", str(output), "--workers", str(workers)]
    job += ["--restart", "--no-progress", *(["--model", model] if model else [])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _WATCHER, *job], capture_output=True, text=True, env=environment, check=True
    )
    found: Json = json.loads(done.stdout)
    if found.pop("code"):
        raise InputError(f"detect-spin-batch failed: {found['error'].strip()}")
    del found["error"]
    output.unlink()
    return {"workers": workers, **found}


def _score_in_memory(path: str, model: str | None, workers: int) -> Json:
    """Score the texts of a table with `score_batch`; runs in a fresh process."""
    import pyarrow.parquet as pq

    from detector import SpinDetector

    texts = pq.read_table(path, columns=["text"])["text"].to_pylist()
    detector = SpinDetector.load(model)
    started, before = time.perf_counter(), os.times()
    words = sum(result.words for result in detector.score_batch(texts, workers=workers))
    seconds, after = time.perf_counter() - started, os.times()
    return {
        "workers": workers,
        "seconds": seconds,
        "cpu_seconds": sum(after[:4]) - sum(before[:4]),
        "words_scored": words,
        "model": detector.model_id,
    }


def _time_steps(path: str, model: str | None) -> Json:
    """Return processor seconds of each step of a job, one after the other in this process, and the words."""
    import pickle

    from detector import SpinDetector
    from detector.batch.carried import kept_schema
    from detector.batch.inputs import find_inputs
    from detector.batch.journal import CHECKPOINT_ROWS
    from detector.batch.readers import read_chunks
    from detector.batch.rows import ReadOptions
    from detector.batch.scoring import finish, score_row
    from detector.batch.writers import OutputForm, PartFile, assemble, output_schema

    options, arguments = ReadOptions(), [path]
    form = OutputForm("parquet", schema=output_schema(*kept_schema(find_inputs(arguments), options)))
    detector = SpinDetector.load(model)
    took = dict.fromkeys(("reading", "to and from workers", "scoring", "encoding", "parts", "output"), 0.0)
    rows = words = in_part = 0
    last = time.process_time()

    def lap(step: str) -> None:
        nonlocal last
        now = time.process_time()
        took[step] += now - last
        last = now

    with tempfile.TemporaryDirectory(prefix="detect-spin-") as folder:
        parts: list[Path] = []
        stream: Any = None
        part: PartFile | None = None
        for chunk in read_chunks(find_inputs(arguments), options):
            lap("reading")
            given = pickle.loads(pickle.dumps(chunk.rows))
            lap("to and from workers")
            outcomes = [score_row(detector, given, i) for i in range(len(given))]
            lap("scoring")
            scored = finish(outcomes, given, form)
            lap("encoding")
            scored = pickle.loads(pickle.dumps(scored))
            lap("to and from workers")
            if part is None:
                parts.append(Path(folder, f"{len(parts)}"))
                stream = parts[-1].open("wb")
                part, in_part = PartFile(stream, form), 0
            part.add(scored.piece)
            rows, words, in_part = rows + len(given), words + scored.counts.words, in_part + len(given)
            if in_part >= CHECKPOINT_ROWS:
                part.finish()
                stream.close()
                part = None
            lap("parts")
        if part is not None:
            part.finish()
            stream.close()
        lap("parts")
        assemble(parts, Path(folder, "output"), form)
        lap("output")
    return {"rows": rows, "words_scored": words, "cpu_seconds": took, "peak_memory_mb": peak_memory_mb()}


def run(
    data: Path,
    model: str | None,
    articles: int = ARTICLES,
    words: int = WORDS,
    rows: Sequence[int] = ROWS,
    workers: Sequence[int] = WORKERS,
    seed: int = 0,
) -> Json:
    """Measure everything and return plain JSON types.

    Cost: two minutes on two quiet cores with the defaults; a million rows are six more.
    """
    texts, source = make_articles(data, articles, words, seed)
    result: Json = {"schema": 1, "machine": machine(), "texts": source, "articles": articles, "words_each": words}
    with tempfile.TemporaryDirectory(prefix="detect-spin-") as name:
        folder = Path(name)
        one, many = folder / "one.parquet", folder / "articles.parquet"
        write_table(one, iter(texts), 1)
        write_table(many, iter(texts), len(texts))
        starts = [(w, [run_job(one, w, model) for _ in range(START_RUNS)]) for w in workers]
        result["start"] = [
            {
                "workers": w,
                "seconds": statistics.median(r["seconds"] for r in runs),
                "cpu_seconds": statistics.median(r["cpu_seconds"] for r in runs),
            }
            for w, runs in starts
        ]
        result["in_memory"], result["end_to_end"] = [], []
        for count in workers:  # in turns, so that both see the same other load
            result["in_memory"] += _fresh(_score_in_memory, [(str(many), model, count)])
            result["end_to_end"].append(run_job(many, count, model))
        result["steps"] = _fresh(_time_steps, [(str(many), model)])[0]
        result["rows"], result["row_words"] = [], ROW_WORDS
        for size in rows:
            table = folder / f"{size}.parquet"
            write_table(table, short_rows(texts, size, ROW_WORDS, seed), size)
            result["rows"] += [{"rows": size, **run_job(table, count, model)} for count in workers]
            table.unlink()
    return result


def to_markdown(result: Json) -> str:
    """Return the measurements as Markdown."""
    info, memory = result["machine"], result["in_memory"]
    lines = [
        "# Speed and memory of the batch job",
        "",
        f"{info['cpu']}, {info['cores']} cores, Python {info['python']}. Model {memory[0]['model']}. Every line is one "
        "run of `detect-spin-batch` from Parquet to Parquet, from its start to the finished file. Processor seconds "
        "are those of all processes; on a busy machine they say more than wall time. "
        "Numbers vary by machine.",
        "",
        "## Against score_batch in memory",
        "",
        f"{result['articles']:,} articles ({result['texts']}).",
        "",
        "| workers | articles/s | of score_batch's rate | the same, after start-up "
        "| CPU s | score_batch, CPU s | share | CPU s per million words | start-up, s (CPU s) "
        "| peak, MB: main | worker | all |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for job, plain, start in zip(result["end_to_end"], memory, result["start"], strict=True):
        rate, plain_rate = result["articles"] / job["seconds"], result["articles"] / plain["seconds"]
        later = result["articles"] / max(job["seconds"] - start["seconds"], 0.1 * job["seconds"])
        share = plain["cpu_seconds"] / job["cpu_seconds"]
        per_million = job["cpu_seconds"] / plain["words_scored"] * 1e6
        lines.append(
            f"| {job['workers']} | {rate:,.0f} | {rate / plain_rate:.0%} | {later / plain_rate:.0%} "
            f"| {job['cpu_seconds']:.2f} | {plain['cpu_seconds']:.2f} | {share:.0%} "
            f"| {per_million:.2f} | {start['seconds']:.2f} ({start['cpu_seconds']:.2f}) "
            f"| {job['main_mb']:.0f} | {job['worker_mb']:.0f} | {job['all_mb']:.0f} |"
        )
    steps = result["steps"]
    total = sum(steps["cpu_seconds"].values())
    lines += [
        "",
        "All is the sum of the peaks of all processes, which counts shared pages more than once.",
        "",
        "## Step by step",
        "",
        f"The same articles, all steps in one process, without start-up: {total:.2f} CPU s, "
        f"{total / steps['words_scored'] * 1e6:.2f} per million words.",
        "",
        "| step | CPU s | share | µs a row |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {step} | {seconds:.3f} | {seconds / total:.1%} | {seconds / steps['rows'] * 1e6:,.0f} |"
        for step, seconds in steps["cpu_seconds"].items()
    ]
    lines += [
        "",
        "Parts are the finished pieces that `--resume` needs, output is putting the file together from them.",
        "",
    ]
    if result["rows"]:
        lines += [
            "## By the number of rows",
            "",
            f"Rows of {result['row_words']} words, which are too short to be scored: what a row costs beside its "
            "words, and what is held for the whole job.",
            "",
            "| rows | workers | rows/s | CPU s | CPU µs a row | peak, MB: main | worker | all |",
            "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        lines += [
            f"| {r['rows']:,} | {r['workers']} | {r['rows'] / r['seconds']:,.0f} | {r['cpu_seconds']:.2f} "
            f"| {r['cpu_seconds'] / r['rows'] * 1e6:,.0f} | {r['main_mb']:.0f} | {r['worker_mb']:.0f} "
            f"| {r['all_mb']:.0f} |"
            for r in result["rows"]
        ]
        lines += ["", "![rows/s and peak memory by the number of rows](bench-batch.png)", ""]
    return "\n".join(lines).rstrip() + "\n"


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
    figure.savefig(path, dpi=110, metadata={"Software": None})


def write(result: Json, out: Path) -> list[Path]:
    """Write bench-batch.json, .md and .png into the folder `out` (made if missing) and return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"bench-batch.{ending}" for ending in ("json", "md", "png")]
    paths[0].write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    paths[1].write_text(to_markdown(result), encoding="utf-8")
    if not result["rows"]:
        return paths[:2]
    plot(result, paths[2])
    return paths
