"""Rows of a chunk to a piece of the output; a row that fails is a row with its error."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Protocol

from detector.batch.files import read_file_text
from detector.batch.rows import FileText, Rows
from detector.batch.summary import Counts
from detector.batch.writers import TEXT_FIELD, OutputForm, encode
from detector.errors import InputError, ModelError
from detector.reading import extract_html
from detector.render import Entry, Scored
from detector.results import Failed, SpinResult, Verdict

logger = logging.getLogger(__name__)

_COMPLAINTS_PER_CHUNK = 5


class Scorer(Protocol):
    """What scores a text; `detector.SpinDetector` is one."""

    model_id: str
    operating_point: str
    threshold: float

    def score(self, text: str, *, id: str | int | None = None, source: str | None = None) -> SpinResult:
        """Return the result for one text."""


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """What became of a chunk: its piece of the output, its counts, and the first few complaints."""

    piece: bytes
    counts: Counts
    complaints: tuple[str, ...]


def score_rows(detector: Scorer, rows: Rows, form: OutputForm) -> ScoredRows:
    """Score the rows of a chunk; a row that fails is a record with its error."""
    return finish([score_row(detector, rows, i) for i in range(len(rows))], rows, form)


def finish(outcomes: list[Entry], rows: Rows, form: OutputForm) -> ScoredRows:
    """Put the outcomes of all rows of a chunk together."""
    counts = Counts()
    complaints: list[str] = []
    for outcome in outcomes:
        if isinstance(outcome, Failed):
            counts.add_failed()
            if len(complaints) < _COMPLAINTS_PER_CHUNK:
                complaints.append(outcome.error)
        else:
            counts.add_result(outcome.result)
    counts.written = counts.verdicts[Verdict.SPUN.value] if form.spun_only else counts.rows
    piece = encode([_record(outcome, form) for outcome in outcomes], form, rows.kept, rows.table)
    return ScoredRows(piece, counts, tuple(complaints))


def _record(outcome: Entry, form: OutputForm) -> dict[str, Any]:
    if isinstance(outcome, Failed):
        return outcome.to_dict()
    record = outcome.result.to_dict()
    return {**record, TEXT_FIELD: outcome.text} if form.with_text else record


def score_row(detector: Scorer, rows: Rows, i: int) -> Entry:
    """Return what becomes of one row; never raises for what is in it."""
    source, row_id, error = rows.sources[i], rows.ids[i], rows.errors[i]
    if error is not None:
        return Failed(source, error, row_id)
    text = rows.texts[i]
    try:
        if isinstance(text, FileText):
            text = read_file_text(text)
        elif rows.html and isinstance(text, str) and text.strip():
            text = extract_html(text, place(rows, i))
        result = detector.score(text, id=row_id, source=source)
        return Scored(result, text if isinstance(text, str) else "")
    except (InputError, ModelError) as caught:  # of the model: its second part is opened when a text needs it
        return Failed(source, str(caught), row_id)
    except Exception as caught:  # a bug, or memory ran out: the other rows must still be scored
        logger.debug("%s", place(rows, i), exc_info=True)
        what = "not enough memory" if isinstance(caught, MemoryError) else type(caught).__name__
        return Failed(source, f"{place(rows, i)}: could not be scored: {what}; please report it", row_id)


def place(rows: Rows, i: int) -> str:
    """Return where a row stands, for messages."""
    source, row = rows.sources[i], f"row {rows.numbers[i]:,}"
    if source is None:
        return row
    return source if isinstance(rows.texts[i], FileText) else f"{source}: {row}"
