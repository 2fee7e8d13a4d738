"""Counts of adjacent words in the texts that were not spun, from which those of a text's own group can be taken off.

A text that was counted knows its own pairs, and so does whatever was made from it: in training, and where thresholds
are set, it would look more usual than a new text of the same writer. So every text is read as if nothing of its group
had been counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from detector.association import AssociationTable, count_level, neighbour_levels, pair_counts, pair_keys
from detector.words import FIRST_WORD_ID, Tokens, Vocabulary


class PairCounts:
    """Exact counts of the adjacent pairs of vocabulary words; `table` is what a model folder keeps of them."""

    def __init__(
        self, counted: Iterable[tuple[str, NDArray[np.int32]]], vocabulary: Vocabulary, sketch_bytes: int
    ) -> None:
        """Count texts given as (group, word ids); about 30 bytes of memory per token."""
        self.vocabulary = vocabulary
        self._groups: dict[str, list[NDArray[np.int32]]] = defaultdict(list)
        for group, ids in counted:
            self._groups[group].append(ids)
        texts = [ids for own in self._groups.values() for ids in own]
        self.table = AssociationTable.count(texts, vocabulary.size, sketch_bytes)
        self._keys, self._counts = pair_counts(texts)

    def adjacent(self, ids: NDArray[np.int32], group: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return what `AssociationTable.adjacent` would, had no text of the group been counted."""
        own = self._groups.get(group)
        if own is None:
            return self.table.adjacent(ids)
        at = np.flatnonzero((ids[:-1] >= FIRST_WORD_ID) & (ids[1:] >= FIRST_WORD_ID))
        first, second = ids[at], ids[at + 1]
        keys = pair_keys(first, second)
        seen = _look_up(keys, self._keys, self._counts) - _look_up(keys, *pair_counts(own))
        return at, self.table.associations(first, second, count_level(seen.astype(np.float64)))

    def levels(self, tokens: Tokens, group: str) -> NDArray[np.int64]:
        """Return the `neighbour_levels` of a text's tokens, had no text of the group been counted."""
        return neighbour_levels(len(tokens.starts), *self.adjacent(self.vocabulary.ids(tokens), group))


def _look_up(wanted: NDArray[np.uint64], keys: NDArray[np.uint64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    if not len(keys):
        return np.zeros(len(wanted), np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, counts[place], 0)
