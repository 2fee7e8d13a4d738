"""Shards without a cluster: what is finished, what a folder refuses, and a folder in an object store."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from detector import ModelError, SpinDetector
from detector.batch import shards
from detector.batch.inputs import Input, find_inputs
from detector.batch.rows import ReadOptions
from detector.batch.shards import ShardFolder, ShardJob, ShardScorer, fingerprint, split_inputs
from detector.batch.summary import JobError
from detector.batch.writers import OutputForm
from tests.tiny_model import tiny


@pytest.fixture(scope="module")
def detector() -> SpinDetector:
    return SpinDetector.load(tiny().folder)


@pytest.fixture
def found(tmp_path: Path) -> list[Input]:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        rows = [json.dumps({"text": d.text}) for d in tiny().documents[number::40]]
        (folder / f"{number}.jsonl").write_text("\n".join(rows))
    return list(find_inputs([str(folder)]))


def make_job(output: str, found: list[Input], detector: SpinDetector, **changes: object) -> ShardJob:
    fields = {
        "output": output,
        "form": OutputForm("jsonl"),
        "read": ReadOptions(),
        "model": str(tiny().folder),
        "model_id": detector.model_id,
        "operating_point": "balanced",
        "first_table": found[0],
    }
    return ShardJob(**{**fields, **changes})


def score(job: ShardJob, found: list[Input], numbers: list[int]) -> None:
    inputs = split_inputs(found)
    ShardScorer(job)({"number": numbers, "inputs": [json.dumps(inputs[n]) for n in numbers]})


@pytest.mark.parametrize("where", ["local", "object store"])
def test_what_is_finished_stays_and_the_rest_is_missing(
    where: str, tmp_path: Path, found: list[Input], detector: SpinDetector
):
    output = str(tmp_path / "out") if where == "local" else f"memory://{uuid4().hex}/out"
    job = make_job(output, found, detector)
    mark = fingerprint(job, detector.threshold, "balanced", found)
    ShardFolder(job).open(mark, resume=False, restart=False)
    score(job, found, [2, 0])
    folder = ShardFolder(job)
    folder.open(mark, resume=True, restart=False)
    assert folder.finished() == {0, 2}
    files = fsspec.open_files(f"{output}/part-*.jsonl", "rb")
    made = []
    for file in files:
        with file as stream:
            made += [json.loads(line) for line in stream]
    texts = [json.loads(line)["text"] for n in (0, 2) for line in Path(found[n].path).read_text().splitlines()]
    sources = [found[n].path for n in (0, 2) for _ in Path(found[n].path).read_text().splitlines()]
    assert made == [detector.score(t, source=s).to_dict() for t, s in zip(texts, sources, strict=True)]
    counts = folder.counts(folder.finished())
    assert counts.rows == counts.written == len(texts)
    folder.open(mark, resume=False, restart=True)
    assert folder.finished() == set()


def test_a_shard_that_dies_half_way_is_not_there(
    tmp_path: Path, found: list[Input], detector: SpinDetector, monkeypatch: pytest.MonkeyPatch
):
    job = make_job(str(tmp_path / "out"), found, detector)
    folder = ShardFolder(job)
    folder.open(fingerprint(job, detector.threshold, "balanced", found), resume=False, restart=False)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shards.os, "fsync", die)
        with pytest.raises(KeyboardInterrupt):
            score(job, found, [1])
    assert folder.finished() == set()
    assert list((tmp_path / "out").glob(".*.tmp"))
    score(job, found, [1])
    assert folder.finished() == {1}
    folder.remove_temporary()
    assert not list((tmp_path / "out").glob(".*"))


def test_other_jobs_and_other_files_are_left_alone(tmp_path: Path, found: list[Input], detector: SpinDetector):
    output = tmp_path / "out"
    job = make_job(str(output), found, detector)
    mark = fingerprint(job, detector.threshold, "balanced", found)
    folder = ShardFolder(job)
    folder.open(mark, resume=True, restart=False)  # nothing there: a new job
    score(job, found, [0])
    (output / "notes.txt").write_text("mine")
    with pytest.raises(JobError, match="holds a job"):
        folder.open(mark, resume=False, restart=False)
    with pytest.raises(JobError, match="choose one"):
        folder.open(mark, resume=True, restart=True)
    changed = fingerprint(job, 0.5, "balanced", found[:2])
    with pytest.raises(JobError, match="another threshold, inputs"):
        folder.open(changed, resume=True, restart=False)
    assert folder.finished() == {0}
    folder.open(changed, resume=False, restart=True)
    assert sorted(p.name for p in output.iterdir()) == ["_job.json", "notes.txt"]
    (output / "_job.json").write_text("{")
    with pytest.raises(JobError, match="damaged"):
        folder.open(mark, resume=True, restart=False)


def test_texts_share_a_shard_and_tables_do_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shards, "TEXTS_PER_SHARD", 2)
    kinds = ["text", "html", "text", "csv", "jsonl", "text", None]
    found = [Input(str(i), kind) for i, kind in enumerate(kinds)]
    assert [[int(i.path) for i in shard] for shard in split_inputs(found)] == [[0, 1], [2], [3], [4], [5, 6]]


def test_a_node_with_another_model_is_refused(tmp_path: Path, found: list[Input], detector: SpinDetector):
    job = make_job(str(tmp_path / "out"), found, detector, model_id="tiny@000000000000")
    with pytest.raises(ModelError, match="same version"):
        ShardScorer(job)
