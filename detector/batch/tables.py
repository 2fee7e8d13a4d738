"""JSON lines and CSV to rows, and what becomes of a table that breaks."""

from __future__ import annotations

import codecs
import csv
import io
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from detector.batch.files import Progress, may_pass, open_binary, why
from detector.batch.inputs import COMPRESSED, Input
from detector.batch.parquet import read_parquet
from detector.batch.remote import is_url, name_of, plain_path
from detector.batch.rows import (
    MAX_NESTING,
    MAX_RECORD_BYTES,
    ColumnError,
    MissingColumnError,
    ReadOptions,
    Row,
    check_columns,
    kept_columns,
    listed,
    plain_id,
)
from detector.errors import InputError

_HEAD = 20  # records of the first JSONL input of which one must have the text's field: else its name is wrong
_PAUSES = (1.0, 4.0)  # seconds before a remote file is tried again, from the row where it broke
_BLANK = b" \t\r\n\xef\xbb\xbf"
# Longest first, because the UTF-32 mark begins with the UTF-16 one.
_WIDE_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)

logger = logging.getLogger(__name__)


def read_table(item: Input, options: ReadOptions, skip: int, strict: bool, progress: Progress) -> Iterator[Row]:
    """Yield the rows of a table but the first `skip`; a file that breaks ends with a row that says so."""
    readers: dict[str, Callable[..., Iterator[Row]]] = {"jsonl": _jsonl, "csv": _csv, "parquet": read_parquet}
    name = name_of(item.path)
    count = skip
    failures, failed_at = 0, -1
    while True:
        try:
            rows = readers[str(item.kind)](item, name, options, count, progress, strict)
            for row in rows:
                count += 1
                yield row
            return
        except ColumnError as error:
            if strict:
                raise
            yield Row(None, None, str(error), broken=True)
            return
        except Exception as error:  # damaged files make libraries raise almost anything
            failures = failures + 1 if count == failed_at else 1
            failed_at = count
            if not may_pass(item.path, error) or failures > len(_PAUSES):
                yield _broken(name, count, error)
                return
            logger.info("%s: %s after row %d; trying again", name, why(error), count)
            time.sleep(_PAUSES[failures - 1])
            progress.bytes = 0


def _broken(name: str, count: int, error: Exception) -> Row:
    """Return the last row of a file that breaks."""
    where, step = "", "mend or leave out the file"
    if count:
        where, step = f" after row {count:,}", "the rows before it were scored, mend the file for the others"
    logger.debug("%s", name, exc_info=None if is_url(name) else error)  # drivers put keys into their messages
    message = f"{name}: cannot be read{where}: {why(error)}; {step}"
    return Row(None, None, message, broken=True)


# --- JSON lines ---


def _jsonl(item: Input, name: str, options: ReadOptions, skip: int, progress: Progress, strict: bool) -> Iterator[Row]:
    with open_binary(item.path, progress) as stream:
        numbered = enumerate(_lines(stream), 1)
        records = ((n, line) for n, line in numbered if line is None or line.strip(_BLANK))  # an empty line is none
        parsed = (_json_row(line, f"{name}: line {n:,}", options) for n, line in islice(records, skip, None))
        head = list(islice(parsed, _HEAD)) if strict and not skip else []
        found = [record for _, record in head if record is not None]
        if found:
            fields = {field for record in found for field in record}
            wanted = [options.text_column, *([options.id_column] if options.id_given else [])]
            check_columns(
                name, wanted, list(dict.fromkeys([*found[0], *sorted(fields)])), "fields of its first records"
            )
        for row, _ in chain(head, parsed):
            yield row


def _lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """Yield the lines; None for one over MAX_RECORD_BYTES, of which no more is ever held.

    Raises:
        InputError: it begins with the mark of another encoding, in which line ends are other bytes.
    """
    first = True
    while line := stream.readline(MAX_RECORD_BYTES + 1):
        wide = next((encoding for mark, encoding in _WIDE_MARKS if line.startswith(mark)), None) if first else None
        if wide is not None:
            raise InputError(f"it is {wide}, and JSON lines are UTF-8; convert it with iconv -f {wide} -t UTF-8")
        first = False
        if len(line) <= MAX_RECORD_BYTES:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(1 << 20)
        yield None


