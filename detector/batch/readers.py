"""Inputs to rows: which files there are, and what stands in them, a bounded piece at a time.

A row that cannot be used is still a row, with its error, and so is the rest of a file that breaks: nothing is lost
silently. Reading is deterministic: the same inputs give the same rows at the same positions, which resuming relies on.
"""

from __future__ import annotations

import contextlib
import csv
import glob
import gzip
import io
import json
import logging
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple, TypeAlias

from detector.errors import InputError
from detector.reading import (
    DEFAULT_MAX_BYTES,
    HTML_SUFFIXES,
    MAX_HTML_BYTES,
    STDIN,
    decode,
    display_name,
    extract_html,
)

if TYPE_CHECKING:
    import pyarrow as pa

Kind: TypeAlias = Literal["jsonl", "csv", "parquet", "text", "html"]

KEEP_ALL = "all"
"""What `--keep` takes for every column."""

CHUNK_ROWS = 256
"""Rows handed to a worker at once: at a millisecond or so each, the hand-over costs well below one per cent."""

CHUNK_CHARACTERS = 2_000_000
"""Characters after which a chunk is cut before it has CHUNK_ROWS: it bounds memory, whatever the texts' length."""

MAX_RECORD_BYTES = 4 * DEFAULT_MAX_BYTES
"""Longest line of JSONL, in bytes: a text of the longest length scored, at UTF-8's four bytes a character."""

_BATCH_BYTES = 4_000_000  # of Parquet data decoded at a time: two chunks' worth
_HEAD = 20  # records of the first JSONL input of which one must have the text's field: else its name is wrong
_BLANK = b" \t\r\n\xef\xbb\xbf"
_COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
_KINDS: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".txt": "text",
    ".md": "text",
    **dict.fromkeys(HTML_SUFFIXES, "html"),
}
_KNOWN = (
    "folders and files ending in .jsonl, .csv, .tsv, .parquet, .txt, .md, .html, all but Parquet also with .gz or .zst"
)

logger = logging.getLogger(__name__)


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


class Input(NamedTuple):
    """A file to read, or why there is none. `path`: as given or found, `-` for standard input."""

    path: str
    kind: Kind | None
    size: int = 0
    mtime_ns: int = 0
    error: str | None = None

    @property
    def is_table(self) -> bool:
        """Whether it holds rows, as opposed to one text."""
        return self.kind in ("jsonl", "csv", "parquet")


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


class _Row(NamedTuple):
    """One row on its way to a chunk; `batch` is an Arrow record batch whose row `at` is carried through.

    `broken`: the file ends here, because the rest of it cannot be read.
    """

    id: str | int | None
    text: Any
    error: str | None = None
    kept: dict[str, Any] | None = None
    batch: Any = None
    at: int = 0
    broken: bool = False


# --- which inputs ---


def find_inputs(arguments: Iterable[str]) -> Iterator[Input]:
    """Yield the inputs that the arguments name, in their order: files, globs (sorted), folders (sorted, recursive).

    In folders and globs only files of a known ending count; hidden ones and links in a circle are left out. A file
    named by itself that cannot be used comes with its `error`.
    """
    for argument in arguments:
        if argument == STDIN:
            yield Input(STDIN, "jsonl")
        elif Path(argument).is_dir():
            yield from _or_nothing(_walk(argument), f"{display_name(argument)}: no file of a known kind in this folder")
        elif glob.has_magic(argument) and not Path(argument).exists():
            found = (f for name in sorted(glob.iglob(argument, recursive=True)) for f in _matched(name))  # noqa: PTH207 - absolute patterns too
            yield from _or_nothing(found, f"{display_name(argument)}: no file of a known kind matches", argument)
        else:
            yield _look_at(argument)


def _or_nothing(found: Iterator[Input], message: str, name: str | None = None) -> Iterator[Input]:
    empty = True
    for item in found:
        empty = False
        yield item
    if empty:
        yield Input(name or message.split(": ")[0], None, error=f"{message}; there can be {_KNOWN}")


