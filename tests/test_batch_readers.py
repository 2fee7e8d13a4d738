from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detector.batch import tables
from detector.batch.readers import (
    START,
    Chunk,
    ColumnError,
    FileText,
    Position,
    ReadOptions,
    find_inputs,
    kept_schema,
    plain_id,
    read_chunks,
    read_file_text,
)
from detector.errors import InputError


def read(*names: object, start: Position = START, rows: int = 3, **options: object) -> list[Chunk]:
    return list(read_chunks(find_inputs(map(str, names)), ReadOptions(**options), start, rows=rows))


def rows_of(chunks: list[Chunk]) -> list[tuple]:
    """Each row as (source, id, text, error, what is carried through)."""
    rows = []
    for chunk in chunks:
        part = chunk.rows
        kept = part.kept or ([] if part.table is None else pa.ipc.open_stream(part.table).read_all().to_pylist())
        kept = [*kept, *[None] * (len(part) - len(kept))]
        rows += zip(part.sources, part.ids, part.texts, part.errors, kept, strict=True)
    return rows


def texts(*names: object, **options: object) -> list[object]:
    return [row[2] for row in rows_of(read(*names, **options))]


def errors(*names: object, **options: object) -> list[str]:
    return [row[3] for row in rows_of(read(*names, **options)) if row[3] is not None]


def write_jsonl(path: Path, count: int, first: int = 0) -> Path:
    path.write_text("".join(json.dumps({"id": i, "text": f"text {i}"}) + "\n" for i in range(first, first + count)))
    return path


def write_parquet(path: Path, count: int, group: int = 4, **columns: object) -> Path:
    table = pa.table({"id": list(range(count)), "text": [f"text {i}" for i in range(count)], **columns})
    pq.write_table(table, path, row_group_size=group)
    return path


# --- which inputs ---


def test_folders_are_walked_in_order_and_files_of_no_known_kind_left_out(tmp_path: Path):
    for name in (
        "b.txt",
        "a/z.html",
        "a/c.jsonl.gz",
        "a.csv",
        ".hidden.txt",
        "notes.docx",
        ".git/x.txt",
        "c.parquet.gz",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    found = [(str(Path(i.path).relative_to(tmp_path)), i.kind) for i in find_inputs([str(tmp_path)])]
    assert found == [("a/c.jsonl.gz", "jsonl"), ("a/z.html", "html"), ("a.csv", "csv"), ("b.txt", "text")]


def test_globs_are_sorted_and_a_real_file_with_brackets_is_no_glob(tmp_path: Path):
    for name in ("b.jsonl", "a.jsonl", "x[1].jsonl", "c.docx"):
        (tmp_path / name).write_bytes(b"")
    names = [Path(i.path).name for i in find_inputs([str(tmp_path / "*"), str(tmp_path / "x[1].jsonl")])]
    assert names == ["a.jsonl", "b.jsonl", "x[1].jsonl", "x[1].jsonl"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.jsonl", "no such file"),
        ("notes.docx", "of no known kind"),
        ("table.parquet.gz", "of no known kind"),
        ("empty", "no file of a known kind in this folder"),
        ("*.nothing", "no file of a known kind matches"),
        ("a\0b.txt", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_one_row_with_its_error(tmp_path: Path, name: str, message: str):
    (tmp_path / "empty").mkdir()
    for file in ("notes.docx", "table.parquet.gz"):
        (tmp_path / file).write_bytes(b"")
    last = write_jsonl(tmp_path / "last.jsonl", 1)
    argument = str(tmp_path / name)
    broken, good = rows_of(read(argument, last))
    assert broken[2] is None and message in broken[3] and broken[3].startswith(argument)
    assert good[2] == "text 0"


# --- tables ---


def test_jsonl_keeps_the_place_of_every_record(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b"\xef\xbb\xbf" + b'{"id": 7, "text": "one"}\r\n\n  \n{"text": null}\n{"text": 3}\n'
        b'{"text": "cut\n["array"]\n{"id": "x", "body": "secret words"}\n{"text": "\\ud800"}'
    )
    found = rows_of(read(path))
    assert [row[1:3] for row in found] == [
        (7, "one"), (None, None), (None, 3), (None, None), (None, None), ("x", None), (None, "\ud800")
    ]  # fmt: skip
    assert [row[3] for row in found if row[3]] == [
        f"{path}: line 6: not valid JSON (Invalid control character at); mend or remove the line",
        f"{path}: line 7: not a JSON object, but an array; one object a line",
        f"{path}: line 8: no field 'text'; its fields are 'id', 'body'",
    ]


def test_a_line_that_is_too_long_is_an_error_and_the_next_one_is_read(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(tables, "MAX_RECORD_BYTES", 100)
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "x" * 3_000_000}) + "\n" + json.dumps({"text": "after"}) + "\n")
    first, second = rows_of(read(path))
    assert "longer than 100 bytes" in first[3] and second[2] == "after"


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".csv", ".csv.zst", ".tsv.gz", ".parquet"])
def test_every_kind_of_table_reads_the_same(tmp_path: Path, ending: str):
    path = tmp_path / f"a{ending}"
    if ending == ".parquet":
        write_parquet(path, 5, label=list("abcde"))
    else:
        if "json" in ending:
            lines = [json.dumps({"id": i, "text": f"text {i}", "label": "abcde"[i]}) for i in range(5)]
        else:
            mark = "\t" if "tsv" in ending else ","
            lines = [
                mark.join(("id", "text", "label")),
                *(mark.join((str(i), f"text {i}", "abcde"[i])) for i in range(5)),
            ]
        data = ("\n".join(lines) + "\n").encode()
        if ending.endswith(".gz"):
            data = gzip.compress(data[:20]) + gzip.compress(data[20:])  # two members, as `cat` makes them
        elif ending.endswith(".zst"):
            data = pa.compress(data, "zstd", asbytes=True)
        path.write_bytes(data)
    found = rows_of(read(path, keep=("label",)))
    assert [(str(i), t) for _, i, t, _, _ in found] == [(str(i), f"text {i}") for i in range(5)]
    assert [kept for *_, kept in found] == [{"label": c} for c in "abcde"]
    assert [set(k) for *_, k in rows_of(read(path, keep=("all",)))] == [{"text", "label"}] * 5


