"""L e t t e r e d words: finding letters set apart by spaces or signs, and which of these are to go.

Where two kinds of gap occur, the wider one parts words. Where there is only one kind, the words are found by a word
list (`WordSplitter`), and without a list the letters stay as they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from detector.lookalikes import ODD_SPACES

Splitter = Callable[[str], list[int]]
"""Takes letters in lower case and returns the offsets at which words end, the last one included."""

_MIN_LETTERS = 4  # in a row: shorter runs are initials and abbreviations
_LONG_WORD = 20  # letters; a longer "word" between wide gaps is looked at again
_MOST_SPACED = 200_000  # characters of a text that are looked at: an article has 10,000, and it takes 10 us for each

# Letters to "a", what may stand between them to a space, other ASCII to a dot.
_CLASSES = bytearray(b"." * 128 + b"a" * 128)
for _code in range(128):
    if chr(_code).isalnum():
        _CLASSES[_code] = ord("a")
    elif chr(_code) in " \t.,;:!?\"'()-_*/|\n":
        _CLASSES[_code] = ord(" ")
_TO_CLASSES = bytes(_CLASSES)
_SOME = b" a a a a "

_SPACE = f"[ \t{ODD_SPACES}]"
_UNIT = r"[\"'(\[]{0,2}[^\s][\"'.,;:!?)\]]{0,3}(?![^\s-])"
_LETTERED = re.compile(rf"(?<![^\s-])(?:{_UNIT})(?:{_SPACE}{{1,4}}(?:{_UNIT})){{3,}}")
_GAP = re.compile(rf"{_SPACE}+")
_SIGNED = re.compile(r"(?<![^\W_])[^\W\d_](?:([.\-_*/|+~\u00b7\u2022])[^\W\d_])(?:\1[^\W\d_]){2,}(?![^\W_])")


def maybe_spaced(text: str) -> bool:
    """Whether a text may hold letters set apart; costs microseconds, and has to be right only where it says no."""
    raw = f" {text} ".encode("utf-8", "surrogatepass")
    return _SOME in raw.translate(_TO_CLASSES)


def find_gaps(text: str, splitter: Splitter | None = None) -> tuple[list[tuple[int, int]], int]:
    """Return the ranges of `text` that only hold letters apart, in order, and the number of letters so set."""
    gaps: list[tuple[int, int]] = []
    letters = 0
    for match in _SIGNED.finditer(text):
        if match[0].isupper():
            continue  # an abbreviation
        gaps += [(i, i + 1) for i in range(match.start() + 1, match.end(), 2)]
        letters += (match.end() - match.start() + 1) // 2
    runs = list(_LETTERED.finditer(text))
    length = sum(match.end() - match.start() for match in runs)
    if length > _MOST_SPACED:  # all or nothing, so that a second look changes nothing
        return gaps, letters + length
    for match in runs:
        run = match[0]
        count = sum(map(str.isalpha, run))
        # 0.6: punctuation is set apart as well; a row of numbers or signs is no word.
        if count < _MIN_LETTERS or count < 0.6 * len(run.split()):
            continue
        found = _gaps_of_run(run, match.start(), splitter)
        if found:
            letters += count
            gaps += found
    gaps.sort()
    return gaps, letters


def _gaps_of_run(run: str, at: int, splitter: Splitter | None) -> list[tuple[int, int]]:
    spaces = [(m.start(), m.end()) for m in _GAP.finditer(run)]
    kinds = Counter(run[a:b] for a, b in spaces)
    # The shorter of two equally frequent kinds is the one within words.
    inner = min(kinds, key=lambda kind: (-kinds[kind], len(kind)))
    kept = {i for i, (a, b) in enumerate(spaces) if run[a:b] != inner}
    if not kept and splitter is None:
        return []
    # Words as the wider gaps part them, each as the numbers of its units (what stands between gaps).
    units = [run[a:b] for a, b in zip([0, *(b for _, b in spaces)], [*(a for a, _ in spaces), len(run)], strict=True)]
    first = 0
    for last in (*sorted(kept), len(units) - 1):
        if splitter is not None and (not kept or last - first >= _LONG_WORD):
            kept |= _split(units, first, last, splitter)
        first = last + 1
    return [(at + a, at + b) for i, (a, b) in enumerate(spaces) if i not in kept]


def _split(units: list[str], first: int, last: int, splitter: Splitter) -> set[int]:
    """Return the numbers of the gaps between `first` and `last` at which words part."""
    kept: set[int] = set()
    run: list[int] = []

    def close() -> None:
        if run:
            ends = splitter("".join(_bare(units[i]).lower() for i in run))
            kept.update(run[end - 1] for end in ends)
            run.clear()

    for i in range(first, last + 1):
        bare = _bare(units[i])
        if len(bare.lower()) == 1 and (bare.isalpha() or bare in _APOSTROPHES):
            if run and bare.isupper() and units[i - 1].islower():
                close()  # a name begins
            run.append(i)
            if units[i][-1] in ".,;:!?)]":
                close()
        elif not bare.isdigit():  # a sign set apart belongs to the word before it
            close()
            kept.discard(i - 1)
            kept.add(i)
        else:
            close()
            if i < last and _bare(units[i + 1]).isdigit():
                continue
            kept.add(i)
    close()
    return {i for i in kept if i < last}


_APOSTROPHES = frozenset("'\u2019\u02bc")


def _bare(unit: str) -> str:
    return unit if len(unit) == 1 else unit.strip("\"'.,;:!?()[]") or unit


class WordSplitter:
    """Finds the words in letters without spaces: the most probable sequence by word frequencies (Viterbi 1967)."""

    _LONGEST = 20  # letters of a word
    # Costs as negative natural logs; by trial on spaced out human texts, where half or twice of them do as well.
    _A_WORD = 3.0  # each further word: a word set apart stands alone more often than beside another
    _NAME = 12.0
    _UNKNOWN, _PER_LETTER = 10.0, 2.0
    _ENDING = 3.0

    def __init__(self, words: Sequence[str], log_frequencies: NDArray[np.float32], names: Sequence[str] = ()) -> None:
        """`log_frequencies`: natural logs, shape (words,). The words are only looked at when a text needs them."""
        self._words = words
        self._log_frequencies = log_frequencies
        self._names = names

    @cached_property
    def _costs(self) -> dict[str, float]:
        costs = dict.fromkeys(self._names, self._NAME)
        costs.update(zip(self._words, (-self._log_frequencies).tolist(), strict=True))
        costs = {word: cost + self._A_WORD for word, cost in costs.items() if len(word) > 1 or word in ("a", "i")}
        costs.update(dict.fromkeys(("'s", "'t", "'re", "'ve", "'ll", "'d", "'m", "s'"), self._ENDING))
        return costs

    def __call__(self, letters: str) -> list[int]:
        """Return the offsets at which words end; time is linear in the length."""
        letters = letters.replace("\u2019", "'").replace("\u02bc", "'")
        costs = self._costs
        best, back = [0.0], [0]
        for end in range(1, len(letters) + 1):
            cost, start = min(
                (best[i] + costs.get(letters[i:end], self._UNKNOWN + self._PER_LETTER * (end - i)), i)
                for i in range(max(0, end - self._LONGEST), end)
            )
            best.append(cost)
            back.append(start)
        ends: list[int] = []
        at = len(letters)
        while at > 0:
            if not (ends and letters[at] == "'"):  # an ending belongs to its word
                ends.append(at)
            at = back[at]
        return ends[::-1]
