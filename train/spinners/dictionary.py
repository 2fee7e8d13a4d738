"""The dictionary spinner: WordNet members put in for words, sense and sometimes word class ignored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from train.spinners.base import Edit, EditSpinner, match_case, sentence_ranges, words_of
from train.spinners.lexicon import OPEN_CLASSES, Tagged, WordNet, inflect, lemmas, tag_words


@dataclass(frozen=True, slots=True)
class Rates:
    """Share of words of each open class that is replaced, in [0, 1], before filters."""

    noun: float = 0.4
    verb: float = 0.4
    adj: float = 0.4
    adv: float = 0.4

    def of(self, word_class: str) -> float:
        """Return the rate of a class; 0 for closed classes, numbers and names."""
        return {"NOUN": self.noun, "VERB": self.verb, "ADJ": self.adj, "ADV": self.adv}.get(word_class, 0.0)

    def scaled(self, factor: float) -> Rates:
        """Return all rates times `factor`, at most 1."""
        return Rates(*(min(1.0, factor * r) for r in (self.noun, self.verb, self.adj, self.adv)))


def chance(word: str, rate: float, determinism: float, tool: str) -> float:
    """Return the probability that this tool replaces this word.

    Real tools replace a word nearly always or nearly never. `determinism` 1: a hash of tool and word decides once for
    all; 0: every occurrence is drawn at `rate`. The mean over words is `rate` either way.
    """
    point = int.from_bytes(hashlib.blake2b(f"{tool}:{word}".encode(), digest_size=4).digest(), "big") / 2**32
    return rate + determinism * ((1.0 if point < rate else 0.0) - rate)


@dataclass(frozen=True, slots=True)
class DictionarySpinner(EditSpinner):
    """Replaces open-class words by members of their synsets, inflected like the word.

    `wrong_sense`: share of targets from any sense of the lemma rather than from its largest synset (word order in the
    file tells nothing of frequency, so "any" is mostly wrong). `cross_class`: share from another word class of the same
    spelling. `phrases`: chance to keep a target of several words. `frequencies`: counts of word forms; targets are
    drawn by count ** `common`, so 0 gives the dusty words of dictionaries and 1 the common ones. `favourite`: share of
    draws that give the one target this tool likes best for the word.
    """

    wordnet: WordNet
    rates: Rates = field(default_factory=Rates)
    determinism: float = 0.85
    wrong_sense: float = 0.7
    cross_class: float = 0.1
    phrases: float = 0.5
    frequencies: Mapping[str, int] = field(default_factory=dict)
    common: float = 0.5
    favourite: float = 0.5
    tool: str = "dictionary"

    def edits(self, text: str, rng: Random) -> list[Edit]:
        """Return one edit per replaced word."""
        starts = frozenset(start for start, _ in sentence_ranges(text))
        out = []
        for tagged in tag_words(text, words_of(text), starts):
            rate = self.rates.of(tagged.word_class)
            if not rate or rng.random() >= chance(tagged.lemma, rate, self.determinism, self.tool):
                continue
            word = tagged.word
            new = self._target(tagged, rng)
            if new:
                possessive = text[word.end - 2 : word.end] if word.lower.endswith(("'s", "’s")) else ""
                out.append(Edit(word.start, word.end, match_case(text[word.start : word.end], new) + possessive))
        return out

    def _target(self, tagged: Tagged, rng: Random) -> str:
        word_class, lemma = tagged.word_class, tagged.lemma
        tag = tagged.tag
        if rng.random() < self.cross_class:
            others = [c for c in lemmas(tagged.word.lower) if c != word_class]
            if others:
                word_class = rng.choice(others)
                lemma = lemmas(tagged.word.lower)[word_class][0]
                tag = ""  # the target stays in its base form: "systems that utilization"
        senses = self.wordnet.senses.get((lemma, word_class), ())
        if not senses:
            return ""
        pool = senses if rng.random() < self.wrong_sense else (max(senses, key=len),)
        targets = []
        for member in dict.fromkeys(m for sense in pool for m in sense):
            plain = member.lower() == member and not any(c.isdigit() for c in member)
            if plain and member != lemma and (" " not in member or rng.random() < self.phrases):
                targets.append(inflect(member, tag) if tag else member)
        targets = [t for t in targets if t != tagged.word.lower]
        if not targets:
            return ""
        weights = [float(1 + self._count(t)) ** self.common for t in targets]
        own = Random(f"{self.tool}:{lemma}:{tag}") if rng.random() < self.favourite else rng
        return own.choices(targets, weights)[0]

    def _count(self, target: str) -> int:
        return min((self.frequencies.get(w, 0) for w in target.split(" ")), default=0)


__all__ = ["OPEN_CLASSES", "DictionarySpinner", "Rates", "chance"]
