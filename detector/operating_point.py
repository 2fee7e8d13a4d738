"""Operating points fitted to a user's own stream: a JSON file with a threshold, written by `python -m eval calibrate`.

A threshold means something for the model it was measured with and for no other, so the file names its model, and
another model refuses it. docs/calibration.md describes the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.errors import InputError

SCHEMA_VERSION = 1
RESERVED_NAMES = frozenset({"strict", "balanced", "sensitive"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
_MODEL = re.compile(r".+@[0-9a-f]{8,}")
_MOST_BYTES = 1_000_000  # such a file has a few hundred; more is another file, given by mistake


class OperatingPointError(InputError):
    """An operating-point file cannot be read, says nothing usable, or belongs to another model."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A named threshold for one model. `threshold`: in (0, 1], for `SpinResult.probability`. `model`: name@digest.

    `source`: where it was read from, for messages.
    """

    name: str
    threshold: float
    model: str
    source: str = "operating point"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise OperatingPointError(
                f"{self.source}: the name must be 1 to 64 letters, digits, spaces, '.', '_' or '-', got {self.name!r}"
            )
        if self.name in RESERVED_NAMES:
            raise OperatingPointError(
                f"{self.source}: the name {self.name!r} is that of one of the model's own operating points; rename it"
            )
        number = isinstance(self.threshold, (int, float)) and not isinstance(self.threshold, bool)
        if not number or not 0.0 < self.threshold <= 1.0:
            raise OperatingPointError(
                f"{self.source}: the threshold must be a number above 0 and at most 1, got {self.threshold!r}"
            )
        if not isinstance(self.model, str) or not _MODEL.fullmatch(self.model):
            raise OperatingPointError(f"{self.source}: the model must be named as name@digest, got {self.model!r}")


def read_operating_point(path: str | Path) -> OperatingPoint:
    """Return the operating point of a JSON file; see docs/calibration.md for its fields.

    Raises:
        OperatingPointError: the file is missing or unreadable, is not such a file, or its values are out of range.
    """
    name = str(path)
    try:
        if Path(path).stat().st_size > _MOST_BYTES:
            raise OperatingPointError(
                f"{name}: is too large for an operating-point file; give one that calibrate wrote"
            )
        content = json.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise OperatingPointError(f"{name}: there is no such operating-point file") from error
    except OSError as error:
        raise OperatingPointError(f"{name}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and a NUL in the path are ValueErrors too
        raise OperatingPointError(f"{name}: is not valid JSON ({error}); give a file that calibrate wrote") from error
    if not isinstance(content, dict):
        raise OperatingPointError(f"{name}: holds no JSON object; give a file that calibrate wrote")
    missing = [key for key in ("schema", "name", "threshold", "model") if key not in content]
    if missing:
        raise OperatingPointError(f"{name}: lacks {', '.join(missing)}; give a file that calibrate wrote")
    if content["schema"] != SCHEMA_VERSION or isinstance(content["schema"], bool):
        raise OperatingPointError(f"{name}: has schema {content['schema']!r}, this version reads {SCHEMA_VERSION}")
    point = OperatingPoint(content["name"], content["threshold"], content["model"], name)
    return OperatingPoint(point.name, float(point.threshold), point.model, name)


def as_operating_point(given: str | Path | OperatingPoint) -> str | OperatingPoint:
    """Return a name as it is, and what a file holds for its path: a `Path`, or a string that ends in `.json`.

    Raises:
        OperatingPointError: see `read_operating_point`.
    """
    if isinstance(given, Path) or (isinstance(given, str) and given.lower().endswith(".json")):
        return read_operating_point(given)
    return given


def settle(given: str | OperatingPoint, points: Mapping[str, Any], model_id: str) -> tuple[str, float]:
    """Return name and threshold of an operating point for the model `model_id`, whose own ones are `points`.

    Raises:
        ValueError: the model has no operating point of that name.
        OperatingPointError: it was fitted to another model.
    """
    if isinstance(given, OperatingPoint):
        if given.model != model_id:
            raise OperatingPointError(
                f"{given.source}: was fitted to the model {given.model}, this is {model_id}: their probabilities "
                "differ; calibrate again with this model"
            )
        return given.name, given.threshold
    if given not in points:
        raise ValueError(f"unknown operating point {given!r}; this model has {', '.join(points)}")
    return given, float(points[given])
