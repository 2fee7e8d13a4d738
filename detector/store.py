"""Find a model folder and check every file in it against its manifest; never the network.

A model is a folder of data: weights, `config.json`, a card, and `manifest.json`, which holds the SHA-256 of all the
others. Nothing from the folder is used before its digest was compared, so a half-copied download, a Git LFS pointer
or an edited weight is an error here and not a wrong verdict later.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from detector.errors import ModelError

DEFAULT_MODEL = "spin-en-v2"
MODEL_DIR_VARIABLE = "DETECT_SPIN_MODEL_DIR"
MANIFEST = "manifest.json"
CONFIG = "config.json"
MANIFEST_SCHEMA = 1
DIGEST_LENGTH = 12  # hex digits in a model id

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REINSTALL = "install the package again or restore the folder from its source"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model folder whose every file agreed with the manifest when it was opened.

    `digest`: 12 hex digits over the names and digests of all files but the Markdown ones, so that a reworded card
    does not change the identity of a model that computes the same. `config`: `config.json`, not to be changed.
    `manifest`: `manifest.json` as read.
    """

    path: Path
    name: str
    digest: str
    config: dict[str, Any]
    manifest: dict[str, Any]

    @property
    def model_id(self) -> str:
        """The model as it is named in results: `name@digest`."""
        return f"{self.name}@{self.digest}"

    @property
    def reference(self) -> str:
        """What `open_model` finds this folder by, wherever it is called: a bundled model's name, else the path."""
        return self.path.name if self.path == models_root() / self.path.name else str(self.path.resolve())

    def read(self, name: str) -> bytes:
        """Return the content of a file of the model, compared with the manifest once more.

        Raises:
            ModelError: as of `open_model` and `file`.
        """
        self.file(name)  # listed at all?
        return _read_checked(self.path, name, self.manifest["files"][name]["sha256"])

    def file(self, name: str) -> Path:
        """Return the path of a file of the model, `name` as in the manifest.

        Raises:
            ModelError: the manifest does not list it, so that it was never checked.
        """
        if name not in self.manifest["files"]:
            raise ModelError(f"model {self.path}: {MANIFEST} lists no file {name!r}; {_REINSTALL}")
        return self.path / name


def models_root() -> Path:
    """Return the folder that holds the models: inside the wheel, else beside the package in a clone."""
    bundled = Path(__file__).parent / "_models"
    return bundled if bundled.is_dir() else Path(__file__).parent.parent / "models"


def model_names() -> list[str]:
    """Return the names of the models that came with the package, sorted; empty where there are none."""
    return sorted(manifest.parent.name for manifest in models_root().glob(f"*/{MANIFEST}"))


def open_model(model: str | Path | None = None) -> ModelFolder:
    """Find a model, check its files, and return it.

    Args:
        model: the name of a model that came with the package, or a folder that holds one. A plain name is looked up
            among the former first. None: the folder in `DETECT_SPIN_MODEL_DIR` where that is set and not empty, else
            `DEFAULT_MODEL`.

    Cost: reads every file of the model once, for its digest.

    Raises:
        ModelError: there is no such model, or its folder is incomplete, altered, unreadable or of another schema.
    """
    try:
        path = _find(model)
    except (OSError, ValueError) as error:  # a path too long for the system, no permission, a NUL in it
        raise ModelError(
            f"model {str(model)!r} cannot be opened ({error}); give a folder that holds a model"
        ) from error
    manifest = _read_json(path, MANIFEST, _read(path, MANIFEST))
    name, files = _check_manifest(path, manifest)
    config: dict[str, Any] = {}
    for file, entry in files.items():
        if file == CONFIG:
            config = _read_json(path, file, _read_checked(path, file, entry["sha256"]))
        else:
            _check_digest(path, file, _sha256(path, file), entry["sha256"])
    return ModelFolder(path, name, model_digest(files), config, manifest)


def write_manifest(folder: Path, name: str, extra: Mapping[str, Any]) -> Path:
    """Write `manifest.json` for all files now in `folder` and return its path.

    `extra` holds further entries such as the training data's digests; `schema`, `name` and `files` are ours. Files
    whose names start with a dot are left out. Equal folders give equal bytes.

    Raises:
        ValueError: `name` is no model name, or `extra` uses one of our entries.
        ModelError: there is no `config.json`, or a file cannot be read or has a name that not every system can hold.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"model name: expected letters, digits, '.', '_' and '-', got {name!r}")
    if taken := {"schema", "name", "files"} & set(extra):
        raise ValueError(f"extra: {sorted(taken)} are written by write_manifest itself")
    paths = (p for p in folder.rglob("*") if p.is_file())
    names = sorted(p.relative_to(folder).as_posix() for p in paths)
    names = [n for n in names if n != MANIFEST and not any(part.startswith(".") for part in n.split("/"))]
    files = {n: {"sha256": _sha256(folder, n), "bytes": (folder / n).stat().st_size} for n in names}
    manifest = {"schema": MANIFEST_SCHEMA, "name": name, "files": files, **extra}
    _check_manifest(folder, manifest)
    target = folder / MANIFEST
    target.write_bytes((json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode())
    return target


def model_digest(files: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the 12 hex digits that identify what the files of a manifest compute; see `ModelFolder`."""
    lines = [f"{name} {files[name]['sha256']}\n" for name in sorted(files) if not name.endswith(".md")]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:DIGEST_LENGTH]


