"""Text -> word tokens with ids and offsets, and the segments they form; the units of the screen and of the evidence.

Whole words rather than WordPieces: a reader is shown whole words, and the screen's phrases are runs of them. All is
vectorised over the code points of one text, because a regular expression over the same text takes ten times as long
and the screen has to read thousands of articles a second.

Case is dropped: real spinner output comes in every case, and case must not tell the class. Numbers, single letters and
markup place-holders (``@xmath``) become one token. Words outside the vocabulary, and words that are nearly always
names, become one token each, so that the screen cannot learn a year's names or a topic's terms.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

BOUNDARY, NUMBER, UNKNOWN, NAME = range(4)
"""Ids of the special tokens: end of a sentence or clause, number, word outside the vocabulary, name."""
FIRST_WORD_ID = 4

SEGMENT_WORDS = 110
"""A segment ends at the first sentence end after this many words: enough to tell, few enough to say where."""

_BLOCK = 1 << 16
"""Code points handled at a time, so that memory stays bounded and the tables of powers small."""
_LONGEST_WORD = 1000
"""A word or a gap of more code points may be cut at the end of a block."""
_LONGEST_SEGMENT = 4 * SEGMENT_WORDS
"""Words after which a segment ends without a sentence end, for text without any stops."""

# Classes of code points. A stop ends a sentence, a colon or semicolon only a clause.
_OTHER, _LETTER, _DIGIT, _APOSTROPHE, _STOP, _COLON, _NEWLINE, _AT, _LEFT_OUT = range(9)

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, the usual odd multiplier of Fibonacci hashing
_BASE = 0xD6E8FEB86659FD93  # odd, so that it has an inverse modulo 2**64
_TABLE = 0x2100  # code points looked up by table; those above it are never letters of an English word
_IDEOGRAPHIC_SPACE = 0x3000  # the only white space above the table


@lru_cache(maxsize=1)
def _tables() -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    """Return the class and the lower case (plus one, as uint64) of the code points below `_TABLE`."""
    kind = np.zeros(_TABLE, np.uint8)
    low = np.arange(1, _TABLE + 1, dtype=np.uint64)
    for code in range(_TABLE):
        char = chr(code)
        if char.isalpha():
            kind[code] = _LETTER
            lowered = char.lower()
            if len(lowered) == 1:
                low[code] = ord(lowered) + 1
        elif char.isdigit():
            kind[code] = _DIGIT
    marks = {"'": _APOSTROPHE, "’": _APOSTROPHE, ":": _COLON, ";": _COLON, "\n": _NEWLINE, "@": _AT}
    marks.update(dict.fromkeys(".!?", _STOP))
    for char, value in marks.items():
        kind[ord(char)] = value
    low[ord("’")] = ord("'") + 1
    return kind, low


@lru_cache(maxsize=1)
def _powers() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the powers of `_BASE` and of its inverse modulo 2**64, for the places of one block."""
    powers = np.full(_BLOCK, _BASE, np.uint64)
    inverse = np.full(_BLOCK, pow(_BASE, -1, 1 << 64), np.uint64)
    powers[0] = inverse[0] = 1
    return np.cumprod(powers), np.cumprod(inverse)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one text, in order; all arrays have shape (tokens,).

    `hashes`: uint64, what the vocabulary is looked up by; `starts`, `ends`: half-open code point offsets into the
    text; `special`: BOUNDARY or NUMBER for tokens that are not words, else -1; `sentence_end`: whether a segment may
    end after the token.
    """

    hashes: NDArray[np.uint64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    special: NDArray[np.int8]
    sentence_end: NDArray[np.bool_]


def _kinds_and_lows(codes: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    """Return the kind of each character, and the number that stands for it in a hash: its lower case, plus one."""
    kinds, lows = _tables()
    if codes.dtype != np.uint8 and len(codes) and codes.max() >= _TABLE:
        # CJK counts as letters (so it becomes unknown words), emoji and symbols as nothing, its space as a space.
        far_letter = (codes >= 0x2C00) & (codes < 0x1F000) & (codes != _IDEOGRAPHIC_SPACE)
        kind = np.where(far_letter, np.uint8(_LETTER), np.uint8(_OTHER))
        low = codes.astype(np.uint64)
        small = codes < _TABLE
        kind[small], low[small] = kinds[codes[small]], lows[codes[small]]
    else:
        kind, low = kinds.take(codes), lows.take(codes)
    return kind, low


def _tokenise_block(codes: NDArray[Any], offset: int, excluded: Sequence[tuple[int, int]]) -> Tokens:
    kind, low = _kinds_and_lows(codes)
    # The ranges are in order: only those that touch this block are looked at.
    first_range = bisect_right(excluded, offset, key=lambda r: r[1])
    last_range = bisect_left(excluded, offset + len(codes), key=lambda r: r[0])
    for start, end in excluded[first_range:last_range]:
        a, b = max(start - offset, 0), min(end - offset, len(codes))
        if a < b:
            kind[a:b] = _OTHER
            if a == start - offset:  # once, also where a range goes on in the next block
                kind[a] = _LEFT_OUT  # an n-gram must not reach across what was left out
    letter = kind == _LETTER
    digit = kind == _DIGIT
    if len(codes) > 2:
        # "didn't" is one word and "3.5" one number: a mark inside takes its neighbours' class.
        middle = kind[1:-1]
        letter[1:-1] |= (middle == _APOSTROPHE) & letter[:-2] & letter[2:]
        inside_number = (middle == _STOP) | ((codes[1:-1] == ord(",")) & (middle == _OTHER))
        digit[1:-1] |= inside_number & digit[:-2] & digit[2:]
    letter |= kind == _AT
    group = np.zeros(len(codes) + 2, np.int8)
    group[1:-1] = letter
    group[1:-1] += 2 * digit.view(np.int8)
    mark = ((kind == _STOP) | (kind == _COLON) | (kind == _LEFT_OUT)) & ~digit
    newline = np.flatnonzero(kind == _NEWLINE)
    if len(newline) > 1:
        # A blank line ends a sentence; a single line break, as in hard-wrapped text, does not.
        before, after_it = newline[:-1], newline[1:]
        blank = after_it - before == 1
        indented = ~blank & (codes[before + 1] <= 32)
        if indented.any():
            solid = np.cumsum(codes > 32)[newline]
            blank |= solid[1:] == solid[:-1]
        mark[after_it[blank]] = True
    edge = np.flatnonzero(group[1:] != group[:-1])
    # `edge` holds the edges of runs of one group; a run of group 0 lies between tokens.
    run_start, run_end = edge[:-1], edge[1:]
    keep = group[run_start + 1] != 0
    run_start, run_end = run_start[keep], run_end[keep]
    marks = np.flatnonzero(mark)
    order = np.argsort(np.concatenate([run_start, marks]), kind="stable")
    starts = np.concatenate([run_start, marks])[order]
    ends = np.concatenate([run_end, marks + 1])[order]

    powers, inverse = _powers()
    # A polynomial hash of every run from one running sum: (sum up to the end - sum up to the start) / base**start.
    total = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum(low * powers[: len(codes)], out=total[1:])
    run_hash = (total[run_end] - total[run_start]) * inverse[run_start]
    run_hash ^= run_hash >> np.uint64(32)
    run_hash *= _MULTIPLIER
    first = low[run_start]
    single = (run_end - run_start == 1) & (first != ord("a") + 1) & (first != ord("i") + 1)
    is_number = digit[run_start] | (first == ord("@") + 1) | single
    none = len(marks)
    hashes = np.concatenate([run_hash, np.zeros(none, np.uint64)])[order]
    special = np.concatenate([np.where(is_number, NUMBER, -1), np.full(none, BOUNDARY)]).astype(np.int8)[order]
    sentence_end = np.concatenate([np.zeros(len(run_start), np.bool_), kind[marks] != _COLON])[order]
    if len(newline) and len(starts):
        # A segment may also end at a line's end, so that lists and headings can be parted.
        after = np.searchsorted(ends, newline, side="right") - 1
        sentence_end[after[after >= 0]] = True
    return Tokens(hashes, starts + offset, ends + offset, special, sentence_end)


def tokenise(text: str, excluded: Sequence[tuple[int, int]] = ()) -> Tokens:
    """Return the tokens of `text`, except those in the half-open ranges `excluded`.

    Any str is taken, lone surrogates included. Time is linear in the length; memory beyond the result is bounded.
    """
    codes: NDArray[Any]
    if text.isascii():
        codes = np.frombuffer(text.encode("ascii"), np.uint8)
    else:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    if len(codes) <= _BLOCK:
        return _tokenise_block(codes, 0, excluded)
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in Tokens.__slots__}
    start = 0
    while start < len(codes):
        end = min(start + _BLOCK, len(codes))
        if end < len(codes):
            # Cut before a word, so that neither a word nor a blank line is cut, unless it is endless; before a mark
            # only where there is no word, since the line's end behind the mark belongs to the word before it.
            last = codes[end - _LONGEST_WORD : end]
            begins = np.flatnonzero((last[:-1] <= 32) & (last[1:] > 32))
            words = begins[np.isin(_kinds_and_lows(last[begins + 1])[0], (_LETTER, _DIGIT, _AT))]
            if len(begins):
                end = end - _LONGEST_WORD + int((words if len(words) else begins)[-1]) + 1
        part = _tokenise_block(codes[start:end], start, excluded)
        for name, column in columns.items():
            column.append(getattr(part, name))
        start = end
    # Each column is given up as soon as it is joined.
    return Tokens(*(np.concatenate(columns.pop(name)) for name in Tokens.__slots__))


def word_hashes(words: Sequence[str]) -> NDArray[np.uint64]:
    """Return the hash of each word, as `tokenise` gives it. Each must be a single token, or ValueError names it."""
    found = tokenise("\n".join(words))
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    ends = np.cumsum(lengths + 1) - 1
    if not (np.array_equal(found.starts, ends - lengths) and np.array_equal(found.ends, ends)):
        for word in words:
            tokens = tokenise(word)
            if tokens.ends.tolist() != [len(word)] or tokens.starts.tolist() != [0]:
                raise ValueError(f"vocabulary: {word!r} is not one token")
    return found.hashes


class Vocabulary:
    """Words -> ids: `words[i]` has the id `FIRST_WORD_ID + i`; `names` all have the id NAME."""

    def __init__(self, words: Sequence[str], names: Sequence[str] = ()) -> None:
        self.words = tuple(words)
        self.names = tuple(names)
        self.size = FIRST_WORD_ID + len(self.words)
        keys = word_hashes([*words, *names])
        values = np.concatenate(
            [np.arange(FIRST_WORD_ID, self.size, dtype=np.int32), np.full(len(names), NAME, np.int32)]
        )
        order = np.argsort(keys, kind="stable")
        self._keys, self._values = keys[order], values[order]
        if len(keys) and (np.diff(self._keys) == 0).any():
            raise ValueError("vocabulary: two words are equal, or their hashes are")

    def ids(self, tokens: Tokens) -> NDArray[np.int32]:
        """Return the ids of the tokens, int32, shape (tokens,)."""
        found = np.where(tokens.special >= 0, tokens.special, np.int8(UNKNOWN)).astype(np.int32)
        if not len(self._keys):
            return found
        for begin in range(0, len(found), _BLOCK):  # bounds the memory needed beside the result
            here = slice(begin, begin + _BLOCK)
            hashes = tokens.hashes[here]
            at = np.minimum(np.searchsorted(self._keys, hashes), len(self._keys) - 1)
            hit = (self._keys.take(at) == hashes) & (tokens.special[here] < 0)
            found[here] = np.where(hit, self._values.take(at), found[here])
        return found


def segment_ends(tokens: Tokens, target_words: int = SEGMENT_WORDS) -> list[int]:
    """Return the token indices at which segments end (exclusive, ascending, the last one = number of tokens).

    A segment ends at the first sentence end after `target_words` words, or after four times as many without one. A
    rest of under half the target joins the segment before it. Without any word the list is empty.
    """
    is_word = tokens.special != BOUNDARY
    words = np.cumsum(is_word)
    total = int(words[-1]) if len(words) else 0
    if not total:
        return []
    stops = np.flatnonzero(tokens.sentence_end)
    ends: list[int] = []
    done = 0  # words in finished segments
    while total - done > target_words:
        from_token = int(np.searchsorted(words, done + target_words))
        at = int(np.searchsorted(stops, from_token))
        longest = int(np.searchsorted(words, done + _LONGEST_SEGMENT)) + 1
        end = min(int(stops[at]) + 1 if at < len(stops) else len(words), longest)
        ends.append(end)
        done = int(words[end - 1])
    if done < total:
        if ends and total - done < target_words // 2:
            ends.pop()
        ends.append(len(words))
    ends[-1] = len(words)
    return ends
