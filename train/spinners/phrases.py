"""Phrase-table spinners: fixed phrases for fixed phrases, the longest first; with glue phrases by family of tools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random

from train.spinners.base import Edit, EditSpinner, Word, match_case, words_of
from train.spinners.dictionary import chance
from train.spinners.function_words import function_words, read_rows

MAX_WORDS = 6
WILDCARD = "*"


@dataclass(frozen=True, slots=True)
class PhraseTable:
    """Original phrase (lower-cased words, `*` for any one content word) -> targets with weights."""

    targets: Mapping[tuple[str, ...], Sequence[tuple[str, float]]]

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[str, str, float]]) -> PhraseTable:
        """Build from rows (original, spun, weight); weights of equal rows add up."""
        sums: dict[tuple[str, ...], dict[str, float]] = {}
        for old, new, weight in rows:
            key = tuple(old.split(WILDCARD)[0].split()) + ((WILDCARD,) if WILDCARD in old else ())
            key = key if WILDCARD in old else tuple(words_strings(old.lower()))
            if key and len(key) <= MAX_WORDS:
                sums.setdefault(key, {})
                sums[key][new] = sums[key].get(new, 0.0) + weight
        return cls({key: tuple(sorted(news.items())) for key, news in sums.items()})

    @classmethod
    def from_spun(cls, spun: Mapping[str, Mapping[str, int]]) -> PhraseTable:
        """Build from a table spun phrase -> original phrases with counts, as `train.align.mine` makes it."""
        return cls.from_rows((old, new, float(n)) for new, olds in spun.items() for old, n in olds.items())


def words_strings(text: str) -> list[str]:
    """Return the words of a phrase as they stand."""
    return [text[w.start : w.end] for w in words_of(text)]


@dataclass(frozen=True, slots=True)
class PhraseSpinner(EditSpinner):
    """Replaces phrases that stand in the table.

    `rate`: share of replaced matches of phrases with a content word, `function_rate`: of single function words (in
    [0, 1]). Weights below 1 of the table are chances of their own: "should" with one target of weight 0.5 is replaced
    half as often. `determinism`, `tool`: see `chance`.
    """

    table: PhraseTable
    rate: float = 0.9
    function_rate: float = 0.5
    determinism: float = 0.8
    capitals: bool = True  # replace inside capitalised words too ("Prime Minister")
    tool: str = "phrases"

    def edits(self, text: str, rng: Random) -> list[Edit]:
        """Return one edit per replaced phrase, left to right, the longest match at each word."""
        words = words_of(text)
        closed = function_words()
        out, k = [], 0
        while k < len(words):
            match = self._match(text, words, k)
            if match is None:
                k += 1
                continue
            size, key = match
            old = text[words[k].start : words[k + size - 1].end]
            targets = self.table.targets[key]
            lone = size == 1 and key[0] in closed
            weight = min(1.0, sum(w for _, w in targets))
            p = chance(" ".join(key), (self.function_rate if lone else self.rate) * weight, self.determinism, self.tool)
            if (self.capitals or old == old.lower()) and rng.random() < p:
                new = rng.choices([t for t, _ in targets], [w for _, w in targets])[0]
                out.append(Edit(words[k].start, words[k + size - 1].end, match_case_phrase(old, new)))
                k += size
            else:
                k += 1
        return out

    def _match(self, text: str, words: Sequence[Word], k: int) -> tuple[int, tuple[str, ...]] | None:
        longest = 0
        while longest < min(MAX_WORDS, len(words) - k):
            gap = text[words[k + longest - 1].end : words[k + longest].start] if longest else ""
            if gap.strip(" -'\n") or "\n\n" in gap:
                break
            longest += 1
        lower = tuple(w.lower.replace("’", "'") for w in words[k : k + longest])
        for size in range(longest, 0, -1):
            if lower[:size] in self.table.targets:
                return size, lower[:size]
            wild = (*lower[: size - 1], WILDCARD)
            if size > 1 and wild in self.table.targets and lower[size - 1] not in function_words():
                return size, wild
        return None


def match_case_phrase(old: str, new: str) -> str:
    """Return `new` cased like `old`: "Prime Minister" gives "State Leader", "Prime minister" gives "State leader".

    >>> match_case_phrase("Prime Minister", "state leader"), match_case_phrase("If", "on the off chance that")
    ('State Leader', 'On the off chance that')
    """
    words = words_strings(old)
    if len(words) > 1 and all(w[:1].isupper() for w in words) and not old.isupper():
        return " ".join(w[:1].upper() + w[1:] if w.lower() not in function_words() else w for w in new.split(" "))
    return match_case(old, new)


@cache
def read_connectives(families: tuple[str, ...] = ("A1", "A2", "A3")) -> PhraseTable:
    """Return the glue phrases of the families; rows of family A belong to all.

    Raises:
        ValueError: an unknown family (the message lists the known ones).
    """
    rows = [(r[0], r[1], r[2], float(r[3])) for r in read_rows("connectives.tsv")]
    known = sorted({r[0] for r in rows} - {"A"})
    wrong = [f for f in families if f not in known]
    if wrong:
        raise ValueError(f"unknown family {', '.join(wrong)}; known: {', '.join(known)}")
    return PhraseTable.from_rows((old, new, w) for family, old, new, w in rows if family in (*families, "A"))


@dataclass(frozen=True, slots=True)
class DebrisSpinner(EditSpinner):
    """Leaves the grammar debris of real tools: articles dropped or doubled. Rates are per article, in [0, 1]."""

    drop: float = 0.02
    double: float = 0.005
    articles: frozenset[str] = field(default_factory=lambda: frozenset(("a", "an", "the")))

    def edits(self, text: str, rng: Random) -> list[Edit]:
        """Return deletions of "the " and insertions of a second article."""
        out = []
        for word in words_of(text):
            if word.lower not in self.articles or text[word.end : word.end + 1] != " ":
                continue
            draw = rng.random()
            if draw < self.drop and text[word.start].islower():
                out.append(Edit(word.start, word.end + 1, ""))
            elif draw < self.drop + self.double:
                out.append(Edit(word.start, word.start, match_case(text[word.start : word.end], "a") + " "))
        return out
