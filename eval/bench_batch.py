"""Speed and memory of `detect-spin-batch`: end to end, against `score_batch` in memory, and step by step.

Every job is the command itself in a process of its own. Beside the wall time stands the processor time of all its
processes, which a busy machine changes less. Numbers vary by machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from detector.errors import InputError
from eval.bench import Json, _fresh, byte_code, machine, peak_memory_mb
from eval.bench_texts import ROOT, SPUN_SHARE, mixed_articles, short_rows

ARTICLES, WORDS = 2000, 500
ROWS, ROW_WORDS = (1_000, 10_000, 100_000), 12
WORKERS = (1, 2)
START_RUNS = 5
ROUNDS = 3
"""How often job and `score_batch` are measured, in turns, so that what else the machine does slows both."""
PARTS = ("start", "articles", "steps", "rows")
_ROWS_AT_ONCE = 50_000  # of a table of short rows, while it is written

# Starts a command and watches it: wall time, processor time of it and of all its children, exit code, and the peak
# resident set of it and of the largest of its children. The peaks are the kernel's own, looked up twenty times a
# second, so that only what happens in the last moment of a process can be missed; where there is no /proc, getrusage
# tells the largest of all. `together_mb` is the greatest sum of what all processes held at one moment, with pages that
# they share counted once (PSS); looking costs a millisecond, so it is done twice a second. Prints JSON.
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

def held(pids):
    total = 0
    for pid in pids:
        try:
            found = re.search(r"Pss:\s+(\d+) kB", open(f"/proc/{pid}/smaps_rollup").read())
            total += int(found[1]) * 1024 if found else 0
        except OSError:
            pass
    return total

started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
own, children, together, looked = 0, {}, 0, started
while process.poll() is None:
    own = max(own, peak(process.pid))
    for child in family(process.pid):
        children[child] = max(children.get(child, 0), peak(child))
    if time.perf_counter() - looked >= 0.5:
        looked, together = time.perf_counter(), max(together, held([process.pid, *family(process.pid)]))
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
    "together_mb": together / 1e6 or None,
}))
"""


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
    """Score the texts of a table with `score_batch`; runs in a fresh process. Opening the model is not timed."""
    import pyarrow.parquet as pq

    from detector import SpinDetector

    texts = pq.read_table(path, columns=["text"])["text"].to_pylist()
    detector = SpinDetector.load(model)
    started, before = time.perf_counter(), os.times()
    results = detector.score_batch(texts, workers=workers)
    words = next(results).words
    first = time.perf_counter() - started
    words += sum(result.words for result in results)
    seconds, after = time.perf_counter() - started, os.times()
    return {
        "workers": workers,
        "seconds": seconds,
        "first_seconds": first,
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
    parts: Sequence[str] = PARTS,
    before: Json | None = None,
) -> Json:
    """Measure `parts` (of `PARTS`) and return plain JSON types; what `before` has of the others stays.

    Cost: four minutes on two quiet cores with the defaults; a million rows are six more.

    Raises:
        InputError: a job failed, or `before` was measured with something else.
    """
    from detector.store import open_model

    texts, source = mixed_articles(data, articles, words, SPUN_SHARE, seed)
    source += f", {SPUN_SHARE:.0%} of them spun"
    result: Json = {"schema": 2, "machine": machine(), "model": open_model(model).model_id, "texts": source}
    result |= {"articles": articles, "words_each": words, "row_words": ROW_WORDS}
    if before is not None:
        if changed := [key for key in result if before.get(key) != result[key]]:
            raise InputError(f"the report so far has another {', '.join(changed)}; measure all parts, or elsewhere")
        result = {**before, **result}
    with tempfile.TemporaryDirectory(prefix="detect-spin-") as name, byte_code():
        folder = Path(name)
        one, many = folder / "one.parquet", folder / "articles.parquet"
        write_table(one, iter(texts), 1)
        write_table(many, iter(texts), len(texts))
        run_job(one, max(workers), model)  # compiles
        if "start" in parts:
            result["start"] = [_start(one, count, model) for count in workers]
        if "articles" in parts:
            result["rounds"] = [_round(many, count, model) for _ in range(ROUNDS) for count in workers]
        if "steps" in parts:
            result["steps"] = _fresh(_time_steps, [(str(many), model)])[0]
        if "rows" in parts:
            measured = []
            for size in rows:
                table = folder / f"{size}.parquet"
                write_table(table, short_rows(texts, size, ROW_WORDS, seed), size)
                measured += [{"rows": size, **run_job(table, count, model)} for count in workers]
                table.unlink()
            new = {(r["rows"], r["workers"]) for r in measured}
            kept = [r for r in result.get("rows", []) if (r["rows"], r["workers"]) not in new]
            result["rows"] = sorted([*kept, *measured], key=lambda r: (r["rows"], r["workers"]))
    return result


def _start(table: Path, workers: int, model: str | None) -> Json:
    """Return what a job with one row takes."""
    runs = [run_job(table, workers, model) for _ in range(START_RUNS)]
    return {
        "workers": workers,
        "seconds": statistics.median(r["seconds"] for r in runs),
        "slowest_seconds": max(r["seconds"] for r in runs),
        "cpu_seconds": statistics.median(r["cpu_seconds"] for r in runs),
    }


def _round(table: Path, workers: int, model: str | None) -> Json:
    """Return what `score_batch` in memory and then the job took."""
    plain = _fresh(_score_in_memory, [(str(table), model, workers)])[0]
    return {"workers": workers, "in_memory": plain, "job": run_job(table, workers, model)}


def read_before(folder: Path) -> Json | None:
    """Return the report that is in a folder, None if there is none."""
    path = folder / "bench-batch.json"
    return cast("Json", json.loads(path.read_bytes())) if path.is_file() else None
