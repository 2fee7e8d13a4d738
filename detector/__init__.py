"""detect-spin: tells whether an English article was put through an article spinner, and shows where.

>>> from detector import SpinDetector  # doctest: +SKIP
>>> SpinDetector.load().score("The top state leader concurred.").verdict  # doctest: +SKIP

Importing this package does no work: the detector and numpy are loaded on the first use of `SpinDetector`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from detector.errors import DetectorError, InputError, MissingExtraError, ModelError
from detector.results import Failed, Ignored, Reason, Segment, Span, SpinResult, Verdict

if TYPE_CHECKING:
    from detector.detect import SpinDetector

__version__ = "0.1.0"

__all__ = [
    "DetectorError",
    "Failed",
    "Ignored",
    "InputError",
    "MissingExtraError",
    "ModelError",
    "Reason",
    "Segment",
    "Span",
    "SpinDetector",
    "SpinResult",
    "Verdict",
    "__version__",
]

# A library must not print; without a handler Python would write our warnings to the caller's stderr.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name == "SpinDetector":
        from detector.detect import SpinDetector

        globals()[name] = SpinDetector
        return SpinDetector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