def _matched(name: str) -> Iterator[Input]:
    if Path(name).is_dir():
        yield from _walk(name)
    elif _kind(name) is not None:
        yield _look_at(name)


def _walk(folder: str) -> Iterator[Input]:
    # Not Path.rglob: its order is the file system's, and it holds everything before it can be sorted.
    try:
        with os.scandir(folder) as found:
            names = sorted(entry.name for entry in found)
    except OSError as error:
        yield Input(folder, None, error=f"{display_name(folder)}: cannot be read: {error.strerror or error}")
        return
    for name in names:
        path = Path(folder, name)
        if name.startswith("."):
            continue
        if path.is_dir():
            if not path.is_symlink():
                yield from _walk(str(path))
        elif _kind(name) is not None:
            yield _look_at(str(path))


def _look_at(path: str) -> Input:
    name = display_name(path)
    if "://" in path:
        return Input(path, None, error=f"{name}: remote inputs are not read yet; copy it here and name the copy")
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        message = f"{name}: no such file; check the path (the current folder is {Path.cwd()})"
        return Input(path, None, error=message)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        return Input(path, None, error=f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}")
    kind = _kind(path)
    if kind is None:
        return Input(path, None, error=f"{name}: of no known kind; there can be {_KNOWN}")
    return Input(path, kind, found.st_size, found.st_mtime_ns)


def _kind(path: str) -> Kind | None:
    name = Path(path)
    compressed = name.suffix.lower() in _COMPRESSED
    kind = _KINDS.get(Path(name.stem).suffix.lower() if compressed else name.suffix.lower())
    return None if compressed and kind == "parquet" else kind


# --- rows ---


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
        name = display_name(item.path)
        if item.is_table:
            yield from self.flush()
            strict = not self.seen_table
            self.seen_table = True
            progress = _Progress()
            self._rows.html = self.options.html
            for at, row in enumerate(_read_table(item, self.options, skip, strict, progress), skip + 1):
                # A broken file is not opened again by a job that goes on from here: it would break again.
                end = Position(number + 1, 0) if row.broken else Position(number, at)
                self._add(name, row, at, end, self.bytes_before + min(progress.bytes, item.size))
                if self._full():
                    yield from self.flush()
                    self._rows.html = self.options.html
            yield from self.flush()
        elif skip == 0:
            if item.kind is None:
                row = _Row(None, None, item.error or f"{name}: cannot be read")
            else:
                row = _Row(None, FileText(item.path, item.kind, self.options.encoding))
            size = item.size
            self._add(name, row, 1, Position(number + 1, 0), self.bytes_before + size, size)
            if self._full():
                yield from self.flush()
        self.bytes_before += item.size

    def flush(self) -> Iterator[Chunk]:
        """Yield what has been collected, if anything."""
        if len(self._rows):
            if self._batches:
                self._rows.table = _to_ipc(self._batches)
            yield Chunk(self._rows, self._end, self._characters, self._bytes)
        self._rows, self._batches, self._characters = Rows(), [], 0

    def _full(self) -> bool:
        return len(self._rows) >= self.max_rows or self._characters >= self.max_characters

    def _add(self, source: str, row: _Row, number: int, end: Position, done: int, size: int = 0) -> None:
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
        self._characters += size or (len(row.text) if isinstance(row.text, str) else 1)
        self._end, self._bytes = end, done


class _Progress:
    """How far into its input a reader is, in bytes of the file as it lies on the disk."""

    def __init__(self) -> None:
        self.bytes = 0


