"""Which phrases gave the article away, and what probably stood there.

The screen is linear, so the share of every n-gram in the score is known exactly. A token's evidence is what the n-grams
over it add, each divided among its tokens; a phrase that does not go together (association) adds to both its words.
Neighbouring tokens with enough evidence form a phrase; a known spun phrase around them completes it, so that a reader
sees "top state leader" and not "state".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.scorable import FUNCTION_WORDS
from detector.screen import BLOCK_TOKENS
from detector.words import BOUNDARY

LONGEST_PHRASE = 6
"""Tokens of a phrase in the table of substitutions that are looked for."""
_CUT_WINDOW = 60  # tokens within which a run is cut at its weakest place: all of most runs, and keeps the work linear


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """How evidence becomes phrases; the values live in the model's config.

    `start`: evidence that a token must have to begin a phrase. `extend`: ... to belong to a neighbouring phrase.
    `phrase_odds`: weight of the log odds of words and phrases that spinners favour (`PhraseOdds`).
    `surprise`: log odds per unit of negative association, added to both words of a pair. `known_phrase`: log odds per
    token of a phrase in the table of substitutions. `scale`: log odds of a phrase at which its score is 0.63.
    `examiner`: weight of the examiner's log odds that a word was replaced, in models that have an examiner.
    """

    start: float
    extend: float
    phrase_odds: float
    surprise: float
    known_phrase: float
    scale: float
    examiner: float = 0.0


@dataclass(frozen=True, slots=True)
class Phrase:
    """Half-open token range with its score in [0, 1]."""

    first: int
    last: int
    score: float


_JOINING = (
    "a an i in on at as is was we he me do so no for or my be am are out off her had all us been its it's i'd he's "
    "there's that's what's can go get got s t re ve ll d m"
)
JOINING_WORDS = FUNCTION_WORDS | frozenset(_JOINING.split())
"""Words that join the words of a phrase but are no evidence alone: the gate's, and those that other languages share."""


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


def evidence_blocks(
    ids: NDArray[np.int32], segment_ends: Sequence[int], wanted: NDArray[np.bool_], tokens: int = BLOCK_TOKENS
) -> Iterator[tuple[int, int]]:
    """Yield half-open ranges of segments that hold all of the `wanted` ones, for phrases to be looked for in each.

    A range ends behind a boundary, which no phrase crosses, where there is one: so phrases are the same as those of
    the whole text at once, unless it has none in `tokens` tokens. `wanted`: shape (segments,).
    """
    closed = ids[np.asarray(segment_ends) - 1] == BOUNDARY
    begin = first = 0
    for number, end in enumerate(segment_ends):
        if end - begin >= (tokens if closed[number] else 2 * tokens) or number + 1 == len(segment_ends):
            if wanted[first : number + 1].any():
                yield first, number + 1
            begin, first = end, number + 1


