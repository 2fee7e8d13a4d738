"""Inputs and outputs at URLs, through fsspec: object stores, web servers and whatever else it has a driver for.

fsspec is imported when a URL is given and not before. Drivers and their settings (keys, endpoints, time limits) are
fsspec's: see its configuration by files and by environment variables.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from detector.errors import DetectorError
from detector.reading import display_name

BLOCK_BYTES = 4_000_000
"""Fetched at a time: a request for some tenths of a second's transfer, and all that is held of a file."""

# Where an object has its name only when all of it has arrived; elsewhere it gets another name first.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "r2", "memory"})
_WEB = ("http", "https")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+(?:::[A-Za-z][A-Za-z0-9+.-]+)*)://")  # one letter is a Windows drive
_LOCAL = re.compile(r"(?:file|local)://(?:localhost(?=/))?", re.IGNORECASE)
_PASSWORD = re.compile(r"(?<=://)([^/@:\s]*):[^/@\s]*@")
_SECRET = re.compile(
    r"([?&][^=&#\s]*(?:signature|sig|token|key|secret|credential|password)[^=&#\s]*=)[^&#\s]+", re.IGNORECASE
)
# What to install for the usual ones; fsspec knows the others.
_DRIVERS = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "adlfs"),
    **dict.fromkeys(_WEB, "aiohttp"),
    "hf": "huggingface_hub",
    "sftp": "paramiko",
}
_VERSION = (
    "ETag",
    "etag",
    "md5Hash",
    "Content-MD5",
    "generation",
    "LastModified",
    "last_modified",
    "updated",
    "mtime",
    "created",
)


class RemoteError(DetectorError):
    """A URL cannot be used; the message says why and what to do."""


class DriverError(RemoteError):
    """What such URLs are read with is not installed; the message names it."""


class Found(NamedTuple):
    """A file at a URL. `size`: in bytes, 0 where the server does not say. `version`: changes when the file does."""

    url: str
    size: int
    version: str


def is_url(path: str) -> bool:
    r"""Return whether this is a URL rather than a path.

    >>> [is_url(name) for name in ("s3://bucket/a.jsonl", "simplecache::https://a/b.csv", r"C:\a.txt", "a.txt")]
    [True, True, False, False]
    """
    return _SCHEME.match(path) is not None


def local_path(path: str) -> str:
    """Return the path of a `file://` URL, and anything else as it is.

    >>> local_path("file:///tmp/a.jsonl")
    '/tmp/a.jsonl'
    """
    return _LOCAL.sub("", path, count=1) if _LOCAL.match(path) else path


def name_of(path: str) -> str:
    """Return a path or URL for messages and results, without the secrets that a URL may hold.

    >>> name_of("https://me:secret@example.org/a.csv?page=2&X-Amz-Signature=0123")
    'https://me:***@example.org/a.csv?page=2&X-Amz-Signature=***'
    """
    name = display_name(path)
    return without_secrets(name) if is_url(path) else name


def without_secrets(message: str) -> str:
    """Return a message with the passwords, keys and signatures in its URLs replaced by asterisks."""
    return _SECRET.sub(r"\1***", _PASSWORD.sub(r"\1:***@", message))


def plain_path(url: str) -> str:
    """Return the URL without what follows the path in those of web servers: what the file's ending is looked for in."""
    return re.split("[?#]", url, maxsplit=1)[0] if _scheme(url) in _WEB else url


def find(url: str) -> Iterator[Found]:
    """Yield the file at a URL, or the files that match a glob, or those in a folder, in order of names.

    Hidden files are left out. Globs need a server that can list its files; at web servers `*` only is a glob, and a
    folder ends in a slash.

    Raises:
        FileNotFoundError: there is no such file; a glob or a folder without files yields nothing.
        DriverError: no driver for such URLs.
        Exception: whatever the driver raises.
    """
    files, path = _open_system(url)
    web = _scheme(url) in _WEB
    magic = "*" in path if web else glob.has_magic(path)
    if magic and not files.exists(path):
        found = files.glob(path, detail=True)
    elif url.endswith("/") or (not web and files.isdir(path)):
        found = files.find(path, detail=True)
    else:
        yield _found(url, files.info(path))
        return
    base = url.rstrip("/")
    stripped = files._strip_protocol(base)  # what url_to_fs makes the path with
    prefix = base[: -len(stripped)] if base.endswith(stripped) else None
    above = len(stripped.split("/")) - 1 if magic else len(stripped.rstrip("/").split("/"))
    for name in sorted(found, key=lambda name: name.split("/")):
        if found[name].get("type") == "directory" or any(p.startswith(".") for p in name.split("/")[above:] if p):
            continue
        yield _found(files.unstrip_protocol(name) if prefix is None else prefix + name, found[name])


