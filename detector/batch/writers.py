"""Rows to bytes: JSON lines or Parquet, first piece by piece, then one file put together from the pieces.

A piece is what one chunk of rows became: lines, or one Arrow record batch. The finished file depends on the pieces
alone and not on how they were spread over parts, so that an interrupted job ends in the same bytes as any other.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from detector.batch.columns import to_array, to_table
from detector.batch.parquet import column_values
from detector.batch.rows import ColumnError
from detector.results import KINDS

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["jsonl", "parquet"]

FORMATS: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}

RESULT_FIELDS = (
    *("schema", "id", "source", "verdict", "reason", "probability", "operating_point", "threshold", "kinds"),
    *("coverage", "words", "spans", "segments", "ignored", "warnings", "model", "error"),
)
"""Columns of the output in their order; `error` is set for rows that failed, and in JSONL absent from the others."""

TEXT_FIELD = "text"
"""Column for the text that the offsets point into, behind the others."""

ROW_GROUP_ROWS = 8192
"""Rows of a Parquet row group: some 20 MB of results, and few enough to be skipped over by readers that filter."""

ROW_GROUP_BYTES = 128_000_000
"""Arrow bytes after which a row group ends before that: it bounds memory where whole texts are carried through."""

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class OutputForm:
    """What rows look like. `schema`: of Parquet output, from `output_schema`; None for JSONL.

    `spun_only`: rows of another verdict, and failed ones, are left out. `spans`: False leaves the list of spans empty.
    `with_text`: records may have the text that their offsets point into, as `TEXT_FIELD`; the schema then has it.
    """

    format: Format
    spun_only: bool = False
    spans: bool = True
    schema: pa.Schema | None = None
    with_text: bool = False


def output_schema(kept: pa.Schema, integer_ids: bool, with_text: bool = False) -> pa.Schema:
    """Return the schema of Parquet output with the columns carried through behind the result's."""
    import pyarrow as pa

    offsets = [("start", pa.int32()), ("end", pa.int32())]
    text, number = pa.string(), pa.float64()
    span = pa.struct([*offsets, ("text", text), ("score", number), ("suggestions", pa.list_(text))])
    types = {
        "schema": pa.int16(),
        "id": pa.int64() if integer_ids else text,
        "probability": number,
        "threshold": number,
        "kinds": pa.struct([(kind, number) for kind in KINDS]),
        "coverage": number,
        "words": pa.int32(),
        "spans": pa.list_(span),
        "segments": pa.list_(pa.struct([*offsets, ("probability", number)])),
        "ignored": pa.list_(pa.struct([*offsets, ("why", text)])),
        "warnings": pa.list_(text),
    }
    names = (*RESULT_FIELDS, TEXT_FIELD) if with_text else RESULT_FIELDS
    fields = [pa.field(name, types.get(name, text)) for name in names]
    return pa.schema([*fields, *(f.with_name(carried_name(f.name)) for f in kept)])


def carried_name(column: str) -> str:
    """Return the name in the output of a column carried through: its own, unless a field of the result has it."""
    return f"input_{column}" if column in RESULT_FIELDS else column


def encode(
    records: Sequence[dict[str, Any]],
    form: OutputForm,
    kept: Sequence[dict[str, Any]] | None = None,
    table: bytes | None = None,
) -> bytes:
    """Return the piece for some rows: lines, or an Arrow IPC stream with one record batch.

    `records`: as from `to_dict`, in order. `kept` or `table` (an IPC stream, whose rows may end before the records
    do): the columns carried through.
    """
    chosen = range(len(records))
    if form.spun_only:
        chosen = [i for i in chosen if records[i].get("verdict") == "spun"]  # type: ignore[assignment]
    if not form.spans:
        records = [{**r, "spans": []} if r.get("spans") else r for r in records]
    if form.format == "jsonl":
        if table is not None:
            kept = _as_dicts(table)
        return _lines(records, kept or [], chosen)
    return _batch(records, kept, table, chosen, form)


def _lines(records: Sequence[dict[str, Any]], kept: Sequence[dict[str, Any]], chosen: Iterable[int]) -> bytes:
    from detector.render.json import dump_record

    lines = []
    for i in chosen:
        record = records[i]
        if i < len(kept):
            record = {**record, **_beside(record, kept[i])}
        lines.append(dump_record(record) + "\n")
    return "".join(lines).encode()


