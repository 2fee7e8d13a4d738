"""Tables of Arrow in and out, also from Ray's and Hugging Face's `map`: the rows are those of the local job."""

from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import detector
from detector import DetectorError, ModelError, SpinDetector
from detector.batch.arrow import SpinScorer
from detector.batch.job import JobOptions, run_job
from detector.batch.rows import ColumnError, ReadOptions
from detector.batch.summary import Counts
from detector.store import write_manifest
from tests.tiny_model import tiny

SECRET = "xylophonist"  # stands in every text, and may stand in no message


class Quiet:
    def begin(self, total_bytes: int, resumed: Counts) -> None: ...

    def advance(self, counts: Counts, bytes_read: int) -> None: ...

    def complain(self, message: str) -> None: ...


@pytest.fixture(scope="module")
def scorer() -> SpinScorer:
    return SpinScorer(tiny().folder)


def make_table(**more: list) -> pa.Table:
    """Return articles, spun and not, and whatever cannot be scored."""
    texts = [f"{d.text} The {SECRET} left." for d in tiny().documents[::7]]
    texts += [None, "", f"Too short for the {SECRET}.", "Это не английский. " * 40]
    count = len(texts)
    return pa.table({"id": list(range(count)), "text": texts, "site": [f"s{i % 3}" for i in range(count)], **more})


def local(tmp_path: Path, table: pa.Table, **options: object) -> pa.Table:
    """Return what the local job writes for the table."""
    source = tmp_path / "in.parquet"
    pq.write_table(table, source)
    read = ReadOptions(keep=options.pop("keep", ()), html=options.pop("html", False))
    job = JobOptions((str(source),), tmp_path / "out.parquet", read, model=str(tiny().folder), **options)
    run_job(job, Quiet())
    return pq.read_table(job.output)


def test_rows_and_types_are_those_of_the_local_job(tmp_path: Path):
    table = make_table()
    table = table.append_column("file", pa.array([str(tmp_path / "in.parquet")] * len(table)))
    expected = local(tmp_path, table)
    assert {"spun", "clean", "not_scored"} == set(expected.column("verdict").to_pylist())
    scorer = SpinScorer(tiny().folder, source_column="file")
    assert scorer(table).equals(expected)
    pieces = [scorer(table.slice(i, 5)) for i in range(0, len(table), 5)]
    assert pa.concat_tables(pieces).equals(expected)
    assert scorer(table.slice(0, 0)).schema == expected.schema


def test_options_do_what_they_do_in_the_local_job(tmp_path: Path):
    table = make_table()
    expected = local(tmp_path, table, keep=("site",), spun_only=True, spans=False, operating_point="sensitive")
    scorer = SpinScorer(tiny().folder, operating_point="sensitive", keep=["site"], spun_only=True, spans=False)
    made = scorer(table)
    assert 0 < len(made) < len(table)
    assert made.drop_columns("source").equals(expected.drop_columns("source"))
    assert made.column("source").null_count == len(made)
    everything = SpinScorer(tiny().folder, keep=("all",), id_column="site")(table)
    assert everything.column("input_id").to_pylist() == list(range(len(table)))
    assert everything.column("text").equals(table.column("text"))
    assert everything.column("id").to_pylist() == table.column("site").to_pylist()


def test_pages_of_html_and_what_fails_in_them(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    pages = [f"<html><body><article><p>{d.text} {SECRET}</p></article></body></html>" for d in tiny().documents[:3]]
    table = pa.table({"text": [*pages, f"<html><head><title>{SECRET}</title></head></html>"]})
    caplog.set_level(logging.DEBUG)
    made = SpinScorer(tiny().folder, html=True)(table)
    expected = local(tmp_path, table, html=True)
    assert made.drop_columns(["source", "error"]).equals(expected.drop_columns(["source", "error"]))
    [error] = [e for e in made.column("error").to_pylist() if e is not None]
    assert "row 4" in error and SECRET not in error
    assert SECRET not in caplog.text


@pytest.mark.parametrize("of_type", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_other_types_of_text(scorer: SpinScorer, of_type: pa.DataType):
    table = make_table()
    cast = table.set_column(1, "text", table.column("text").cast(of_type))
    assert scorer(cast).equals(scorer(table))


def test_wrong_columns_and_wrong_types_are_named(scorer: SpinScorer):
    with pytest.raises(ColumnError, match=r"no column 'text'; there are 'body'"):
        scorer(pa.table({"body": ["x"]}))
    with pytest.raises(ColumnError, match="no column 'url'"):
        SpinScorer(tiny().folder, keep=["url"])(pa.table({"text": ["x"]}))
    with pytest.raises(ColumnError, match="no column 'path'"):
        SpinScorer(tiny().folder, source_column="path")(pa.table({"text": ["x"]}))
    with pytest.raises(TypeError, match="batch_format"):
        scorer({"text": ["x"]})  # type: ignore[arg-type]


def test_pickle_holds_no_weights_and_refuses_another_model(tmp_path: Path):
    folder = tmp_path / "tiny"
    shutil.copytree(tiny().folder, folder)
    scorer = SpinScorer(folder, keep=["site"])
    pickled = pickle.dumps(scorer)
    assert len(pickled) < 1000
    assert pickle.loads(pickled)(make_table()).equals(scorer(make_table()))
    config = json.loads((folder / "config.json").read_text())
    config["operating_points"]["strict"] = 0.999
    (folder / "config.json").write_text(json.dumps(config))
    write_manifest(folder, "tiny", {})
    with pytest.raises(ModelError, match="install the same"):
        pickle.loads(pickled)


def test_hugging_face_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    datasets = pytest.importorskip("datasets")
    table = make_table()
    dataset = datasets.Dataset(table)
    expected = local(tmp_path, table).drop_columns("source")

    scorer = SpinScorer(tiny().folder)
    scored = dataset.with_format("arrow").map(scorer, batched=True, batch_size=7, remove_columns=dataset.column_names)

    assert scored.column_names == [*expected.column_names[:2], "source", *expected.column_names[2:]]
    rows = scored.with_format(None).to_list()
    assert [{k: v for k, v in row.items() if k != "source"} for row in rows] == expected.to_pylist()
    results = SpinDetector.load(tiny().folder).score_batch(table["text"].to_pylist())
    assert [row["probability"] for row in rows] == [result.probability for result in results]


def test_hugging_face_datasets_in_two_processes(tmp_path: Path):
    pytest.importorskip("datasets")
    code = f"""
import datasets
from detector.batch.arrow import SpinScorer

if __name__ == "__main__":
    dataset = datasets.Dataset.from_parquet({str(tmp_path / "in.parquet")!r}, cache_dir={str(tmp_path)!r})
    scored = dataset.with_format("arrow").map(
        SpinScorer({str(tiny().folder)!r}), batched=True, remove_columns=dataset.column_names, num_proc=2
    )
    scored.to_parquet({str(tmp_path / "scored.parquet")!r})
"""
    table = make_table()
    expected = local(tmp_path, table).drop_columns("source")
    (tmp_path / "map.py").write_text(code)
    env = {**os.environ, "PYTHONPATH": str(Path(detector.__file__).parent.parent)}
    subprocess.run([sys.executable, tmp_path / "map.py"], check=True, capture_output=True, env=env)
    made = pq.read_table(tmp_path / "scored.parquet").drop_columns("source")
    assert made.to_pylist() == expected.to_pylist()


def test_without_ray_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from detector.batch.ray import score_files

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DetectorError, match=r"pip install 'detect-spin\[ray\]'"):
        score_files(["x.parquet"], str(tmp_path / "out"), workers=1)
    assert not (tmp_path / "out").exists()