def _find(model: str | Path | None) -> Path:
    where = ""
    if model is None:
        if folder := os.environ.get(MODEL_DIR_VARIABLE, ""):
            model, where = Path(folder), f" ({MODEL_DIR_VARIABLE} points to it)"
        else:
            model = DEFAULT_MODEL
    if isinstance(model, str):
        # The manifest decides: in a clone, models/ holds other things too.
        if _NAME.fullmatch(model) and (models_root() / model / MANIFEST).is_file():
            return models_root() / model
        if not Path(model).is_dir():
            known = ", ".join(model_names()) or "none"
            raise ModelError(
                f"model {model!r} not found: it is neither a folder nor a model in {models_root()} (there: {known}); "
                "give one of these names or a folder that holds a model"
            )
    path = Path(model)
    if not path.exists():
        raise ModelError(f"model folder {path} does not exist{where}; give a folder that holds a model")
    if not path.is_dir():
        raise ModelError(f"model {path} is not a folder{where}; give the folder that holds {MANIFEST}")
    if not (path / MANIFEST).is_file():
        raise ModelError(f"model folder {path} holds no {MANIFEST}{where}; give a folder that holds a model")
    return path


def _check_manifest(path: Path, manifest: Mapping[str, Any]) -> tuple[str, dict[str, dict[str, Any]]]:
    """Return name and files of a manifest whose shape is right; reads nothing."""
    schema = manifest.get("schema")
    if schema != MANIFEST_SCHEMA or isinstance(schema, bool):
        raise ModelError(
            f"model {path}: {MANIFEST} has schema {schema!r}, this version reads {MANIFEST_SCHEMA}; "
            "use the model that came with the package, or the version of detect-spin that the model was made for"
        )
    name, files = manifest.get("name"), manifest.get("files")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ModelError(f"model {path}: {MANIFEST} has no valid name, but {name!r}; {_REINSTALL}")
    if not isinstance(files, dict):
        raise ModelError(f"model {path}: {MANIFEST} lists no files; {_REINSTALL}")
    for file, entry in files.items():
        if not _is_plain_relative(file):
            raise ModelError(f"model {path}: {MANIFEST} names {file!r}, which is not a plain path inside the folder")
        digest = entry.get("sha256") if isinstance(entry, dict) else None
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise ModelError(f"model {path}: {MANIFEST} has no SHA-256 for {file}; {_REINSTALL}")
    if CONFIG not in files:
        raise ModelError(f"model {path}: {MANIFEST} lists no {CONFIG}; {_REINSTALL}")
    return name, files


def _is_plain_relative(file: str) -> bool:
    # Drive letters and backslashes would mean something else on Windows; a NUL ends the name in the kernel.
    if not file or file == MANIFEST or any(c in file for c in "\\:\0"):
        return False
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts and path.as_posix() == file and file != "."


def _read_error(path: Path, file: str, error: OSError) -> ModelError:
    if isinstance(error, FileNotFoundError):
        return ModelError(f"model {path}: {file} is missing; {_REINSTALL}")
    return ModelError(f"model {path}: {file} cannot be read ({error.strerror or error}); check its permissions")


def _read(path: Path, file: str) -> bytes:
    try:
        return (path / file).read_bytes()
    except OSError as error:
        raise _read_error(path, file, error) from error


def _read_checked(path: Path, file: str, expected: str) -> bytes:
    """Return the content of a file; what is used is the same bytes that were hashed."""
    content = _read(path, file)
    _check_digest(path, file, hashlib.sha256(content).hexdigest(), expected)
    return content


def _sha256(path: Path, file: str) -> str:
    digest = hashlib.sha256()
    try:
        with (path / file).open("rb") as stream:
            while block := stream.read(1 << 20):  # 1 MiB keeps memory flat for weights of any size
                digest.update(block)
    except OSError as error:
        raise _read_error(path, file, error) from error
    return digest.hexdigest()


def _check_digest(path: Path, file: str, found: str, expected: str) -> None:
    if found != expected:
        raise ModelError(
            f"model {path}: {file} was altered or is incomplete (SHA-256 {found[:DIGEST_LENGTH]}..., "
            f"{MANIFEST} says {expected[:DIGEST_LENGTH]}...); {_REINSTALL}"
        )


def _read_json(path: Path, file: str, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise ModelError(f"model {path}: {file} is not valid JSON ({error}); {_REINSTALL}") from error
    if not isinstance(value, dict):
        raise ModelError(f"model {path}: {file} holds no JSON object, but a {type(value).__name__}; {_REINSTALL}")
    return value
