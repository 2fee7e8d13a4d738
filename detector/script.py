"""What the installed commands start. Ctrl-C ends them quietly from the first line of this file on.

Most of a short run goes into imports, and an interruption there shows a traceback, or is lost in a library that turns
it into an error of its own. Until the command begins there is nothing to clean up, so the process just ends. What
comes before, the start of Python itself, is Python's.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` takes longer to import than all else here
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_INTERRUPTED = 130


def _leave(*_: object) -> None:
    os._exit(_INTERRUPTED)


if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:  # else it is ignored, as by nohup and &
    _signal.signal(_signal.SIGINT, _leave)


def begin() -> None:
    """Let Ctrl-C be a KeyboardInterrupt again: from here on there is something to clean up."""
    if _signal.getsignal(_signal.SIGINT) is _leave:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)


def _end(code: int) -> NoReturn:
    """Exit; everything is written, and an interruption of the interpreter's own last steps would only be noise."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (KeyboardInterrupt, OSError, ValueError):
        pass
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    sys.exit(code)


def detect_spin() -> NoReturn:
    """Run `detect-spin` and exit."""
    from detector.cli import run

    _end(run())


def detect_spin_batch() -> NoReturn:
    """Run `detect-spin-batch` and exit."""
    from detector.batch.cli import run

    _end(run())
