"""Arguments to inputs: the files that globs, folders and names stand for."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from detector.batch.remote import DriverError, find, is_url, local_path, name_of, plain_path, reason
from detector.reading import HTML_SUFFIXES, STDIN, current_folder, display_name

Kind: TypeAlias = Literal["jsonl", "csv", "parquet", "text", "html"]

COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
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


class Input(NamedTuple):
    """A file to read, or why there is none.

    `path`: as given or found, perhaps a URL, `-` for standard input. `version`: of a file at a URL.
    """

    path: str
    kind: Kind | None
    size: int = 0
    mtime_ns: int = 0
    error: str | None = None
    version: str = ""

    @property
    def is_table(self) -> bool:
        """Whether it holds rows, as opposed to one text."""
        return self.kind in ("jsonl", "csv", "parquet")


def find_inputs(arguments: Iterable[str]) -> Iterator[Input]:
    """Yield the inputs that the arguments name, in their order: files, globs (sorted), folders (sorted, recursive).

    In folders and globs only files of a known ending count; hidden ones and links in a circle are left out. A file
    named by itself that cannot be used comes with its `error`, and so does a pipe, a socket or a device, which are
    never opened, as reading one may wait for ever; but pipes that this process was given open count as files where
    they are named by themselves. All of them can be URLs.

    Raises:
        DriverError: a URL needs a package that is not installed.
    """
    for argument in map(local_path, arguments):
        if argument == STDIN:
            yield Input(STDIN, "jsonl")
        elif is_url(argument):
            name = name_of(argument)
            yield from _or_nothing(_at_url(argument), f"{name}: no file of a known kind here", argument)
        elif os.path.isdir(argument):  # noqa: PTH112 - never raises, and what is wrong is said where it is read
            yield from _or_nothing(_walk(argument), f"{display_name(argument)}: no file of a known kind in this folder")
        elif glob.has_magic(argument) and not os.path.exists(argument):  # noqa: PTH110 - never raises
            found = (f for name in sorted(glob.iglob(argument, recursive=True)) for f in _matched(name))  # noqa: PTH207 - absolute patterns too
            yield from _or_nothing(found, f"{display_name(argument)}: no file of a known kind matches", argument)
        else:
            yield _look_at(argument, open_pipes=True)


def _or_nothing(found: Iterator[Input], message: str, name: str | None = None) -> Iterator[Input]:
    empty = True
    for item in found:
        empty = False
        yield item
    if empty:
        yield Input(name or message.split(": ")[0], None, error=f"{message}; there can be {_KNOWN}")


def _matched(name: str) -> Iterator[Input]:
    if os.path.isdir(name):  # noqa: PTH112 - never raises
        yield from _walk(name)
    elif kind_of(name) is not None:
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
        path = str(Path(folder, name))
        if name.startswith("."):
            continue
        if os.path.isdir(path):  # noqa: PTH112 - never raises
            if not os.path.islink(path):  # noqa: PTH114
                yield from _walk(path)
        elif kind_of(name) is not None:
            yield _look_at(path)


def _look_at(path: str, *, open_pipes: bool = False) -> Input:
    name = display_name(path)
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        message = f"{name}: no such file; check the path ({current_folder()})"
        return Input(path, None, error=message)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        return Input(path, None, error=f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}")
    kind = kind_of(path)
    if kind is None:
        return Input(path, None, error=f"{name}: of no known kind; there can be {_KNOWN}")
    if not stat.S_ISREG(found.st_mode) and not (open_pipes and _is_open_here(path)):
        message = f"{name}: is a pipe, a socket or a device, not a file; name a file, or pipe JSON lines into -"
        return Input(path, None, error=message)
    return Input(path, kind, found.st_size, found.st_mtime_ns)


def _is_open_here(path: str) -> bool:
    """Return whether a path leads to what this process has open already, such as /dev/stdin."""
    return os.path.realpath(path).startswith((f"/proc/{os.getpid()}/fd/", "/dev/fd/"))


def _at_url(url: str) -> Iterator[Input]:
    name = name_of(url)
    try:
        for found in find(url):
            kind = kind_of(plain_path(found.url))
            if kind is not None:
                yield Input(found.url, kind, found.size, version=found.version)
            elif found.url == url:
                yield Input(url, None, error=f"{name}: of no known kind; there can be {_KNOWN}")
    except DriverError:
        raise
    except FileNotFoundError:
        yield Input(url, None, error=f"{name}: no such file, or the server cannot be reached; check the URL")
    except Exception as error:  # every driver has errors of its own
        yield Input(url, None, error=f"{name}: cannot be read: {reason(error)}; check the URL and your rights")


def kind_of(path: str) -> Kind | None:
    """Return what a file of this name holds, None where its ending says nothing known."""
    name = Path(path)
    compressed = name.suffix.lower() in COMPRESSED
    kind = _KINDS.get(Path(name.stem).suffix.lower() if compressed else name.suffix.lower())
    return None if compressed and kind == "parquet" else kind
