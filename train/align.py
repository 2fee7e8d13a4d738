"""Find what a spinner replaced, given the original and the spun text; mine substitutions from many such pairs.

Three steps: (1) a weighted longest common subsequence over lower-cased words, content words and matches in context
weighing more, so that a lone "the" does not tie a rewritten clause together; (2) blocks of words that merely moved are
taken out; (3) inside each changed stretch a monotone phrase alignment by dynamic programming (as Gale and Church 1993
do for sentences) cuts it into tight phrase pairs. A substitution table from a first round of mining can be passed
back in, so known pairs are cut out first (hard expectation maximisation).
"""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from train.spinners.base import Replacement
from train.spinners.function_words import function_words

Table = Mapping[str, Mapping[str, int]]  # spun phrase -> original phrases and how often

MAX_PHRASE = 5  # words
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[%$£€&]")
_BREAK = re.compile(r"[.!?;:…]\W*\s|\n")
_SHORT_MOVE = 3  # content words; shorter blocks occur twice by chance


@dataclass(frozen=True, slots=True)
class _Tokens:
    text: str
    lower: tuple[str, ...]
    start: tuple[int, ...]
    end: tuple[int, ...]
    opens: tuple[bool, ...]  # a sentence or paragraph begins here

    def slice(self, i: int, j: int) -> str:
        """The characters from token i to token j - 1, with what stands between them."""
        return self.text[self.start[i] : self.end[j - 1]] if i < j else ""


def _tokenise(text: str) -> _Tokens:
    found = list(_TOKEN.finditer(text))
    return _Tokens(
        text,
        tuple(m.group().lower().replace("’", "'") for m in found),
        tuple(m.start() for m in found),
        tuple(m.end() for m in found),
        tuple(
            bool(_BREAK.search(text[p.end() : m.start()])) if p else True
            for p, m in zip([None, *found], found, strict=False)
        ),
    )


def _common(a: tuple[str, ...], b: tuple[str, ...]) -> list[tuple[int, int]]:
    """Index pairs of the heaviest common subsequence. O(len(a) len(b)) time and memory, row by row in numpy."""
    import numpy as np

    numbers: dict[str, int] = {}
    x = np.array([numbers.setdefault(w, len(numbers)) for w in a])
    y = np.array([numbers.setdefault(w, len(numbers)) for w in b])
    if not x.size or not y.size:
        return []
    equal = x[:, None] == y[None, :]
    closed = function_words()
    # A function word weighs 0.3 of a content word; a match next to a match weighs 0.5 more on each side. Found by
    # hand on the simulators (eval/reports/spinners): 0.1..0.5 and 0.3..1 differ by less than 0.01 in F1.
    weight = np.where([w in closed for w in a], np.float32(0.3), np.float32(1.0))[:, None] * equal
    chained = np.zeros(equal.shape, dtype=np.float32)
    chained[1:, 1:] += equal[:-1, :-1]
    chained[:-1, :-1] += equal[1:, 1:]
    weight = (weight + np.float32(0.5) * chained * equal).astype(np.float32)
    best = np.zeros((x.size + 1, y.size + 1), dtype=np.float32)
    for i in range(x.size):
        row = np.maximum(best[i, 1:], np.where(equal[i], best[i, :-1] + weight[i], np.float32(0)))
        best[i + 1, 1:] = np.maximum.accumulate(row)
    pairs, i, j = [], x.size, y.size
    while i and j:
        if equal[i - 1, j - 1] and best[i, j] == best[i - 1, j - 1] + weight[i - 1, j - 1]:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif best[i, j] == best[i - 1, j]:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]


@dataclass(slots=True)
class _Stretch:
    """Original tokens [a0, a1) became spun tokens [b0, b1); either may be empty."""

    a0: int
    a1: int
    b0: int
    b1: int


