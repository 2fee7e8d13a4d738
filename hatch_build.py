"""Build hook: put the shipped models into the wheel, and refuse to build with an altered one.

The models live in models/, outside the package. A wheel gets those named in `SHIPPED` as detector/_models/NAME. An
editable install gets none: it finds models/ beside the package, and files copied into site-packages/detector would
hide the clone's package.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SHIPPED = ("spin-en-v2",)


class ShipModels(BuildHookInterface):  # type: ignore[type-arg]  # generic for type checkers only, not at run time
    """Adds the files that each model's manifest lists, after comparing their digests."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Extend `build_data` for a standard wheel; raise RuntimeError on a missing or altered file."""
        if version == "editable":
            return
        for name in SHIPPED:
            folder = Path(self.root, "models", name)
            for file in _verified_files(folder):
                build_data["force_include"][str(folder / file)] = f"detector/_models/{name}/{file}"


def _verified_files(folder: Path) -> list[str]:
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        raise RuntimeError(f"{manifest} is missing: a wheel without its model would be useless")
    files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
    for file, entry in files.items():
        path = folder / file
        if not path.is_file():
            raise RuntimeError(f"{path} is missing, though manifest.json lists it")
        if hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
            raise RuntimeError(f"{path} differs from its SHA-256 in manifest.json (altered, or a Git LFS pointer?)")
    return [*files, manifest.name]
