"""Parquet to rows, a bounded piece of a row group at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from detector.batch.files import Progress, open_arrow
from detector.batch.inputs import Input
from detector.batch.remote import BLOCK_BYTES, is_url
from detector.batch.rows import CHUNK_ROWS, ReadOptions, Row, check_columns, plain_id

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_BYTES = 4_000_000  # of Parquet data decoded at a time: two chunks' worth


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
        keep = [c for c in columns if c != options.id_column] if options.keep_all else list(options.keep)
        wanted = [options.text_column, *([options.id_column] if options.id_given else []), *keep]
        check_columns(name, wanted, columns)
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
            for batch in file.iter_batches(_batch_rows(file, number, read), [number], read, use_threads=False):
                if skip >= batch.num_rows:
                    skip, done = skip - batch.num_rows, done + batch.num_rows
                    continue
                texts = column_values(batch.column(options.text_column))
                ids = column_values(batch.column(options.id_column)) if has_id else None
                kept = batch.select(keep) if keep else None
                for at in range(skip, batch.num_rows):
                    done += 1
                    progress.bytes = item.size * done // max(total, 1)
                    yield Row(None if ids is None else plain_id(ids[at]), texts[at], None, None, kept, at)
                done, skip = done + skip, 0


def _batch_rows(file: Any, group: int, columns: Sequence[str]) -> int:
    found = file.metadata.row_group(group)
    size = sum(
        found.column(i).total_uncompressed_size
        for i in range(found.num_columns)
        if found.column(i).path_in_schema.split(".")[0] in columns or found.column(i).path_in_schema in columns
    )
    return max(1, min(CHUNK_ROWS, _BATCH_BYTES * int(found.num_rows) // max(int(size), 1)))


def column_values(column: pa.Array) -> list[Any]:
    """Return a column as Python values; text that is not UTF-8 with U+FFFD, other odd ones as strings."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.string())
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        raw = column.cast(pa.large_binary())
        return [None if v is None else v.decode("utf-8", "replace") for v in raw.to_pylist()]


def to_ipc(batches: list[tuple[Any, list[int]]]) -> bytes:
    """Return rows of some record batches, given as (batch, consecutive row numbers), as an Arrow IPC stream."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0][0].schema) as writer:
        for batch, rows in batches:
            # Rows of a batch are consecutive; IPC writes the slice only, pickling would write the whole batch.
            writer.write_batch(batch.slice(rows[0], len(rows)))
    return bytes(sink.getvalue())