def _stretches(a: _Tokens, b: _Tokens) -> list[_Stretch]:
    """Changed stretches between the common words."""
    pairs = _common(a.lower, b.lower)
    closed = function_words()
    runs: list[tuple[int, int, int]] = []  # equal runs: start in a, start in b, length
    for i, j in pairs:
        if runs and runs[-1][0] + runs[-1][2] == i and runs[-1][1] + runs[-1][2] == j:
            runs[-1] = (*runs[-1][:2], runs[-1][2] + 1)
        else:
            runs.append((i, j, 1))
    kept: list[tuple[int, int, int]] = []
    for n, (i, j, size) in enumerate(runs):
        last_a, last_b = (kept[-1][0] + kept[-1][2], kept[-1][1] + kept[-1][2]) if kept else (0, 0)
        next_a, next_b = runs[n + 1][:2] if n + 1 < len(runs) else (len(a.lower), len(b.lower))
        before, after = (i - last_a, j - last_b), (next_a - i - size, next_b - j - size)
        weak = size <= 2 and all(w in closed for w in a.lower[i : i + size])
        # A function word or two between changes may be chance: leave it to the phrase alignment, where keeping a word
        # costs nothing. Not between long changes (12 words), where that gets slow and is a guess either way.
        if weak and min(max(before), max(after)) > 0 and max(*before, *after) <= 12:
            continue
        kept.append((i, j, size))
    out, i, j = [], 0, 0
    for x, y, size in [*kept, (len(a.lower), len(b.lower), 0)]:
        if x > i or y > j:
            out.append(_Stretch(i, x, j, y))
        i, j = x + size, y + size
    return out


def _without_moved(a: _Tokens, b: _Tokens, stretches: list[_Stretch]) -> list[_Stretch]:
    """Take out blocks that stand elsewhere in the other text unchanged (moved clauses), cutting stretches in two."""
    closed = function_words()
    left = [(s, k) for s in stretches for k in range(s.a0, s.a1)]
    words = [a.lower[k] for _, k in left]
    moved_a: set[int] = set()
    moved_b: set[int] = set()
    for s in stretches:
        if s.b1 - s.b0 < _SHORT_MOVE:
            continue
        matcher = difflib.SequenceMatcher(None, words, list(b.lower[s.b0 : s.b1]), autojunk=False)
        for i, j, size in matcher.get_matching_blocks():
            ks = [left[i + t][1] for t in range(size)]
            content = sum(words[i + t] not in closed for t in range(size))
            if content >= _SHORT_MOVE and ks == list(range(ks[0], ks[0] + size)) and moved_a.isdisjoint(ks):
                moved_a.update(ks)
                moved_b.update(range(s.b0 + j, s.b0 + j + size))
    if not moved_b:
        return stretches
    out = []
    for s in stretches:
        pieces_b = _runs(s.b0, s.b1, moved_b)
        pieces_a = _runs(s.a0, s.a1, moved_a)
        if len(pieces_a) == len(pieces_b):
            out += [_Stretch(p[0], p[1], q[0], q[1]) for p, q in zip(pieces_a, pieces_b, strict=True)]
        else:  # pair the longest with the longest; the rest came from nowhere or went nowhere
            longest_a = max(pieces_a, key=lambda p: p[1] - p[0], default=(s.a0, s.a0))
            longest_b = max(pieces_b, key=lambda p: p[1] - p[0], default=(s.b0, s.b0))
            for q in pieces_b or [longest_b]:
                p = longest_a if q == longest_b else (longest_a[0], longest_a[0])
                out.append(_Stretch(p[0], p[1], q[0], q[1]))
    return [s for s in out if s.a1 > s.a0 or s.b1 > s.b0]


def _runs(start: int, end: int, holes: set[int]) -> list[tuple[int, int]]:
    """Maximal ranges of [start, end) without the holes."""
    runs: list[tuple[int, int]] = []
    for k in range(start, end):
        if k in holes:
            continue
        if runs and runs[-1][1] == k:
            runs[-1] = (runs[-1][0], k + 1)
        else:
            runs.append((k, k + 1))
    return runs


@lru_cache(maxsize=200_000)
def _alike(old: str, new: str) -> float:
    """In [0, 1]: 1 = other forms of one word, by common prefix."""
    if old == new:
        return 1.0
    same = next((k for k, (p, q) in enumerate(zip(old, new, strict=False)) if p != q), min(len(old), len(new)))
    return same / max(len(old), len(new)) if same >= 4 else 0.0  # 4 letters: shorter prefixes are chance (con-, pro-)


# Costs of the phrase alignment, in units of one ordinary word-for-word substitution. Set by hand so that the phrases of
# `spinners/data/connectives.tsv` come out whole, then checked on the simulators: eval/reports/spinners/report.md.
_MIXED = 0.9  # a function word against a content word costs so much more
_SAME_CLASS, _ARTICLE = 0.7, 0.4  # preposition for preposition and the like; a determiner for a determiner
_EXTRA_FUNCTION, _EXTRA_CONTENT = 0.25, 0.6  # each further word on the longer side of a phrase
_PAIR_FUNCTION, _PAIR_CONTENT = 0.2, 0.6  # each further word on the shorter side: twice one-for-one must be cheaper
_GAP_FUNCTION, _GAP_CONTENT = 0.75, 1.3  # a word dropped or put in
_KNOWN, _FORM = 0.75, 0.6  # discounts: the pair is in the table; the words are forms of one word
_SHAPES = [(1, 1), (1, 0), (0, 1)]
_SHAPES += [(1, k) for k in range(2, MAX_PHRASE + 1)] + [(k, 1) for k in range(2, MAX_PHRASE + 1)]
_SHAPES += [(p, q) for p in range(2, MAX_PHRASE + 1) for q in range(2, MAX_PHRASE + 1)]


