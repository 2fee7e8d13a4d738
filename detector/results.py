"""What the detector returns: frozen, validated, plain values with a JSON form.

The JSON shape is a fixed contract that other programs read; `to_dict` keeps its key order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Any

SCHEMA_VERSION = 1
MAX_SUGGESTIONS = 5
KINDS = ("original", "spun", "machine_translated", "llm_rewritten")


class Verdict(str, Enum):
    """The final answer at one operating point."""

    SPUN = "spun"
    CLEAN = "clean"
    NOT_SCORED = "not_scored"

    def __str__(self) -> str:
        return self.value


class Reason(str, Enum):
    """Why a text was not scored."""

    EMPTY = "empty"
    TOO_SHORT = "too_short"
    NOT_ENGLISH = "not_english"
    NOT_PROSE = "not_prose"
    TOO_LONG = "too_long"
    NOT_TEXT = "not_text"

    def __str__(self) -> str:
        return self.value


def _check_range(name: str, start: int, end: int) -> None:
    if not 0 <= start < end:
        raise ValueError(f"{name}: expected 0 <= start < end, got start={start}, end={end}")


def _check_unit(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name}: expected a number in [0, 1], got {value!r}")


@dataclass(frozen=True, slots=True)
class Span:
    """A phrase that speaks for spinning.

    `start`, `end`: half-open character offsets (code points) into the text as given; `text` is that slice.
    `score`: strength of the evidence in [0, 1]. `suggestions`: what probably stood there, best first, at most
    five, may be empty.
    """

    start: int
    end: int
    text: str
    score: float
    suggestions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_range("Span", self.start, self.end)
        _check_unit("Span.score", self.score)
        if len(self.text) != self.end - self.start:
            raise ValueError(f"Span: text has {len(self.text)} characters, the offsets say {self.end - self.start}")
        if len(self.suggestions) > MAX_SUGGESTIONS:
            raise ValueError(f"Span: at most {MAX_SUGGESTIONS} suggestions, got {len(self.suggestions)}")

    def to_dict(self) -> dict[str, Any]:
        """Return the span as plain JSON types."""
        return {
            "start": self.start,
            "end": self.end,
            "text": self.text,
            "score": self.score,
            "suggestions": list(self.suggestions),
        }


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the article, scored by itself. `probability`: P(spun) of that stretch, in [0, 1]."""

    start: int
    end: int
    probability: float

    def __post_init__(self) -> None:
        _check_range("Segment", self.start, self.end)
        _check_unit("Segment.probability", self.probability)

    def to_dict(self) -> dict[str, Any]:
        """Return the segment as plain JSON types."""
        return {"start": self.start, "end": self.end, "probability": self.probability}


@dataclass(frozen=True, slots=True)
class Ignored:
    """A range that did not count as the article. `why`: `furniture`, `repeat`, `metadata`, `language`, ..."""

    start: int
    end: int
    why: str

    def __post_init__(self) -> None:
        _check_range("Ignored", self.start, self.end)

    def to_dict(self) -> dict[str, Any]:
        """Return the range as plain JSON types."""
        return {"start": self.start, "end": self.end, "why": self.why}


@dataclass(frozen=True, slots=True)
class SpinResult:
    """The answer for one text.

    `probability`: calibrated P(spun) in [0, 1], None if and only if `verdict` is `not_scored`.
    `threshold`: the probability at or above which the verdict at `operating_point` is `spun`.
    `kinds`: probabilities of `KINDS`, summing to 1, or None. `coverage`: share of the scored words that lie in
    spun-looking segments, in [0, 1], or None. `words`: words scored. `spans` and `segments` are in text order and
    do not overlap. `warnings`: stable codes. `model`: name@digest. `id`: the caller's row id; `source`: the file.
    """

    verdict: Verdict
    reason: Reason | None
    probability: float | None
    operating_point: str
    threshold: float
    kinds: Mapping[str, float] | None
    coverage: float | None
    words: int
    model: str
    spans: tuple[Span, ...] = ()
    segments: tuple[Segment, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    warnings: tuple[str, ...] = ()
    id: str | int | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        _check_unit("SpinResult.threshold", self.threshold)
        if self.words < 0:
            raise ValueError(f"SpinResult.words: expected >= 0, got {self.words}")
        if self.verdict is Verdict.NOT_SCORED:
            if self.reason is None or self.probability is not None or self.kinds is not None:
                raise ValueError("SpinResult: not_scored needs a reason and neither probability nor kinds")
            if self.spans or self.segments or self.coverage is not None:
                raise ValueError("SpinResult: not_scored has no spans, segments or coverage")
            return
        if self.reason is not None or self.probability is None or self.coverage is None:
            raise ValueError("SpinResult: a scored text has a probability and a coverage, and no reason")
        if not self.segments:
            raise ValueError("SpinResult: a scored text has at least one segment")
        _check_unit("SpinResult.probability", self.probability)
        _check_unit("SpinResult.coverage", self.coverage)
        if (self.verdict is Verdict.SPUN) != (self.probability >= self.threshold):
            raise ValueError("SpinResult: the verdict must be spun exactly when probability >= threshold")
        if self.kinds is not None and (
            set(self.kinds) != set(KINDS) or abs(sum(self.kinds.values()) - 1.0) > 1e-6  # 1e-6: rounding to 6 places
        ):
            raise ValueError(f"SpinResult.kinds: expected {KINDS} summing to 1, got {dict(self.kinds)}")
        ordered: tuple[Sequence[Span | Segment], ...] = (self.spans, self.segments)
        for items in ordered:
            if any(a.end > b.start for a, b in pairwise(items)):
                raise ValueError("SpinResult: spans and segments must be in order and not overlap")

    def to_dict(self) -> dict[str, Any]:
        """Return the result in the shape of the JSON contract (plain types, fixed key order)."""
        return {
            "schema": SCHEMA_VERSION,
            "id": self.id,
            "source": self.source,
            "verdict": self.verdict.value,
            "reason": None if self.reason is None else self.reason.value,
            "probability": self.probability,
            "operating_point": self.operating_point,
            "threshold": self.threshold,
            "kinds": None if self.kinds is None else dict(self.kinds),
            "coverage": self.coverage,
            "words": self.words,
            "spans": [s.to_dict() for s in self.spans],
            "segments": [s.to_dict() for s in self.segments],
            "ignored": [s.to_dict() for s in self.ignored],
            "warnings": list(self.warnings),
            "model": self.model,
        }


@dataclass(frozen=True, slots=True)
class Failed:
    """An input that could not be read or scored. `error` names the thing, the place and the next step."""

    source: str | None
    error: str
    id: str | int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return `{"source", "error"}`, and `id` where the input has one."""
        head: dict[str, Any] = {} if self.id is None else {"id": self.id}
        return {**head, "source": self.source, "error": self.error}
