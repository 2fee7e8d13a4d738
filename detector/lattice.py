"""The best paths through many small lattices at once, for the ranking of suggestions.

A lattice lies over the words of one phrase: arcs from place to place, each with a score, and a score for each two
arcs that meet. One lattice is too small for array operations to pay, and an article that was spun throughout has a
hundred; so all are walked together, place by place. Time and memory are linear in the pairs of arcs that meet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Ids = NDArray[np.int32]
Floats = NDArray[np.float64]


def ranges(starts: Ints, counts: Ints) -> Ints:
    """Return the numbers starts[0], starts[0] + 1, ... of `counts[0]` each, one range after the other.

    >>> ranges(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    ends = np.cumsum(counts)
    return np.repeat(starts - (ends - counts), counts) + np.arange(int(ends[-1]) if len(ends) else 0)


@dataclass(frozen=True, slots=True)
class Arcs:
    """Arcs of many lattices; all arrays have shape (arcs,).

    `lattice`: its number. `begin`, `end`: places, of 0..size of the lattice. `left`, `right`: what it meets others
    with. `score`: natural log. `what`: the caller's own number. `kept`: whether it changes nothing; each two
    neighbouring places have exactly one such arc.
    """

    lattice: Ints
    begin: Ints
    end: Ints
    left: Ids
    right: Ids
    score: Floats
    what: Ints
    kept: NDArray[np.bool_]

    def take(self, order: Ints) -> Arcs:
        """Return the arcs in another order, or some of them."""
        return Arcs(*(getattr(self, f.name)[order] for f in fields(self)))

    def joined(self, other: Arcs) -> Arcs:
        """Return these arcs and others."""
        return Arcs(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))


class Paths:
    """The best path through each arc of each lattice.

    `sizes`: places of each lattice less one, at least 1. `before`, `after`: what the first and the last arc of a
    path meet outside. `meeting`: (right, left) -> score of pairs that meet, arrays of one length.
    """

    def __init__(self, arcs: Arcs, sizes: Ints, before: Ids, after: Ids, meeting: Callable[[Ids, Ids], Floats]) -> None:
        count, longest = len(sizes), int(sizes.max())
        # Longer lattices first, so that those which have a place at all are the first ones: places become numbers
        # (nodes) in the order in which they are walked.
        rank = np.empty(count, np.int64)
        rank[np.argsort(-sizes, kind="stable")] = np.arange(count)
        having = np.array([int(np.count_nonzero(sizes >= place)) for place in range(longest + 1)])
        base = np.concatenate([[0], np.cumsum(having)])
        nodes = int(base[-1])

        begin, end = base[arcs.begin] + rank[arcs.lattice], base[arcs.end] + rank[arcs.lattice]
        order = np.argsort(begin, kind="stable")
        # An arc that only ends stands before each lattice, and one that only begins behind it: the words outside.
        last = base[sizes] + rank
        starters = np.concatenate([begin[order], last])
        merged = np.argsort(starters, kind="stable")
        self.arcs = arcs.take(order)
        # Rows of the arrays below: arcs and those behind, in the order of their first node; then those before.
        begins = starters[merged]
        left = np.concatenate([self.arcs.left, after])[merged]
        score = np.concatenate([self.arcs.score, np.zeros(count)])[merged]
        ends = np.concatenate([end[order], np.full(count, nodes)])[merged]  # `nodes`: that behind ends nowhere
        ends = np.concatenate([ends, rank])
        right = np.concatenate([np.concatenate([self.arcs.right, after])[merged], before])

        starter_edges = np.searchsorted(begins, np.arange(nodes + 1))
        by_end = np.argsort(ends, kind="stable")
        ender_edges = np.searchsorted(ends[by_end], np.arange(nodes + 1))
        s, e = np.diff(starter_edges), np.diff(ender_edges)
        # Pairs that meet, node by node: those of one starter side by side, and again those of one ender.
        pairs = s * e
        node_pairs = np.concatenate([[0], np.cumsum(pairs)])
        self._coming_at = np.concatenate([[0], np.cumsum(np.repeat(e, s))])  # by starter
        self._coming_from = by_end[ranges(np.repeat(ender_edges[:-1], s), np.repeat(e, s))]
        starter_of = np.repeat(np.arange(len(begins)), np.repeat(e, s))
        weights = meeting(right[self._coming_from], left[starter_of])
        self._going_at = np.concatenate([[0], np.cumsum(np.repeat(s, e))])  # by ender
        self._going_to = ranges(np.repeat(starter_edges[:-1], e), np.repeat(s, e))
        # The pair of ender i and starter j of a node lies at j * e + i in the first order.
        inside = np.arange(int(node_pairs[-1])) - np.repeat(node_pairs[:-1], pairs)
        wide, tall = np.repeat(s, pairs), np.repeat(e, pairs)
        turned = np.repeat(node_pairs[:-1], pairs) + (inside % wide) * tall + inside // wide

        forward = np.zeros(len(ends))  # best score up to and with the arc
        behind = np.zeros(len(ends))  # best score after the arc
        self._coming, self._going = weights.copy(), weights[turned]
        for place in range(longest + 1):
            a, b = starter_edges[base[place]], starter_edges[base[place + 1]]
            x, y = self._coming_at[a], self._coming_at[b]
            self._coming[x:y] += forward[self._coming_from[x:y]]
            forward[a:b] = np.maximum.reduceat(self._coming[x:y], self._coming_at[a:b] - x) + score[a:b]
        for place in range(longest, -1, -1):
            a, b = ender_edges[base[place]], ender_edges[base[place + 1]]
            x, y = self._going_at[a], self._going_at[b]
            to = self._going_to[x:y]
            self._going[x:y] += behind[to] + score[to]
            behind[by_end[a:b]] = np.maximum.reduceat(self._going[x:y], self._going_at[a:b] - x)
        # Lists from here on: a few of them are looked at for each lattice, one by one.
        ender_row = np.empty(len(by_end), np.int64)
        ender_row[by_end] = np.arange(len(by_end))
        self._ender_row: list[int] = ender_row.tolist()
        self._of_row: list[int] = merged.tolist()
        self._first_starter: list[int] = starter_edges[begins].tolist()
        self._last_starter: list[int] = starter_edges[begins + 1].tolist()
        self._end: list[int] = ends.tolist()
        row = np.empty(len(merged), np.int64)
        row[merged] = np.arange(len(merged))
        self._row: list[int] = row.tolist()
        self.through: Floats = (forward + behind)[row[: len(order)]]
        """Score of the best path through each of `arcs`, the meetings outside included."""

    def path(self, arc: int) -> list[int]:
        """Return the best path through an arc, as numbers of `arcs`."""
        row = self._row[arc]
        arcs, before = len(self.through), len(self._of_row)
        found = [row]
        while True:
            a, b = self._coming_at[found[0]], self._coming_at[found[0] + 1]
            previous = int(self._coming_from[a + self._coming[a:b].argmax()])
            if previous >= before:
                break
            found.insert(0, previous)
        while True:
            ender = self._ender_row[found[-1]]
            a, b = self._going_at[ender], self._going_at[ender + 1]
            following = int(self._going_to[a + self._going[a:b].argmax()])
            if self._of_row[following] >= arcs:
                break
            found.append(following)
        return [self._of_row[r] for r in found]

    def beside(self, arc: int) -> list[int]:
        """Return the other arcs over the same words, in no order."""
        row = self._row[arc]
        end = self._end[row]
        others = range(self._first_starter[row], self._last_starter[row])
        return [self._of_row[r] for r in others if self._end[r] == end and r != row]