@lru_cache(maxsize=200_000)
def _word_cost(old: str, new: str) -> float:
    if old == new:
        return 0.0
    closed = function_words()
    if old in closed and new in closed:
        if closed[old] != closed[new]:
            return 1.0
        return _ARTICLE if closed[old] == "DET" else _SAME_CLASS
    return 1.0 + (_MIXED if (old in closed) != (new in closed) else 0.0) - _FORM * _alike(old, new)


@cache
def _shape_cost(p: int, q: int, content_old: int, content_new: int) -> float:
    """Cost of p words with so many content words becoming q words; one of p, q is at least 2 or one of them is 0."""
    if not p or not q:
        content = content_old + content_new
        return _GAP_CONTENT * content + _GAP_FUNCTION * (p + q - content)
    size, content = (p, content_old) if p >= q else (q, content_new)
    least, least_content = (q, content_new) if p >= q else (p, content_old)
    # One word of each side makes the pair itself; what is left over is extra, content words first.
    cost = 1.0 + _EXTRA_FUNCTION * min(size - content, size - 1) + _EXTRA_CONTENT * max(0, content - 1)
    cost += _PAIR_FUNCTION * min(least - least_content, least - 1) + _PAIR_CONTENT * max(0, least_content - 1)
    return cost + (_MIXED if (content_old == 0) != (content_new == 0) and size == content else 0.0)


def _cut(a: _Tokens, b: _Tokens, s: _Stretch, table: Table | None) -> list[tuple[int, int]]:
    """Cheapest monotone cut into phrase pairs, none across a sentence end: [(words of old, words of new), ...]."""
    old, new = a.lower[s.a0 : s.a1], b.lower[s.b0 : s.b1]
    closed = function_words()
    content_old = list(accumulate((w not in closed for w in old), initial=0))
    content_new = list(accumulate((w not in closed for w in new), initial=0))
    # How many sentences have begun up to each word: a phrase must not hold a beginning beyond its first word.
    begun_old = list(accumulate(a.opens[s.a0 : s.a1]))
    begun_new = list(accumulate(b.opens[s.b0 : s.b1]))
    n, m = len(old), len(new)
    ends = ((j, q) for j in range(1, m + 1) for q in range(1, min(MAX_PHRASE, j) + 1)) if table else ()
    known = {(j, q): olds for j, q in ends if (olds := (table or {}).get(" ".join(new[j - q : j])))}
    infinite = float("inf")
    cost = [[infinite] * (m + 1) for _ in range(n + 1)]
    step: list[list[tuple[int, int]]] = [[(0, 0)] * (m + 1) for _ in range(n + 1)]
    cost[0][0] = 0.0
    for i in range(n + 1):
        for j in range(m + 1):
            for p, q in _SHAPES:
                if p > i or q > j or cost[i - p][j - q] >= cost[i][j]:
                    continue
                if (p > 1 and begun_old[i - 1] > begun_old[i - p]) or (q > 1 and begun_new[j - 1] > begun_new[j - q]):
                    continue
                if p == q == 1:
                    c = _word_cost(old[i - 1], new[j - 1])
                else:
                    c = _shape_cost(p, q, content_old[i] - content_old[i - p], content_new[j] - content_new[j - q])
                if p and (olds := known.get((j, q))) and " ".join(old[i - p : i]) in olds:
                    c *= 1.0 - _KNOWN
                c += cost[i - p][j - q]
                if c < cost[i][j]:
                    cost[i][j], step[i][j] = c, (p, q)
    out = []
    i, j = n, m
    while i or j:
        p, q = step[i][j]
        out.append((p, q))
        i, j = i - p, j - q
    return out[::-1]


def align(original: str, spun: str, *, table: Table | None = None) -> list[Replacement]:
    """Return the replaced phrases of the spun text in order, not overlapping, each with what stood there.

    Offsets are characters of `spun`; phrases begin and end with a word; case alone is no change. Words dropped with
    nothing in their place give start == end, words put in an empty `original`. Clauses that only moved are not
    replacements. `table`: a substitution table of `mine`, sharpens the phrases. Cost: about 20 ms for 250 words,
    quadratic in length; undoing the list need not give the original back (punctuation and moves are not in it).

    >>> align("It rained after the game.", "It rained in the wake of the match.")
    [Replacement(start=10, end=24, original='after'), Replacement(start=29, end=34, original='game')]
    """
    a, b = _tokenise(original), _tokenise(spun)
    return [r for unit in _units(a, b, table) for r in _as_replacement(a, b, *unit)]


