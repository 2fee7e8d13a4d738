"""Shared word n-grams between training and test texts: whether a test text, or a good part of it, was trained on.

Words in lower case without punctuation; n-grams are compared as 64-bit hashes (a chance collision among 10**8 of them
has probability below 10**-3). Thirteen words in a row are the usual sign of contamination (Brown et al. 2020); eight
also find lightly edited copies, at the price of quotations and set phrases.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZES = (8, 13)  # words
_WORD = re.compile(r"[^\W_]+")
Hashes = NDArray[np.uint64]


@dataclass
class NgramHashes:
    """Hashes of word n-grams. Numbers words as they come: one object must hash all texts of a comparison."""

    _numbers: dict[str, int] = field(default_factory=dict, repr=False)

    def of(self, text: str, sizes: Sequence[int] = SIZES) -> list[Hashes]:
        """Return for each size the sorted distinct hashes of the n-grams of the text; empty for a shorter text."""
        numbers = self._numbers
        found = [numbers.setdefault(w, len(numbers) + 1) for w in _WORD.findall(text.lower())]
        words = np.array(found, dtype=np.uint64)
        out = []
        for size in sizes:
            count = max(words.size - size + 1, 0)
            hashes = np.zeros(count, dtype=np.uint64)
            for i in range(size if count else 0):
                hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + words[i : i + count]
                hashes ^= hashes >> np.uint64(29)  # mixes the high bits down, which a product alone never does
            out.append(np.unique(hashes))
        return out


def share_found(own: Hashes, trained: Hashes) -> float:
    """Return the share of `own` that stands in `trained` (both sorted, distinct), in [0, 1]; 0 where `own` is empty."""
    if not own.size or not trained.size:
        return 0.0
    place = np.minimum(np.searchsorted(trained, own), trained.size - 1)
    return float(np.mean(trained[place] == own))


def shares_in_training(
    training: Iterable[str], tests: Sequence[str], sizes: Sequence[int] = SIZES
) -> NDArray[np.float64]:
    """Return for each test text and size the share of its n-grams that stand in a training text: (tests, sizes).

    Training texts are read one at a time and only their n-grams that a test text holds are kept. About 1 us a word.
    """
    hasher = NgramHashes()
    own = [hasher.of(t, sizes) for t in tests]
    wanted = [np.unique(np.concatenate([o[k] for o in own])) if own else _NONE for k in range(len(sizes))]
    seen: list[list[Hashes]] = [[] for _ in sizes]
    for text in training:
        for k, hashes in enumerate(hasher.of(text, sizes)):
            common = np.intersect1d(hashes, wanted[k], assume_unique=True)
            if common.size:
                seen[k].append(common)
    trained = [np.unique(np.concatenate(s)) if s else _NONE for s in seen]
    return np.array([[share_found(o[k], trained[k]) for k in range(len(sizes))] for o in own]).reshape(-1, len(sizes))


_NONE: Hashes = np.zeros(0, dtype=np.uint64)


def shares_by_round(
    texts: Sequence[str],
    rounds: Iterable[tuple[Sequence[int], Sequence[int]]],
    originals: Sequence[str] = (),
    sizes: Sequence[int] = SIZES,
) -> Iterator[NDArray[np.float64]]:
    """Yield for each round (numbers trained on, numbers tested on) an array (tests, sizes) as `shares_in_training`.

    `originals`: by text, "" for none; where a text is trained on, so is its original. Every text is hashed once; the
    hashes of all texts are kept (16 bytes a word).
    """
    hasher = NgramHashes()
    known: dict[int, list[Hashes]] = {}

    def hashes(i: int) -> list[Hashes]:
        if i not in known:
            known[i] = hasher.of(texts[i], sizes)
        return known[i]

    for train, test in rounds:
        rows = np.zeros((len(test), len(sizes)))
        before = [hasher.of(originals[i], sizes) for i in train if originals and originals[i]]
        for k in range(len(sizes)):
            parts = [hashes(i)[k] for i in train] + [b[k] for b in before]
            trained = np.unique(np.concatenate(parts)) if parts else _NONE
            rows[:, k] = [share_found(hashes(i)[k], trained) for i in test]
        yield rows


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
