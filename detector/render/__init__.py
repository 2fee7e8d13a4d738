"""Results to text: `text` for a terminal or a pipe, `json` for programs, `html` for a moderator.

Every renderer takes entries in input order and yields strings, one or more per entry, so that output can be flushed
as results come. What the formats share is here: which stretch of the article is what, numbers, words for codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from detector.results import Failed, Ignored, Reason, Span, SpinResult


@dataclass(frozen=True, slots=True)
class Scored:
    """A result together with the text that its offsets point into."""

    result: SpinResult
    text: str


Entry: TypeAlias = Scored | Failed


class Piece(NamedTuple):
    """A stretch of the article: `mark` is the span or ignored range it belongs to, None for plain text."""

    start: int
    end: int
    mark: Span | Ignored | None


def pieces(text: str, result: SpinResult) -> Iterator[Piece]:
    """Cut the whole text into consecutive pieces, in order and without gaps.

    A span inside an ignored range is shown as a span; of two overlapping ignored ranges the first one counts.
    """
    position = 0
    ignored = sorted(result.ignored, key=lambda r: (r.start, r.end))
    for span in result.spans:
        yield from _between(position, span.start, ignored)
        yield Piece(span.start, span.end, span)
        position = span.end
    yield from _between(position, len(text), ignored)


def _between(start: int, end: int, ignored: list[Ignored]) -> Iterator[Piece]:
    # `ignored` is used up from the front: ranges that end before `start` are never needed again.
    while start < end:
        while ignored and ignored[0].end <= start:
            ignored.pop(0)
        if not ignored or ignored[0].start >= end:
            yield Piece(start, end, None)
            return
        first = ignored[0]
        if first.start > start:
            yield Piece(start, first.start, None)
            start = first.start
        stop = min(first.end, end)
        yield Piece(start, stop, first)
        start = stop


class Evidence(NamedTuple):
    """Equal phrases taken together. `score`: the highest of them. `places`: their offsets, in text order."""

    text: str
    score: float
    suggestions: tuple[str, ...]
    places: tuple[int, ...]


def evidence(result: SpinResult) -> list[Evidence]:
    """Return the phrases of a result, strongest first; the same phrase in other letter case counts as the same."""
    groups: dict[tuple[str, tuple[str, ...]], list[Span]] = {}
    for span in result.spans:
        groups.setdefault((" ".join(span.text.casefold().split()), span.suggestions), []).append(span)
    found = [
        Evidence(same[0].text, max(s.score for s in same), same[0].suggestions, tuple(s.start for s in same))
        for same in groups.values()
    ]
    return sorted(found, key=lambda e: (-e.score, e.places[0]))


REASONS = {
    Reason.EMPTY: "the text is empty",
    Reason.TOO_SHORT: "too few words for a verdict one could trust",
    Reason.NOT_ENGLISH: "the text is not English",
    Reason.NOT_PROSE: "not running prose (a list, a table, code or the like)",
    Reason.TOO_LONG: "the text is longer than can be scored",
    Reason.NOT_TEXT: "not text",
}

_IGNORED = {
    "furniture": "page furniture",
    "repeat": "repeated passage",
    "metadata": "page metadata",
    "language": "another language",
}

_WARNINGS = {
    "backspaces": "letters that a backspace takes back",
    "bidi": "characters that turn the writing direction",
    "combining_marks": "accents and marks on letters of English words",
    "fancy_quotes": "odd characters for apostrophes",
    "homoglyphs": "letters of other alphabets that look like Latin ones",
    "mojibake": "garbled characters, as from a wrong encoding",
    "soft_hyphens": "invisible hyphens within words",
    "spaced_letters": "words with their letters set apart",
    "styled_letters": "full-width, mathematical or circled letters",
    "zero_width": "invisible characters",
}


def describe_ignored(why: str) -> str:
    """Return words for why a range did not count; a code without words of its own is returned readable as it is."""
    return _IGNORED.get(why, why.replace("_", " "))


def describe_warning(code: str) -> str:
    """Return words for a warning code, as for `describe_ignored`."""
    return _WARNINGS.get(code, code.replace("_", " "))


def number(value: float, beside: float | None = None) -> str:
    """Return a number in [0, 1] with three decimals, or as many more (to six) as tell it from 0, 1 and `beside`."""
    for digits in range(3, 7):
        shown = f"{value:.{digits}f}"
        collapsed = float(shown) in {0.0, 1.0} and float(shown) != value
        alike = beside is not None and value != beside and shown == f"{beside:.{digits}f}"
        if not collapsed and not alike:
            return shown
    if collapsed:
        return "> 0.999999" if value > 0.5 else "< 0.000001"  # 0.5: tells which end it is, any middle value would do
    return shown


def percent(share: float) -> str:
    """Return a share in [0, 1] as whole per cent; 0 % and 100 % only when it is exactly that."""
    shown = round(100 * share)
    if shown == 0 and share > 0:
        return "< 1 %"
    if shown == 100 and share < 1:
        return "> 99 %"
    return f"{shown} %"


# C0 and C1 controls but tab and line feed, DEL, characters that reorder what is shown, and lone surrogates.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""Return `text` safe to show: line ends as `\n`, control and direction-changing characters as `\x1b`, `\u202e`.

    So neither an escape sequence in an article can move the cursor of a terminal nor an override turn a line around.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _UNSAFE.sub(_escaped, text.replace("\u2028", "\n").replace("\u2029", "\n\n"))


def visible_slice(text: str, start: int, end: int) -> str:
    r"""Return `visible(text[start:end])`, a `\r\n` that `end` cuts in two being left to the next slice."""
    if text[end - 1 : end + 1] == "\r\n":
        end -= 1
    return visible(text[start:end])


def one_line(text: str) -> str:
    """Return `text` as `visible` does, with every run of white space made one space."""
    return " ".join(visible(text).split())


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