def _json_row(line: bytes | None, where: str, options: ReadOptions) -> tuple[Row, dict[str, Any] | None]:
    if line is None:
        return Row(None, None, f"{where}: longer than {MAX_RECORD_BYTES:,} bytes; split the record"), None
    try:
        # Of bytes the json module guesses the encoding, line by line. Lone surrogates pass, as it lets them.
        record = json.loads(line.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError as error:
        message = f"{where}: not UTF-8 ({error.reason}); convert the file to UTF-8, for example with iconv"
        return Row(None, None, message), None
    except RecursionError:
        return Row(None, None, _too_deep(where)), None
    except ValueError as error:
        if b"\0" in line:  # valid JSON has none, and UTF-16 hardly a line without
            message = f"{where}: has zero bytes, as UTF-16 does; convert the file to UTF-8, for example with iconv"
            return Row(None, None, message), None
        # JSONDecodeError's own words hold positions, never the text.
        reason = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
        return Row(None, None, f"{where}: not valid JSON ({reason}); mend or remove the line"), None
    if not isinstance(record, dict):
        return Row(None, None, f"{where}: not a JSON object, but {_json_type(record)}; one object a line"), None
    kept = None
    if options.keep_all:
        kept = {k: v for k, v in record.items() if k != options.id_column}
    elif options.keep:
        kept = {k: record[k] for k in options.keep if k in record}
    row_id = record.get(options.id_column)
    row_id = None if (deep_id := _is_too_deep(row_id)) else plain_id(row_id)
    if deep_id or any(map(_is_too_deep, (record.get(options.text_column), *(kept or {}).values()))):
        return Row(row_id, None, _too_deep(where), size=len(line)), record
    if options.text_column not in record:
        message = f"{where}: no field {options.text_column!r}; its fields are {listed(record)}"
        return Row(row_id, None, message, kept, size=len(line)), record
    return Row(row_id, record[options.text_column], None, kept, size=len(line)), record


def _too_deep(where: str) -> str:
    return f"{where}: nested more than {MAX_NESTING} levels deep; flatten or remove the field"


def _is_too_deep(value: Any) -> bool:
    """Return whether objects and arrays stand in each other more than MAX_NESTING levels deep."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_NESTING):
        if not level:
            return False
        members = (v for outer in level for v in (outer.values() if isinstance(outer, dict) else outer))
        level = [v for v in members if isinstance(v, (dict, list))]
    return bool(level)


def _json_type(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


# --- CSV ---


class _BoundedLines:
    """The lines of a table, of which one record may have MAX_RECORD_BYTES characters.

    A few kilobytes can unpack to one endless line, and the csv module asks for whole lines.
    """

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream
        self._taken = 0

    def __iter__(self) -> _BoundedLines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(MAX_RECORD_BYTES + 1)
        self._taken += len(line)
        if self._taken > MAX_RECORD_BYTES:
            raise csv.Error(f"a record of more than {MAX_RECORD_BYTES:,} characters")
        if not line:
            raise StopIteration
        return line

    def apart(self, records: Iterable[list[str]]) -> Iterator[list[str]]:
        """Yield the records, beginning to count anew with each."""
        for record in records:
            self._taken = 0
            yield record


def _csv(item: Input, name: str, options: ReadOptions, skip: int, progress: Progress, _strict: bool) -> Iterator[Row]:
    path = Path(plain_path(item.path))
    stem = path.with_suffix("") if path.suffix.lower() in COMPRESSED else path
    delimiter = options.delimiter or ("\t" if stem.suffix.lower() == ".tsv" else ",")
    encoding = options.encoding or "utf-8"
    if encoding == "utf-8":
        encoding = "utf-8-sig"
    # The default of 131,072 characters is shorter than a long article. The limit is the process's.
    before = csv.field_size_limit(MAX_RECORD_BYTES)
    try:
        with (
            open_binary(item.path, progress) as stream,
            io.TextIOWrapper(stream, encoding=encoding, newline="") as lines,
        ):
            bounded = _BoundedLines(lines)
            records = csv.reader(bounded, delimiter=delimiter, strict=True)
            header = next((r for r in bounded.apart(records) if r), None)
            if header is None:
                raise InputError("it is empty, without even a header")
            keep = kept_columns(name, options, header)
            filled = (r for r in bounded.apart(records) if r)
            yield from _csv_rows(islice(filled, skip, None), records, header, keep, name, options)
    except UnicodeDecodeError as error:
        raise InputError(f"not {encoding.removesuffix('-sig')} ({error.reason}); name its --encoding") from error
    finally:
        csv.field_size_limit(before)


def _csv_rows(
    records: Iterator[list[str]], reader: Any, header: list[str], keep: list[str], name: str, options: ReadOptions
) -> Iterator[Row]:
    text_at = header.index(options.text_column)
    id_at = header.index(options.id_column) if options.id_column in header else None
    kept_at = [(c, header.index(c)) for c in keep]
    for record in records:
        if len(record) != len(header):
            where = f"{name}: line {reader.line_num:,}"
            message = f"{where}: fields: {len(record)}, in the header: {len(header)}; mend the line"
            yield Row(None, None, message)
            continue
        kept = {c: record[at] for c, at in kept_at} if kept_at else None
        size = sum(map(len, record))
        yield Row(None if id_at is None else record[id_at], record[text_at], None, kept, size=size)


def csv_header(item: Input, options: ReadOptions) -> list[str]:
    """Return the names of the columns of a CSV file; none if it cannot be read."""
    anything = ReadOptions(encoding=options.encoding, delimiter=options.delimiter, text_column="\0")
    try:
        for _ in _csv(item, "", anything, 0, Progress(), True):
            pass
    except MissingColumnError as error:
        return error.found
    except Exception:  # it is reported when it is read
        logger.debug("%s", name_of(item.path), exc_info=True)
    return []
