"""Parquet to rows, a bounded piece of a row group at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from detector.batch.files import Progress, open_arrow
from detector.batch.inputs import Input
from detector.batch.remote import BLOCK_BYTES, is_url
from detector.batch.rows import (
    CHUNK_ROWS,
    MAX_RECORD_BYTES,
    ReadOptions,
    Row,
    kept_columns,
    plain_id,
)
from detector.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_BYTES = 4_000_000  # of Parquet data decoded at a time: two chunks' worth
_SMALL_GROUP = 256_000_000  # bytes of a column in a row group up to which it may shrink by any factor
_MOST_SHRUNK = 200  # times: prose shrinks by 3 to 5, the same article over and over by less than this in pages of 1 MB


def read_parquet(
    item: Input, name: str, options: ReadOptions, skip: int, progress: Progress, _strict: bool
) -> Iterator[Row]:
    """Yield the rows but the first `skip`; see `read_table` for what is raised."""
    import pyarrow.parquet as pq

    # Without these settings the whole column of a row group is held, which can be most of the file: 150 MB instead of
    # 10 on 50,000 articles in one group.
    settings = {"buffer_size": BLOCK_BYTES if is_url(item.path) else 1 << 20, "pre_buffer": False}
    with open_arrow(item.path) as raw, pq.ParquetFile(raw, **settings) as file:
        columns = file.schema_arrow.names
        has_id = options.id_column in columns
        keep = kept_columns(name, options, columns)
        read = list(dict.fromkeys([options.text_column, *([options.id_column] if has_id else []), *keep]))
        groups: list[int] = []
        done = 0
        total = file.metadata.num_rows
        for number in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(number).num_rows
            if not groups and rows <= skip:
                skip, done = skip - rows, done + rows
            else:
                groups.append(number)
        for number in groups:
            # One group at a time, so that the size of a batch follows what is in it.
            _check_group(file, number, read)
            size = min(_batch_rows(file, number, read), _BATCH_BYTES // _longest_entry(raw, file, number, read) or 1)
            for batch in file.iter_batches(size, [number], read, use_threads=False):
                if skip >= batch.num_rows:
                    skip, done = skip - batch.num_rows, done + batch.num_rows
                    continue
                texts = text_values(batch.column(options.text_column))
                ids = column_values(batch.column(options.id_column)) if has_id else None
                kept = batch.select(keep) if keep else None
                each = kept.nbytes // batch.num_rows if kept is not None else 0
                for at in range(skip, batch.num_rows):
                    done += 1
                    progress.bytes = item.size * done // max(total, 1)
                    row_id, text, error = None if ids is None else plain_id(ids[at]), texts[at], None
                    if isinstance(text, bytes):
                        text, error = None, not_utf8(f"{name}: row {done + skip:,}", options.text_column)
                    yield Row(row_id, text, error, None, kept, at, size=each)
                done, skip = done + skip, 0


def _used(file: Any, group: int, columns: Sequence[str]) -> Iterator[Any]:
    """Yield what the file says of the parts of a row group that hold `columns`."""
    found = file.metadata.row_group(group)
    for column in map(found.column, range(found.num_columns)):
        if column.path_in_schema.split(".")[0] in columns or column.path_in_schema in columns:
            yield column


def _batch_rows(file: Any, group: int, columns: Sequence[str]) -> int:
    size = sum(column.total_uncompressed_size for column in _used(file, group, columns))
    return max(1, min(CHUNK_ROWS, _BATCH_BYTES * int(file.metadata.row_group(group).num_rows) // max(int(size), 1)))


def _check_group(file: Any, group: int, columns: Sequence[str]) -> None:
    """Raise InputError for a row group of which a part may unpack to more than memory holds.

    Arrow unpacks whole pages and whole values, and a few kilobytes can stand for gigabytes.
    """
    for column in _used(file, group, columns):
        size, packed = column.total_uncompressed_size, column.total_compressed_size
        where = f"column {column.path_in_schema!r} of row group {group + 1}"
        if size > _SMALL_GROUP and size > _MOST_SHRUNK * packed:
            raise InputError(
                f"{where} unpacks from {packed:,} bytes to {size:,}, as a decompression bomb does; if it is none, "
                "write the file again without compression"
            )
        if size > MAX_RECORD_BYTES * max(column.num_values, 1):
            raise InputError(_too_long(where, size // max(column.num_values, 1)))


def _too_long(where: str, size: int) -> str:
    return f"{where} has a value of {size:,} bytes, and {MAX_RECORD_BYTES:,} is the most; split its text"


def _longest_entry(raw: Any, file: Any, group: int, columns: Sequence[str]) -> int:
    """Return the length in bytes of the longest string in the dictionaries of a row group, at least 1.

    Each row may stand for it: of a text of 10 MB a thousand rows take one byte each in the file, and 10 GB decoded.

    Raises:
        InputError: it is longer than any text may be.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    strings = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    found = []
    for column in _used(file, group, columns):
        # Columns within lists cannot be read as dictionaries.
        field = file.schema_arrow.field(column.path_in_schema) if column.path_in_schema in columns else None
        of_type = (
            field.type.value_type if field is not None and pa.types.is_dictionary(field.type) else field and field.type
        )
        if field is None or not any(check(of_type) for check in strings):
            continue
        if column.has_dictionary_page and column.total_uncompressed_size > _BATCH_BYTES // CHUNK_ROWS:
            found.append(field.name)
    longest = 1
    if found:
        peek = pq.ParquetFile(raw, metadata=file.metadata, read_dictionary=found, pre_buffer=False, buffer_size=1 << 20)
        first = next(peek.iter_batches(1, [group], found, use_threads=False), None)
        for name, column in zip(found, [] if first is None else first.select(found).columns, strict=first is not None):
            longest = max(longest, *_lengths(column.dictionary))
            if longest > MAX_RECORD_BYTES:
                raise InputError(_too_long(f"column {name!r} of row group {group + 1}", longest))
    return longest


