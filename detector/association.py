"""How much more often two words stand side by side in written English than their frequencies predict.

A spinner puts words together that do not belong together ("top state leader"); the counts know no spinner, so what
they say holds for tools never seen. Counts of adjacent pairs over the texts that were not spun are kept in a sketch: a
table of 4-bit logarithmic counts, written at two places per pair and read as the smaller of the two (a count-min sketch
with log counts: Cormode & Muthukrishnan 2005; Talbot & Osborne 2007). It holds no text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from detector.words import FIRST_WORD_ID, UNKNOWN

MIN_PAIR_COUNT = 2
"""Rarer pairs are left out: there are more of them than of all others, and half of them are accidents."""
NEIGHBOUR_LEVELS = 16
"""Values of what `neighbour_levels` says of a word and one of its neighbours: 0 for nothing, else 1 to 15."""
_LEVEL_EDGES = np.linspace(-4.0, 7.0, NEIGHBOUR_LEVELS - 2)  # of associations: one in a hundred lies beyond
_BAND_EDGES = np.array([-13.0, -11.0, -9.0])  # of log frequencies: 2, 17 and 120 in a million words
FREQUENCY_BANDS = len(_BAND_EDGES) + 1
_HIGHEST_LEVEL = 15
_BLOCK = 1 << 16  # pairs looked up at a time
_SHRINK = 0.5
"""Added to seen and expected counts, so that an unseen pair of rare words says nothing (Jeffreys' prior)."""
SURPRISING = -1.0
"""Natural log below which a pair counts as surprising: seen under a third as often as expected."""
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))


def pair_keys(first: NDArray[np.int32], second: NDArray[np.int32]) -> NDArray[np.uint64]:
    """Return one key per pair of word ids."""
    return np.asarray((first.astype(np.uint64) << np.uint64(32)) | second.astype(np.uint64))


