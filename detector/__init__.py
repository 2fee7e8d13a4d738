"""detect-spin: tells whether an English article was put through an article spinner, and shows where.

>>> from detector import SpinDetector  # doctest: +SKIP
>>> SpinDetector.load().score("The top state leader concurred.").verdict  # doctest: +SKIP

Importing this package does no work, nor does it import anything that a program without a log lacks: the commands have
to be quiet about Ctrl-C from their first moment on (script.py). Each name is looked up on its first use.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as type checkers know it; `typing` is half of what importing this would take
if TYPE_CHECKING:
    from typing import Any

    from detector.detect import SpinDetector
    from detector.errors import DetectorError, InputError, MissingExtraError, ModelError
    from detector.results import Failed, Ignored, Reason, Segment, Span, SpinResult, Verdict

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

_MODULES = {
    "SpinDetector": "detect",
    **dict.fromkeys(("DetectorError", "InputError", "MissingExtraError", "ModelError"), "errors"),
    **dict.fromkeys(("Failed", "Ignored", "Reason", "Segment", "Span", "SpinResult", "Verdict"), "results"),
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if "logging" in sys.modules:  # else whoever imports it comes after us, and finds nothing of ours that logs
    from detector import log as log
