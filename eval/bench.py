"""Speed and memory of the detector, with two transformer classifiers as yardsticks. Numbers vary by machine.

Everything is measured in fresh processes, so that neither this one's imports nor its texts count. The yardsticks have
random weights and see random token ids: the time of a forward pass does not depend on either.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import multiprocessing
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from detector.errors import InputError
from eval.bench_texts import ROOT, SPUN_SHARE, mixed_articles

ARTICLES, WORDS = 2000, 500
COLD_RUNS = 5
_SPUN_TAKE_LONGER = 10  # times, so there are as many fewer of them
YARDSTICK_TEXTS, YARDSTICK_TOKENS, YARDSTICK_BATCH = 12, 512, 4
YARDSTICKS = ("roberta-base", "longformer-base-4096")
Json = dict[str, Any]

# Starts a command and prints its wall time, peak resident set (KiB, on macOS bytes) and exit code. A process of its
# own, because Linux lets a child inherit the peak of the process that forks it, and an interpreter without imports is
# small.
_LAUNCHER = """
import json, os, sys, time
started = time.perf_counter()
null = os.open(os.devnull, os.O_WRONLY)
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)])
_, status, usage = os.wait4(pid, 0)
seconds = time.perf_counter() - started
print(json.dumps([seconds, usage.ru_maxrss, os.waitstatus_to_exitcode(status)]))
"""


@contextlib.contextmanager
def byte_code() -> Iterator[None]:
    """Let processes that are started meanwhile find compiled modules, as an installed package has them.

    A clone may have none, and whoever sets PYTHONDONTWRITEBYTECODE compiles everything each time: half a second.
    """
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="detect-spin-") as folder:
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def peak_memory_mb() -> float:
    """Return the peak resident set of this process in MB (10**6 bytes)."""
    status = Path("/proc/self/status")
    if status.is_file():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))
        if found:
            return int(found.group(1)) * 1024 / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _score_file(path: str, model: str | None) -> Json:
    """Load the detector and score the texts of a JSON file; runs in a fresh process."""
    started = time.perf_counter()
    from detector import SpinDetector

    detector = SpinDetector.load(model)
    loaded = time.perf_counter()
    texts: list[str] = json.loads(Path(path).read_text(encoding="utf-8"))
    before, cpu_before = time.perf_counter(), time.process_time()
    verdicts: dict[str, int] = {}
    words = 0
    for result in detector.score_batch(texts):
        verdicts[str(result.verdict)] = verdicts.get(str(result.verdict), 0) + 1
        words += result.words
    return {
        "model": detector.model_id,
        "load_seconds": loaded - started,
        "seconds": time.perf_counter() - before,
        "cpu_seconds": time.process_time() - cpu_before,
        "words_scored": words,
        "verdicts": verdicts,
        "peak_memory_mb": peak_memory_mb(),
    }


def _fresh(function: Callable[..., Json], calls: Sequence[tuple[Any, ...]]) -> list[Json]:
    """Return the results of the calls, each run at the same time in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        # A pool for each: in one pool the first process to be up may take two calls.
        pools = [stack.enter_context(ProcessPoolExecutor(1, mp_context=context)) for _ in calls]
        started = [pool.submit(function, *call) for pool, call in zip(pools, calls, strict=True)]
        return [future.result() for future in started]


def measure_throughput(texts: Sequence[str], model: str | None, processes: int) -> Json:
    """Return the speed of `score_batch` over the texts, shared out among `processes` processes.

    The time is that of the slowest process from its first text to its last; loading is reported beside it.
    """
    with tempfile.TemporaryDirectory(prefix="detect-spin-") as folder:
        calls = []
        for number in range(processes):
            part = Path(folder) / f"{number}.json"
            part.write_text(json.dumps(list(texts[number::processes])), encoding="utf-8")
            calls.append((str(part), model))
        parts = _fresh(_score_file, calls)
    seconds = max(p["seconds"] for p in parts)
    words = sum(len(t.split()) for t in texts)
    verdicts: dict[str, int] = {}
    for part_result in parts:
        for verdict, count in part_result["verdicts"].items():
            verdicts[verdict] = verdicts.get(verdict, 0) + count
    return {
        "model": parts[0]["model"],
        "processes": processes,
        "articles": len(texts),
        "words": words,
        "seconds": seconds,
        "cpu_seconds": sum(p["cpu_seconds"] for p in parts),
        "articles_per_second": len(texts) / seconds,
        "words_per_second": words / seconds,
        "load_seconds": max(p["load_seconds"] for p in parts),
        "peak_memory_mb": max(p["peak_memory_mb"] for p in parts),
        "verdicts": verdicts,
    }