def test_csv_of_spreadsheets(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes('\nid;body\n1;"one, ""two""\r\nthree"\n2;caf\xe9\n3\n4;"x;y"\n'.encode("cp1252"))
    found = rows_of(read(path, text_column="body", delimiter=";", encoding="cp1252"))
    assert [row[1:3] for row in found] == [("1", 'one, "two"\r\nthree'), ("2", "café"), (None, None), ("4", "x;y")]
    assert found[2][3] == f"{path}: line 6: fields: 1, in the header: 2; mend the line"
    (error,) = errors(path, text_column="body", delimiter=";")
    assert "not utf-8" in error and "--encoding" in error


def test_a_csv_field_may_be_longer_than_the_library_allows(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("text\n" + "word " * 100_000 + "\n")
    assert texts(path) == ["word " * 100_000]


def test_parquet_types(tmp_path: Path):
    path = tmp_path / "a.parquet"
    bad = pa.array([b"fine", b"caf\xe9", None], pa.binary()).view(pa.string())
    table = pa.table({
        "text": bad,
        "id": pa.array([1, 2, 3], pa.timestamp("ns")),
        "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
    })  # fmt: skip
    pq.write_table(table, path)
    assert texts(path) == ["fine", "caf\ufffd", None]
    assert texts(path, text_column="kind") == ["a", "b", "a"]
    assert str(rows_of(read(path))[0][1]).startswith("1970-01-01 00:00:00.000000001")


@pytest.mark.parametrize(
    ("value", "as_id"),
    [(None, None), (3, 3), ("a", "a"), (True, "true"), (1.5, "1.5"), (b"\xff", "\ufffd"), ([1], "[1]"), (2**70, 2**70)],
)
def test_ids(value: object, as_id: object):
    assert plain_id(value) == as_id and type(plain_id(value)) is type(as_id)


# --- columns that are missing, files that break ---


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
def test_a_missing_column_of_the_first_table_names_those_there(tmp_path: Path, ending: str):
    path = tmp_path / f"a{ending}"
    if ending == ".parquet":
        write_parquet(path, 2)
    else:
        path.write_text('{"id": 1, "text": "a"}\n' if ending == ".jsonl" else "id,text\n1,a\n")
    for options in ({"text_column": "body"}, {"id_column": "key", "id_given": True}):
        with pytest.raises(ColumnError, match=r"'id', 'text'; choose with --text-column"):
            read(path, **options)
    if ending != ".jsonl":
        with pytest.raises(ColumnError, match="no column 'topic'"):
            read(path, keep=("topic",))


def test_a_missing_column_of_a_later_file_is_that_files_error(tmp_path: Path):
    first = write_jsonl(tmp_path / "a.jsonl", 1)
    (tmp_path / "b.csv").write_text("name\nx\ny\n")
    last = write_parquet(tmp_path / "c.parquet", 1)
    found = rows_of(read(first, tmp_path / "b.csv", last))
    assert [row[2] for row in found] == ["text 0", None, "text 0"]
    assert "no column 'text'; the columns are 'name'" in found[1][3]


def broken_files(folder: Path) -> list[Path]:
    """Write files that break off, or are none at all, and return them."""
    whole = gzip.compress(b"".join(b'{"text": "%d"}\n' % (i * 7919) for i in range(5000)))
    (folder / "cut.jsonl.gz").write_bytes(whole[:-500])
    (folder / "cut.jsonl.zst").write_bytes(pa.compress(gzip.decompress(whole), "zstd", asbytes=True)[:-500])
    (folder / "quote.csv").write_text('text\none\ntwo\n"three\n')
    (folder / "empty.csv").write_text("")
    (folder / "no.parquet").write_text("PAR1 is how it begins, but no more than that")
    data = bytearray(write_parquet(folder / "damaged.parquet", 4000, group=1000).read_bytes())
    data[len(data) // 3 : len(data) // 3 + 2000] = b"\xff" * 2000
    (folder / "damaged.parquet").write_bytes(data)
    return sorted(p for p in folder.iterdir() if p.is_file())


def test_a_file_that_breaks_says_so_in_a_last_row_and_the_next_one_is_read(tmp_path: Path):
    good = write_jsonl(tmp_path / "good.jsonl", 2)
    (tmp_path / "broken").mkdir()
    paths = broken_files(tmp_path / "broken")
    assert len(paths) == 6
    for path in paths:
        found = rows_of(read(good, path, good, rows=100))
        assert [row[2] for row in found[:2] + found[-2:]] == ["text 0", "text 1"] * 2
        middle = found[2:-2]
        assert all(row[3] is None for row in middle[:-1])
        assert middle[-1][3].startswith(f"{path}: cannot be read")
        assert (f"after row {len(middle) - 1:,}:" in middle[-1][3]) == (len(middle) > 1)
    assert max(len(rows_of(read(good, p))) for p in paths) > 1000  # so some did hold rows


def test_reading_goes_on_from_the_end_of_any_chunk(tmp_path: Path):
    """Chunk for chunk the same, also behind what breaks: on this rests that a resumed job ends in the same bytes."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "texts").mkdir()
    for i in range(5):
        (tmp_path / "texts" / f"{i}.txt").write_text(f"text {i}")
    write_jsonl(tmp_path / "a.jsonl", 7)
    write_parquet(tmp_path / "b.parquet", 11, group=4, label=[str(i) for i in range(11)])
    (tmp_path / "c.csv").write_text("text\n" + "".join(f"row {i}\n" for i in range(4)) + '"open')
    (tmp_path / "d.txt").write_text("one")
    names = [tmp_path / n for n in ("texts", "a.jsonl", "missing.csv", "b.parquet", "c.csv", "d.txt", "a.jsonl")]
    names.insert(3, broken_files(tmp_path / "broken")[0])
    whole = read(*names)
    assert len(whole) > 15
    step = max(1, len(whole) // 60)
    for i in [*range(0, len(whole), step), *range(len(whole) - 12, len(whole))]:
        rest = read(*names, start=whole[i].end)
        assert [c.end for c in rest] == [c.end for c in whole[i + 1 :]]
        assert rows_of(rest) == rows_of(whole[i + 1 :])
        assert [c.rows.numbers for c in rest] == [c.rows.numbers for c in whole[i + 1 :]]
        assert [c.bytes_read for c in rest][-1:] == [c.bytes_read for c in whole[i + 1 :]][-1:]


def test_chunks_are_bounded_by_rows_and_by_characters(tmp_path: Path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["x" * 400] * 50}), path)
    chunks = list(read_chunks(find_inputs([str(path)]), ReadOptions(), rows=1000, characters=1000))
    assert [len(c.rows) for c in chunks] == [3] * 16 + [2]
    assert {len(c.rows) for c in read(path, rows=7)} == {7, 1}


def test_what_is_read_is_carried_through_from_its_own_rows(tmp_path: Path):
    """A worker gets its slice only, not the batch that it was cut from."""
    path = write_parquet(tmp_path / "a.parquet", 200, group=200, blob=["y" * 1000] * 199 + ["last"])
    chunks = read(path, rows=64, keep=("blob",))
    assert max(len(c.rows.table or b"") for c in chunks) < 70_000
    assert rows_of(chunks)[-1][4] == {"blob": "last"}


def test_standard_input_is_jsonl(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"text": "a"}\n{"text": "b"}')))
    assert [row[:3] for row in rows_of(read("-"))] == [("-", None, "a"), ("-", None, "b")]


# --- types of what is carried through ---


def test_schema_of_carried_columns(tmp_path: Path):
    narrow = write_parquet(
        tmp_path / "a.parquet", 1, n=pa.array([1], pa.int16()), k=pa.array(["x"]).dictionary_encode()
    )
    wide = write_parquet(tmp_path / "b.parquet", 1, n=pa.array([1], pa.int64()), k=["x"], extra=[1.5])
    (tmp_path / "c.csv").write_text("text,n\na,b\n")
    schema, integer_ids = kept_schema(find_inputs([str(narrow), str(wide)]), ReadOptions(keep=("all",)))
    assert integer_ids and schema.names == ["text", "n", "k", "extra"]
    assert schema.field("n").type == pa.int64() and schema.field("k").type == pa.string()
    with pytest.raises(ColumnError, match=r"c\.csv: column 'n' is string here and int16 in a file before it"):
        kept_schema(find_inputs([str(narrow), str(tmp_path / "c.csv")]), ReadOptions(keep=("n",)))
    with pytest.raises(ColumnError, match="JSON lines have no schema"):
        kept_schema(find_inputs([str(write_jsonl(tmp_path / "d.jsonl", 1))]), ReadOptions(keep=("all",)))
    (tmp_path / "e.txt").write_text("a text has no columns")
    others = [str(narrow), str(tmp_path / "gone.parquet"), str(tmp_path / "e.txt"), str(wide)]
    schema, integer_ids = kept_schema(find_inputs(others), ReadOptions(keep=("n",)))
    assert integer_ids and schema == pa.schema([("n", pa.int64())])
    schema, integer_ids = kept_schema(find_inputs([str(tmp_path / "c.csv")]), ReadOptions(keep=("all",)))
    assert not integer_ids and schema == pa.schema([("text", pa.string()), ("n", pa.string())])


# --- files that are one text each ---


def test_files_of_one_text(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    (tmp_path / "b.html.gz").write_bytes(gzip.compress(b"<html><body><p>Some words of a page.</p></body></html>"))
    (tmp_path / "c.txt").write_bytes(b"%PDF-1.7")
    (tmp_path / "d.txt").write_bytes(b"x" * 50)
    files = texts(tmp_path)
    assert [Path(f.path).name for f in files] == ["a.txt", "b.html.gz", "c.txt", "d.txt"]
    assert read_file_text(files[0]) == "one\r\ntwo"
    assert read_file_text(files[1]).strip() == "Some words of a page."
    with pytest.raises(InputError, match="is a PDF document"):
        read_file_text(files[2])
    with pytest.raises(InputError, match="more than 20 bytes"):
        read_file_text(files[3], max_bytes=20)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_file_text(FileText(str(tmp_path / "gone.txt"), "text", None))