def _beside(record: dict[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
    """Return what is carried through, under names that neither the record nor another such column has."""
    named = {}
    for column, value in kept.items():
        name = carried_name(column)
        while name in record or (name != column and name in kept):
            name = f"input_{name}"
        named[name] = _plain(value)
    return named


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: no infinite numbers, bytes as base64, dates and the like as strings."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else None  # neither NaN nor infinite
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _as_dicts(table: bytes) -> list[dict[str, Any]]:
    import pyarrow as pa

    read = pa.ipc.open_stream(table).read_all()
    columns = {
        name: [value for chunk in column.chunks for value in column_values(chunk)]
        for name, column in zip(read.column_names, read.columns, strict=True)
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _batch(
    records: Sequence[dict[str, Any]],
    kept: Sequence[dict[str, Any]] | None,
    table: bytes | None,
    chosen: Iterable[int],
    form: OutputForm,
) -> bytes:
    import pyarrow as pa

    schema: Any = form.schema
    own = len(RESULT_FIELDS) + form.with_text
    result_schema = pa.schema([schema.field(i) for i in range(own)])
    integer_ids = pa.types.is_integer(schema.field("id").type)
    rows = [_row(records[i], integer_ids) for i in chosen]
    try:
        columns = to_table(rows, result_schema).columns
    except UnicodeEncodeError:
        columns = to_table([_without_surrogates(r) for r in rows], result_schema).columns
    carried = list(schema)[own:]
    if carried:
        indices = to_array(list(chosen), pa.int64())
        read = pa.ipc.open_stream(table).read_all() if table is not None else None
        columns += [_carried(field, read, kept, len(records), indices) for field in carried]
    sink = pa.BufferOutputStream()
    made = pa.Table.from_arrays(columns, schema=schema).combine_chunks()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in made.to_batches():
            writer.write_batch(batch)
    return bytes(sink.getvalue())


def _row(record: dict[str, Any], integer_ids: bool) -> dict[str, Any]:
    row_id = record.get("id")
    if row_id is not None and not integer_ids:
        row_id = str(row_id)
    return {**record, "id": row_id}


def _carried(field: Any, table: Any, kept: Sequence[dict[str, Any]] | None, count: int, indices: Any) -> Any:
    """Return one carried column of the chosen rows, in the type of the output; null where the input has none."""
    import pyarrow as pa

    names = _own_names(field.name)
    if table is not None:
        name = next((n for n in names if n in table.column_names), None)
        if name is None:
            return pa.chunked_array([pa.nulls(len(indices), field.type)])
        column = table.column(name)
        if len(column) < count:  # the file broke off: its last row is no row of the table
            column = pa.chunked_array([*column.chunks, pa.nulls(count - len(column), column.type)], column.type)
        try:
            return column.cast(field.type).take(indices)
        except pa.ArrowInvalid as error:
            raise ColumnError(
                f"column {name!r}: a value of this file does not fit {field.type}, to which the types of all files "
                f"were joined ({error}); keep other columns, or write JSONL"
            ) from error
    values = [next((_as_string(row[n]) for n in names if n in row), None) for row in kept or [{}] * count]
    column = to_array(values, pa.string())
    return pa.chunked_array([(column if field.type == pa.string() else column.cast(field.type)).take(indices)])


@cache
def _own_names(carried: str) -> tuple[str, ...]:
    """Return what a carried column may be called in the input, the likeliest first."""
    own = carried.removeprefix("input_")
    return (carried, own) if own in RESULT_FIELDS else (carried,)


def _as_string(value: Any) -> str | None:
    """Return a value of JSON or CSV for a column of strings: a string as it is, anything else as JSON."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _SURROGATE.sub("\ufffd", text)


def _without_surrogates(value: Any) -> Any:
    # UTF-8 has no lone surrogates, which JSON lets through. One character stays one, so offsets keep fitting.
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {k: _without_surrogates(v) for k, v in value.items()}
    return [_without_surrogates(v) for v in value] if isinstance(value, list) else value


# --- parts and the finished file ---


class PartFile:
    """One part as it grows: pieces one behind the other, Arrow ones as messages of one compressed stream."""

    def __init__(self, stream: BinaryIO, form: OutputForm) -> None:
        self._stream = stream
        self._writer: Any = None
        if form.format == "parquet":
            import pyarrow as pa

            options = pa.ipc.IpcWriteOptions(compression="zstd")
            self._writer = pa.ipc.new_stream(pa.PythonFile(stream, "w"), form.schema, options=options)

    def add(self, piece: bytes) -> None:
        """Append what `encode` returned."""
        if self._writer is None:
            self._stream.write(piece)
            return
        import pyarrow as pa

        for batch in pa.ipc.open_stream(piece):
            self._writer.write_batch(batch)

    def finish(self) -> None:
        """End the part; the stream stays open."""
        if self._writer is not None:
            self._writer.close()


def assemble(parts: Iterable[Path], target: Path, form: OutputForm) -> None:
    """Put the parts together in `target`, reading one row group at a time."""
    if form.format == "jsonl":
        with target.open("wb") as stream:
            for part in parts:
                with part.open("rb") as source:
                    shutil.copyfileobj(source, stream, 1 << 20)
        return
    import pyarrow.parquet as pq

    with pq.ParquetWriter(target, form.schema, compression="zstd") as writer:
        for group in _row_groups(parts):
            writer.write_table(group, row_group_size=max(group.num_rows, 1))


def _row_groups(parts: Iterable[Path]) -> Iterator[Any]:
    import pyarrow as pa

    batches: list[Any] = []
    rows = size = 0
    for part in parts:
        with pa.OSFile(str(part)) as source:
            for batch in pa.ipc.open_stream(source):
                batches.append(batch)
                rows, size = rows + batch.num_rows, size + batch.nbytes
                if rows >= ROW_GROUP_ROWS or size >= ROW_GROUP_BYTES:
                    yield pa.Table.from_batches(batches)
                    batches, rows, size = [], 0, 0
    if rows:
        yield pa.Table.from_batches(batches)
