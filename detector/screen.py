"""The screen: a linear model over hashed n-grams of word tokens, run as vectorised look-ups.

Every n-gram (1 to 4 words, not across a boundary) that occurs in a segment adds its weight once, divided by the square
root of the number of n-grams in the segment (the L2 norm of the indicator vector), so a word repeated often, as a
topic's words are, counts no more than once. The score is a sum, hence each n-gram's share in it is known exactly: that
is the evidence. Features are hashed into a fixed table (Weinberger et al. 2009, "Feature Hashing for Large Scale
Multitask Learning"), and trained by logistic regression (`train/screen.py`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detector.words import BOUNDARY, FIRST_WORD_ID

LONGEST_NGRAM = 4
BLOCK_TOKENS = 1 << 15
"""Tokens whose n-grams are held at a time: some 10 MB, whatever the length of the text."""
_MIX = tuple(
    np.uint64(m) for m in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
)  # odd multipliers of Fibonacci hashing and xxHash


@dataclass(frozen=True, slots=True)
class NGrams:
    """The n-grams of each segment, in no particular order; all arrays have shape (n-grams,).

    `hashes`: uint64, uniform in all bits; `starts`: index of the first token; `lengths`: tokens, 1..LONGEST_NGRAM;
    `segments`: index of the segment; `counts`: shape (segments,), n-grams per segment.
    """

    hashes: NDArray[np.uint64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int8]
    segments: NDArray[np.int64]
    counts: NDArray[np.int64]

    def columns(self, bits: int) -> NDArray[np.int64]:
        """Return the column of each n-gram in a table of 2**bits."""
        return np.asarray((self.hashes >> np.uint64(64 - bits)).astype(np.int64))

    def norms(self) -> NDArray[np.float64]:
        """Return 1 / sqrt(number of n-grams in the segment) for each n-gram."""
        return np.asarray((1.0 / np.sqrt(np.maximum(self.counts, 1))).take(self.segments))


def segment_numbers(segment_ends: list[int]) -> NDArray[np.int64]:
    """Return the index of each token's segment, shape (tokens,)."""
    lengths = np.array([b - a for a, b in pairwise([0, *segment_ends])], dtype=np.int64)
    return np.repeat(np.arange(len(segment_ends)), lengths)


def segment_blocks(segment_ends: Sequence[int], tokens: int = BLOCK_TOKENS) -> Iterator[tuple[int, int]]:
    """Yield half-open ranges of segments, in order, of at most `tokens` tokens or one segment; all are covered."""
    first = 0
    while first < len(segment_ends):
        begin = segment_ends[first - 1] if first else 0
        last = max(bisect_right(segment_ends, begin + tokens), first + 1)
        yield first, last
        first = last


def block_ngrams(ids: NDArray[np.int32], segment_ends: Sequence[int], first: int, last: int) -> NGrams:
    """Return the n-grams that begin in the segments [first, last), each once per segment.

    As from `find_ngrams` over the whole text, but for the numbering: `segments` and `starts` count from `first`'s.
    """
    begin = segment_ends[first - 1] if first else 0
    ends = [end - begin for end in segment_ends[first:last]]
    return find_ngrams(ids[begin : begin + ends[-1] + LONGEST_NGRAM - 1], ends)


def find_ngrams(
    ids: NDArray[np.int32], segment_ends: list[int], longest: int = LONGEST_NGRAM, *, distinct: bool = True
) -> NGrams:
    """Return the n-grams of the tokens `ids`, each once per segment (at its first place) unless `distinct` is False.

    N-grams made of special tokens only (numbers, names, unknown words) and those over a boundary are left out.
    `segment_ends`: as from `words.segment_ends`; tokens beyond the last one only complete what began before it.
    """
    tokens = segment_ends[-1] if segment_ends else 0
    codes = (ids.astype(np.uint64) + np.uint64(1)) * _MIX[0]
    codes ^= codes >> np.uint64(29)
    solid = ids != BOUNDARY
    known = ids >= FIRST_WORD_ID
    running = codes
    inside, some_known = solid, known
    hashes, starts, lengths = [], [], []
    for n in range(1, longest + 1):
        if n > 1:
            if len(running) < 2:
                break
            running = running[:-1] * _MIX[1] + codes[n - 1 :]
            running ^= running >> np.uint64(31)
            inside = inside[:-1] & solid[n - 1 :]
            some_known = some_known[:-1] | known[n - 1 :]
        at = np.flatnonzero((inside & some_known)[:tokens])
        hashes.append((running[at] + np.uint64(n)) * _MIX[2])
        starts.append(at)
        lengths.append(np.full(len(at), n, np.int8))
    all_hashes, all_starts, all_lengths = np.concatenate(hashes), np.concatenate(starts), np.concatenate(lengths)
    segment_of_token = segment_numbers(segment_ends)
    segments = segment_of_token[all_starts]
    if not distinct:
        counts = np.bincount(segments, minlength=len(segment_ends))
        return NGrams(all_hashes, all_starts, all_lengths, segments, counts)
    # One key per (segment, hash); equal keys become neighbours, the first place of each is kept.
    keys = all_hashes + segments.astype(np.uint64) * _MIX[1]
    order = np.argsort(keys)
    keys = keys[order]
    begins = np.flatnonzero(np.concatenate([np.ones(min(len(keys), 1), np.bool_), keys[1:] != keys[:-1]]))
    if len(begins) < len(keys):
        order = np.minimum.reduceat(order, begins)
    segments = segments[order]
    counts = np.bincount(segments, minlength=len(segment_ends))
    return NGrams(all_hashes[order], all_starts[order], all_lengths[order], segments, counts)


class Screen:
    """Weights of the n-grams. `weights`: float16 or float32, shape (2**bits,); `bias`: log odds of an empty segment."""

    def __init__(self, weights: NDArray[np.floating], bias: float) -> None:
        bits = len(weights).bit_length() - 1
        if weights.ndim != 1 or len(weights) != 1 << bits:
            raise ValueError(f"screen weights: expected shape (2**bits,), got {weights.shape}")
        self.bits = bits
        self.weights = weights
        self.bias = bias

    def contributions(self, ngrams: NGrams) -> NDArray[np.float64]:
        """Return what each n-gram adds to its segment's log odds, shape (n-grams,)."""
        return np.asarray(self.weights.take(ngrams.columns(self.bits)) * ngrams.norms(), dtype=np.float64)

    def logits(self, ngrams: NGrams) -> NDArray[np.float64]:
        """Return the log odds of each segment, shape (segments,)."""
        total = np.bincount(ngrams.segments, self.contributions(ngrams), len(ngrams.counts))
        return np.asarray(self.bias + total, dtype=np.float64)
