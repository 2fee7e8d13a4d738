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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detector.association import AssociationTable, pair_keys
from detector.lattice import Arcs, Ids, Ints, Paths, ranges
from detector.results import MAX_SUGGESTIONS
from detector.scorable import FUNCTION_WORDS
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
RANKED_SPANS = 1000
"""Spans of a text, the first ones, that get suggestions: those of about 8,000 words spun throughout. Nobody reads more,
and so a text of any length costs at most a quarter of a second for them."""
_TOGETHER = 256
"""Spans that are ranked at a time: more do not go faster and take memory, about 20 kB each."""
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
        ends = np.array([0, len(ids), first, last], np.int64)
        return self._fit(self._topics(ids, *ends.reshape(4, 1)), candidates, at)

    def _topics(self, ids: Ids, lows: Ints, highs: Ints, firsts: Ints, lasts: Ints) -> Floats:
        """Return what the words [low, high) are about for each place of [first, last): unit vectors, range by range."""
        _, weighted = self._directions
        around = ranges(lows, highs - lows)
        whole = np.add.reduceat(weighted[ids[around]], np.cumsum(highs - lows) - (highs - lows), axis=0)
        topics = np.repeat(whole, lasts - firsts, axis=0) - weighted[ids[ranges(firsts, lasts - firsts)]]
        topics /= np.maximum(np.sqrt((topics**2).sum(axis=1, keepdims=True)), np.float32(1e-9))
        return np.asarray(topics, np.float32)

    def _fit(self, topics: Floats, candidates: Ids, at: Ints) -> Floats:
        return np.asarray((self._directions[0][candidates] * topics[at]).sum(axis=1), np.float32)

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
        return self.suggest_all(words, [(first, last)], limit)[0]

    def suggest_all(
        self, words: Sequence[str], spans: Sequence[tuple[int, int]], limit: int = MAX_SUGGESTIONS
    ) -> list[tuple[str, ...]]:
        """Return `suggest` of each of many half-open ranges of words, in a tenth of the time.

        Raises:
            ValueError: a range is not within the words.
        """
        for first, last in spans:
            if not 0 <= first < last <= len(words):
                raise ValueError(f"span [{first}, {last}) is not within {len(words)} words")
        found: list[tuple[str, ...]] = []
        if not spans:
            return found
        words = [w.replace("’", "'") for w in words]
        ids = self.ids(words)
        for begin in range(0, len(spans), _TOGETHER):
            edges = np.array(spans[begin : begin + _TOGETHER], np.int64).reshape(-1, 2)
            found += self._suggest(words, ids, edges[:, 0], np.minimum(edges[:, 1], edges[:, 0] + LONGEST_SPAN), limit)
        return found

    def _suggest(self, words: list[str], ids: Ids, firsts: Ints, lasts: Ints, limit: int) -> list[tuple[str, ...]]:
        settings, sizes = self._settings, lasts - firsts
        arcs, phrases = self._arcs(words, ids, firsts, lasts)
        padded = np.concatenate([[UNKNOWN], ids, [UNKNOWN]]).astype(np.int32)
        paths = Paths(arcs, sizes, padded[firsts], padded[lasts + 1], self._meeting)
        arcs, through = paths.arcs, paths.through
        # Of each lattice the best arc that changes something: the first one in this order.
        changes = np.flatnonzero(~arcs.kept)
        changes = changes[np.lexsort((-through[changes], arcs.lattice[changes]))]
        tops = changes[np.unique(arcs.lattice[changes], return_index=True)[1]]
        # What it costs to leave all as it is: of all its words, and of their meetings, one more than there are words.
        unchanged = np.bincount(arcs.lattice[arcs.kept], arcs.score[arcs.kept], len(firsts))
        met = self._meeting(padded[:-1], padded[1:])
        unchanged += np.add.reduceat(met[ranges(firsts, sizes + 1)], np.cumsum(sizes + 1) - (sizes + 1))

        good = tops[through[tops] - unchanged[arcs.lattice[tops]] >= settings.least]
        score: list[float] = through.tolist()
        what: list[int] = arcs.what.tolist()
        kept: list[bool] = arcs.kept.tolist()

        def said(arc: int) -> str:
            if kept[arc]:
                return words[what[arc]]
            return self._vocabulary.words[what[arc] - FIRST_WORD_ID] if what[arc] > 0 else phrases[-1 - what[arc]]

        found: list[tuple[str, ...]] = [()] * len(firsts)
        for top, number in zip(good.tolist(), arcs.lattice[good].tolist(), strict=True):
            # For each piece of the path its arcs, the path's own first, then what else may stand over the same words.
            floor = score[top] - settings.spread
            pieces = []
            for arc in paths.path(top):
                others = [o for o in paths.beside(arc) if score[o] >= floor]
                pieces.append([said(a) for a in (arc, *sorted(others, key=lambda o: -score[o]))])
            spoken = " ".join(words[firsts[number] : lasts[number]])
            suggestions: list[str] = []
            for choice in range(max(map(len, pieces))):
                candidate = _fit_articles([p[choice] if choice < len(p) else p[0] for p in pieces])
                if candidate != spoken and candidate not in suggestions:
                    suggestions.append(candidate)
                    if len(suggestions) == limit:
                        break
            found[number] = tuple(suggestions)
        return found

    def _meeting(self, first: Ids, second: Ids) -> NDArray[np.float64]:
        return self._settings.association * self.associations(first, second)

    def _arcs(self, words: list[str], ids: Ids, firsts: Ints, lasts: Ints) -> tuple[Arcs, list[str]]:
        """Return the arcs of all spans, and the phrases that `what` of -1, -2 ... stands for.

        `what`: of a kept word its place in the text, else the id of the vocabulary's word put in, or such a number.
        """
        table, sizes = self._table, lasts - firsts
        places = ranges(firsts, sizes)  # in the text; below, `at` is the number of a place among these
        lattice = np.repeat(np.arange(len(firsts)), sizes)
        begin = ranges(np.zeros_like(sizes), sizes)
        keep = np.zeros(len(places), np.float32)
        at = np.zeros(0, np.int64)
        candidates, scores = ids[:0], keep[:0]
        if len(table.keys):
            keys = np.fromiter((word_key(words[p]) for p in places.tolist()), np.uint32, len(places))
            row = np.minimum(np.searchsorted(table.keys, keys), len(table.keys) - 1)
            known = np.flatnonzero(table.keys[row] == keys)
            row = row[known]
            keep[known] = table.keep[row] * np.float32(-SCORE_STEP)
            starts = table.starts[row].astype(np.int64)
            counts = table.starts[row + 1] - starts
            of_table = ranges(starts, counts)
            at = np.repeat(known, counts)
            candidates = table.words[of_table].astype(np.int32) + FIRST_WORD_ID
            scores = table.scores[of_table] * np.float32(-SCORE_STEP)
        topics = self._topics(
            ids, np.maximum(firsts - TOPIC_WORDS, 0), np.minimum(lasts + TOPIC_WORDS, len(ids)), firsts, lasts
        )
        everything = np.concatenate([np.arange(len(places)), at])
        words_in = np.concatenate([ids[places], candidates])
        topic = self._settings.topic * self._fit(topics, words_in, everything)
        kept = np.arange(len(everything)) < len(places)
        arcs = Arcs(
            lattice[everything], begin[everything], begin[everything] + 1, words_in, words_in,
            np.concatenate([keep, scores]).astype(np.float64) + topic,
            np.where(kept, places[everything], words_in), kept,
        )  # fmt: skip
        found = [
            (number, a, b, original, score)
            for number, (first, last) in enumerate(zip(firsts.tolist(), lasts.tolist(), strict=True))
            for a, b, original, score in self._phrase_arcs(words[first:last])
        ]
        if not found:
            return arcs, []
        number, a, b, phrases, score = zip(*found, strict=True)
        more = Arcs(
            np.array(number), np.array(a), np.array(b),
            self.ids([p.split(" ", 1)[0] for p in phrases]), self.ids([p.rsplit(" ", 1)[-1] for p in phrases]),
            np.array(score, np.float64), -1 - np.arange(len(found)), np.zeros(len(found), np.bool_),
        )  # fmt: skip
        return arcs.joined(more), list(phrases)

    def _phrase_arcs(self, span: Sequence[str]) -> Iterator[tuple[int, int, str, float]]:
        for a in range(len(span)):
            for b in range(a + 1, min(a + LONGEST_KEY, len(span)) + 1):
                for original, score in self._table.phrases.get(" ".join(span[a:b]), {}).items():
                    yield a, b, original, score + self._settings.phrase * (b - a)


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