def _lengths(strings: Any) -> list[int]:
    """Return the lengths in bytes, at least of one. Not by pyarrow.compute, which takes 0.1 s to import."""
    import pyarrow as pa

    large = pa.types.is_large_string(strings.type) or pa.types.is_large_binary(strings.type)
    offsets = np.frombuffer(strings.buffers()[1] or b"", np.int64 if large else np.int32)
    lengths: list[int] = np.diff(offsets[strings.offset : strings.offset + len(strings) + 1]).tolist()
    return lengths or [1]


def column_values(column: pa.Array) -> list[Any]:
    """Return a column as Python values; text that is not UTF-8 with U+FFFD, other odd ones as strings."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        # Nanoseconds fit no Python type.
        return list((column.cast(pa.string()) if pa.types.is_temporal(column.type) else column).to_pylist())
    except ValueError:  # UnicodeDecodeError and pyarrow.ArrowInvalid are such, too
        return [_spelt(value) for value in column]


def _spelt(value: Any) -> Any:
    """Return a scalar that pyarrow has no Python value for, or one that holds such: the parts one by one."""
    import pyarrow as pa

    if not value.is_valid:
        return None
    kind = value.type
    if pa.types.is_struct(kind):
        return {name: _spelt(part) for name, part in value.items()}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return [_spelt(part) for part in value.values]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return value.as_buffer().to_pybytes().decode("utf-8", "replace")
    if pa.types.is_timestamp(kind) and kind.tz is not None:  # of a zone that this system does not know
        return value.cast(pa.timestamp(kind.unit)).cast(pa.string()).as_py() + "Z"
    if pa.types.is_temporal(kind):
        return value.cast(pa.string()).as_py()
    try:
        return value.as_py()
    except ValueError:
        return str(value)


def text_values(column: pa.Array) -> list[Any]:
    """Return a column of texts as `column_values` does, binary ones decoded; those that are not UTF-8 stay bytes."""
    return [_decoded(value) if isinstance(value, bytes) else value for value in column_values(column)]


def _decoded(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def not_utf8(where: str, column: str) -> str:
    """Return the message for a text that `text_values` has left as bytes."""
    return f"{where}: column {column!r} is binary and here not UTF-8; decode it into a column of strings"


def to_ipc(batches: list[tuple[Any, list[int]]]) -> bytes:
    """Return rows of some record batches, given as (batch, consecutive row numbers), as an Arrow IPC stream."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0][0].schema) as writer:
        for batch, rows in batches:
            # Rows of a batch are consecutive; IPC writes the slice only, pickling would write the whole batch.
            writer.write_batch(batch.slice(rows[0], len(rows)))
    return bytes(sink.getvalue())