def _units(a: _Tokens, b: _Tokens, table: Table | None) -> list[tuple[int, int, int, int]]:
    """Token ranges (a0, a1, b0, b1) of the replaced phrases; runs of dropped or of inserted words are one unit."""
    out: list[tuple[int, int, int, int]] = []
    for s in _without_moved(a, b, _stretches(a, b)):
        i, j = s.a0, s.b0
        for p, q in _cut(a, b, s, table):
            if a.lower[i : i + p] != b.lower[j : j + q]:
                last = out[-1] if out and (out[-1][1], out[-1][3]) == (i, j) else None
                if last and ((q == 0 and last[2] == last[3]) or (p == 0 and last[0] == last[1])):
                    out[-1] = (last[0], i + p, last[2], j + q)
                else:
                    out.append((i, i + p, j, j + q))
            i, j = i + p, j + q
    return out


def _as_replacement(a: _Tokens, b: _Tokens, a0: int, a1: int, b0: int, b1: int) -> Iterator[Replacement]:
    start = b.start[b0] if b0 < len(b.start) else len(b.text)
    yield Replacement(start, b.end[b1 - 1] if b1 > b0 else start, a.slice(a0, a1))


@dataclass(slots=True)
class Mined:
    """Substitutions seen in aligned pairs: spun phrase -> original phrases with counts, and the tools of each pair."""

    table: dict[str, Counter[str]] = field(default_factory=dict)
    tools: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)

    def rows(self) -> Iterator[tuple[str, str, int, tuple[str, ...]]]:
        """Yield (original, spun, n, tools), most frequent first."""
        flat = [(n, old, new) for new, olds in self.table.items() for old, n in olds.items()]
        for n, old, new in sorted(flat, key=lambda x: (-x[0], x[1], x[2])):
            yield old, new, n, tuple(sorted(self.tools.get((old, new), ())))


def _phrase(text: str) -> str:
    return " ".join(_tokenise(text).lower)


def _plausible(old: str, new: str) -> bool:
    """Keep what a suggestion could use: both sides there, short enough, not only names, numbers or function words."""
    o, n = old.split(), new.split()
    if not o or not n or old == new or len(o) > MAX_PHRASE or len(n) > MAX_PHRASE:
        return False
    if any(w.isdigit() for w in (*o, *n)) and len(o) + len(n) <= 2:
        return False
    closed = function_words()
    # A function word for a function word (an article swapped) says nothing about spinning.
    return not (len(o) == len(n) == 1 and o[0] in closed and n[0] in closed)


def mine(
    pairs: Iterable[tuple[str, str, str]],
    *,
    known: Table | None = None,
    min_count: int = 1,
    rounds: int = 2,
    max_ratio: float = 0.85,
) -> Mined:
    """Return the substitutions in the pairs (original, spun, tool).

    Adjacent phrases count joined as well. `rounds`: alignments made, each after the first with the pairs of the one
    before that were seen twice; all with `known` (phrase tables of spinners, for instance). `min_count`: pairs seen
    less often go; those where both sides have two words or more need one sighting more, since most are chance
    neighbours. `max_ratio`: a pair of texts with more than this share of the spun words replaced is left out:
    rewritten too freely to align (0.85: above every SpinBot text seen).
    """
    tokenised = [(_tokenise(original), _tokenise(spun), tool) for original, spun, tool in pairs]
    mined = Mined()
    for _ in range(max(1, rounds)):
        table: Table = merge_tables(repeated(mined.table), known or {})
        mined = Mined()
        for a, b, tool in tokenised:
            units = _units(a, b, table or None)
            if sum(u[3] - u[2] for u in units) > max_ratio * max(1, len(b.lower)):
                continue
            for a0, a1, b0, b1 in _with_neighbours(units):
                old, new = " ".join(a.lower[a0:a1]), " ".join(b.lower[b0:b1])
                if _plausible(old, new):
                    mined.table.setdefault(new, Counter())[old] += 1
                    mined.tools.setdefault((old, new), Counter())[tool] += 1
    return _filtered(mined, min_count)