def measure_cold_start(text: str, model: str | None, runs: int = COLD_RUNS) -> Json:
    """Return the median wall time and the peak memory of the command on one file, each run a new process.

    Raises:
        InputError: the command does not exit with 0, or this system has no posix_spawn and wait4.
    """
    if not hasattr(os, "posix_spawn") or not hasattr(os, "wait4"):
        raise InputError("the cold start is measured with posix_spawn and wait4, which this system lacks")
    script = shutil.which("detect-spin", path=str(Path(sys.executable).parent))
    command = [script] if script else [sys.executable, "-m", "detector"]
    if model:
        command += ["--model", model]
    times, peaks = [], []
    with tempfile.TemporaryDirectory(prefix="detect-spin-") as folder:
        article = Path(folder) / "article.txt"
        article.write_text(text, encoding="utf-8")
        for _ in range(runs):
            launched = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command, str(article)],
                check=True,
                capture_output=True,
                text=True,
                cwd=ROOT,
            )
            seconds, peak, code = json.loads(launched.stdout)
            if code != 0:
                raise InputError(f"{' '.join(command)}: exit code {code}: {launched.stderr.strip()}")
            times.append(seconds)
            peaks.append(peak * (1 if sys.platform == "darwin" else 1024) / 1e6)
    return {
        "command": " ".join([Path(command[0]).name, *command[1:], "FILE"]),
        "runs": runs,
        "median_seconds": statistics.median(times),
        "slowest_seconds": max(times),
        "peak_memory_mb": max(peaks),
    }


def missing_for_yardsticks() -> list[str]:
    """Return which of the libraries that the yardsticks need are not installed."""
    return [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]


def _forward_passes(kind: str, texts: int, tokens: int, batch: int, threads: int) -> Json:
    """Time a sequence classifier of random weights on random token ids; runs in a fresh process."""
    import torch
    import transformers

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    # The published sizes of both: 12 layers, 768 wide, 50265 word pieces (the defaults of the two configurations are
    # BERT's word list and 512 positions).
    if kind == "roberta-base":
        config = transformers.RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1)
        model = transformers.RobertaForSequenceClassification(config)
    else:
        config = transformers.LongformerConfig(
            vocab_size=50265, max_position_embeddings=4098, type_vocab_size=1, attention_window=512
        )
        model = transformers.LongformerForSequenceClassification(config)
    model.eval()
    ids = torch.randint(5, config.vocab_size, (texts, tokens))
    with torch.inference_mode():
        model(ids[:1])  # the first pass allocates
        started = time.perf_counter()
        for start in range(0, texts, batch):
            model(ids[start : start + batch])
        seconds = time.perf_counter() - started
    return {
        "kind": kind,
        "parameters": sum(p.numel() for p in model.parameters()),
        "texts": texts,
        "tokens": tokens,
        "batch": batch,
        "threads": threads,
        "seconds": seconds,
        "articles_per_second": texts / seconds,
        "peak_memory_mb": peak_memory_mb(),
        "torch": torch.__version__,
    }


def measure_yardstick(kind: str, texts: int = YARDSTICK_TEXTS, tokens: int = YARDSTICK_TOKENS) -> Json:
    """Return the speed of one of `YARDSTICKS` on all cores. The articles are represented by `tokens` random ids each.

    An article of 500 words has some 650 word pieces, so that 512 cut a fifth of it away: the yardstick is favoured.
    """
    return _fresh(_forward_passes, [(kind, texts, tokens, YARDSTICK_BATCH, _cores())])[0]


