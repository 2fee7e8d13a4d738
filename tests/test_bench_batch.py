"""The parts of the batch benchmark; its timings are not tested, they belong to a machine."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detector.errors import InputError
from eval import bench_batch
from tests.tiny_model import article, tiny


def test_articles_are_of_the_asked_length_and_share(tmp_path: Path):
    rng = random.Random(1)
    for table, words, count in (("human/bbc_2004", 60, 99), ("spun/wild", 7, 30)):
        path = tmp_path / f"{table}.parquet"
        path.parent.mkdir(exist_ok=True)
        mark = table.split("/")[0]
        texts = [" ".join([mark, *(str(rng.random()) for _ in range(words - 1))]) for _ in range(count)]
        pq.write_table(pa.table({"text": texts}), path)
    made, source = bench_batch.make_articles(tmp_path, 100, 50, seed=1)
    assert sorted({len(text.split()) for text in made}) == [50] and len(made) == 100
    assert sum(text.startswith("spun") for text in made) == 2 and "2% of them spun" in source
    assert (
        made
        == bench_batch.make_articles(tmp_path, 100, 50, seed=1)[0]
        != bench_batch.make_articles(tmp_path, 100, 50, 2)[0]
    )


def test_short_rows():
    rows = list(bench_batch.short_rows(["one two three four five"], 20, 3, seed=1))
    assert len(rows) == 20 and set(rows) <= {"one two three", "two three four"}


def test_the_whole_benchmark_on_a_tiny_model(tmp_path: Path, monkeypatch):
    """Every number is there, and those that do not depend on time are right."""
    rng = random.Random(2)
    texts = [article(rng) for _ in range(6)]
    monkeypatch.setattr(bench_batch, "make_articles", lambda *_: (texts, "made up"))
    monkeypatch.setattr(bench_batch, "START_RUNS", 1)
    model = str(tiny().folder)
    result = bench_batch.run(tmp_path, model, len(texts), 150, rows=[3, 40], workers=[1])
    (memory,), (job,), (start,) = result["in_memory"], result["end_to_end"], result["start"]
    assert memory["words_scored"] == result["steps"]["words_scored"] > 6 * 100
    assert result["steps"]["rows"] == 6 and result["steps"]["cpu_seconds"]["scoring"] > 0
    assert 30 < job["main_mb"] == job["all_mb"] < 1000 and job["worker_mb"] == 0
    assert start["cpu_seconds"] > 0 and job["cpu_seconds"] > 0
    assert [r["rows"] for r in result["rows"]] == [3, 40]
    paths = bench_batch.write(result, tmp_path / "out")
    assert [p.name for p in paths] == ["bench-batch.json", "bench-batch.md", "bench-batch.png"]
    assert paths[2].read_bytes().startswith(b"\x89PNG")
    text = paths[1].read_text(encoding="utf-8")
    assert "| 40 | 1 |" in text and "| scoring |" in text and memory["model"] in text


def test_a_job_that_fails_says_why(tmp_path: Path):
    pq.write_table(pa.table({"body": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="no column 'text'"):
        bench_batch.run_job(tmp_path / "a.parquet", 1, str(tiny().folder))
