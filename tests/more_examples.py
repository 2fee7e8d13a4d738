"""A plugin for property tests: twenty times as many examples as each asks for, chosen at random.

`pytest -p tests.more_examples --hypothesis-seed=random tests/test_normalise.py ...` takes minutes, so CI does not; the
run before a release does (CONTRIBUTING.md). A finding becomes an `@example` of its test.
"""

from __future__ import annotations

import os
from functools import wraps
from typing import Any

from hypothesis import settings

FACTOR = int(os.environ.get("MORE_EXAMPLES", "20"))
_original = settings.__init__


@wraps(_original)
def _with_more(self: settings, *args: Any, **given: Any) -> None:
    if "derandomize" in given:  # the profile of conftest.py, for tests that ask for no number
        given.setdefault("max_examples", 100)
    if isinstance(given.get("max_examples"), int):
        given["max_examples"] *= FACTOR
    _original(self, *args, **given)


settings.__init__ = _with_more  # type: ignore[method-assign]
