from __future__ import annotations

import datetime
import decimal
import io
import json
from pathlib import Path

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detector.batch import writers
from detector.batch.rows import ColumnError
from detector.batch.writers import RESULT_FIELDS, OutputForm, PartFile, assemble, carried_name, encode, output_schema
from detector.results import Failed, Reason, SpinResult
from tests.rendering import SPUN as SPUN_FILE
from tests.rendering import not_scored, scored

SPUN = scored(SPUN_FILE.read_text(encoding="utf-8"))
ROOT = Path(__file__).parent.parent
SCHEMA = json.loads((ROOT / "docs" / "result.schema.json").read_text(encoding="utf-8"))


def records() -> list[dict]:
    """One row of each kind: spun, not scored, failed."""
    return [
        SPUN.result.to_dict(),
        not_scored(Reason.TOO_SHORT).result.to_dict(),
        Failed("a.csv", "a.csv: line 3: broken", "x").to_dict(),
    ]


def parquet_form(kept: pa.Schema | None = None, *, integer_ids: bool = False, **options: bool) -> OutputForm:
    return OutputForm("parquet", schema=output_schema(kept or pa.schema([]), integer_ids), **options)


def ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def as_rows(piece: bytes) -> list[dict]:
    return pa.ipc.open_stream(piece).read_all().to_pylist()


def as_lines(piece: bytes) -> list[dict]:
    assert not piece or piece.endswith(b"\n")
    return [json.loads(line) for line in piece.decode().split("\n")[:-1]]


def test_fields_are_those_of_the_contract():
    assert (*SPUN.result.to_dict(), "error") == RESULT_FIELDS


def test_lines_are_the_objects_of_the_contract():
    found = as_lines(encode(records(), OutputForm("jsonl")))
    assert found == records()
    for record in found:
        jsonschema.validate(record, SCHEMA)


def test_parquet_rows_hold_the_same_as_lines():
    for row, record in zip(as_rows(encode(records(), parquet_form())), records(), strict=True):
        given = dict.fromkeys(RESULT_FIELDS) | record
        assert row == {**given, "id": None if given["id"] is None else str(given["id"])}


def test_ids_are_integers_where_all_are():
    row = {**records()[0], "id": 12}
    assert as_rows(encode([row], parquet_form(integer_ids=True)))[0]["id"] == 12
    assert as_rows(encode([row], parquet_form()))[0]["id"] == "12"


@pytest.mark.parametrize("output_format", ["jsonl", "parquet"])
def test_spun_only_and_no_spans(output_format: str):
    read = as_lines if output_format == "jsonl" else as_rows
    form = OutputForm("jsonl") if output_format == "jsonl" else parquet_form()
    form = OutputForm(form.format, spun_only=True, spans=False, schema=form.schema)
    given = records()
    (row,) = read(encode([given[1], given[0], given[2]], form))
    assert row["verdict"] == "spun" and row["spans"] == [] and row["segments"]
    assert given[0]["spans"]  # what was given is not changed


def test_carried_columns_do_not_hide_the_results():
    kept = [{"source": "BBC", "label": i} for i in range(3)]
    found = as_lines(encode(records(), OutputForm("jsonl"), kept))
    assert [(r["input_source"], r["label"]) for r in found] == [("BBC", 0), ("BBC", 1), ("BBC", 2)]
    assert [r["source"] for r in found] == [r["source"] for r in records()]
    form = parquet_form(pa.schema([("source", pa.string()), ("label", pa.string())]))
    assert [(r["input_source"], r["label"]) for r in as_rows(encode(records(), form, kept))] == [
        ("BBC", "0"), ("BBC", "1"), ("BBC", "2")
    ]  # fmt: skip
    table = ipc(pa.table({"source": ["a", "b", "c"], "label": ["x", "y", "z"]}))
    assert [(r["input_source"], r["label"]) for r in as_rows(encode(records(), form, table=table))] == [
        ("a", "x"), ("b", "y"), ("c", "z")
    ]  # fmt: skip
    assert carried_name("label") == "label"


