"""The parts of the batch benchmark; its timings are not tested, they belong to a machine."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detector.errors import InputError
from eval import bench_batch, bench_batch_report, bench_texts
from tests.tiny_model import article, tiny


def test_articles_are_of_the_asked_length_and_share(tmp_path: Path):
    rng = random.Random(1)
    for table, words, count in (("human/bbc_2004", 60, 120), ("spun/wild", 7, 30)):
        path = tmp_path / f"{table}.parquet"
        path.parent.mkdir(exist_ok=True)
        mark = table.split("/")[0]
        texts = [" ".join([mark, *(str(rng.random()) for _ in range(words - 1))]) for _ in range(count)]
        pq.write_table(pa.table({"text": texts}), path)
    made, source = bench_texts.mixed_articles(tmp_path, 100, 50, 0.02, seed=1)
    assert sorted({len(text.split()) for text in made}) == [50] and len(made) == 100
    assert sum(text.startswith("spun") for text in made) == 2 and "tables" in source
    assert made == bench_texts.mixed_articles(tmp_path, 100, 50, 0.02, 1)[0]
    assert made != bench_texts.mixed_articles(tmp_path, 100, 50, 0.02, 2)[0]
    assert not any(t.startswith("spun") for t in bench_texts.mixed_articles(tmp_path, 100, 50, 0.0, 1)[0])


def test_without_tables_the_articles_are_made_of_the_examples(tmp_path: Path):
    made, source = bench_texts.mixed_articles(tmp_path, 10, 120, 0.2, seed=1)
    spun = (bench_texts.ROOT / "examples" / "spun.txt").read_text(encoding="utf-8")
    assert len(made) == 10 and "examples/" in source
    assert sum(text.split("\n\n")[0].split(". ")[0] in spun for text in made) == 2


def test_short_rows():
    rows = list(bench_texts.short_rows(["one two three four five"], 20, 3, seed=1))
    assert len(rows) == 20 and set(rows) <= {"one two three", "two three four"}


def test_the_whole_benchmark_on_a_tiny_model(tmp_path: Path, monkeypatch):
    """Every number is there, and those that do not depend on time are right; parts are measured again by themselves."""
    rng = random.Random(2)
    texts = [article(rng) for _ in range(6)]
    monkeypatch.setattr(bench_batch, "mixed_articles", lambda *_: (texts, "made up"))
    monkeypatch.setattr(bench_batch, "START_RUNS", 1)
    monkeypatch.setattr(bench_batch, "ROUNDS", 1)
    model = str(tiny().folder)
    result = bench_batch.run(tmp_path, model, len(texts), 150, rows=[3, 40], workers=[1])
    (found,), (start,) = result["rounds"], result["start"]
    memory, job = found["in_memory"], found["job"]
    assert memory["words_scored"] == result["steps"]["words_scored"] > 6 * 100
    assert 0 < memory["first_seconds"] < memory["seconds"]
    assert result["steps"]["rows"] == 6 and result["steps"]["cpu_seconds"]["scoring"] > 0
    assert 30 < job["main_mb"] == job["all_mb"] < 1000 and job["worker_mb"] == 0
    assert start["cpu_seconds"] > 0 and job["cpu_seconds"] > 0
    assert [r["rows"] for r in result["rows"]] == [3, 40]
    paths = bench_batch_report.write(result, tmp_path / "out")
    assert [p.name for p in paths] == ["bench-batch.json", "bench-batch.md", "bench-batch.png"]
    assert paths[2].read_bytes().startswith(b"\x89PNG")
    text = paths[1].read_text(encoding="utf-8")
    assert "| 40 | 1 |" in text and "| scoring |" in text and memory["model"] in text

    before = bench_batch.read_before(tmp_path / "out")
    again = bench_batch.run(tmp_path, model, len(texts), 150, rows=[40, 50], workers=[1], parts=["rows"], before=before)
    assert [r["rows"] for r in again["rows"]] == [3, 40, 50] and again["rounds"] == result["rounds"]
    assert again["rows"][0] == result["rows"][0] and again["rows"][1] != result["rows"][1]
    with pytest.raises(InputError, match="another articles"):
        bench_batch.run(tmp_path, model, 5, 150, workers=[1], parts=["start"], before=before)
    assert bench_batch.read_before(tmp_path) is None


def test_memory_is_compared_with_that_of_ten_thousand_rows():
    """In words, because it is what the table is for."""
    sizes = {"seconds": 1.0, "cpu_seconds": 1.0, "together_mb": None}
    rows = [
        {"rows": n, "workers": w, "main_mb": main, "worker_mb": worker, "all_mb": main + w * worker, **sizes}
        for n, main, worker in ((10_000, 100.0, 80.0), (1_000_000, 105.0, 80.0))
        for w in (1, 2)
    ]
    told = bench_batch_report._growth(rows)[0]
    assert "2 workers: main process +5.0%, worker +0.0%, sum +1.9% from 10,000 to 1,000,000 rows." in told


def test_a_job_that_fails_says_why(tmp_path: Path):
    pq.write_table(pa.table({"body": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="no column 'text'"):
        bench_batch.run_job(tmp_path / "a.parquet", 1, str(tiny().folder))
