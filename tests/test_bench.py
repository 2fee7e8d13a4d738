"""The benchmark's own parts; its timings are not tested, they belong to a machine."""

from __future__ import annotations

import os
import sys
import time

import pytest

from detector.errors import InputError
from eval import bench, bench_texts

RESULT = {
    "schema": 1,
    "machine": {"cpu": "some processor", "cores": 2, "system": "Linux", "python": "3.11.0"},
    "texts": "sentences of examples/",
    "cold_start": {
        "command": "detect-spin FILE",
        "runs": 5,
        "median_seconds": 0.41,
        "slowest_seconds": 0.5,
        "peak_memory_mb": 120.4,
    },
    "throughput": [
        {
            "stream": stream,
            "model": "m@0",
            "processes": processes,
            "articles": 2000,
            "words": 1_000_000,
            "seconds": 4.0 / processes,
            "cpu_seconds": 4.0,
            "articles_per_second": 500.0 * processes,
            "words_per_second": 250_000.0 * processes,
            "load_seconds": 0.2,
            "peak_memory_mb": 150.0,
            "verdicts": {"clean": 2000},
        }
        for stream in ("human", "2% spun")
        for processes in (1, 2)
    ],
}
YARDSTICK = {
    "kind": "roberta-base",
    "parameters": 124_647_170,
    "texts": 12,
    "tokens": 512,
    "batch": 4,
    "threads": 2,
    "seconds": 6.0,
    "articles_per_second": 2.0,
    "peak_memory_mb": 1500.0,
    "torch": "2.13.0",
}


@pytest.mark.parametrize(
    ("text", "count", "expected"), [("a  b\n\nc d", 3, "a  b\n\nc"), ("a b", 2, "a b"), ("a b", 3, None)]
)
def test_first_words_keeps_white_space(text, count, expected):
    assert bench_texts.first_words(text, count) == expected


def test_articles_from_tables_are_cut_and_short_ones_left_out(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "human").mkdir()
    pq.write_table(
        pa.table({"text": ["one two three four", "too short", "five six seven"]}), tmp_path / "human/bbc_2004.parquet"
    )
    assert bench_texts.articles_from_tables(tmp_path, 5, 3) == ["one two three", "five six seven"]
    assert bench_texts.articles_from_tables(tmp_path, 1, 3) == ["one two three"]
    assert bench_texts.articles_from_tables(tmp_path / "nowhere", 5, 3) == []


def test_articles_from_examples_are_long_enough_and_repeatable(tmp_path):
    (tmp_path / "a.txt").write_text(
        "The ferry left at noon. Nobody on the pier waved! Yes. Would it come back?", encoding="utf-8"
    )
    made = bench_texts.articles_from_examples(tmp_path, 3, 50, seed=1)
    assert made == bench_texts.articles_from_examples(tmp_path, 3, 50, seed=1)
    assert made != bench_texts.articles_from_examples(tmp_path, 3, 50, seed=2)
    assert len(set(made)) == 3
    for article in made:
        assert 50 <= len(article.split()) < 50 + 4 * 5
        assert "Yes." not in article  # fragments are no sentences


def test_articles_from_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="--data"):
        bench_texts.articles_from_examples(tmp_path, 1, 10, seed=0)


def _hold(megabytes: int) -> dict[str, float]:
    block = bytearray(os.urandom(1024)) * (megabytes * 1024)
    return {"peak": bench.peak_memory_mb(), "held": len(block) / 1e6, "pid": os.getpid()}


def test_fresh_processes_do_not_inherit_this_ones_memory():
    ballast = bytearray(os.urandom(1024)) * (300 * 1024)
    small, large = bench._fresh(_hold, [(1,), (150,)])
    assert bench.peak_memory_mb() > len(ballast) / 1e6
    assert small["peak"] < 200
    assert large["peak"] > 150
    assert len({small["pid"], large["pid"], os.getpid()}) == 3


@pytest.mark.skipif(not hasattr(os, "posix_spawn"), reason="the cold start is measured on POSIX systems only")
def test_launcher_reports_time_memory_and_exit_code_of_the_command_alone():
    import json
    import subprocess

    ballast = bytearray(os.urandom(1024)) * (300 * 1024)
    child = "import sys, time; block = bytearray(50_000_000); time.sleep(0.2); print('not shown'); sys.exit(7)"
    command = [sys.executable, "-I", "-S", "-c", bench._LAUNCHER, sys.executable, "-I", "-S", "-c", child]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, peak, code = json.loads(done.stdout)
    megabytes = peak * (1 if sys.platform == "darwin" else 1024) / 1e6
    assert code == 7
    assert 0.2 <= seconds <= time.perf_counter() - started
    assert 50 < megabytes < len(ballast) / 1e6


def test_markdown_names_yardsticks_and_how_they_were_extrapolated():
    text = bench.to_markdown({**RESULT, "yardsticks": [YARDSTICK]})
    assert "| score_batch, 2% spun, 2 processes | 2,000 | 1,000 | 500,000 | 2.0 | 150 each |" in text
    assert "| roberta-base, 2 threads | 12 | 2.00 | 1,000 | | 1500 |" in text
    assert "timed on 12 texts of 512 random token ids" in text
    assert "roberta-base 17 min (500 times as long)" in text  # 2000 articles at 2 a second; 1000 / 2
    assert "0.41 s from a cold start (median of 5" in text


def test_markdown_says_what_to_install_for_the_yardsticks():
    text = bench.to_markdown(
        {**RESULT, "yardsticks_missing": "torch not installed; they come with pip install '.[train]'"}
    )
    assert "Yardsticks not measured: torch not installed; they come with pip install '.[train]'." in text


def test_files_are_written(tmp_path):
    as_json, as_markdown = bench.write(RESULT, tmp_path / "new")
    assert as_json.name == "bench.json"
    assert as_markdown.read_text(encoding="utf-8") == bench.to_markdown(RESULT)
