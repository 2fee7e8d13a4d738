"""Inputs to bytes: opened, decompressed by the ending, with an eye on how far reading is."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from detector.batch.inputs import COMPRESSED
from detector.batch.remote import is_url, name_of, open_remote, plain_path, without_secrets
from detector.batch.rows import FileText
from detector.errors import DetectorError, InputError
from detector.reading import DEFAULT_MAX_BYTES, MAX_HTML_BYTES, STDIN, decode, extract_html


class Progress:
    """How far into its input a reader is, in bytes of the file as it lies on the disk."""

    def __init__(self) -> None:
        self.bytes = 0


@contextlib.contextmanager
def open_binary(path: str, progress: Progress | None = None) -> Iterator[BinaryIO]:
    """Open a file, or standard input for `-`, decompressing by the ending; `progress` is kept up to date."""
    if path == STDIN:
        if sys.stdin is None:
            raise InputError("standard input is closed; pipe records in or name a file")
        yield sys.stdin.buffer
        return
    counted = _CountingStream if is_url(path) else _CountingFile
    with io.BufferedReader(counted(path, progress or Progress()), 1 << 17) as raw:
        compression = COMPRESSED.get(Path(plain_path(path)).suffix.lower())
        if compression == "gzip":
            with gzip.open(raw) as unpacked:
                yield unpacked  # type: ignore[misc]
        elif compression == "zstd":
            import pyarrow as pa

            with io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd"), 1 << 17) as unpacked:
                yield unpacked
        else:
            yield raw


class _CountingFile(io.FileIO):
    def __init__(self, path: str, progress: Progress) -> None:
        super().__init__(path, "rb")
        self._progress = progress

    def readinto(self, buffer: Any, /) -> int | None:
        count = super().readinto(buffer)
        self._progress.bytes += count or 0
        return count


class _CountingStream(io.RawIOBase):
    def __init__(self, url: str, progress: Progress) -> None:
        super().__init__()
        self._stream = open_remote(url)
        self._progress = progress

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        data = self._stream.read(len(buffer))  # of fsspec's streams not all have readinto
        buffer[: len(data)] = data
        self._progress.bytes += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


@contextlib.contextmanager
def open_arrow(path: str) -> Iterator[Any]:
    """Open a file as pyarrow's readers want it, to be read here and there."""
    import pyarrow as pa

    if not is_url(path):
        with pa.OSFile(os.fsencode(path)) as raw:
            yield raw
        return
    with contextlib.closing(open_remote(path, seekable=True)) as stream, pa.PythonFile(stream, "r") as raw:
        yield raw


def may_pass(path: str, error: Exception) -> bool:
    """Return whether reading a file failed for a reason that may be gone in a moment: a lost connection, say."""
    of_the_file = (FileNotFoundError, PermissionError, gzip.BadGzipFile, DetectorError, UnicodeError, csv.Error)
    return is_url(path) and not isinstance(error, of_the_file) and type(error).__module__ != "pyarrow.lib"


def why(error: BaseException) -> str:
    """Return why a file cannot be read, in words that hold no piece of a text."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    known = (OSError, EOFError, DetectorError, zlib.error, csv.Error)
    if isinstance(error, known) or type(error).__module__ == "pyarrow.lib":
        return without_secrets(" ".join(str(error).split()))[:500] or type(error).__name__
    if isinstance(error, UnicodeDecodeError):
        return f"not {error.encoding} ({error.reason})"
    return type(error).__name__


def read_file_text(file: FileText, max_bytes: int = DEFAULT_MAX_BYTES) -> str:
    """Return the text of a file, decompressed and decoded, for HTML the article in it.

    Raises:
        InputError: unreadable, too large, binary, or a page without text.
    """
    name = name_of(file.path)
    limit = MAX_HTML_BYTES if file.kind == "html" else max_bytes
    try:
        with open_binary(file.path) as stream:
            data = stream.read(limit + 1)
    except Exception as error:  # drivers of remote files raise almost anything
        raise InputError(f"{name}: cannot be read: {why(error)}; check the file") from error
    if len(data) > limit:
        raise InputError(f"{name}: too large: more than {limit:,} bytes; split it")
    text, _ = decode(data, name, encoding=file.encoding, html=file.kind == "html")
    return extract_html(text, name) if file.kind == "html" and text.strip() else text
