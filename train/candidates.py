"""What may have stood where a spinner's word stands: candidates with what is known of each, before any context.

Three sources: substitutions mined from aligned pairs, WordNet (words of one synset, and of a synset of those), and
neighbours in the input embeddings of a small language model (`train` extra). A candidate takes the inflection of the
word that it is put in for, and has to be a word of the model's vocabulary, so that its context can be judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from train.spinners.function_words import function_words
from train.spinners.lexicon import OPEN_CLASSES, WordNet, lemmas

Floats = NDArray[np.float32]
FEATURES = ("mined", "mined_share", "trusted", "synonym", "near_synonym", "cosine", "log_frequency", "alike")
"""Columns of `Candidates.features`: log counts in mined pairs, share of the word's mined originals, log counts in
trusted lists, log of shared synsets, log of paths over a third synset, cosine of the input embeddings (0 without),
natural log frequency, common prefix as a share of the longer word."""
_NEIGHBOURS = 40
"""Nearest words taken: 66 % of the originals that readers named are among them, 72 % among twice as many."""
_SAME_CLASS_ONLY = 200  # neighbours looked at to find so many of the right word class


@lru_cache(maxsize=200_000)
def analyses(word: str) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Return (word class, lemma, Penn tags) of all open classes that the word form may have.

    Only the usual form of a tag counts ("ports", though "port" can be a plural too); where a verb has no participle of
    its own its past tense is one.
    """
    found = []
    for kind, own_lemmas in lemmas(word).items():
        for lemma in own_lemmas:
            usual = usual_forms(lemma, kind)
            tags = tuple(tag for tag, form in usual if form == word)
            if tags:
                found.append((kind, lemma, tags))
    return tuple(found)


@lru_cache(maxsize=200_000)
def usual_forms(lemma: str, kind: str) -> tuple[tuple[str, str], ...]:
    """Return (Penn tag, form) of all inflections, VBN always among those of a verb."""
    import lemminflect

    forms = {tag: values[0] for tag, values in lemminflect.getAllInflections(lemma, upos=kind).items() if values}
    if "VBD" in forms:
        forms.setdefault("VBN", forms["VBD"])
    return tuple(forms.items())


