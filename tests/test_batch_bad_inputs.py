"""What once ended a job, hung it or overwrote data: nested deep, no files, wrong encodings, columns there twice."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detector import SpinDetector
from detector.batch.arrow import SpinScorer
from detector.batch.inputs import find_inputs
from detector.batch.job import JobError
from detector.batch.readers import START, Chunk, ColumnError, Position, ReadOptions, kept_schema, read_chunks
from detector.batch.rows import MAX_NESTING
from detector.cli import ExitCode
from tests.test_batch_job import ROOT, batch, read_lines, read_rows, run
from tests.tiny_model import tiny

POSIX = pytest.mark.skipif(os.name != "posix", reason="named pipes and links to open files")


def read(*names: object, start: Position = START, rows: int = 3, **options: object) -> list[Chunk]:
    return list(read_chunks(find_inputs(map(str, names)), ReadOptions(**options), start, rows=rows))


def rows_of(chunks: list[Chunk]) -> list[tuple]:
    """Each row as (id, text, error)."""
    return [row for c in chunks for row in zip(c.rows.ids, c.rows.texts, c.rows.errors, strict=True)]


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


# --- nested deep ---


@pytest.mark.parametrize(
    ("line", "options", "row_id"),
    [
        (f'{{"id": 7, "text": {nested(700)}}}', {}, 7),
        (f'{{"id": 7, "text": "a", "k": {nested(MAX_NESTING + 1)}}}', {"keep": ("k",)}, 7),
        (f'{{"id": 7, "text": "a", "k": {{"in": {nested(MAX_NESTING)}}}}}', {"keep": ("all",)}, 7),
        (f'{{"id": {nested(900)}, "text": "a"}}', {}, None),
        (f'{{"id": 7, "text": "a", "k": {nested(100_000)}}}', {}, None),
    ],
    ids=["text", "kept", "all kept", "id", "beyond parsing"],
)
def test_a_line_nested_too_deep_is_an_error_row(tmp_path: Path, line: str, options: dict, row_id: int | None):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"id": 1, "text": "before"}}\n{line}\n{{"id": 2, "text": "after"}}\n')
    before, deep, after = rows_of(read(path, **options))
    assert (before, after) == ((1, "before", None), (2, "after", None))
    message = f"{path}: line 2: nested more than {MAX_NESTING} levels deep; flatten or remove the field"
    assert deep == (row_id, None, message)


def test_what_is_nested_less_deep_or_not_used_is_read(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"text": "a", "k": {nested(MAX_NESTING)}, "unused": {nested(300)}}}\n')
    (chunk,) = read(path, keep=("k",))
    assert chunk.rows.texts == ["a"] and chunk.rows.errors == [None]
    assert chunk.rows.kept == [{"k": json.loads(nested(MAX_NESTING))}]
    assert pickle.loads(pickle.dumps(chunk.rows)) == chunk.rows


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_goes_on_behind_what_is_nested_too_deep(tmp_path: Path, workers: int):
    lines = ['{"text": "One."}', f'{{"text": {nested(700)}}}', f'{{"text": "x", "k": {nested(900)}}}']
    lines.append(f'{{"text": "Four.", "k": {nested(MAX_NESTING)}}}')
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    done = batch("a.jsonl", "-o", "o.jsonl", "--keep", "all", "--workers", workers, cwd=tmp_path)
    assert done.returncode == ExitCode.SOME_FAILED
    rows = read_lines(tmp_path / "o.jsonl")
    assert ["error" in row for row in rows] == [False, True, True, False]
    assert rows[3]["k"] == json.loads(nested(MAX_NESTING))


# --- no files ---


@POSIX
def test_pipes_sockets_and_devices_are_errors_and_never_opened(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket may have about a hundred bytes
    (tmp_path / "in").mkdir()
    os.mkfifo("in/a.jsonl")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("in/b.txt")
        Path("in/c.csv").symlink_to("/dev/zero")
        os.mkfifo("in/d.docx")
        Path("in/e.txt").write_text("a text")
        for arguments in (["in"], ["in/*"], ["in/a.jsonl", "in/b.txt", "in/c.csv", "in/e.txt"]):
            *others, last = find_inputs(arguments)
            assert (last.path, last.kind, last.error) == ("in/e.txt", "text", None)
            assert [(i.path, i.kind) for i in others] == [("in/a.jsonl", None), ("in/b.txt", None), ("in/c.csv", None)]
            for item in others:
                message = f"{item.path}: is a pipe, a socket or a device, not a file; name a file, or pipe JSON lines"
                assert item.error is not None and item.error.startswith(message)


@POSIX
@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="needs /dev/fd")
def test_a_pipe_that_is_open_already_is_read_where_it_is_named_by_itself(tmp_path: Path):
    reading, writing = os.pipe()
    link = tmp_path / "rows.jsonl"
    link.symlink_to(f"/dev/fd/{reading}")
    (in_folder,) = find_inputs([str(tmp_path)])
    assert in_folder.kind is None and "is a pipe" in str(in_folder.error)
    os.write(writing, b'{"text": "a"}\n')
    os.close(writing)
    assert rows_of(read(link)) == [(None, "a", None)]
    os.close(reading)


# --- the summary's file ---


def test_a_summary_replaces_neither_the_output_nor_an_input(tmp_path: Path):
    data = b'{"text": "One."}\n'
    (tmp_path / "a.jsonl").write_bytes(data)
    (tmp_path / "notes.json").write_bytes(data)
    (tmp_path / "link.json").symlink_to("a.jsonl")
    inputs = (tmp_path / "a.jsonl", tmp_path / "notes.json")
    detector = SpinDetector.load(tiny().folder)
    for output, summary, message in [
        ("o.jsonl", "o.jsonl", "is both the output and the summary"),
        ("o.parquet", "a.jsonl", r"a\.jsonl: is both an input and the summary; choose another --summary"),
        ("o.jsonl", "link.json", r"a\.jsonl: is both an input and the summary"),
        ("o.jsonl", "notes.json", r"notes\.json: is both an input and the summary"),
    ]:
        with pytest.raises(JobError, match=message):
            run(detector, *inputs, output=tmp_path / output, summary=tmp_path / summary)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl", "link.json", "notes.json"]
        assert {p.read_bytes() for p in tmp_path.iterdir()} == {data}


@pytest.mark.parametrize("summary", ["o.jsonl", "a.jsonl"])
def test_the_command_refuses_such_a_summary_before_it_scores(tmp_path: Path, summary: str):
    data = b'{"text": "One."}\n'
    (tmp_path / "a.jsonl").write_bytes(data)
    done = batch("a.jsonl", "-o", "o.jsonl", "--summary", tmp_path / summary, "--workers", 1, cwd=tmp_path)
    assert done.returncode == ExitCode.USAGE and b"and the summary; choose another --summary" in done.stderr
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.jsonl", data)]


# --- encodings of JSON lines ---


def test_a_line_that_is_not_utf8_says_so_and_what_to_do(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    lines = ['{"text": "café"}'.encode(), '{"text": "café"}'.encode("cp1252"), b'\xef\xbb\xbf{"text": "marked"}']
    path.write_bytes(b"\n".join([*lines, b'{"text": "\xed\xa0\x80"}']))
    good, bad, marked, surrogate = rows_of(read(path, rows=9))
    assert (good[1], marked[1], surrogate[1]) == ("café", "marked", "\ud800")
    message = "line 2: not UTF-8 (invalid continuation byte); convert the file to UTF-8, for example with iconv"
    assert bad == (None, None, f"{path}: {message}")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
@pytest.mark.parametrize("marked", [True, False])
def test_json_lines_in_utf16_are_never_read_in_part(tmp_path: Path, encoding: str, marked: bool):
    path = tmp_path / "a.jsonl"
    records = "".join(f'{{"text": "number {i}"}}\n' for i in range(6))
    path.write_bytes((("\ufeff" if marked else "") + records).encode(encoding))
    found = rows_of(read(path))
    assert {text for _, text, _ in found} == {None}
    if marked:
        name = encoding[:6].upper()
        assert [error for *_, error in found] == [
            f"{path}: cannot be read: it is {name}, and JSON lines are UTF-8; "
            f"convert it with iconv -f {name} -t UTF-8; mend or leave out the file"
        ]
    else:
        assert all("has zero bytes, as UTF-16 does; convert the file to UTF-8" in str(error) for *_, error in found)


# --- no current folder ---


@POSIX
def test_a_current_folder_that_was_removed(tmp_path: Path, monkeypatch):
    detector = SpinDetector.load(tiny().folder)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    (item,) = find_inputs(["none.txt"])
    assert item.error == "none.txt: no such file; check the path (the current folder does not exist any more)"
    with pytest.raises(JobError, match=r"^out\.jsonl: cannot be written: No such file or directory"):
        run(detector, "none.txt", output=Path("out.jsonl"))
    done = run(detector, "none.txt", output=tmp_path / "out.jsonl")
    assert (done.counts.rows, done.counts.failed) == (1, 1)


@POSIX
def test_the_command_needs_no_current_folder(tmp_path: Path):
    (tmp_path / "gone").mkdir()
    (tmp_path / "a.jsonl").write_text('{"text": "One."}')
    code = "import os; os.rmdir(os.getcwd()); from detector.batch.cli import main; main()"
    files = ("none.txt", tmp_path / "a.jsonl", "-o", tmp_path / "o.jsonl", "--model", tiny().folder, "--workers", "2")
    command = [sys.executable, "-c", code, *map(str, files)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path / "gone", env=env, capture_output=True, timeout=120, check=False)
    assert done.returncode == ExitCode.SOME_FAILED, done.stderr.decode()
    assert b"none.txt: no such file" in done.stderr and b"only one process scores" in done.stderr
    assert ["error" in row for row in read_lines(tmp_path / "o.jsonl")] == [True, False]


# --- Parquet ---


@pytest.mark.parametrize("of_type", [pa.binary(), pa.large_binary(), pa.dictionary(pa.int32(), pa.binary())])
def test_binary_texts_are_read_as_utf8(tmp_path: Path, of_type: pa.DataType):
    path = tmp_path / "a.parquet"
    texts = pa.array([b"one", "caf\u00e9".encode(), None, b"caf\xe9", b"five"], pa.binary())
    texts = (
        texts.dictionary_encode() if pa.types.is_dictionary(of_type) else texts.cast(of_type)
    )  # pyarrow 15 casts none
    pq.write_table(pa.table({"id": [1, 2, 3, 4, 5], "text": texts}), path, row_group_size=4)
    whole = read(path, rows=2)
    error = f"{path}: row 4: column 'text' is binary and here not UTF-8; decode it into a column of strings"
    assert rows_of(whole) == [(1, "one", None), (2, "café", None), (3, None, None), (4, None, error), (5, "five", None)]
    for i, chunk in enumerate(whole):  # the row's number stays the same for a job that goes on
        assert rows_of(read(path, rows=2, start=chunk.end)) == rows_of(whole[i + 1 :])


def test_scored_tables_read_binary_texts_the_same():
    table = pa.table({"text": pa.array([b"Too short.", b"caf\xe9", None], pa.binary())})
    short, bad, null = SpinScorer(tiny().folder)(table).to_pylist()
    assert (short["reason"], null["reason"]) == ("too_short", "not_text")
    assert bad["verdict"] is None and bad["error"].startswith("row 2: column 'text' is binary and here not UTF-8")


def test_a_column_that_is_there_twice_is_named(tmp_path: Path):
    first, path = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pq.write_table(pa.table({"id": [1], "text": ["a"]}), first)
    table = pa.Table.from_arrays([pa.array([v]) for v in ("a", "b", 1, 2, "c")], ["text", "text", "id", "id", "body"])
    pq.write_table(table, path)
    with pytest.raises(ColumnError, match=r"b\.parquet: more than one column 'text'; the columns are 'text', 'text', "):
        read(path)
    with pytest.raises(ColumnError, match="more than one column 'id'"):
        read(path, text_column="body")
    assert rows_of(read(path, text_column="body", id_column="key")) == [(None, "c", None)]
    (good, bad) = rows_of(read(first, path))
    assert good == (1, "a", None) and "more than one column 'text'" in bad[2]
    comma = tmp_path / "c.csv"
    comma.write_text("text,id,note,note\na,1,x,y\n")
    assert rows_of(read(comma)) == [("1", "a", None)]  # nobody asks for the notes
    for column, keep in (("note", ()), ("text", ("note",)), ("text", ("all",))):
        with pytest.raises(ColumnError, match=r"c\.csv: more than one column 'note'"):
            read(comma, text_column=column, keep=keep)
    kept_schema(find_inputs([str(path)]), ReadOptions())  # does not raise: the reader names the column
    done = batch(first.name, path.name, "-o", "o.parquet", "--workers", 1, cwd=tmp_path)
    assert done.returncode == ExitCode.SOME_FAILED
    assert [row["error"] is None for row in read_rows(tmp_path / "o.parquet")] == [True, False]
