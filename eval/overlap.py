"""Shared word n-grams between training and test texts: whether a test text, or a good part of it, was trained on.

Words in lower case without punctuation; n-grams are compared as 64-bit hashes (a chance collision among 10**8 of them
has probability below 10**-3). Thirteen words in a row are the usual sign of contamination (Brown et al. 2020); eight
also find lightly edited copies, at the price of quotations and set phrases.

All texts are hashed together, as arrays: a word is a sum over its characters and an n-gram a sum over its words of
random 64-bit numbers times powers of an odd constant, modulo 2**64, so that differences of running sums give every
word and every n-gram in one pass. Only n-grams that occur twice are kept (one in twenty): no other is shared.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZES = (8, 13)  # words
Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]
_BLOCK = 1 << 22  # characters hashed at once: the arrays of a block take 200 MB
_BASE = 0x9E3779B97F4A7C15  # odd, so that its powers have inverses; 2**64 over the golden ratio
_MASK_BITS = 27  # of the table that sorts out n-grams that occur once: 128 MB, one in a hundred passes by chance


@functools.cache
def _characters() -> tuple[NDArray[np.bool_], Hashes]:
    """Return for every code point whether it is of a word (letter or digit), and a random number."""
    of_word = np.fromiter((chr(c).isalnum() for c in range(0x110000)), np.bool_, 0x110000)
    values = np.random.default_rng(0).integers(0, 2**64, 0x110000, dtype=np.uint64)
    values[~of_word] = 0
    return of_word, values


def _powers(base: int, count: int) -> Hashes:
    """Return base**0 ... base**(count - 1) modulo 2**64."""
    out = np.full(count, base, dtype=np.uint64)
    out[:1] = 1
    return np.asarray(np.multiply.accumulate(out), dtype=np.uint64)


def _mixed(values: Hashes) -> Hashes:
    """Return the numbers with all their bits mixed (the finaliser of MurmurHash3): sums of sums would cancel."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        values = (values ^ (values >> np.uint64(33))) * np.uint64(factor)
    return np.asarray(values ^ (values >> np.uint64(33)), dtype=np.uint64)


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield the texts in lower case, some of them at a time."""
    block: list[str] = []
    size = 0
    for text in texts:
        block.append(text.lower())
        size += len(block[-1]) + 1
        if size >= _BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block


class _Powers:
    """Powers of the base and of its inverse, as many as were asked for so far."""

    def __init__(self) -> None:
        self.up = self.down = np.zeros(0, dtype=np.uint64)

    def of(self, count: int) -> tuple[Hashes, Hashes]:
        if len(self.up) < count:
            self.up, self.down = _powers(_BASE, count), _powers(pow(_BASE, -1, 2**64), count)
        return self.up[:count], self.down[:count]


def _sums(values: Hashes, starts: Ints, ends: Ints, powers: _Powers) -> Hashes:
    """Return for each range the polynomial hash of its values, the same wherever the range stands."""
    up, down = powers.of(len(values) + 1)
    before = np.zeros(len(values) + 1, dtype=np.uint64)
    np.cumsum(values * up[:-1], out=before[1:])
    return np.asarray((before[ends] - before[starts]) * down[starts], dtype=np.uint64)


def ngram_hashes(texts: Iterable[str], sizes: Sequence[int] = SIZES) -> list[tuple[Hashes, Ints]]:
    """Return for each size the hashes of all n-grams, text after text, and how many each text has.

    8 bytes an n-gram and size; 30 million words in some ten seconds.
    """
    of_word, values = _characters()
    powers = _Powers()
    out: list[tuple[list[Hashes], list[Ints]]] = [([_NONE], [_NO_COUNTS]) for _ in sizes]
    for block in _blocks(texts):
        codes = np.frombuffer("\n".join(block).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        inside = np.concatenate([[False], of_word[codes], [False]])
        edges = np.flatnonzero(inside[1:] != inside[:-1])
        starts, ends = edges[::2], edges[1::2]
        words = _mixed(_sums(values[codes], starts, ends, powers))
        begins = np.cumsum([0] + [len(t) + 1 for t in block])
        first = np.searchsorted(starts, begins)  # number of each text's first word, and one more for the end
        for (hashes, counts), size in zip(out, sizes, strict=True):
            count = np.maximum(np.diff(first) - size + 1, 0)
            whole = np.arange(max(len(words) - size + 1, 0))
            # A run that ends in another text is no n-gram.
            place = whole[whole + size <= np.repeat(first[1:], np.diff(first))[: len(whole)]]
            hashes.append(_sums(words, place, place + size, powers))
            counts.append(count)
    return [(np.concatenate(hashes), np.concatenate(counts)) for hashes, counts in out]


_NONE: Hashes = np.zeros(0, dtype=np.uint64)
_NO_COUNTS: Ints = np.zeros(0, dtype=np.int64)


def _numbered(values: Hashes) -> Ints:
    """Return numbers from 0 on in place of the values, the same for the same. Faster than `np.unique` by far."""
    order = np.argsort(values)
    out = np.zeros(len(values), dtype=np.int64)
    out[order[1:]] = np.cumsum(values[order[1:]] != values[order[:-1]])
    return out


class Shared:
    """The n-grams of one size that occur more than once in the texts: pairs of a text and an n-gram, each once."""

    def __init__(self, hashes: Hashes, counts: Ints) -> None:
        """Find them. `hashes`, `counts`: of `ngram_hashes`."""
        ordered = np.sort(hashes)
        shift = np.uint64(64 - _MASK_BITS)
        likely = np.zeros(1 << _MASK_BITS, dtype=np.bool_)
        likely[ordered[1:][ordered[1:] == ordered[:-1]] >> shift] = True
        del ordered
        rows = np.flatnonzero(likely[hashes >> shift])
        number = _numbered(hashes[rows])
        self.ngrams = int(number.max()) + 1 if len(number) else 1
        owner = np.repeat(np.arange(len(counts)), counts)[rows]
        pairs = np.sort(owner * self.ngrams + number)
        pairs = pairs[np.flatnonzero(np.diff(pairs, prepend=-1))]
        self.owner, self.number = np.divmod(pairs, self.ngrams)
        again = np.bincount(owner, minlength=len(counts)) - np.bincount(self.owner, minlength=len(counts))
        self.distinct = counts - again

    def shares(self, training: Sequence[int] | Ints, tests: Sequence[int] | Ints) -> NDArray[np.float64]:
        """Return for each test text the share of its distinct n-grams that stand in a training text, in [0, 1]."""
        trained = np.zeros(len(self.distinct), dtype=np.bool_)
        trained[np.asarray(training, dtype=np.int64)] = True
        seen = np.zeros(self.ngrams, dtype=np.bool_)
        seen[self.number[trained[self.owner]]] = True
        hits = np.bincount(self.owner, weights=seen[self.number], minlength=len(self.distinct))
        chosen = np.asarray(tests, dtype=np.int64)
        shares = hits[chosen] / np.maximum(self.distinct[chosen], 1)
        shares[trained[chosen] & (self.distinct[chosen] > 0)] = 1.0  # its own n-grams may occur in no other text
        return np.asarray(shares, dtype=np.float64)


def shares_by_round(
    texts: Sequence[str],
    rounds: Sequence[tuple[Sequence[int], Sequence[int]]],
    originals: Sequence[str] = (),
    sizes: Sequence[int] = SIZES,
) -> list[NDArray[np.float64]]:
    """Return for each round (numbers trained on, numbers tested on) the shares of the test texts: (tests, sizes).

    `originals`: by text, "" for none; where a text is trained on, so is its original. A text that is tested on and
    trained on shares all of its n-grams.
    """
    own = [i for i, original in enumerate(originals) if original]
    number_of = {i: len(texts) + k for k, i in enumerate(own)}
    out = [np.zeros((len(test), len(sizes))) for _, test in rounds]
    for k, (hashes, counts) in enumerate(ngram_hashes([*texts, *(originals[i] for i in own)], sizes)):
        shared = Shared(hashes, counts)
        for shares, (train, test) in zip(out, rounds, strict=True):
            shares[:, k] = shared.shares([*train, *(number_of[i] for i in train if i in number_of)], test)
    return out


def describe(shares: NDArray[np.float64], limit: float, sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Return counts for a report. `shares`: (texts, sizes). `limit`: as in `suite.Overlap`."""
    empty = not len(shares)
    return {
        "texts": len(shares),
        "limit": limit,
        "above_limit": 0 if empty else int(np.sum(shares[:, 0] > limit)),
        "by_size": {
            str(size): {
                "texts_with_any": 0 if empty else int(np.sum(shares[:, k] > 0)),
                "largest_share": 0.0 if empty else float(shares[:, k].max()),
                "mean_share": 0.0 if empty else float(shares[:, k].mean()),
            }
            for k, size in enumerate(sizes)
        },
    }
