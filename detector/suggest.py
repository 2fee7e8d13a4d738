"""What a phrase probably said before it was spun: candidates word by word and for whole phrases, ranked in context.

A spinner is a noisy channel, so a suggestion is what people would have written here and what spinners turn into the
words that stand here: maximum a posteriori decoding over a lattice, as in spelling correction (Kernighan, Church & Gale
1990). Every word of the phrase offers itself (kept) and the candidates of a table made at training time; phrases of the
table lie across several words. An arc has a prior from the table and a fit to the topic of the words around, and
each two neighbouring arcs have the association of the words that meet (`AssociationTable`). The best path that changes
something is the first suggestion; the next ones take each word's next best.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detector.association import AssociationTable, pair_keys
from detector.gate import FUNCTION_WORDS
from detector.results import MAX_SUGGESTIONS
from detector.words import FIRST_WORD_ID, UNKNOWN, Vocabulary

if TYPE_CHECKING:
    from detector.store import ModelFolder

Floats = NDArray[np.float32]

TABLE_FILE = "suggestions.npz"
PHRASES_FILE = "suggestions.json"
LONGEST_KEY = 6
"""Words of a phrase of the table that are looked for."""
LONGEST_SPAN = 12
"""Words of a span that are put back; of a longer one only the first so many."""
TOPIC_WORDS = 10
"""Words to each side that say what the text is about."""
SCORE_STEP = 1 / 16
"""Step of the 8-bit scores: natural log units; half of it is far below what tells candidates apart."""
_TOPIC_SMOOTHING = 1e-3  # a word's weight in the topic is s / (s + frequency): Arora, Liang & Ma 2017, their value


@dataclass(frozen=True, slots=True)
class SuggestionSettings:
    """Weights of the ranking, in the model's config; all scores are natural logarithms.

    `association`: of the association of two neighbouring words. `topic`: of the cosine with the topic.
    `phrase`: for every word that an arc of several words puts back. `least`: the score over the unchanged phrase below
    which nothing is suggested. `spread`: how far below the best a further suggestion may lie.
    """

    association: float
    topic: float
    phrase: float
    least: float
    spread: float


def word_key(word: str) -> int:
    """Return the 32-bit key of a lower-cased word in the table."""
    return zlib.crc32(word.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class SuggestionTable:
    """Candidates by spun word.

    `keys`: uint32 (n,), sorted, from `word_key`. `keep`: uint8 (n,), cost of leaving the word. `starts`: uint32
    (n + 1,), the range of each key in `words`: uint16 (m,), candidates as vocabulary ids less FIRST_WORD_ID, and in
    `scores`: uint8 (m,), their costs, best first. Costs are negative logs of shares, in `SCORE_STEP`. `vectors`: int8
    (vocabulary words, d), direction of each word's meaning, not normalised. `phrases`: phrase -> {original: log
    share}, for what is not one word of the vocabulary for one word.
    """

    keys: NDArray[np.uint32]
    keep: NDArray[np.uint8]
    starts: NDArray[np.uint32]
    words: NDArray[np.uint16]
    scores: NDArray[np.uint8]
    vectors: NDArray[np.int8]
    phrases: Mapping[str, Mapping[str, float]]

    def __post_init__(self) -> None:
        n, m = len(self.keys), len(self.words)
        if self.keep.shape != (n,) or self.starts.shape != (n + 1,) or self.scores.shape != (m,):
            raise ValueError(f"suggestions: {n} keys and {m} candidates do not fit the other tables")
        if self.starts[-1] != m or (np.diff(self.starts.astype(np.int64)) < 0).any():
            raise ValueError("suggestions: the ranges of the keys do not cover the candidates")
        if self.vectors.ndim != 2 or (m and int(self.words.max()) >= len(self.vectors)):
            raise ValueError("suggestions: candidates outside the vocabulary")


class Suggester:
    """Suggests what stood in place of a span; safe to share between threads."""

    def __init__(
        self,
        table: SuggestionTable,
        vocabulary: Vocabulary,
        association: AssociationTable,
        settings: SuggestionSettings,
    ) -> None:
        if len(table.vectors) != len(vocabulary.words):
            raise ValueError(f"suggestions: {len(table.vectors)} vectors for {len(vocabulary.words)} words")
        self._table = table
        self._vocabulary = vocabulary
        self._association = association
        self._settings = settings

    @classmethod
    def read(cls, folder: ModelFolder, vocabulary: Vocabulary, association: AssociationTable) -> Suggester:
        """Read the tables of a model folder: about 3 ms. What is costly to index waits for the first span.

        Raises:
            ModelError, ValueError, KeyError, TypeError: the folder lacks the tables or they do not fit it.
        """
        with np.load(folder.file(TABLE_FILE), allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        phrases = json.loads(folder.file(PHRASES_FILE).read_bytes())
        settings = SuggestionSettings(**{k: float(v) for k, v in folder.config["suggestions"].items()})
        return cls(SuggestionTable(**found, phrases=phrases), vocabulary, association, settings)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self._vocabulary.words, FIRST_WORD_ID)}

    @property
    def vectors(self) -> NDArray[np.int8]:
        """The directions of the vocabulary's words, as in the table."""
        return self._table.vectors

    def ids(self, words: Sequence[str]) -> NDArray[np.int32]:
        """Return the ids of lower-cased words; UNKNOWN for what is none of the vocabulary, boundaries included."""
        return np.fromiter((self._ids.get(w, UNKNOWN) for w in words), np.int32, len(words))

    def topic_fit(
        self, ids: NDArray[np.int32], first: int, last: int, candidates: NDArray[np.int32], at: NDArray[np.int64]
    ) -> Floats:
        """Return the cosine of each candidate with what the text is about, seen from its place; shape (candidates,).

        `ids`: of the words around, the places [first, last) among them; `at`: the place of each candidate,
        less `first`. A place sees all the words but its own.
        """
        vectors, weighted = self._directions
        topics = weighted[ids].sum(axis=0) - weighted[ids[first:last]]
        topics /= np.maximum(np.sqrt((topics**2).sum(axis=1, keepdims=True)), np.float32(1e-9))
        return np.asarray((vectors[candidates] * topics[at]).sum(axis=1), np.float32)

    def associations(self, first: NDArray[np.int32], second: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the association of pairs of ids, 0 where one is no word of the vocabulary."""
        found = self._association.associations(first, second, self._association.levels(pair_keys(first, second)))
        found[(first < FIRST_WORD_ID) | (second < FIRST_WORD_ID)] = 0.0
        return found

    @cached_property
    def _directions(self) -> tuple[Floats, Floats]:
        """Unit vectors of all ids (zero for those of no word), and the same by their weight in a topic."""
        vectors = np.zeros((self._vocabulary.size, self._table.vectors.shape[1]), np.float32)
        vectors[FIRST_WORD_ID:] = self._table.vectors
        vectors /= np.maximum(np.sqrt((vectors**2).sum(axis=1, keepdims=True)), np.float32(1e-9))
        weight = _TOPIC_SMOOTHING / (_TOPIC_SMOOTHING + self._association.frequencies)
        return vectors, vectors * weight[:, None].astype(np.float32)

    def suggest(self, words: Sequence[str], first: int, last: int, limit: int = MAX_SUGGESTIONS) -> tuple[str, ...]:
        """Return what the words [first, last) probably were, best first, at most `limit`; empty if nothing is likely.

        `words`: lower-cased tokens of the text, of which those around the span give the context. A suggestion is the
        whole span rewritten, in lower case, and never the span itself.

        Raises:
            ValueError: the range is not within the words.
        """
        if not 0 <= first < last <= len(words):
            raise ValueError(f"span [{first}, {last}) is not within {len(words)} words")
        last = min(last, first + LONGEST_SPAN)
        around = [w.replace("’", "'") for w in words[max(0, first - TOPIC_WORDS) : last + TOPIC_WORDS]]
        offset = min(first, TOPIC_WORDS)
        lattice = self._lattice(around, offset, offset + last - first)
        return lattice.best(limit, self._settings) if lattice else ()

    def _lattice(self, words: list[str], first: int, last: int) -> _Lattice | None:
        """Return the lattice of the span, or None if there is nothing but the words themselves."""
        ids = self.ids(words)
        span, size = words[first:last], last - first
        keys = np.fromiter(map(word_key, span), np.uint32, size)
        table = self._table
        row = np.minimum(np.searchsorted(table.keys, keys), len(table.keys) - 1) if len(table.keys) else None
        begin, end, text = list(range(size)), list(range(1, size + 1)), list(span)
        left, right = [ids[first:last]], [ids[first:last]]
        score = np.zeros(size, np.float32)
        place = [np.arange(size)]
        scores = [score]
        if row is not None:
            known = table.keys[row] == keys
            score[known] = table.keep[row[known]] * np.float32(-SCORE_STEP)
            for at in np.flatnonzero(known).tolist():
                a, b = int(table.starts[row[at]]), int(table.starts[row[at] + 1])
                candidates = table.words[a:b].astype(np.int32) + FIRST_WORD_ID
                left.append(candidates)
                right.append(candidates)
                scores.append(table.scores[a:b] * np.float32(-SCORE_STEP))
                place.append(np.full(b - a, at))
                text += [self._vocabulary.words[i - FIRST_WORD_ID] for i in candidates.tolist()]
                begin += [at] * (b - a)
                end += [at + 1] * (b - a)
        topic = self.topic_fit(ids, first, last, np.concatenate(left), np.concatenate(place))
        total = np.concatenate(scores) + self._settings.topic * topic
        arcs = list(self._phrase_arcs(span))
        if arcs:
            total = np.concatenate([total, np.array([a[3] for a in arcs], total.dtype)])
            begin += [a[0] for a in arcs]
            end += [a[1] for a in arcs]
            text += [a[2] for a in arcs]
            left.append(np.array([self._ids.get(a[2].split(" ", 1)[0], UNKNOWN) for a in arcs], np.int32))
            right.append(np.array([self._ids.get(a[2].rsplit(" ", 1)[-1], UNKNOWN) for a in arcs], np.int32))
        if len(text) == size:
            return None
        outer = (int(ids[first - 1]) if first else 0, int(ids[last]) if last < len(ids) else 0)
        starters: list[list[int]] = [[] for _ in range(size + 1)]
        enders: list[list[int]] = [[] for _ in range(size + 1)]
        for arc, (a, b) in enumerate(zip(begin, end, strict=True)):
            starters[a].append(arc)
            enders[b].append(arc)
        return _Lattice(
            size, begin, end, text, total, starters, enders,
            self._meetings(np.concatenate(left), np.concatenate(right), starters, enders, outer),
        )  # fmt: skip

    def _phrase_arcs(self, span: Sequence[str]) -> list[tuple[int, int, str, float]]:
        arcs = []
        for a in range(len(span)):
            for b in range(a + 1, min(a + LONGEST_KEY, len(span)) + 1):
                for original, score in self._table.phrases.get(" ".join(span[a:b]), {}).items():
                    arcs.append((a, b, original, score + self._settings.phrase * (b - a)))
        return arcs

    def _meetings(
        self,
        left: NDArray[np.int32],
        right: NDArray[np.int32],
        starters: list[list[int]],
        enders: list[list[int]],
        outer: tuple[int, int],
    ) -> list[Floats]:
        """Return for each place the scores of arcs that meet there, shape (arcs that end, arcs that begin)."""
        # The words outside stand as one arc that ends at the first place and one that begins at the last.
        before = [np.array([outer[0]], np.int32), *(right[e] for e in enders[1:])]
        after = [*(left[s] for s in starters[:-1]), np.array([outer[1]], np.int32)]
        a = np.concatenate([np.repeat(x, len(y)) for x, y in zip(before, after, strict=True)])
        b = np.concatenate([np.broadcast_to(y, (len(x), len(y))).ravel() for x, y in zip(before, after, strict=True)])
        weighted = (self._settings.association * self.associations(a, b)).astype(np.float32)
        out, done = [], 0
        for x, y in zip(before, after, strict=True):
            out.append(weighted[done : done + len(x) * len(y)].reshape(len(x), len(y)))
            done += len(x) * len(y)
        return out


_AN = re.compile(r"(?!uni|use|usu|eu|one|once)[aeiou]|hour|honest|honou?r|heir")
"""Beginnings of words that take "an"; abbreviations read by letters are not told apart."""


def _fit_articles(pieces: Sequence[str]) -> str:
    """Return the pieces as one text, "a" and "an" after the words that now follow them."""
    words = " ".join(pieces).split(" ")
    for k in range(len(words) - 1):
        if words[k] in ("a", "an"):
            words[k] = "an" if _AN.match(words[k + 1]) else "a"
    return " ".join(words)


def match_case(suggestion: str, given: Sequence[str]) -> str:
    """Return a suggestion in the case of the words that it is for: capitals, Title Case or a capital at the beginning.

    Words that are left as they were keep their own case.

    >>> match_case("prime minister", ["State", "Leader"]), match_case("the UK was", ["The", "UK", "were"])
    ('Prime Minister', 'The UK was')
    """
    if all(w.isupper() for w in given) and any(len(w) > 1 for w in given):
        return suggestion.upper()
    own = {w.lower(): w for w in given}
    words = [own.get(w, w) for w in suggestion.split(" ")]
    telling = [w for w in given if w.lower() not in FUNCTION_WORDS]
    if len(telling) > 1 and all(w[:1].isupper() for w in telling):
        words = [w if w in FUNCTION_WORDS else w[:1].upper() + w[1:] for w in words]
    if given[0][:1].isupper():
        words[0] = words[0][:1].upper() + words[0][1:]
    return " ".join(words)


@dataclass(frozen=True, slots=True)
class _Lattice:
    """Arcs over the places 0..size; the first `size` arcs keep the words.

    `starters`, `enders`: arcs that begin, end at each place. `meetings[p]`: (max(1, enders of p), starters of p), for
    the last place one column.
    """

    size: int
    begin: list[int]
    end: list[int]
    text: list[str]
    score: NDArray[np.floating]
    starters: list[list[int]]
    enders: list[list[int]]
    meetings: list[Floats]

    def best(self, limit: int, settings: SuggestionSettings) -> tuple[str, ...]:
        """Return the texts of the best paths that change something."""
        arcs = len(self.text)
        forward, back = np.full(arcs, -np.inf), [-1] * arcs  # best score up to and with the arc; the arc before it
        behind, ahead = np.zeros(arcs), [-1] * arcs  # best score after the arc; the arc after it
        for place in range(self.size):
            starters, enders = self.starters[place], self.enders[place]
            coming = self.meetings[place] + (forward[enders][:, None] if place else 0.0)
            forward[starters] = coming.max(axis=0) + self.score[starters]
            if place:
                for arc, which in zip(starters, coming.argmax(axis=0).tolist(), strict=True):
                    back[arc] = enders[which]
        behind[self.enders[-1]] = self.meetings[-1][:, 0]
        for place in range(self.size - 1, 0, -1):
            starters, enders = self.starters[place], self.enders[place]
            going = self.meetings[place] + (behind[starters] + self.score[starters])[None, :]
            behind[enders] = going.max(axis=1)
            for arc, which in zip(enders, going.argmax(axis=1).tolist(), strict=True):
                ahead[arc] = starters[which]
        through = forward + behind  # score of the best path through each arc
        unchanged = float(self.score[: self.size].sum())
        unchanged += sum(
            float(
                self.meetings[p][
                    self.enders[p].index(p - 1) if p else 0, self.starters[p].index(p) if p < self.size else 0
                ]
            )
            for p in range(self.size + 1)
        )
        top = self.size + int(np.argmax(through[self.size :]))
        if through[top] - unchanged < settings.least:
            return ()
        path = [top]
        while back[path[0]] >= 0:
            path.insert(0, back[path[0]])
        while ahead[path[-1]] >= 0:
            path.append(ahead[path[-1]])
        # For each piece of the path its arcs, the path's own first, then what else may stand over the same words.
        floor = through[top] - settings.spread
        pieces = []
        for arc in path:
            others = [
                o
                for o in self.starters[self.begin[arc]]
                if o != arc and self.end[o] == self.end[arc] and through[o] >= floor
            ]
            pieces.append([arc, *sorted(others, key=lambda o: -float(through[o]))])
        spoken = " ".join(self.text[: self.size])
        suggestions: list[str] = []
        for choice in range(max(map(len, pieces))):
            rank = [min(choice, len(p) - 1) if len(p) > choice else 0 for p in pieces]
            candidate = _fit_articles([self.text[p[r]] for p, r in zip(pieces, rank, strict=True)])
            if candidate != spoken and candidate not in suggestions:
                suggestions.append(candidate)
        return tuple(suggestions[:limit])
