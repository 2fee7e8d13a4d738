"""The package's log. A library must not print; without a handler Python would write warnings to the caller's stderr.

Not in `__init__`, because importing `logging` takes longer than all else there. Every module that logs imports this
one, by itself or through `detector.reading`.
"""

from __future__ import annotations

import logging

logging.getLogger("detector").addHandler(logging.NullHandler())


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module, `name` being its `__name__`."""
    return logging.getLogger(name)