def _with_neighbours(units: list[tuple[int, int, int, int]]) -> Iterator[tuple[int, int, int, int]]:
    """Yield the units, and adjacent ones joined up to `MAX_PHRASE` words (phrase extraction, Koehn et al. 2003)."""
    for k, (a0, a1, b0, b1) in enumerate(units):
        yield a0, a1, b0, b1
        for x0, x1, y0, y1 in units[k + 1 :]:
            if (x0, y0) != (a1, b1) or x1 - a0 > MAX_PHRASE or y1 - b0 > MAX_PHRASE:
                break
            a1, b1 = x1, y1
            yield a0, a1, b0, b1


def repeated(table: Table) -> dict[str, dict[str, int]]:
    """Pairs seen at least twice: only those may steer the next round."""
    twice = {new: {o: n for o, n in olds.items() if n >= 2} for new, olds in table.items()}
    return {new: olds for new, olds in twice.items() if olds}


def _filtered(mined: Mined, min_count: int) -> Mined:
    out = Mined()
    for new, olds in mined.table.items():
        kept = {o: n for o, n in olds.items() if n >= min_count + (" " in o and " " in new)}
        if kept:
            out.table[new] = Counter(kept)
            out.tools.update({(o, new): mined.tools[(o, new)] for o in kept})
    return out


def read_tortured_phrases(path: Path) -> dict[str, Counter[str]]:
    """Return tortured phrase -> Counter of expected terms from the Problematic Paper Screener's list (TSV).

    Alternatives in one cell ("a OR b", "a; b", "a / b") become several terms; notes in brackets go.
    """
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        spun, _, expected = line.partition("\t")
        for term in re.split(r"\s+OR\s+|\s*;\s*|\s+/\s+|\s*\|\s*", re.sub(r"\([^)]*\)|\[[^\]]*\]", " ", expected)):
            old, new = _phrase(term), _phrase(spun)
            if old and new and old != new and len(old.split()) <= MAX_PHRASE and len(new.split()) <= MAX_PHRASE:
                table[new][old] += 1
    return dict(table)


def merge_tables(*tables: Mapping[str, Mapping[str, int]]) -> dict[str, Counter[str]]:
    """Return the sum of several spun -> originals tables."""
    out: dict[str, Counter[str]] = {}
    for table in tables:
        for new, olds in table.items():
            out.setdefault(new, Counter()).update(olds)
    return out


def _paragraphs(text: str) -> list[str]:
    return [p.strip() for p in re.split(r"\n+", text) if p.strip()]


def paragraph_pairs(original: str, spun: str, *, least: float = 0.25) -> list[tuple[str, str]]:
    """Return pairs (original paragraph, spun paragraph) in order where one text holds more than the other.

    The heaviest monotone matching by Dice overlap of words; pairs below `least` are dropped (0.25: a paragraph with
    three words in five replaced keeps about 0.4, unrelated ones of one article share under 0.2).
    """
    olds, news = _paragraphs(original), _paragraphs(spun)
    bags = [[Counter(_tokenise(p).lower) for p in side] for side in (olds, news)]

    def dice(i: int, j: int) -> float:
        x, y = bags[0][i], bags[1][j]
        return 2 * sum((x & y).values()) / max(1, sum(x.values()) + sum(y.values()))

    best = [[0.0] * (len(news) + 1) for _ in range(len(olds) + 1)]
    overlap = [[dice(i, j) for j in range(len(news))] for i in range(len(olds))]
    for i in range(len(olds)):
        for j in range(len(news)):
            match = best[i][j] + overlap[i][j] if overlap[i][j] >= least else 0.0
            best[i + 1][j + 1] = max(best[i][j + 1], best[i + 1][j], match)
    pairs, i, j = [], len(olds), len(news)
    while i and j:
        if best[i][j] == best[i - 1][j]:
            i -= 1
        elif best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((olds[i], news[j]))
    return pairs[::-1]


def is_whole(original: str, spun: str) -> bool:
    """Return whether the original is all there; if not, it has fewer paragraphs and under two thirds of the words."""
    if len(_paragraphs(original)) >= len(_paragraphs(spun)):
        return True
    return len(spun.split()) <= 1.5 * len(original.split())  # 1.5: spinning adds 5 %, QuillBot's "expand" a third


def document_pairs(documents: Iterable[Any]) -> Iterator[tuple[str, str, str]]:
    """Yield (original, spun, tool) of the spun documents that have an original.

    Where the original is the beginning only (openings of news), paragraph pairs.
    """
    for d in documents:
        if d.label != "spun" or not d.original:
            continue
        whole = is_whole(d.original, d.text)
        for old, new in [(d.original, d.text)] if whole else paragraph_pairs(d.original, d.text):
            yield old, new, d.tool or d.table
