"""Which phrases gave the article away, and what probably stood there.

The screen is linear, so the share of every n-gram in the score is known exactly. A token's evidence is what the n-grams
over it add, each divided among its tokens; a phrase that does not go together (association) adds to both its words.
Neighbouring tokens with enough evidence form a phrase; a known spun phrase around them completes it, so that a reader
sees "top state leader" and not "state". Suggestions come from a table of substitutions mined from aligned pairs and
lexicons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.results import MAX_SUGGESTIONS

LONGEST_PHRASE = 6
"""Tokens of a phrase in the table of substitutions that are looked for."""
_CUT_WINDOW = 60  # tokens within which a run is cut at its weakest place: all of most runs, and keeps the work linear


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """How evidence becomes phrases; the values live in the model's config.

    `start`: log odds that a token must add to begin a phrase. `extend`: ... to belong to a neighbouring phrase.
    `surprise`: log odds per unit of negative association, added to both words of a pair. `known_phrase`: log odds per
    token of a phrase in the table of substitutions. `scale`: log odds of a phrase at which its score is 0.63.
    """

    start: float
    extend: float
    surprise: float
    known_phrase: float
    scale: float


@dataclass(frozen=True, slots=True)
class Phrase:
    """Half-open token range with its score in [0, 1] and suggestions, best first."""

    first: int
    last: int
    score: float
    suggestions: tuple[str, ...]


class Substitutions:
    """Spun phrase (lower case, single spaces) -> what it stood for, most frequent first."""

    def __init__(self, table: Mapping[str, Sequence[str]]) -> None:
        self.table = table
        self._first_words = {phrase.split(" ", 1)[0] for phrase in table}

    def longest_matches(self, words: Sequence[str], shortest: int = 1) -> list[tuple[int, int]]:
        """Return half-open token ranges of known phrases: leftmost first, the longest there, not overlapping."""
        found = []
        at = 0
        while at < len(words):
            size = 0
            if words[at] in self._first_words:
                for n in range(min(LONGEST_PHRASE, len(words) - at), shortest - 1, -1):
                    if " ".join(words[at : at + n]) in self.table:
                        size = n
                        break
            if size:
                found.append((at, at + size))
            at += max(size, 1)
        return found

    def suggest(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return what the phrase probably said, best first, or nothing.

        The whole phrase is looked up first; else known parts are put back one by one and the rest is left standing.
        """
        whole = self.table.get(" ".join(words))
        if whole:
            return tuple(whole[:MAX_SUGGESTIONS])
        parts = self.longest_matches(words)
        if not parts:
            return ()
        suggestions: list[str] = []
        for choice in range(3):  # the second and third best of the first part that has any
            rebuilt: list[str] = []
            done = 0
            varied = False
            for start, end in parts:
                options = self.table[" ".join(words[start:end])]
                pick = 0 if varied or choice >= len(options) else choice
                varied = varied or pick > 0
                rebuilt += [*words[done:start], options[pick]]
                done = end
            candidate = " ".join([*rebuilt, *words[done:]])
            if candidate not in suggestions:
                suggestions.append(candidate)
        return tuple(suggestions[:MAX_SUGGESTIONS])


def token_evidence(
    tokens: int,
    starts: NDArray[np.int64],
    lengths: NDArray[np.int8],
    contributions: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the log odds that each token adds, shape (tokens,): every n-gram divides its share among its tokens."""
    evidence = np.zeros(tokens)
    for n in np.unique(lengths):
        rows = lengths == n
        share = contributions[rows] / float(n)
        for place in range(int(n)):
            evidence += np.bincount(starts[rows] + place, share, tokens)[:tokens]
    return evidence


def add_surprise(
    evidence: NDArray[np.float64], at: NDArray[np.int64], associations: NDArray[np.float64], weight: float
) -> None:
    """Add to both words of each pair (first token `at`) what their avoiding each other says; changes `evidence`."""
    surprise = weight * np.maximum(-associations, 0.0)
    np.add.at(evidence, at, surprise)
    np.add.at(evidence, at + 1, surprise)


def find_phrases(
    evidence: NDArray[np.float64],
    words: Sequence[str],
    breaks: NDArray[np.bool_],
    function_words: NDArray[np.bool_],
    substitutions: Substitutions,
    settings: EvidenceSettings,
) -> list[Phrase]:
    """Return the phrases in token order, not overlapping.

    `words`: lower-cased token strings; `breaks`: tokens that no phrase may hold (boundaries); `function_words`: tokens
    that join phrases but do not begin or end one unless a known phrase says so. All have the length of `evidence`.
    """
    evidence = evidence.copy()
    known = [(a, b) for a, b in substitutions.longest_matches(words, shortest=2) if not breaks[a:b].any()]
    for a, b in known:
        evidence[a:b] += settings.known_phrase
    inside = np.where(breaks, False, evidence >= settings.extend)
    inside &= ~(function_words & (evidence < settings.start))
    for a, b in known:
        if evidence[a:b].mean() >= settings.extend:
            inside[a:b] = True
    # One function word between two phrases joins them ("truce was concurred").
    gap = np.zeros_like(inside)
    gap[1:-1] = inside[:-2] & inside[2:] & function_words[1:-1] & ~breaks[1:-1]
    inside |= gap
    phrases = []
    edges = np.flatnonzero(np.diff(inside.astype(np.int8), prepend=0, append=0))
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        for a, b in _cut_long(first, last, evidence):
            if evidence[a:b].max() < settings.start:
                continue
            total = float(np.maximum(evidence[a:b], 0.0).sum())
            phrases.append(Phrase(a, b, 1.0 - math.exp(-total / settings.scale), substitutions.suggest(words[a:b])))
    return phrases


def _cut_long(first: int, last: int, evidence: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Cut a run of more than LONGEST_PHRASE tokens at its weakest places, so that a phrase stays readable."""
    pieces = []
    rest = [(first, last)]  # a stack: a run without any stop can be longer than Python's recursion limit
    while rest:
        first, last = rest.pop()
        if last - first <= LONGEST_PHRASE:
            pieces.append((first, last))
            continue
        middle = first + 2 + int(np.argmin(evidence[first + 2 : min(last - 2, first + _CUT_WINDOW)]))
        rest += [(middle, last), (first, middle)]
    return pieces