def pair_counts(texts: Iterable[NDArray[np.int32]]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the keys of the adjacent pairs of vocabulary words in id sequences, ascending, and their counts."""
    keys = [np.zeros(0, np.uint64)]
    for ids in texts:
        first, second = ids[:-1], ids[1:]
        real = (first >= FIRST_WORD_ID) & (second >= FIRST_WORD_ID)
        keys.append(pair_keys(first[real], second[real]))
    return np.unique(np.concatenate(keys), return_counts=True)


def count_level(counts: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the 4-bit level of counts: 0 below MIN_PAIR_COUNT, then one more for each doubling."""
    levels = np.floor(np.log2(np.maximum(counts, MIN_PAIR_COUNT) / MIN_PAIR_COUNT)) + 1
    return np.where(counts < MIN_PAIR_COUNT, 0, np.minimum(levels, _HIGHEST_LEVEL)).astype(np.uint8)


# The middle of each level, on a log scale; level 0 stands for "at most once", which is mostly zero.
_LEVEL_COUNT = np.concatenate([[0.3], MIN_PAIR_COUNT * 2.0 ** (np.arange(_HIGHEST_LEVEL) + 0.5)])


class AssociationTable:
    """Word frequencies and pair counts.

    `frequencies`: float32, shape (vocabulary size,), share of each id among all tokens of the human texts.
    `sketch`: uint8, shape (2**k,), two 4-bit levels per byte. `pairs`: number of adjacent pairs that were counted.
    """

    def __init__(self, frequencies: NDArray[np.float32], sketch: NDArray[np.uint8], pairs: float) -> None:
        if sketch.ndim != 1 or len(sketch).bit_count() != 1:
            raise ValueError(f"association sketch: expected a power of two, got shape {sketch.shape}")
        self.frequencies = frequencies
        self.log_frequencies = np.log(np.maximum(frequencies, 1e-9)).astype(np.float32)  # 1e-9: under one in the corpus
        self.sketch = sketch
        self.pairs = pairs

    @classmethod
    def count(cls, texts: Iterable[NDArray[np.int32]], vocabulary_size: int, sketch_bytes: int) -> AssociationTable:
        """Count in the id sequences of human texts; about 16 bytes of memory per token while it runs."""
        unigrams = np.zeros(vocabulary_size, np.int64)
        texts = list(texts)
        for ids in texts:
            unigrams += np.bincount(ids, minlength=vocabulary_size)
        seen, counts = pair_counts(texts)
        total = float(counts.sum())
        frequent = counts >= MIN_PAIR_COUNT
        seen, levels = seen[frequent], count_level(counts[frequent].astype(np.float64))
        cells = np.zeros(2 * sketch_bytes, np.uint8)
        for places in _places(seen, 2 * sketch_bytes):
            np.maximum.at(cells, places, levels)
        frequencies = (unigrams / max(unigrams.sum(), 1)).astype(np.float32)
        return cls(frequencies, cells[0::2] | (cells[1::2] << np.uint8(4)), total)

    def digest(self) -> str:
        """Return 16 hex digits that tell whether two tables say the same."""
        content = hashlib.sha256(self.frequencies.astype("<f4").tobytes())
        content.update(self.sketch.tobytes())
        return content.hexdigest()[:16]

    def word_statistics(self, word_ids: NDArray[np.int32]) -> tuple[float, float]:
        """Return (mean natural log frequency of the vocabulary's words, share of unknown words) of a text's words.

        `word_ids`: ids of the tokens that are no boundaries, at least one; the mean is 0 without any known word.
        """
        known = word_ids[word_ids >= FIRST_WORD_ID]
        mean = float(self.log_frequencies[known].mean()) if len(known) else 0.0
        return mean, float(np.count_nonzero(word_ids == UNKNOWN)) / len(word_ids)

    def levels(self, keys: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """Return the 4-bit level of each pair's count, an upper bound of the true one."""
        result: NDArray[np.uint8] | None = None
        for places in _places(keys, 2 * len(self.sketch)):
            shift = ((places & 1) << 2).astype(np.uint8)
            found = (self.sketch[places >> 1] >> shift) & np.uint8(15)
            result = found if result is None else np.minimum(result, found)
        assert result is not None
        return result

    def adjacent(self, ids: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return (index of the first token, association) of all adjacent pairs of vocabulary words.

        Association is the natural log of seen over expected count, shrunk towards 0 for rare words; negative = the
        words avoid each other. About -6..8.
        """
        at = np.flatnonzero((ids[:-1] >= FIRST_WORD_ID) & (ids[1:] >= FIRST_WORD_ID))
        found = np.empty(len(at))
        for begin in range(0, len(at), _BLOCK):  # some hundred bytes a pair are needed on the way
            here = at[begin : begin + _BLOCK]
            first, second = ids[here], ids[here + 1]
            found[begin : begin + _BLOCK] = self.associations(first, second, self.levels(pair_keys(first, second)))
        return at, found

    def associations(
        self, first: NDArray[np.int32], second: NDArray[np.int32], levels: NDArray[np.uint8]
    ) -> NDArray[np.float64]:
        """Return the association of pairs whose count levels are known (`levels`), shape (pairs,)."""
        expected = self.frequencies[first].astype(np.float64) * self.frequencies[second] * self.pairs
        return np.asarray(np.log((_LEVEL_COUNT[levels] + _SHRINK) / (expected + _SHRINK)), dtype=np.float64)


def neighbour_levels(tokens: int, at: NDArray[np.int64], associations: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how well each token goes with the one before it and the one behind it, shape (tokens, 2).

    1 (they avoid each other) to 15 (they belong together), 0 where one of the two is no word of the vocabulary or there
    is no neighbour. `at`, `associations`: as from `AssociationTable.adjacent`.
    """
    levels = np.zeros((tokens, 2), np.int64)
    found = 1 + np.searchsorted(_LEVEL_EDGES, associations)
    levels[at + 1, 0] = found
    levels[at, 1] = found
    return levels


def weaker_level_shares(levels: NDArray[np.int64], log_frequencies: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how the words of a text spread over frequency and the weaker of their two ties to their neighbours.

    Shape (FREQUENCY_BANDS * NEIGHBOUR_LEVELS,), bands of frequency outside: square roots of shares, which sum to 1 (the
    Hellinger transform: shares of rare things count, and their noise is alike). `levels`: shape (words, 2), at least
    one word, as from `neighbour_levels`; `log_frequencies`: natural logs, shape (words,).
    """
    cells = np.searchsorted(_BAND_EDGES, log_frequencies) * NEIGHBOUR_LEVELS + levels.min(axis=1)
    counts = np.bincount(cells, minlength=FREQUENCY_BANDS * NEIGHBOUR_LEVELS)
    return np.asarray(np.sqrt(counts / len(levels)))


def _places(keys: NDArray[np.uint64], cells: int) -> Iterable[NDArray[np.int64]]:
    """Yield the two cells of each key; `cells` is a power of two."""
    shift = np.uint64(64 - (cells.bit_length() - 1))
    for multiplier in _MIX:
        mixed = keys * multiplier
        mixed ^= mixed >> np.uint64(32)
        mixed *= _MIX[1]
        yield (mixed >> shift).astype(np.int64)
