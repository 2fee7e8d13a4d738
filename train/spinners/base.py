"""What every spinner shares: words with offsets, edits that do not overlap, and a result that can be undone exactly.

A spinner proposes `Edit`s in the coordinates of the original text; they are applied once, at the end. That keeps the
record of what stood where exact through any composition of spinners and filters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

# A word, with its apostrophes; hyphens part words ("18-year-old" has three), as spinners treat them.
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SENTENCE_END = re.compile(r"""[.!?…]+["'”’)\]]*(?=\s+["'“‘(\[]*[A-Z0-9]|\s*$)|[ ]\.(?=\s)|\n\s*\n""")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Sen|Rep|Gov|Gen|Lt|Col|Jr|vs|No|Inc|Co|e\.g|i\.e)|\b[A-Z])\.$"
)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text: half-open character offsets and its lower-cased form."""

    start: int
    end: int
    lower: str


def words_of(text: str) -> list[Word]:
    """Return the words of the text in order.

    >>> [w.lower for w in words_of("An 18-year-old's idea")]
    ['an', '18', 'year', "old's", 'idea']
    """
    return [Word(m.start(), m.end(), m.group().lower()) for m in WORD.finditer(text)]


def sentence_ranges(text: str) -> list[tuple[int, int]]:
    """Return half-open character ranges of the sentences, whitespace between them left out.

    Ends at . ! ? … before a capital, digit or the end, at " ." in space-tokenised text, and at blank lines; common
    abbreviations and initials do not end one.

    >>> sentence_ranges("Dr. Fox ran. She hid.")
    [(0, 12), (13, 21)]
    """
    ends = [m.end() for m in _SENTENCE_END.finditer(text)]
    ends = [e for e in ends if not _ABBREVIATION.search(text[max(0, e - 6) : e])]
    ranges = []
    start = 0
    for end in [*ends, len(text)]:
        piece = text[start:end]
        left, right = start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
        if left < right:
            ranges.append((left, right))
        start = max(start, end)
    return ranges


@dataclass(frozen=True, slots=True)
class Edit:
    """Put `new` where `text[start:end]` stands in the original; start == end inserts, an empty `new` deletes."""

    start: int
    end: int
    new: str

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end or (self.start == self.end and not self.new):
            raise ValueError(f"Edit: expected 0 <= start <= end and some effect, got {self}")


@dataclass(frozen=True, slots=True)
class Replacement:
    """A replaced stretch: half-open character offsets in the *new* text, and the exact old string.

    start == end where words were dropped; an empty `original` where words were put in.
    """

    start: int
    end: int
    original: str


@dataclass(frozen=True, slots=True)
class Spun:
    """A spun text and everything that was replaced in it, in text order, not overlapping."""

    text: str
    replacements: tuple[Replacement, ...]

    def undo(self) -> str:
        """Return the original text, exactly."""
        parts, last = [], 0
        for r in self.replacements:
            parts += [self.text[last : r.start], r.original]
            last = r.end
        return "".join([*parts, self.text[last:]])


class Spinner(Protocol):
    """A simulated article spinner. Same text and same state of `rng`, same result."""

    def edits(self, text: str, rng: Random) -> list[Edit]:
        """Return proposed edits of the text, in its own coordinates; they may overlap, earlier ones win."""
        ...

    def spin(self, text: str, rng: Random) -> Spun:
        """Return the spun text with its replacements."""
        ...


def settle(edits: Iterable[Edit]) -> list[Edit]:
    """Return the edits in text order without overlaps, the earlier in the given order winning.

    Zero-width edits must not touch another edit: the order of the two would be unclear.
    """
    taken: list[Edit] = []
    covered: set[int] = set()  # characters of taken edits
    touched: set[int] = set()  # gaps (before character i) inside and at the rims of taken edits
    gaps: set[int] = set()  # gaps where something was put in
    for e in edits:
        rims = range(e.start, e.end + 1)
        if e.start == e.end:
            clash = e.start in touched
            gaps |= set() if clash else {e.start}
        else:
            clash = not covered.isdisjoint(range(e.start, e.end)) or not gaps.isdisjoint(rims)
        if not clash:
            taken.append(e)
            covered.update(range(e.start, e.end))
            touched.update(rims)
    return sorted(taken, key=lambda e: e.start)


def apply_edits(text: str, edits: Iterable[Edit]) -> Spun:
    """Return the text with the settled edits applied; edits that change nothing are dropped."""
    parts: list[str] = []
    replacements: list[Replacement] = []
    last = length = 0
    for e in settle(edits):
        old = text[e.start : e.end]
        if e.end > len(text) or old == e.new:
            continue
        kept = text[last : e.start]
        parts += [kept, e.new]
        length += len(kept) + len(e.new)
        replacements.append(Replacement(length - len(e.new), length, old))
        last = e.end
    return Spun("".join([*parts, text[last:]]), tuple(replacements))


class EditSpinner:
    """Base of the spinners here: subclasses write `edits`."""

    def edits(self, text: str, rng: Random) -> list[Edit]:
        """Return proposed edits; see `Spinner.edits`."""
        raise NotImplementedError

    def spin(self, text: str, rng: Random) -> Spun:
        """Return the spun text with its replacements; undoing them gives `text` back exactly."""
        return apply_edits(text, self.edits(text, rng))


def match_case(old: str, new: str) -> str:
    """Return `new` cased like `old`: UPPER for words of two letters or more, Capitalised, or as it stands.

    >>> match_case("Big", "huge mass"), match_case("BIG", "huge"), match_case("big", "huge")
    ('Huge mass', 'HUGE', 'huge')
    """
    letters = [c for c in old if c.isalpha()]
    if len(letters) > 1 and all(c.isupper() for c in letters):
        return new.upper()
    if letters and letters[0].isupper():
        return new[:1].upper() + new[1:]
    return new


def lowers(words: Sequence[Word]) -> list[str]:
    """Return the lower-cased forms of the words."""
    return [w.lower for w in words]