def _read_table(item: Input, options: ReadOptions, skip: int, strict: bool, progress: _Progress) -> Iterator[_Row]:
    """Yield the rows of a table but the first `skip`; a file that breaks ends with a row that says so."""
    readers: dict[str, Callable[..., Iterator[_Row]]] = {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet}
    name = display_name(item.path)
    count = skip
    try:
        rows = readers[str(item.kind)](item, name, options, skip, progress, strict)
        for row in rows:
            count += 1
            yield row
    except ColumnError as error:
        if strict:
            raise
        yield _Row(None, None, str(error), broken=True)
    except Exception as error:  # damaged files make libraries raise almost anything
        where, step = "", "mend or leave out the file"
        if count:
            where, step = f" after row {count:,}", "the rows before it were scored, mend the file for the others"
        logger.debug("%s", name, exc_info=True)
        message = f"{name}: cannot be read{where}: {_why(error)}; {step}"
        yield _Row(None, None, message, broken=True)


def _why(error: BaseException) -> str:
    # Only what is known to hold no piece of the text itself.
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if (
        isinstance(error, (OSError, EOFError, InputError, zlib.error, csv.Error))
        or type(error).__module__ == "pyarrow.lib"
    ):
        return " ".join(str(error).split())[:500] or type(error).__name__
    if isinstance(error, UnicodeDecodeError):
        return f"not {error.encoding} ({error.reason})"
    return type(error).__name__


@contextlib.contextmanager
def _open_binary(path: str, progress: _Progress | None = None) -> Iterator[BinaryIO]:
    """Open a file, or standard input for `-`, decompressing by the ending; `progress` is kept up to date."""
    if path == STDIN:
        if sys.stdin is None:
            raise InputError("standard input is closed; pipe records in or name a file")
        yield sys.stdin.buffer
        return
    with io.BufferedReader(_CountingRaw(path, progress or _Progress()), 1 << 17) as raw:
        compression = _COMPRESSED.get(Path(path).suffix.lower())
        if compression == "gzip":
            with gzip.open(raw) as unpacked:
                yield unpacked  # type: ignore[misc]
        elif compression == "zstd":
            import pyarrow as pa

            with io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd"), 1 << 17) as unpacked:
                yield unpacked
        else:
            yield raw


class _CountingRaw(io.FileIO):
    def __init__(self, path: str, progress: _Progress) -> None:
        super().__init__(path, "rb")
        self._progress = progress

    def readinto(self, buffer: Any, /) -> int | None:
        count = super().readinto(buffer)
        self._progress.bytes += count or 0
        return count


# --- JSON lines ---


def _jsonl(
    item: Input, name: str, options: ReadOptions, skip: int, progress: _Progress, strict: bool
) -> Iterator[_Row]:
    with _open_binary(item.path, progress) as stream:
        numbered = enumerate(_lines(stream), 1)
        records = ((n, line) for n, line in numbered if line is None or line.strip(_BLANK))  # an empty line is none
        parsed = (_json_row(line, f"{name}: line {n:,}", options) for n, line in islice(records, skip, None))
        head = list(islice(parsed, _HEAD)) if strict and not skip else []
        found = [record for _, record in head if record is not None]
        if found:
            fields = {field for record in found for field in record}
            wanted = [options.text_column, *([options.id_column] if options.id_given else [])]
            _check_columns(
                name, wanted, list(dict.fromkeys([*found[0], *sorted(fields)])), "fields of its first records"
            )
        for row, _ in chain(head, parsed):
            yield row


def _lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """Yield the lines; None for one over MAX_RECORD_BYTES, of which no more is ever held."""
    while line := stream.readline(MAX_RECORD_BYTES + 1):
        if len(line) <= MAX_RECORD_BYTES:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(1 << 20)
        yield None


