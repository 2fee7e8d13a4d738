"""WordNet synsets and simple word classes: what a dictionary spinner looks up.

Open English WordNet (CC BY 4.0) is read from the data folder; lemminflect gives lemmas and inflections. Word classes
come from the dictionary and a few context rules, no tagger: spinners do not tag well either.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from train.spinners.base import Word
from train.spinners.function_words import function_words

OPEN_CLASSES = ("NOUN", "VERB", "ADJ", "ADV")
_WORDNET_CLASS = {"n": "NOUN", "v": "VERB", "a": "ADJ", "s": "ADJ", "r": "ADV"}


@dataclass(frozen=True, slots=True)
class WordNet:
    """Synsets by (lemma, word class); lemmas in lower case, spaces in multi-word members."""

    senses: Mapping[tuple[str, str], Sequence[tuple[str, ...]]]

    def classes(self, lemma: str) -> list[str]:
        """Return the open word classes the lemma has senses in, most senses first."""
        found = [(len(self.senses[key]), -i) for i, c in enumerate(OPEN_CLASSES) if (key := (lemma, c)) in self.senses]
        return [OPEN_CLASSES[-i] for _, i in sorted(found, reverse=True)]


@cache
def read_wordnet(path: Path) -> WordNet:
    """Return the synsets of a `.jsonl` or `.jsonl.gz` file with pos and members; about 1 s and 100 MB for all of them.

    Raises:
        FileNotFoundError: no such file.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    senses: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            members = tuple(m.replace("_", " ") for m in row["members"])
            if len(members) < 2:
                continue
            for member in members:
                senses.setdefault((member.lower(), _WORDNET_CLASS[row["pos"]]), []).append(members)
    return WordNet({key: tuple(value) for key, value in senses.items()})


@lru_cache(maxsize=100_000)
def lemmas(word: str) -> Mapping[str, tuple[str, ...]]:
    """Return {word class: lemmas} of a lower-cased word form, open classes only."""
    import lemminflect

    found = lemminflect.getAllLemmas(word)
    return {c: tuple(found[c]) for c in OPEN_CLASSES if c in found}


@lru_cache(maxsize=100_000)
def form_tags(lemma: str, word_class: str, form: str) -> tuple[str, ...]:
    """Return the Penn tags under which the lemma has this form, such as ("VBD", "VBN")."""
    import lemminflect

    forms = lemminflect.getAllInflections(lemma, upos=word_class)
    return tuple(tag for tag, values in forms.items() if form in values)


@lru_cache(maxsize=100_000)
def inflect(lemma: str, tag: str) -> str:
    """Return the lemma in the form of a Penn tag; in a phrase the first word (verbs) or the last is inflected."""
    import lemminflect

    words = lemma.split(" ")
    if tag in ("NN", "VB", "VBP", "JJ", "RB", "NNP"):
        return lemma
    place = 0 if tag.startswith("V") else len(words) - 1
    forms = lemminflect.getInflection(words[place], tag=tag)
    if forms:
        words[place] = forms[0]
    return " ".join(words)


@dataclass(frozen=True, slots=True)
class Tagged:
    """A word with its class (NOUN VERB ADJ ADV NUM PROPN, or a closed class), lemma and Penn tag ("" if unknown)."""

    word: Word
    word_class: str
    lemma: str
    tag: str


_BE = ("be", "am", "is", "are", "was", "were", "been", "being")
_BE_HAVE = frozenset((*_BE, "have", "has", "had", "having", "get", "got"))
_MODAL = frozenset(word for word, kind in function_words().items() if kind == "AUX") - _BE_HAVE | {"to"}
_SUFFIX_ADJ = ("ous", "ful", "less", "able", "ible", "ical", "ive", "ary", "ic", "al")


def tag_words(text: str, words: Sequence[Word], starts: frozenset[int]) -> list[Tagged]:
    """Return the words with a guessed class; `starts`: offsets where sentences begin (capitals mean nothing there)."""
    closed = function_words()
    out: list[Tagged] = []
    for k, word in enumerate(words):
        lower = word.lower.replace("’", "'")
        before = out[-1] if out and not text[out[-1].word.end : word.start].strip(" ") else None
        if lower in closed:
            out.append(Tagged(word, closed[lower], lower, ""))
            continue
        if any(c.isdigit() for c in lower):
            out.append(Tagged(word, "NUM", lower, ""))
            continue
        base = lower.removesuffix("'s")
        surface = text[word.start : word.end]
        capital = surface[:1].isupper()
        after = words[k + 1].lower if k + 1 < len(words) else ""
        known = lemmas(base)
        if (
            (capital and word.start not in starts)
            or (capital and not known)
            or (surface.isupper() and len(surface) > 1)
        ):
            out.append(Tagged(word, "PROPN", base, ""))
            continue
        choice = _choose(base, known, before, after in closed or not after)
        lemma = known[choice][0] if choice in known else base
        tags = form_tags(lemma, choice, base)
        out.append(Tagged(word, choice, lemma, _tag_in_context(tags, before)))
    return out


def _choose(base: str, known: Mapping[str, tuple[str, ...]], before: Tagged | None, closed_after: bool) -> str:
    classes = [c for c in OPEN_CLASSES if c in known]
    if not classes:
        return "ADV" if base.endswith("ly") else "ADJ" if base.endswith(_SUFFIX_ADJ) else "NOUN"
    if base.endswith("ly") and "ADV" in classes:
        return "ADV"
    if len(classes) == 1:
        return classes[0]
    previous = before.word_class if before else ""
    if before and "VERB" in classes and (before.lemma in _MODAL or previous == "PRON"):
        return "VERB"
    if before and "VERB" in classes and before.lemma in _BE_HAVE and base.endswith(("ing", "ed", "en", "wn")):
        return "VERB"
    if previous in ("DET", "ADP", "ADJ", "NUM") or (before and before.word.lower.endswith("'s")):
        # "the old man": an adjective before another open-class word, else a noun.
        if "ADJ" in classes and (not closed_after or base.endswith(_SUFFIX_ADJ)) and previous != "ADJ":
            return "ADJ"
        if "NOUN" in classes:
            return "NOUN"
    if previous == "ADV" or (before and before.lemma in _BE_HAVE):
        for c in ("ADJ", "VERB"):
            if c in classes:
                return c
    if "VERB" in classes and previous in ("NOUN", "PROPN") and (closed_after or base.endswith("ed")):
        return "VERB"
    if base.endswith(_SUFFIX_ADJ) and "ADJ" in classes:
        return "ADJ"
    if base.endswith(("ed", "ing")) and "VERB" in classes:
        return "VERB"
    return "NOUN" if "NOUN" in classes else classes[0]


def _tag_in_context(tags: tuple[str, ...], before: Tagged | None) -> str:
    if len(tags) < 2:
        return tags[0] if tags else ""
    if "VBN" in tags and before and before.lemma in _BE_HAVE:
        return "VBN"
    if "VBD" in tags:
        return "VBD"
    if "VB" in tags and before and before.lemma in _MODAL:
        return "VB"
    return tags[0]
