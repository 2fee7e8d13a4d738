"""ONNX Runtime, imported so that it keeps to itself.

Some of its releases (1.31 for Linux among them) make a device number and a queue of events in the home directory when
they are imported, and look up the name of their maker's server some seconds later. A detector that promises to work
offline leaves no such traces.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

_NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"


def import_onnxruntime() -> ModuleType:
    """Return the module `onnxruntime`, imported without its telemetry; the environment is as before."""
    if "onnxruntime" not in sys.modules:
        before = os.environ.get(_NO_TELEMETRY)
        os.environ[_NO_TELEMETRY] = "1"  # read on import; the call below would be too late for the files
        try:
            import onnxruntime
        finally:
            if before is None:
                del os.environ[_NO_TELEMETRY]
            else:
                os.environ[_NO_TELEMETRY] = before
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # for a program that had imported it before
    return sys.modules["onnxruntime"]


def was_interrupted(error: BaseException | None) -> bool:
    """Return whether an error came from Ctrl-C: a module in C turns one that comes while it loads into ImportError."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False
