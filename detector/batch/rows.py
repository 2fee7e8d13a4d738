"""What reading yields: rows, the chunks that they go to the workers in, and the positions that reading goes on from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from detector.batch.inputs import Kind
from detector.errors import InputError
from detector.reading import DEFAULT_MAX_BYTES

KEEP_ALL = "all"
"""What `--keep` takes for every column."""

CHUNK_ROWS = 256
"""Rows handed to a worker at once: at a millisecond or so each, the hand-over costs well below one per cent."""

CHUNK_CHARACTERS = 2_000_000
"""Characters after which a chunk is cut before it has CHUNK_ROWS, those carried through included: it bounds memory."""


MAX_RECORD_BYTES = 4 * DEFAULT_MAX_BYTES
"""Longest line of JSONL and value of Parquet, in bytes: a text of the longest length scored, at UTF-8's four bytes a
character."""

MAX_NESTING = 100
"""Levels of objects and arrays in each other that a field of JSONL may have; workers and writers recurse through them,
and Python ends at a few hundred."""


class ColumnError(InputError):
    """The first input has no column of the name asked for: a wrong option rather than a broken file."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How rows are read. `keep`: columns carried through, or `("all",)`; `id_given`: the id column must exist.

    `html`: texts of tables are HTML pages. `encoding`: of CSV, text and HTML files, None to detect it (CSV: UTF-8).
    `delimiter`: of CSV, None for a comma (.tsv: tab).
    """

    text_column: str = "text"
    id_column: str = "id"
    id_given: bool = False
    keep: tuple[str, ...] = ()
    html: bool = False
    encoding: str | None = None
    delimiter: str | None = None

    @property
    def keep_all(self) -> bool:
        """Whether every column is carried through."""
        return self.keep == (KEEP_ALL,)


class FileText(NamedTuple):
    """A text that is still in its file; whoever scores it reads it."""

    path: str
    kind: Kind
    encoding: str | None


@dataclass(slots=True)
class Rows:
    """Consecutive rows, column by column, all lists of one length. `sources`: their files; None if not from a file.

    `texts`: a str, a `FileText`, or whatever else stood there; where `errors` has a message there is no text.
    `kept`: the columns carried through, as a dict a row, or `table`: the same as an Arrow IPC stream (from Parquet).
    `numbers`: of each row within its input, from 1. `html`: texts are HTML pages.
    """

    sources: list[str | None] = field(default_factory=list)
    ids: list[str | int | None] = field(default_factory=list)
    texts: list[Any] = field(default_factory=list)
    errors: list[str | None] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    kept: list[dict[str, Any]] | None = None
    table: bytes | None = None
    html: bool = False

    def __len__(self) -> int:
        return len(self.texts)


class Position(NamedTuple):
    """Where reading goes on: index of the input, and rows of it already read."""

    input: int
    row: int


START = Position(0, 0)


@dataclass(slots=True)
class Chunk:
    """Rows for one worker. `end`: the position after them. `characters`: of all texts, for files their bytes.

    `bytes_read`: of all inputs together, up to here; an estimate for the progress bar.
    """

    rows: Rows
    end: Position
    characters: int
    bytes_read: int


class Row(NamedTuple):
    """One row on its way to a chunk; `batch` is an Arrow record batch whose row `at` is carried through.

    `broken`: the file ends here, because the rest of it cannot be read. `size`: bytes or characters of what is carried
    through, or of the whole record.
    """

    id: str | int | None
    text: Any
    error: str | None = None
    kept: dict[str, Any] | None = None
    batch: Any = None
    at: int = 0
    broken: bool = False
    size: int = 0


class MissingColumnError(ColumnError):
    """A table lacks a column; `found` are those that it has."""

    def __init__(self, message: str, found: list[str]) -> None:
        super().__init__(message)
        self.found = found


def kept_columns(name: str, options: ReadOptions, columns: list[str]) -> list[str]:
    """Return the columns of a table that are carried through, after a check of all that are read.

    Raises:
        MissingColumnError: one that is asked for is not there.
        ColumnError: one that is read is there twice; nobody could say which is meant.
    """
    keep = [c for c in columns if c != options.id_column] if options.keep_all else list(options.keep)
    check_columns(name, [options.text_column, *([options.id_column] if options.id_given else []), *keep], columns)
    ids = [options.id_column] if options.id_column in columns else []
    if twice := [column for column in (options.text_column, *ids, *keep) if columns.count(column) > 1]:
        raise ColumnError(
            f"{name}: more than one column {twice[0]!r}; the columns are {listed(columns)}; rename one, or choose "
            "others with --text-column, --id-column and --keep"
        )
    return keep


def check_columns(name: str, wanted: Iterable[str], found: list[str], what: str = "columns") -> None:
    """Raise MissingColumnError, naming the columns there are, if one that is wanted is not among them."""
    for column in wanted:
        if column not in found:
            raise MissingColumnError(
                f"{name}: no column {column!r}; the {what} are {listed(found)}; "
                "choose with --text-column, --id-column and --keep",
                found,
            )


def listed(names: Iterable[str], limit: int = 30) -> str:
    """Return names of columns for a message, cut where they are many or long."""
    shown = [n if len(n) <= 60 else n[:60] + "..." for n in names]
    more = f" and {len(shown) - limit:,} more" if len(shown) > limit else ""
    return (", ".join(map(repr, shown[:limit])) + more) if shown else "none"


def plain_id(value: Any) -> str | int | None:
    """Return an id as the contract has it: integers and strings as they are, others as a string, null as None."""
    if value is None or isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, (dict, list, bool)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
