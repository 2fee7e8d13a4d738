"""What a job counts, who is told, and what stops it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from detector.errors import DetectorError
from detector.results import Reason, SpinResult, Verdict

HISTOGRAM_BINS = 20


class JobError(DetectorError):
    """The job cannot be done as asked; the message says what to change."""


@dataclass
class Counts:
    """What was seen so far. `histogram`: of the probabilities, HISTOGRAM_BINS equal bins from 0 to 1."""

    rows: int = 0
    written: int = 0
    words: int = 0
    failed: int = 0
    verdicts: dict[str, int] = field(default_factory=lambda: {v.value: 0 for v in Verdict})
    reasons: dict[str, int] = field(default_factory=lambda: {r.value: 0 for r in Reason})
    histogram: list[int] = field(default_factory=lambda: [0] * HISTOGRAM_BINS)

    def add_result(self, result: SpinResult) -> None:
        """Count a result."""
        self.rows += 1
        self.verdicts[result.verdict.value] += 1
        if result.reason is not None:
            self.reasons[result.reason.value] += 1
        if result.probability is not None:
            self.words += result.words
            self.histogram[min(int(result.probability * HISTOGRAM_BINS), HISTOGRAM_BINS - 1)] += 1

    def add_failed(self) -> None:
        """Count a row that could not be read or scored."""
        self.rows += 1
        self.failed += 1

    def add(self, other: Counts) -> None:
        """Count what `other` counted."""
        for name in ("rows", "written", "words", "failed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in ((self.verdicts, other.verdicts), (self.reasons, other.reasons)):
            for key, count in theirs.items():
                mine[key] = mine.get(key, 0) + count
        self.histogram = [a + b for a, b in zip(self.histogram, other.histogram, strict=True)]


@dataclass(frozen=True, slots=True)
class Summary:
    """How a job ended. `resumed_rows`: rows of `counts` that earlier runs had scored; `seconds`: of this run."""

    counts: Counts
    model: str
    operating_point: str
    threshold: float
    output: str
    inputs: int
    workers: int
    seconds: float
    resumed_rows: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; the shape is in docs/batch.md."""
        done = self.counts.rows - self.resumed_rows
        return {
            "schema": 1,
            "model": self.model,
            "operating_point": self.operating_point,
            "threshold": self.threshold,
            "output": self.output,
            "inputs": self.inputs,
            "rows": self.counts.rows,
            "rows_written": self.counts.written,
            "verdicts": self.counts.verdicts,
            "reasons": self.counts.reasons,
            "failed": self.counts.failed,
            "words": self.counts.words,
            "probability_histogram": {
                "edges": [i / HISTOGRAM_BINS for i in range(HISTOGRAM_BINS + 1)],
                "counts": self.counts.histogram,
            },
            "workers": self.workers,
            "seconds": round(self.seconds, 3),
            "resumed_rows": self.resumed_rows,
            "rows_per_second": round(done / self.seconds, 1) if self.seconds > 0 else None,
        }


class Watcher(Protocol):
    """Who is told how the job goes; called from the thread that runs it."""

    def begin(self, total_bytes: int, resumed: Counts) -> None:
        """The inputs have been found; scoring begins."""

    def advance(self, counts: Counts, bytes_read: int) -> None:
        """More rows are done: all counts so far, and an estimate of the input bytes read."""

    def complain(self, message: str) -> None:
        """A row or an input failed; no message holds a piece of a text."""
