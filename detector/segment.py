"""A given text -> what is scored: its normal form, what does not count, its tokens and its segments.

Training and run time both come through here, so that a model never meets text prepared in another way than it was
trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detector.foreign import find_foreign, merge_ignored
from detector.furniture import find_ignored
from detector.normalise import Normalised, normalise
from detector.results import Ignored
from detector.spaced import Splitter
from detector.words import BOUNDARY, Tokens, segment_ends, tokenise


@dataclass(frozen=True, slots=True)
class Prepared:
    """A text made ready. All offsets are into `normal.text`; `ends` as from `words.segment_ends`, maybe empty."""

    normal: Normalised
    ignored: tuple[Ignored, ...]
    tokens: Tokens
    ends: list[int]

    @property
    def words(self) -> int:
        """The number of words that count (numbers included)."""
        return int(np.count_nonzero(self.tokens.special != BOUNDARY))

    def counted_text(self) -> str:
        """Return the normal form without what is ignored; all of it where nothing else is there."""
        if not self.ignored:
            return self.normal.text
        at = 0
        parts = []
        for one in self.ignored:
            parts.append(self.normal.text[at : one.start])
            at = one.end
        counted = "".join([*parts, self.normal.text[at:]])
        return self.normal.text if not counted or counted.isspace() else counted

    def segment_range(self, number: int) -> tuple[int, int]:
        """Return the half-open offsets of a segment: from its first token to its last one."""
        first = self.ends[number - 1] if number else 0
        return int(self.tokens.starts[first]), int(self.tokens.ends[self.ends[number] - 1])

    def original_segments(self) -> list[tuple[int, int]]:
        """Return the half-open offsets of all segments in the given text, in order and apart, none of them empty."""
        found: list[tuple[int, int]] = []
        before = 0
        for number in range(len(self.ends)):
            start, end = self.normal.original_span(*self.segment_range(number))
            # Two of them can touch one stretch that the map knows as a whole (writing turned around).
            found.append((max(start, before), end))
            before = end
        # One can lie in such a stretch with all its words: it gets the last characters, which are as many as its words.
        behind = before
        for number, (start, end) in reversed(list(enumerate(found))):
            end = min(end, behind)
            behind = min(start, end - 1)
            found[number] = behind, end
        return found


def prepare(text: str, splitter: Splitter | None = None) -> Prepared:
    """Return the text made ready; any str is taken. `splitter`: as in `normalise`. Time is linear in the length."""
    normal = normalise(text, splitter)
    ignored = find_ignored(normal.text)
    tokens = tokenise(normal.text, [(i.start, i.end) for i in ignored])
    if foreign := find_foreign(normal.text, tokens):
        ignored = merge_ignored(ignored, foreign)
        tokens = tokenise(normal.text, [(i.start, i.end) for i in ignored])
    return Prepared(normal, tuple(ignored), tokens, segment_ends(tokens))