class Forms:
    """The inflected forms that are in a vocabulary."""

    def __init__(self, words: Sequence[str], frequencies: Floats) -> None:
        """`frequencies`: of each word; the most frequent of several forms of one tag wins."""
        self._forms: dict[tuple[str, str, str], str] = {}
        for number in np.argsort(-frequencies, kind="stable").tolist():
            for kind, lemma, tags in analyses(words[number]):
                for tag in tags:
                    self._forms.setdefault((lemma, kind, tag), words[number])

    def of(self, lemma: str, kind: str, tags: Iterable[str]) -> list[str]:
        """Return the forms of a lemma under the tags, each once."""
        found = (self._forms.get((lemma, kind, tag)) for tag in tags)
        return list(dict.fromkeys(form for form in found if form))


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidates for one word: `words` and `features`, shape (words, len(FEATURES))."""

    words: tuple[str, ...]
    features: Floats


@dataclass
class Source:
    """Makes `Candidates`.

    `words`, `frequencies`: of the vocabulary. `mined`: spun word -> originals with counts, aligned automatically;
    `trusted`: the same from lists made by people. `embed`: words -> unit vectors, or None.
    """

    words: Sequence[str]
    frequencies: Floats
    wordnet: WordNet | None
    mined: Mapping[str, Mapping[str, int]]
    trusted: Mapping[str, Mapping[str, int]]
    embed: Callable[[Sequence[str]], Floats] | None = None
    number: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.number = {word: i for i, word in enumerate(self.words)}
        self._log = np.log(np.maximum(self.frequencies, 1e-9))  # 1e-9: under one in the corpus
        self._forms = Forms(self.words, self.frequencies)
        closed = function_words()
        self._open = np.array([w.isalpha() and len(w) > 2 and w not in closed for w in self.words])
        self._vectors = self.embed(self.words) if self.embed else None

    def of(self, words: Sequence[str]) -> list[Candidates]:
        """Return the candidates of each word; about 3 ms a word of the vocabulary, the others much less.

        Words outside the vocabulary get no neighbours: their vectors are sums of meaningless pieces.
        """
        out = []
        for first in range(0, len(words), 512):  # 512: bounds the memory of the cosines
            block = words[first : first + 512]
            if self.embed is None or self._vectors is None:
                out += [self._of(word, None) for word in block]
                continue
            own = self.embed(block)
            # The rows of words outside the vocabulary are needed for their few candidates only.
            inside = np.array([word in self.number for word in block])
            cosines = np.zeros((len(block), len(self.words)), np.float32)
            cosines[inside] = own[inside] @ self._vectors.T
            for word, row, vector, known in zip(block, cosines, own, inside.tolist(), strict=True):
                out.append(self._of(word, row, None if known else vector))
        return out

    def _of(self, word: str, cosines: Floats | None, vector: Floats | None = None) -> Candidates:
        own = analyses(word)
        roots = {lemma for _, lemma, _ in own} | {word}
        synonyms, near = self._by_wordnet(own)
        pool: set[str] = set(synonyms) | set(near)
        if cosines is not None and own and word in self.number:
            pool.update(self._by_embedding(own, cosines))
        mined, trusted = self.mined.get(word, {}), self.trusted.get(word, {})
        pool.update(o for table in (mined, trusted) for o in table if o in self.number)
        kept = sorted(c for c in pool if self._open[self.number[c]] and roots.isdisjoint({c, *_lemmas_of(c)}))
        if vector is not None and cosines is not None and self._vectors is not None and kept:
            places = [self.number[c] for c in kept]
            cosines[places] = self._vectors[places] @ vector
        total = sum(mined.values())
        rows = [
            (
                math.log1p(mined.get(c, 0)),
                mined.get(c, 0) / (total + 1.0),  # 1: one sighting is no certainty
                math.log1p(trusted.get(c, 0)),
                math.log1p(synonyms.get(c, 0)),
                math.log1p(near.get(c, 0)),
                0.0 if cosines is None else float(cosines[self.number[c]]),
                float(self._log[self.number[c]]),
                _common_prefix(word, c),
            )
            for c in kept
        ]
        return Candidates(tuple(kept), np.array(rows, np.float32).reshape(len(rows), len(FEATURES)))

    def _by_wordnet(self, own: Sequence[tuple[str, str, tuple[str, ...]]]) -> tuple[dict[str, int], dict[str, int]]:
        """Return (members of the word's synsets, members of theirs) in the word's inflection, with counts."""
        synonyms: dict[str, int] = {}
        near: dict[str, int] = {}
        for kind, lemma, tags in own if self.wordnet else ():
            assert self.wordnet is not None
            for sense in self.wordnet.senses.get((lemma, kind), ()):
                for member in {m.lower() for m in sense} - {lemma}:
                    for form in self._forms.of(member, kind, tags):
                        synonyms[form] = synonyms.get(form, 0) + 1
                    for other in self.wordnet.senses.get((member, kind), ()):
                        if other is sense:
                            continue
                        for second in {m.lower() for m in other} - {lemma, member}:
                            for form in self._forms.of(second, kind, tags):
                                near[form] = near.get(form, 0) + 1
        return synonyms, near

    def _by_embedding(self, own: Sequence[tuple[str, str, tuple[str, ...]]], cosines: Floats) -> list[str]:
        """Return the nearest words in the word's inflection, those of its word classes only."""
        most = min(_SAME_CLASS_ONLY, len(cosines) - 1)
        nearest = np.argpartition(-cosines, most)[:most]
        found: dict[str, None] = {}
        for number in nearest[np.argsort(-cosines[nearest], kind="stable")].tolist():
            for other_kind, other, _ in analyses(self.words[number]):
                for kind, lemma, tags in own:
                    if kind == other_kind and other != lemma:
                        found.update(dict.fromkeys(self._forms.of(other, kind, tags)))
            if len(found) >= _NEIGHBOURS:
                break
        return list(found)


def _lemmas_of(word: str) -> set[str]:
    return {lemma for kind in OPEN_CLASSES for lemma in lemmas(word).get(kind, ())}


def _common_prefix(first: str, second: str) -> float:
    same = next(
        (k for k, (p, q) in enumerate(zip(first, second, strict=False)) if p != q), min(len(first), len(second))
    )
    return same / max(len(first), len(second))


def rare_words(wordnet: WordNet, known: Iterable[str], vocabulary: Collection[str]) -> list[str]:
    """Return the words outside a vocabulary that a dictionary spinner may write: WordNet's, in all inflections.

    Those of a synset that holds a word of the vocabulary; and of `known`. Sorted.
    """
    inside = set(vocabulary)
    found = {w for w in known if w.isalpha() and w.isascii() and w not in inside}
    for (lemma, kind), senses in wordnet.senses.items():
        if not (lemma.isalpha() and lemma.isascii() and len(lemma) > 3):
            continue
        if any(member in inside for sense in senses for member in sense if member != lemma):
            forms = {form for _, form in usual_forms(lemma, kind)}
            found |= {f for f in forms if f.isalpha() and f.islower() and f not in inside}
    return sorted(found)
