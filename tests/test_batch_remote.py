"""Inputs and outputs at URLs: in fsspec's memory, at a web server on this machine, and what is not installed."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detector import SpinDetector
from detector.batch import cli, remote, tables
from detector.batch.command import command
from detector.batch.job import Counts, JobError, JobOptions, run_job
from detector.batch.readers import ReadOptions, find_inputs, kept_schema, read_chunks
from tests.tiny_model import article, tiny

fsspec = pytest.importorskip("fsspec")


class Watcher:
    def __init__(self, stop_after: int | None = None) -> None:
        self.complaints: list[str] = []
        self.stop_after = stop_after

    def begin(self, total_bytes: int, resumed: Counts) -> None:
        self.total = total_bytes

    def advance(self, counts: Counts, bytes_read: int) -> None:
        if self.stop_after is not None and counts.rows >= self.stop_after:
            raise KeyboardInterrupt

    def complain(self, message: str) -> None:
        self.complaints.append(message)


@pytest.fixture(scope="module")
def detector() -> SpinDetector:
    return SpinDetector.load(tiny().folder)


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def lines(texts: list[str]) -> bytes:
    return "".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in enumerate(texts)).encode()


def table(texts: list[str]) -> bytes:
    with io.BytesIO() as stream:
        pq.write_table(pa.table({"id": list(range(len(texts))), "text": texts}), stream, row_group_size=3)
        return stream.getvalue()


def read(*names: str, rows: int = 4) -> list[tuple[str, Any]]:
    """Each row as (source, text or error)."""
    found = []
    for chunk in read_chunks(find_inputs(names), ReadOptions(), rows=rows):
        part = chunk.rows
        found += [(s, e or t) for s, t, e in zip(part.sources, part.texts, part.errors, strict=True)]
    return found


def test_every_kind_of_file_is_read_from_a_url(memory):
    memory.pipe("/in/a.jsonl.gz", gzip.compress(lines(["one", "two"])))
    memory.pipe("/in/b.csv.zst", pa.compress(b"text\nthree\n", "zstd", asbytes=True))
    memory.pipe("/in/c/d.parquet", table(["four", "five", "six", "seven"]))
    memory.pipe("/in/e.tsv", b"id\ttext\n1\teight\n")
    for hidden in ("/in/.f.jsonl", "/in/.g/h.jsonl", "/in/notes.docx"):
        memory.pipe(hidden, lines(["never"]))
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    assert [text for _, text in read("memory://in")] == words
    assert [text for _, text in read("memory://in/**/*.parquet", "memory://in/e.tsv")] == words[3:]
    assert read("memory://in/*.jsonl.gz") == [("memory://in/a.jsonl.gz", "one"), ("memory://in/a.jsonl.gz", "two")]
    schema, integer_ids = kept_schema(find_inputs(["memory://in/c"]), ReadOptions(keep=("all",)))
    assert integer_ids and schema.names == ["text"]


def test_what_is_not_there_is_a_row_with_its_error(memory):
    memory.pipe("/in/notes.docx", b"")
    found = read("memory://none.jsonl", "memory://in/", "memory://in/*.csv", "memory://in/notes.docx")
    for (name, error), source, message in zip(
        found,
        ("memory://none.jsonl", "memory://in/", "memory://in/*.csv", "memory://in/notes.docx"),
        ("no such file", "no file of a known kind here", "no file of a known kind here", "of no known kind"),
        strict=True,
    ):
        assert name == source and error.startswith(f"{source}: {message}")


def test_a_file_url_is_a_path(tmp_path: Path):
    (tmp_path / "a.jsonl").write_bytes(lines(["one"]))
    assert read((tmp_path / "a.jsonl").as_uri()) == [(str(tmp_path / "a.jsonl"), "one")]
    assert read(f"file://{tmp_path}/*.jsonl") == [(str(tmp_path / "a.jsonl"), "one")]


def test_a_driver_that_is_missing_is_named_before_the_work(tmp_path: Path, detector: SpinDetector, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)  # also where it is installed
    options = JobOptions(("s3://bucket/a.parquet",), tmp_path / "o.jsonl")
    with pytest.raises(JobError, match=r"^s3://bucket/a\.parquet: s3:// needs .* install it with: pip install s3fs$"):
        run_job(options, Watcher(), detector)
    with pytest.raises(JobError, match="fsspec knows no driver for nothing://"):
        run_job(JobOptions(("nothing://a",), tmp_path / "o.jsonl"), Watcher(), detector)
    with pytest.raises(JobError, match="install it with: pip install s3fs"):
        run_job(
            JobOptions((str(tmp_path),), tmp_path / "o.jsonl", upload_to="s3://bucket/o.jsonl"), Watcher(), detector
        )
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(JobError, match=r"pip install 'detect-spin\[remote\]'"):
        run_job(options, Watcher(), detector)
    assert not list(tmp_path.iterdir())


# --- output ---


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_output_at_a_url_appears_when_it_is_complete(
    tmp_path: Path, detector: SpinDetector, memory, monkeypatch, ending: str
):
    rng = random.Random(3)
    texts = [article(rng, sentences=5) for _ in range(300)]
    memory.pipe("/in/a.jsonl", lines(texts))
    monkeypatch.chdir(tmp_path)
    common = (("memory://in/a.jsonl",), tmp_path / f"o.{ending}")
    run_job(JobOptions(*common), Watcher(), detector)
    whole = (tmp_path / f"o.{ending}").read_bytes()
    (tmp_path / f"o.{ending}").unlink()
    memory.pipe(f"/out/o.{ending}", b"yesterday")
    with pytest.raises(KeyboardInterrupt):
        run_job(JobOptions(*common, upload_to=f"memory://out/o.{ending}"), Watcher(stop_after=1), detector)
    assert memory.cat(f"/out/o.{ending}") == b"yesterday"
    assert [p.name for p in tmp_path.iterdir()] == [f"o.{ending}.parts"]
    with pytest.raises(JobError, match="had another output"):
        run_job(JobOptions(*common, upload_to=f"memory://else/o.{ending}", resume=True), Watcher(), detector)
    summary = run_job(JobOptions(*common, upload_to=f"memory://out/o.{ending}", resume=True), Watcher(), detector)
    assert memory.cat(f"/out/o.{ending}") == whole and summary.output == f"memory://out/o.{ending}"
    assert summary.resumed_rows == 256 and not list(tmp_path.iterdir())


def test_an_upload_that_fails_loses_nothing(tmp_path: Path, detector: SpinDetector, memory, monkeypatch):
    memory.pipe("/in/a.jsonl", lines(["too short"] * 5))
    options = {"inputs": ("memory://in/a.jsonl",), "output": tmp_path / "o.jsonl", "upload_to": "memory://out/o.jsonl"}

    def refuse(*args: Any, **named: Any) -> None:
        raise ConnectionResetError(104, "Connection reset by peer")

    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "put_file", refuse)
        with pytest.raises(JobError, match=r"cannot be written: Connection reset by peer; what was finished is kept"):
            run_job(JobOptions(**options), Watcher(), detector)
    assert not memory.exists("/out/o.jsonl")
    summary = run_job(JobOptions(**options, resume=True), Watcher(), detector)
    assert summary.resumed_rows == 5 and memory.cat("/out/o.jsonl").count(b"\n") == 5
    assert not list(tmp_path.iterdir())


def test_elsewhere_than_in_object_stores_a_file_is_renamed_when_it_has_arrived(tmp_path: Path, memory, monkeypatch):
    monkeypatch.setattr(remote, "_OBJECT_STORES", frozenset())
    (tmp_path / "made").write_bytes(b"new")
    memory.pipe("/out/o.jsonl", b"old")
    seen = []
    original = type(memory).put_file
    monkeypatch.setattr(
        type(memory),
        "put_file",
        lambda self, *a, **k: (original(self, *a, **k), seen.append(memory.cat("/out/o.jsonl")))[0],
    )
    remote.upload(tmp_path / "made", "memory://out/o.jsonl")
    assert seen == [b"old"] and memory.cat("/out/o.jsonl") == b"new"
    assert memory.ls("/out", detail=False) == ["/out/o.jsonl"]


def test_outputs_that_cannot_be(tmp_path: Path, detector: SpinDetector, memory):
    memory.pipe("/in/a.jsonl", lines(["short"]))
    for url, message in (
        ("https://127.0.0.1/o.jsonl", "a web server takes no files"),
        ("memory://in", "is a folder"),
        ("memory://in/a.jsonl", "is both an input and the output"),
    ):
        options = JobOptions(("memory://in/a.jsonl",), tmp_path / "o.jsonl", upload_to=url)
        with pytest.raises(JobError, match=message):
            run_job(options, Watcher(), detector)
    assert memory.cat("/in/a.jsonl") == lines(["short"]) and not list(tmp_path.iterdir())


def test_command(tmp_path: Path, detector: SpinDetector, memory, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "work").mkdir()
    memory.pipe("/in/a.jsonl", lines(["short", "too short"]))
    common = ["memory://in/a.jsonl", "--model", str(tiny().folder), "--workers", "1"]
    assert cli.run([*common, "-o", "memory://out/o.jsonl", "--work-dir", "work"]) == 0
    assert "2 written to memory://out/o.jsonl" in capsys.readouterr().err
    rows = [json.loads(line) for line in memory.cat("/out/o.jsonl").splitlines()]
    assert [r["id"] for r in rows] == [0, 1] and {r["source"] for r in rows} == {"memory://in/a.jsonl"}
    assert cli.run([*common, "-o", (tmp_path / "o.jsonl").as_uri()]) == 0
    assert (tmp_path / "o.jsonl").read_bytes() == memory.cat("/out/o.jsonl")
    assert cli.run([*common, "-o", "o2.jsonl", "--work-dir", "work"]) == 2
    assert command.name == "detect-spin-batch" and not list((tmp_path / "work").iterdir())


# --- a web server ---


class Handler(BaseHTTPRequestHandler):
    """Serves `files`, with parts of them if asked for, and breaks off as often as `breaks` says."""

    files: dict[str, bytes]
    breaks: int
    ranges: bool
    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = self.path.split("?")[0]
        if path not in self.files:
            self.send_error(404)
            return
        data = self.files[path]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if self.ranges else None
        if body:
            self.asked.append(self.headers.get("Range", ""))
        if wanted:
            start, end = int(wanted[1]), int(wanted[2] or len(data) - 1)
            part = data[start : end + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(data)}")
        else:
            part = data
            self.send_response(200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Accept-Ranges", "bytes" if self.ranges else "none")
        self.end_headers()
        if not body:
            return
        if self.breaks and len(part) > 100:
            type(self).breaks -= 1
            self.wfile.write(part[: len(part) // 2])
            self.close_connection = True
            return
        self.wfile.write(part)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, type[Handler]]]:
    pytest.importorskip("aiohttp")
    handler = type("Served", (Handler,), {"files": {}, "breaks": 0, "ranges": True, "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}", handler
        made.shutdown()
        thread.join()


def test_files_of_a_web_server(server):
    url, handler = server
    texts = [f"text {i}" for i in range(50)]
    handler.files = {"/a.jsonl": lines(texts), "/b.jsonl.gz": gzip.compress(lines(texts)), "/c.parquet": table(texts)}
    for name in handler.files:
        assert [text for _, text in read(f"{url}{name}")] == texts
    (source, error), (other, _), *_ = read(f"{url}/none.csv", f"{url}/a.jsonl?key=abc&page=1")
    assert source == f"{url}/none.csv" and "no such file" in error
    assert other == f"{url}/a.jsonl?key=***&page=1"  # a key to the file must not stand in each row
    handler.ranges = False
    assert [text for _, text in read(f"{url}/a.jsonl")] == texts
    ((_, error),) = read(f"{url}/c.parquet")
    assert "cannot be read: the server does not send parts of files" in error


def test_parquet_is_fetched_by_the_block(server, monkeypatch):
    url, handler = server
    rng = random.Random(5)
    texts = [rng.randbytes(500).hex() for _ in range(200)]
    with io.BytesIO() as stream:
        small = {"use_dictionary": False, "data_page_size": 10_000, "write_batch_size": 10}
        pq.write_table(pa.table({"text": texts, "other": texts}), stream, **small)
        handler.files = {"/a.parquet": stream.getvalue()}
    monkeypatch.setattr("detector.batch.parquet.BLOCK_BYTES", 20_000)
    assert [text for _, text in read(f"{url}/a.parquet", rows=100)] == texts
    parts = [re.fullmatch(r"bytes=(\d+)-(\d+)", asked) for asked in handler.asked]
    sizes = [int(part[2]) - int(part[1]) + 1 for part in parts if part]
    assert len(sizes) == len(parts) and len(sizes) > 5
    # Only the column that is wanted, once, and the footer.
    assert sum(sizes) < 0.75 * len(handler.files["/a.parquet"])


@pytest.mark.parametrize("breaks", [1, 2, 5])
def test_a_lost_connection_is_taken_up_again(server, monkeypatch, breaks: int):
    """Twice without a row in between is what a file gets; no row is read twice."""
    url, handler = server
    monkeypatch.setattr(tables, "_PAUSES", (0.0, 0.0))
    texts = [f"text {i}" for i in range(500)]
    handler.files, handler.ranges, handler.breaks = {"/a.jsonl": lines(texts)}, False, breaks
    found = [text for _, text in read(f"{url}/a.jsonl")]
    if breaks == 5:
        assert found[:-1] == texts[: len(found) - 1] and "cannot be read" in found[-1]
    else:
        assert found == texts