def capitals(text: str, starts: NDArray[np.int64], ids: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return the tokens that a capital within a sentence marks as names, whatever the word; shape (tokens,).

    None in a text that is in capitals or in Title Case throughout.
    """
    capital = np.fromiter((text[at].isupper() for at in starts), np.bool_, len(starts))
    capital[1:] &= ids[:-1] != BOUNDARY
    capital[:1] = False
    if np.count_nonzero(capital) > 0.5 * len(capital):  # 0.5: more than any sentence of names has
        capital[:] = False
    return capital


def find_phrases(
    evidence: NDArray[np.float64],
    words: Sequence[str],
    breaks: NDArray[np.bool_],
    function_words: NDArray[np.bool_],
    substitutions: Substitutions,
    settings: EvidenceSettings,
    names: NDArray[np.bool_] | None = None,
    rare: NDArray[np.bool_] | None = None,
) -> list[Phrase]:
    """Return the phrases in token order, not overlapping.

    `words`: lower-cased token strings; `breaks`: tokens that no phrase may hold (boundaries); `function_words`: tokens
    that join phrases but do not begin or end one unless a known phrase says so; `names`: tokens that spinners leave
    alone; `rare`: words too rare to have any evidence of their own, which complete a phrase beside them. All have the
    length of `evidence`.
    """
    names = np.zeros_like(breaks) if names is None else names
    rare = np.zeros_like(breaks) if rare is None else rare
    known = [(a, b) for a, b in substitutions.longest_matches(words, shortest=2) if not breaks[a:b].any()]
    in_known = np.zeros_like(breaks)
    evidence = evidence.copy()
    for a, b in known:
        in_known[a:b] = True
        evidence[a:b] += settings.known_phrase
    content = ~breaks & ~function_words & ~names
    inside = content & (evidence >= settings.extend)
    for a, b in known:
        if evidence[a:b].mean() >= settings.extend:
            inside[a:b] = True
    # One function word between two phrases joins them ("truce was concurred").
    inside |= _between(inside) & function_words & ~breaks
    seeds = inside & (evidence >= settings.start)
    inside = _complete(inside, seeds, evidence, content, rare & content, breaks)
    # So does one word that is half suspicious itself.
    inside |= _between(inside) & content & (evidence >= 0.5 * settings.extend)
    phrases = []
    whole = evidence + 10.0 * in_known  # 10: a cut never falls within a known phrase
    edges = np.flatnonzero(np.diff(inside.astype(np.int8), prepend=0, append=0))
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        for a, b in _cut_long(first, last, whole):  # 10: never within a known phrase
            while a < b and function_words[a] and not in_known[a]:
                a += 1
            while a < b and function_words[b - 1] and not in_known[b - 1]:
                b -= 1
            if a == b or evidence[a:b].max() < settings.start:
                continue
            total = float(np.maximum(evidence[a:b], 0.0).sum())
            phrases.append(Phrase(a, b, 1.0 - math.exp(-total / settings.scale)))
    return phrases


def _between(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the tokens that have one inside on either hand."""
    result = np.zeros_like(inside)
    result[1:-1] = inside[:-2] & inside[2:]
    return result


_NOTHING_AGAINST = -0.3
"""Evidence below which a word is one that people use much more than spinners; four words in five lie above."""
_REACH = 3
"""Tokens from a strong phrase within which a rare word belongs to it ("brutal, dread driven despot")."""


def _complete(
    inside: NDArray[np.bool_],
    seeds: NDArray[np.bool_],
    evidence: NDArray[np.float64],
    content: NDArray[np.bool_],
    rare: NDArray[np.bool_],
    breaks: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return `inside` with the words that a reader needs to see the phrase: those that nothing is known against.

    A short phrase takes the content word after it ("memorable partners"); a rare word joins across what lies
    between, up to `_REACH` tokens away.
    """
    result: NDArray[np.bool_] = inside.copy()
    stop = result | breaks
    edges = np.flatnonzero(np.diff(inside.astype(np.int8), prepend=0, append=0))
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if not seeds[first:last].any():
            continue
        ahead = _reached(range(last, min(last + _REACH, len(inside))), rare, stop)
        if not ahead and last - first <= _REACH and last < len(inside):
            ahead = int(content[last] and evidence[last] >= _NOTHING_AGAINST and not result[last])
        result[last : last + ahead] = True
        stop[last : last + ahead] = True
        back = _reached(range(first - 1, max(first - 1 - _REACH, -1), -1), rare, stop)
        result[first - back : first] = True
        stop[first - back : first] = True
    return result


def _reached(places: range, wanted: NDArray[np.bool_], stop: NDArray[np.bool_]) -> int:
    """Return how far along `places` the last wanted token lies before one that stops; 0 for none."""
    reached = 0
    for distance, at in enumerate(places, 1):
        if stop[at]:
            break
        if wanted[at]:
            reached = distance
    return reached


class PhraseOdds:
    """How much likelier n-grams are in spun text than in human text: natural log, lower bound, above 0 only.

    `keys`: sorted n-gram hashes (`screen.NGrams.hashes`), uint64; `odds`: same shape.
    """

    def __init__(self, keys: NDArray[np.uint64], odds: NDArray[np.floating]) -> None:
        if keys.shape != odds.shape or keys.ndim != 1:
            raise ValueError(f"phrase odds: {keys.shape} keys and {odds.shape} odds")
        self._keys = keys
        self._odds = odds.astype(np.float64)

    def token_odds(
        self, tokens: int, hashes: NDArray[np.uint64], starts: NDArray[np.int64], lengths: NDArray[np.int8]
    ) -> NDArray[np.float64]:
        """Return the highest log odds among the n-grams over each token, 0 where there is none; shape (tokens,)."""
        result = np.zeros(tokens)
        if not len(self._keys) or not len(hashes):
            return result
        place = np.minimum(np.searchsorted(self._keys, hashes), len(self._keys) - 1)
        found = np.where(self._keys[place] == hashes, self._odds[place], 0.0)
        for n in np.unique(lengths):
            rows = lengths == n
            for offset in range(int(n)):
                np.maximum.at(result, starts[rows] + offset, found[rows])
        return result


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