def test_a_carried_column_that_is_named_like_a_renamed_one_is_not_lost():
    kept = [{"model": f"m{i}", "input_model": f"i{i}"} for i in range(3)]
    found = as_lines(encode(records(), OutputForm("jsonl"), kept))
    assert [(r["input_model"], r["input_input_model"]) for r in found] == [(f"i{i}", f"m{i}") for i in range(3)]
    assert [r.get("model") for r in found] == [r.get("model") for r in records()]
    form = parquet_form(pa.schema([("input_model", pa.string())]))
    only = [{"input_model": row["input_model"]} for row in kept]
    table = ipc(pa.table({"input_model": [row["input_model"] for row in kept]}))
    for given in ({"kept": only}, {"table": table}):
        assert [r["input_model"] for r in as_rows(encode(records(), form, **given))] == ["i0", "i1", "i2"]


def test_a_carried_text_does_not_replace_the_text_that_the_offsets_point_into():
    given = [{**r, "text": "extracted"} for r in records()]
    found = as_lines(encode(given, OutputForm("jsonl", with_text=True), [{"text": "<p>page</p>"}] * 3))
    assert {(r["text"], r["input_text"]) for r in found} == {("extracted", "<p>page</p>")}


def odd_table() -> pa.Table:
    return pa.table({
        "time": pa.array([1, 2], pa.timestamp("ns")),
        "price": pa.array([decimal.Decimal("1.50"), None]),
        "score": pa.array([float("nan"), 0.5]),
        "raw": pa.array([b"\xff\x00", None]),
        "tags": pa.array([["a"], None]),
        "deep": pa.array([{"day": datetime.date(2020, 1, 2)}, None]),
        "kind": pa.array(["x", "y"]).dictionary_encode(),
    })  # fmt: skip


def test_what_has_no_python_value_goes_into_lines_part_by_part():
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"ok", b"\xff!"]).buffers())
    zone = pa.array([0, None], pa.timestamp("us", tz="Mars/Olympus"))
    deep = pa.StructArray.from_arrays([pa.array([1, 2], pa.timestamp("ns")), broken], ["at", "name"])
    table = pa.table({"broken": broken, "zone": zone, "deep": deep, "list": pa.array([[1], None])})
    first, second, _ = as_lines(encode(records(), OutputForm("jsonl"), table=ipc(table)))
    assert (first["broken"], second["broken"]) == ("ok", "\ufffd!")
    assert first["zone"].startswith("1970-01-01 00:00:00") and first["zone"].endswith("Z") and second["zone"] is None
    assert first["deep"]["at"].startswith("1970-01-01 00:00:00.000000001")
    assert second["deep"]["name"] == "\ufffd!" and (first["list"], second["list"]) == ([1], None)


def test_a_value_that_the_joined_type_cannot_hold_is_named():
    table = ipc(pa.table({"n": pa.array([1, 2**53 + 1, 3])}))
    with pytest.raises(ColumnError, match="column 'n': a value of this file does not fit double"):
        encode(records(), parquet_form(pa.schema([("n", pa.float64())])), table=table)


def test_odd_types_go_into_lines():
    """A table may be one row short: the file broke there."""
    first, second, third = as_lines(encode(records(), OutputForm("jsonl"), table=ipc(odd_table())))
    carried = {k: first[k] for k in odd_table().column_names}
    assert carried.pop("time").startswith("1970-01-01 00:00:00.000000001")
    assert carried == {
        "price": "1.50", "score": None, "raw": "/wA=", "tags": ["a"], "deep": {"day": "2020-01-02"}, "kind": "x"
    }  # fmt: skip
    assert second["score"] == 0.5 and third == records()[2]


