"""The detector without its preparation of texts: what "before" means in the reports on input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import detector.detect
from detector.normalise import Normalised
from detector.segment import Prepared
from detector.spaced import Splitter
from detector.words import segment_ends, tokenise


def as_it_stands(text: str, splitter: Splitter | None = None) -> Prepared:
    """Return a text made ready without normal form and with nothing left out; what "before" means."""
    plain = text.encode("utf-8", "replace").decode("utf-8")
    tokens = tokenise(plain)
    return Prepared(Normalised(plain, None, ()), (), tokens, segment_ends(tokens))


@contextmanager
def preparing(function: Callable[..., Prepared]) -> Iterator[None]:
    """Let the detector make texts ready with `function`."""
    before = vars(detector.detect)["prepare"]
    vars(detector.detect)["prepare"] = function
    try:
        yield
    finally:
        vars(detector.detect)["prepare"] = before