def machine() -> Json:
    """Return what the numbers depend on: processor, cores, memory, versions."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"model name\s*:\s*(.+)", info.read_text(encoding="utf-8", errors="replace"))
        cpu = found.group(1).strip() if found else cpu
    return {"cpu": cpu, "cores": _cores(), "system": platform.platform(), "python": platform.python_version()}


def run(data: Path, model: str | None, articles: int, words: int, seed: int, yardsticks: bool) -> Json:
    """Measure everything and return plain JSON types. Cost: two minutes, or four with the yardsticks."""
    streams, source = [], ""
    for name, share, count in (
        ("human", 0.0, articles),
        (f"{SPUN_SHARE:.0%} spun", SPUN_SHARE, articles),
        ("all spun", 1.0, -(-articles // _SPUN_TAKE_LONGER)),
    ):
        texts, source = mixed_articles(data, count, words, share, seed)
        streams.append((name, texts))
    result: Json = {"schema": 2, "machine": machine(), "texts": source}
    with byte_code():
        measure_cold_start(streams[0][1][0], model, 1)  # compiles
        result["cold_start"] = measure_cold_start(streams[0][1][0], model)
    result["throughput"] = [
        {"stream": name, **measure_throughput(texts, model, processes)}
        for name, texts in streams
        for processes in dict.fromkeys((1, min(2, _cores())))
    ]
    missing = missing_for_yardsticks()
    if yardsticks and not missing:
        result["yardsticks"] = [measure_yardstick(kind) for kind in YARDSTICKS]
    elif missing:
        result["yardsticks_missing"] = f"{' and '.join(missing)} not installed; they come with pip install '.[train]'"
    return result


def to_markdown(result: Json) -> str:
    """Return the measurements as Markdown."""
    info, cold = result["machine"], result["cold_start"]
    best = next(e for e in reversed(result["throughput"]) if e["stream"] == "human")
    lines = [
        "# Speed and memory",
        "",
        f"{info['cpu']}, {info['cores']} cores, Python {info['python']}. {best['articles']:,} articles "
        f"({result['texts']}), {best['words']:,} words. Model {best['model']}. Numbers vary by machine.",
        "",
        "| | articles | articles/s | words/s | CPU ms an article | peak memory, MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for entry in result["throughput"]:
        processes = f"{entry['processes']} process{'es' if entry['processes'] > 1 else ''}"
        memory = f"{entry['peak_memory_mb']:.0f}" + (" each" if entry["processes"] > 1 else "")
        rate = entry["articles_per_second"]
        lines.append(
            f"| score_batch, {entry['stream']}, {processes} | {entry['articles']:,} "
            f"| {rate:,.{0 if rate >= 100 else 1}f} | {entry['words_per_second']:,.0f} "
            f"| {entry['cpu_seconds'] / entry['articles'] * 1e3:.1f} | {memory} |"
        )
    for entry in result.get("yardsticks", []):
        per_word = entry["articles_per_second"] * best["words"] / best["articles"]
        lines.append(
            f"| {entry['kind']}, {entry['threads']} threads | {entry['texts']} | {entry['articles_per_second']:.2f} "
            f"| {per_word:,.0f} | | {entry['peak_memory_mb']:.0f} |"
        )
    lines += [
        "",
        f"`{cold['command']}`: {cold['median_seconds']:.2f} s from a cold start (median of {cold['runs']}, slowest "
        f"{cold['slowest_seconds']:.2f} s), peak {cold['peak_memory_mb']:.0f} MB.",
        "",
    ]
    if result.get("yardsticks"):
        first = result["yardsticks"][0]
        whole = ", ".join(
            f"{e['kind']} {best['articles'] / e['articles_per_second'] / 60:.0f} min"
            f" ({best['articles_per_second'] / e['articles_per_second']:,.0f} times as long)"
            for e in result["yardsticks"]
        )
        lines += [
            "The yardsticks are sequence classifiers of the published sizes with random weights (PyTorch "
            f"{first['torch']}, batches of {first['batch']}), timed on {first['texts']} texts of {first['tokens']} "
            "random token ids, without tokenising, and extrapolated. "
            f"{first['tokens']} tokens cut about a fifth of a 500-word article away, which favours them. "
            f"For all {best['articles']:,} human articles: {whole}.",
            "",
        ]
    if "yardsticks_missing" in result:
        lines += [f"Yardsticks not measured: {result['yardsticks_missing']}.", ""]
    return "\n".join(lines).rstrip() + "\n"


def write(result: Json, out: Path) -> list[Path]:
    """Write bench.json and bench.md into the folder `out` (made if missing) and return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    as_json, as_markdown = out / "bench.json", out / "bench.md"
    as_json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    as_markdown.write_text(to_markdown(result), encoding="utf-8")
    return [as_json, as_markdown]