def _found(url: str, info: dict[str, Any]) -> Found:
    version = next((str(info[key]) for key in _VERSION if info.get(key) is not None), "")
    return Found(url, int(info.get("size") or 0), version)


def open_remote(url: str, *, seekable: bool = False) -> BinaryIO:
    """Open the file at a URL for reading. `seekable`: it is read here and there, and not from front to back.

    Raises:
        DriverError: no driver for such URLs.
        RemoteError: `seekable`, and the server only sends whole files.
        Exception: whatever the driver raises.
    """
    files, path = _open_system(url)
    # Parquet asks for a block at a time already; reading ahead of that would fetch parts that are never used.
    options = {"cache_type": "none"} if seekable else {}
    stream: BinaryIO = files.open(path, "rb", block_size=BLOCK_BYTES, **options)
    if seekable:
        try:
            stream.seek(0, os.SEEK_END)  # what seekable() says is not always so
            stream.seek(0)
        except ValueError as error:
            stream.close()
            raise RemoteError("the server does not send parts of files, which Parquet needs; download it") from error
    return stream


def check_output(url: str) -> None:
    """Find out before the work what would stop `upload`, as far as one can without writing.

    Raises:
        RemoteError: no driver for such URLs, or nothing can be written there.
    """
    if _scheme(url) in _WEB:
        raise RemoteError(f"{name_of(url)}: a web server takes no files this way; write to a local file")
    files, path = _open_system(url)
    try:
        folder = files.isdir(path)
    except Exception as error:  # every driver has errors of its own
        raise RemoteError(f"{name_of(url)}: cannot be reached: {reason(error)}") from error
    if folder or url.endswith("/"):
        raise RemoteError(f"{name_of(url)}: is a folder; give the name of a file in it")


def upload(path: Path, url: str) -> None:
    """Copy a local file to a URL, where it appears when all of it has arrived.

    Raises:
        RemoteError: it could not be written.
    """
    files, target = _open_system(url)
    try:
        if _scheme(url) in _OBJECT_STORES:
            files.put_file(str(path), target)
            return
        temporary = f"{target}.{os.urandom(4).hex()}.tmp"
        files.put_file(str(path), temporary)
        if files.exists(target):  # not every driver's renaming replaces what is there
            files.rm_file(target)
        files.mv(temporary, target)
    except Exception as error:  # every driver has errors of its own
        raise RemoteError(f"{name_of(url)}: cannot be written: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """Return why a driver failed: its class says most, and texts of an article are in none of them."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, RemoteError):
        return str(error)
    status = getattr(error, "status", None)  # of aiohttp
    return f"{type(error).__name__}{f' {status}' if isinstance(status, int) else ''}"


def _scheme(url: str) -> str:
    found = _SCHEME.match(url)
    return found[1].rsplit("::", 1)[-1].lower() if found else ""


def _open_system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL and the path in it; drivers are cached by fsspec."""
    name = name_of(url)
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise DriverError(f"{name}: URLs need fsspec; install it with: pip install 'detect-spin[remote]'") from error
    try:
        files, path = url_to_fs(url)
    except ImportError as error:
        package = _DRIVERS.get(_scheme(url))
        step = f"install it with: pip install {package}" if package else str(error)
        raise DriverError(f"{name}: {_scheme(url)}:// needs a driver that is not installed; {step}") from error
    except ValueError as error:
        if "Protocol not known" not in str(error):
            raise RemoteError(f"{name}: not a URL that can be read: {type(error).__name__}") from error
        raise DriverError(f"{name}: fsspec knows no driver for {_scheme(url)}://; check the URL") from error
    return files, str(path)