def _json_row(line: bytes | None, where: str, options: ReadOptions) -> tuple[_Row, dict[str, Any] | None]:
    if line is None:
        return _Row(None, None, f"{where}: longer than {MAX_RECORD_BYTES:,} bytes; split the record"), None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        # JSONDecodeError's own words hold positions, never the text.
        reason = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
        return _Row(None, None, f"{where}: not valid JSON ({reason}); mend or remove the line"), None
    if not isinstance(record, dict):
        return _Row(None, None, f"{where}: not a JSON object, but {_json_type(record)}; one object a line"), None
    kept = None
    if options.keep_all:
        kept = {k: v for k, v in record.items() if k != options.id_column}
    elif options.keep:
        kept = {k: record[k] for k in options.keep if k in record}
    row_id = plain_id(record.get(options.id_column))
    if options.text_column not in record:
        message = f"{where}: no field {options.text_column!r}; its fields are {listed(record)}"
        return _Row(row_id, None, message, kept), record
    return _Row(row_id, record[options.text_column], None, kept), record


def _json_type(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


# --- CSV ---


def _csv(item: Input, name: str, options: ReadOptions, skip: int, progress: _Progress, _strict: bool) -> Iterator[_Row]:
    stem = Path(item.path).with_suffix("") if Path(item.path).suffix.lower() in _COMPRESSED else Path(item.path)
    delimiter = options.delimiter or ("\t" if stem.suffix.lower() == ".tsv" else ",")
    encoding = options.encoding or "utf-8"
    if encoding == "utf-8":
        encoding = "utf-8-sig"
    # The default of 131,072 characters is shorter than a long article. The limit is the process's.
    before = csv.field_size_limit(MAX_RECORD_BYTES)
    try:
        with (
            _open_binary(item.path, progress) as stream,
            io.TextIOWrapper(stream, encoding=encoding, newline="") as lines,
        ):
            records = csv.reader(lines, delimiter=delimiter, strict=True)
            header = next((r for r in records if r), None)
            if header is None:
                raise InputError("it is empty, without even a header")
            wanted = [options.text_column, *([options.id_column] if options.id_given else [])]
            wanted += [] if options.keep_all else options.keep
            _check_columns(name, wanted, header)
            yield from _csv_rows(islice((r for r in records if r), skip, None), records, header, name, options)
    except UnicodeDecodeError as error:
        raise InputError(f"not {encoding.removesuffix('-sig')} ({error.reason}); name its --encoding") from error
    finally:
        csv.field_size_limit(before)


def _csv_rows(
    records: Iterator[list[str]], reader: Any, header: list[str], name: str, options: ReadOptions
) -> Iterator[_Row]:
    text_at = header.index(options.text_column)
    id_at = header.index(options.id_column) if options.id_column in header else None
    keep = [c for c in header if c != options.id_column] if options.keep_all else options.keep
    kept_at = [(c, header.index(c)) for c in keep]
    for record in records:
        if len(record) != len(header):
            where = f"{name}: line {reader.line_num:,}"
            message = f"{where}: fields: {len(record)}, in the header: {len(header)}; mend the line"
            yield _Row(None, None, message)
            continue
        kept = {c: record[at] for c, at in kept_at} if kept_at else None
        yield _Row(None if id_at is None else record[id_at], record[text_at], None, kept)


# --- Parquet ---


def _parquet(
    item: Input, name: str, options: ReadOptions, skip: int, progress: _Progress, _strict: bool
) -> Iterator[_Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Without these settings the whole column of a row group is held, which can be most of the file: 150 MB instead of
    # 10 on 50,000 articles in one group. A Python file object defeats them.
    settings = {"buffer_size": 1 << 20, "pre_buffer": False}
    with pa.OSFile(os.fsencode(item.path)) as raw, pq.ParquetFile(raw, **settings) as file:
        columns = file.schema_arrow.names
        has_id = options.id_column in columns
        keep = [c for c in columns if c != options.id_column] if options.keep_all else list(options.keep)
        wanted = [options.text_column, *([options.id_column] if options.id_given else []), *keep]
        _check_columns(name, wanted, columns)
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
                    yield _Row(None if ids is None else plain_id(ids[at]), texts[at], None, None, kept, at)
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


def _to_ipc(batches: list[tuple[Any, list[int]]]) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0][0].schema) as writer:
        for batch, rows in batches:
            # Rows of a batch are consecutive; IPC writes the slice only, pickling would write the whole batch.
            writer.write_batch(batch.slice(rows[0], len(rows)))
    return bytes(sink.getvalue())


