"""Inputs to rows: what stands in them, a bounded piece at a time.

A row that cannot be used is still a row, with its error, and so is the rest of a file that breaks: nothing is lost
silently. Reading is deterministic: the same inputs give the same rows at the same positions, which resuming relies on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from detector.batch.carried import kept_schema
from detector.batch.files import Progress, read_file_text
from detector.batch.inputs import Input, find_inputs
from detector.batch.parquet import column_values, to_ipc
from detector.batch.remote import name_of
from detector.batch.rows import (
    CHUNK_CHARACTERS,
    CHUNK_ROWS,
    KEEP_ALL,
    START,
    Chunk,
    ColumnError,
    FileText,
    Position,
    ReadOptions,
    Row,
    Rows,
    listed,
    plain_id,
)
from detector.batch.tables import read_table
from detector.reading import STDIN

__all__ = [
    "CHUNK_CHARACTERS",
    "CHUNK_ROWS",
    "KEEP_ALL",
    "START",
    "STDIN",
    "Chunk",
    "ColumnError",
    "FileText",
    "Input",
    "Position",
    "ReadOptions",
    "Rows",
    "column_values",
    "find_inputs",
    "kept_schema",
    "listed",
    "plain_id",
    "read_chunks",
    "read_file_text",
]


def read_chunks(
    inputs: Iterable[Input],
    options: ReadOptions,
    start: Position = START,
    *,
    rows: int = CHUNK_ROWS,
    characters: int = CHUNK_CHARACTERS,
) -> Iterator[Chunk]:
    """Yield the rows of all inputs from `start` on, in order.

    Chunks depend on `start` and the inputs only. A table's rows are never mixed with another's; text files are put
    together.

    Raises:
        ColumnError: the first table lacks the column of the texts, the ids or one to keep.
    """
    reader = _ChunkReader(options, rows, characters)
    for number, item in enumerate(inputs):
        if number < start.input:
            reader.bytes_before += item.size
            reader.seen_table |= item.is_table
            continue
        yield from reader.read(item, number, start.row if number == start.input else 0)
    yield from reader.flush()


class _ChunkReader:
    """Collects rows until they make a chunk."""

    def __init__(self, options: ReadOptions, rows: int, characters: int) -> None:
        self.options = options
        self.max_rows = rows
        self.max_characters = characters
        self.bytes_before = 0  # of the inputs already read
        self.seen_table = False
        self._rows = Rows()
        self._batches: list[tuple[Any, list[int]]] = []  # Arrow batches, and which of their rows
        self._characters = 0
        self._end = Position(0, 0)
        self._bytes = 0

    def read(self, item: Input, number: int, skip: int) -> Iterator[Chunk]:
        name = name_of(item.path)
        if item.is_table:
            yield from self.flush()
            strict = not self.seen_table
            self.seen_table = True
            progress = Progress()
            self._rows.html = self.options.html
            for at, row in enumerate(read_table(item, self.options, skip, strict, progress), skip + 1):
                # A broken file is not opened again by a job that goes on from here: it would break again.
                end = Position(number + 1, 0) if row.broken else Position(number, at)
                self._add(name, row, at, end, self.bytes_before + min(progress.bytes, item.size))
                if self._full():
                    yield from self.flush()
                    self._rows.html = self.options.html
            yield from self.flush()
        elif skip == 0:
            if item.kind is None:
                row = Row(None, None, item.error or f"{name}: cannot be read")
            else:
                row = Row(None, FileText(item.path, item.kind, self.options.encoding))
            size = item.size
            self._add(name, row, 1, Position(number + 1, 0), self.bytes_before + size, size)
            if self._full():
                yield from self.flush()
        self.bytes_before += item.size

    def flush(self) -> Iterator[Chunk]:
        """Yield what has been collected, if anything."""
        if len(self._rows):
            if self._batches:
                self._rows.table = to_ipc(self._batches)
            yield Chunk(self._rows, self._end, self._characters, self._bytes)
        self._rows, self._batches, self._characters = Rows(), [], 0

    def _full(self) -> bool:
        return len(self._rows) >= self.max_rows or self._characters >= self.max_characters

    def _add(self, source: str, row: Row, number: int, end: Position, done: int, size: int = 0) -> None:
        rows = self._rows
        rows.sources.append(source)
        rows.ids.append(row.id)
        rows.texts.append(row.text)
        rows.errors.append(row.error)
        rows.numbers.append(number)
        if self.options.keep and row.batch is None and not self._batches:
            rows.kept = rows.kept if rows.kept is not None else []
            rows.kept.append(row.kept or {})
        elif row.batch is not None:
            if not self._batches or self._batches[-1][0] is not row.batch:
                self._batches.append((row.batch, []))
            self._batches[-1][1].append(row.at)
        # A record's size has the text in it, that of Parquet's other columns has not; the greater one is near enough.
        self._characters += size or max(row.size, len(row.text) if isinstance(row.text, str) else 1)
        self._end, self._bytes = end, done