def test_types_of_parquet_stay():
    table = odd_table()
    kept = pa.schema([f.with_type(pa.string()) if f.name == "kind" else f for f in table.schema])
    made = pa.ipc.open_stream(encode(records(), parquet_form(kept), table=ipc(table))).read_all()
    found = made.select(table.column_names)
    assert found.schema.types == kept.types
    assert found.slice(0, 2).drop_columns(["score"]).equals(table.cast(kept).drop_columns(["score"]))
    assert all(v is None for v in found.slice(2).to_pylist()[0].values())


def test_values_of_json_become_strings_in_parquet():
    kept = [{"a": "as it is"}, {"a": {"b": [1, "é"]}}, {}]
    form = parquet_form(pa.schema([("a", pa.string())]))
    assert [r["a"] for r in as_rows(encode(records(), form, kept))] == ["as it is", '{"b": [1, "é"]}', None]


def test_lone_surrogates_reach_both_formats():
    row = records()[0]
    row["spans"][0]["text"] = row["id"] = "a\ud800b"
    assert as_lines(encode([row], OutputForm("jsonl"))) == [row]
    kept = [{"a": "\udfff"}]
    (found,) = as_rows(encode([row], parquet_form(pa.schema([("a", pa.string())])), kept))
    assert found["spans"][0]["text"] == found["id"] == "a\ufffdb" and found["a"] == "\ufffd"


def rows_of_number(first: int, count: int) -> list[dict]:
    result: SpinResult = SPUN.result
    return [{**result.to_dict(), "id": str(i)} for i in range(first, first + count)]


@pytest.mark.parametrize("output_format", ["jsonl", "parquet"])
def test_the_file_does_not_depend_on_the_parts(tmp_path: Path, monkeypatch, output_format: str):
    monkeypatch.setattr(writers, "ROW_GROUP_ROWS", 10)
    form = OutputForm("jsonl") if output_format == "jsonl" else parquet_form()
    pieces = [encode(rows_of_number(4 * i, 4), form) for i in range(9)]
    made = []
    for number, cuts in enumerate([[9], [1, 8], [3, 3, 3], [1] * 9]):
        parts, at = [], 0
        for size in cuts:
            parts.append(tmp_path / f"{number}-{at}")
            with parts[-1].open("wb") as stream:
                part = PartFile(stream, form)
                for piece in pieces[at : at + size]:
                    part.add(piece)
                part.finish()
                assert not stream.closed
            at += size
        made.append(tmp_path / f"{number}.{output_format}")
        assemble(parts, made[-1], form)
    assert len({path.read_bytes() for path in made}) == 1
    if output_format == "parquet":
        file = pq.ParquetFile(made[0])
        assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [12, 12, 12]
        assert file.read().column("id").to_pylist() == [str(i) for i in range(36)]
    else:
        assert [r["id"] for r in as_lines(made[0].read_bytes())] == [str(i) for i in range(36)]


def test_row_groups_are_bounded_by_bytes_too(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(writers, "ROW_GROUP_BYTES", 1)
    form = parquet_form()
    with (tmp_path / "part").open("wb") as stream:
        part = PartFile(stream, form)
        for i in range(3):
            part.add(encode(rows_of_number(i, 1), form))
        part.finish()
    assemble([tmp_path / "part"], tmp_path / "a.parquet", form)
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 3


def test_nothing_is_an_empty_file_with_the_schema(tmp_path: Path):
    form = parquet_form(pa.schema([("label", pa.int8())]))
    assemble([], tmp_path / "a.parquet", form)
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.num_rows == 0 and table.schema.names == [*RESULT_FIELDS, "label"]
    assemble([], tmp_path / "a.jsonl", OutputForm("jsonl"))
    assert (tmp_path / "a.jsonl").read_bytes() == b""
    assert encode([], OutputForm("jsonl")) == b""
    with io.BytesIO() as stream:
        part = PartFile(stream, form)
        part.add(encode([], form))
        part.finish()
        assert stream.getvalue()