def kept_schema(inputs: Iterable[Input], options: ReadOptions) -> tuple[pa.Schema, bool]:
    """Return the types of the carried columns for Parquet output, and whether all ids are integers.

    Looks at the schema of every Parquet input; columns of CSV and JSONL are strings. Files that cannot be read are
    left to the reader.

    Raises:
        ColumnError: types of two files do not go together, or `--keep all` is asked for records without a schema.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields: dict[str, pa.Field] = {}
    integer_ids = True
    for item in inputs:
        if item.kind == "parquet":
            try:
                with pa.OSFile(os.fsencode(item.path)) as raw:
                    schema = pq.read_schema(raw)
            except (OSError, ValueError):
                continue
            if options.id_column in schema.names:
                of_id = schema.field(options.id_column).type
                integer_ids &= pa.types.is_integer(of_id) and of_id != pa.uint64()
            found = [f for f in schema if options.keep_all or f.name in options.keep]
        else:
            integer_ids = False
            if item.kind == "jsonl" and options.keep_all:
                raise ColumnError(
                    f"{display_name(item.path)}: JSON lines have no schema; for Parquet output name the columns "
                    "with --keep, or write JSONL"
                )
            names: Sequence[str] = options.keep
            if options.keep_all:
                names = _csv_header(item, options) if item.kind == "csv" else ()
            found = [pa.field(name, pa.string()) for name in names]
        for one in found:
            if options.keep_all and one.name == options.id_column:
                continue
            if pa.types.is_dictionary(one.type):
                one = one.with_type(one.type.value_type)
            known = fields.setdefault(one.name, one.with_nullable(True).remove_metadata())
            if not known.type.equals(one.type):
                try:
                    merged = pa.unify_schemas([pa.schema([known]), pa.schema([one])], promote_options="permissive")
                except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                    raise ColumnError(
                        f"{display_name(item.path)}: column {one.name!r} is {one.type} here and {known.type} in a file "
                        "before it; keep other columns, or write JSONL"
                    ) from error
                fields[one.name] = merged.field(0)
    ordered = (
        list(fields.values()) if options.keep_all else [fields.get(n) or pa.field(n, pa.string()) for n in options.keep]
    )
    return pa.schema(ordered), integer_ids


def _csv_header(item: Input, options: ReadOptions) -> list[str]:
    anything = ReadOptions(encoding=options.encoding, delimiter=options.delimiter, text_column="\0")
    try:
        for _ in _csv(item, "", anything, 0, _Progress(), True):
            pass
    except _MissingColumnError as error:
        return error.found
    except Exception:  # it is reported when it is read
        logger.debug("%s", display_name(item.path), exc_info=True)
    return []


# --- shared ---


class _MissingColumnError(ColumnError):
    def __init__(self, message: str, found: list[str]) -> None:
        super().__init__(message)
        self.found = found


def _check_columns(name: str, wanted: Iterable[str], found: list[str], what: str = "columns") -> None:
    for column in wanted:
        if column not in found:
            raise _MissingColumnError(
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


def read_file_text(file: FileText, max_bytes: int = DEFAULT_MAX_BYTES) -> str:
    """Return the text of a file, decompressed and decoded, for HTML the article in it.

    Raises:
        InputError: unreadable, too large, binary, or a page without text.
    """
    name = display_name(file.path)
    limit = MAX_HTML_BYTES if file.kind == "html" else max_bytes
    try:
        with _open_binary(file.path) as stream:
            data = stream.read(limit + 1)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{name}: cannot be read: {_why(error)}; check the file") from error
    if len(data) > limit:
        raise InputError(f"{name}: too large: more than {limit:,} bytes; split it")
    text, _ = decode(data, name, encoding=file.encoding, html=file.kind == "html")
    return extract_html(text, name) if file.kind == "html" and text.strip() else text
