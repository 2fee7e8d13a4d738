"""Which stretches of a text are in another language: quotations, a translation below the article, a foreign menu.

Told by sentences, because a page glued together from two has them in one paragraph. A run of sentences without English
function words is shown to the language identifier, and is left out only where that is sure. What is as close to English
as Scots or a creole has English function words throughout; only a text of nothing else is told, by its own words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from detector.results import Ignored
from detector.scorable import FUNCTION_WORDS, identify_language
from detector.words import BOUNDARY, Tokens, word_hashes

LANGUAGE = "language"

# How the constants were found: own texts in 29 languages cut to 30 words and put into English articles, and the human
# tables of `../shared/data`, of which as little as possible may be left out (eval/reports/robustness/language.md).
MAX_SENTENCE_SHARE = 0.08  # of function words, in a sentence that may be foreign; Dutch and Frisian reach 0.06
MIN_RUN_WORDS = 12  # the identifier errs on less
MIN_RUN_LETTERS = 20  # of scripts other than Latin, where a word says little about the length
MIN_CONFIDENCE = 0.7  # of the identifier, that it is some language other than English
MIN_REST_WORDS = 40  # that must be left; else the text is not English, which the gate has to say
MAX_ASKED = 2000  # runs shown to the identifier: an article has under ten, and its time must stay bounded

_NOT_LATIN = re.compile("[\u0370-\u1dff\u2c00-\ud7ff\uf900-\ufaff\U00010000-\U0001efff]")

# Words of Scots, Nigerian Pidgin and Jamaican Patois that no English text uses often.
_CLOSE_WORDS = """
wis wes wir wur haes hae hiv tae frae fae intae doon oot aboot roond noo hoose hame auld cauld guid braw wee bairns
lass laddie ken kens gang gangs gaun dae daein disna dinna didna canna cannae isna isnae wasna wilna willna wouldna
couldna nae naebody naething onybody onything awbody ony mony yin ane twa baith wha whit whaur whan hou wi aw
bide bides thon yon yett brae heid deid ee een syne gey muckle mair sae muir kirk
dey dem dis dat di wey dia im una wetin sabi abeg pikin oga comot chop don dem
inna pon fi yuh unu weh wah nuh neva seh smaddy pickney likkle gyal bwoy gwaan cyaan mek tek tief nyam yaad pan inna
"""
CLOSE_WORDS: frozenset[str] = frozenset(_CLOSE_WORDS.split()) - frozenset(["ken", "don", "chop", "pan", "lass", "ee"])

_TABLE_BITS = 18  # a look-up table of a quarter of a megabyte: one word in a thousand is taken for one of the list


@lru_cache(maxsize=2)
def _table(words: frozenset[str]) -> NDArray[np.bool_]:
    table = np.zeros(1 << _TABLE_BITS, np.bool_)
    table[_columns(word_hashes(sorted(words)))] = True
    return table


def _columns(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    return np.asarray((hashes >> np.uint64(64 - _TABLE_BITS)).astype(np.int64))


def _among(hashes: NDArray[np.uint64], words: frozenset[str]) -> NDArray[np.bool_]:
    """Return which words are in the list: a sixth of the time of a search, and wrong on one other word in 1,000."""
    return _table(words).take(_columns(hashes))


def close_share(tokens: Tokens) -> float:
    """Return the share of the words that are Scots or of a creole and not English, in [0, 1]."""
    words = int(np.count_nonzero(tokens.special != BOUNDARY))
    hits = tokens.hashes[_among(tokens.hashes, CLOSE_WORDS)]
    return (
        float(np.count_nonzero(np.isin(hits, word_hashes(sorted(CLOSE_WORDS))))) / max(words, 1) if len(hits) else 0.0
    )


def find_foreign(text: str, tokens: Tokens) -> list[Ignored]:
    """Return the ranges of `text` in another language, in order, apart; `tokens` are those of `text`.

    Nothing where fewer than `MIN_REST_WORDS` words would be left. Linear in the length.
    """
    if not len(tokens.hashes):
        return []
    ends = np.flatnonzero(tokens.sentence_end)
    if not len(ends) or ends[-1] + 1 < len(tokens.hashes):
        ends = np.append(ends, len(tokens.hashes) - 1)
    words = _sums(tokens.special < 0, ends)
    maybe = _sums(_among(tokens.hashes, FUNCTION_WORDS), ends) <= MAX_SENTENCE_SHARE * words
    if words[maybe].sum() < MIN_RUN_WORDS and text.isascii():
        return []
    total = int(words.sum())
    begins = np.append(0, ends[:-1] + 1)
    edges = np.flatnonzero(np.diff(maybe.view(np.int8), prepend=0, append=0))
    found: list[Ignored] = []
    left_out = asked = 0
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if words[first:last].sum() < MIN_RUN_WORDS and text.isascii():
            continue
        starts = tokens.starts[begins[first:last]].tolist()
        stops = tokens.ends[ends[first:last]].tolist()
        for a, b in _paragraphs(text, starts, stops):
            size = int(words[first + a : first + b].sum())
            passage = text[starts[a] : stops[b - 1]]
            if asked >= MAX_ASKED or (size < MIN_RUN_WORDS and len(_NOT_LATIN.findall(passage)) < MIN_RUN_LETTERS):
                continue
            asked += 1
            if not _is_foreign(passage):
                continue
            # A headline, say, has no function words either; it is parted from the passage by its own language.
            while b - a > 1 and identify_language(text[starts[a] : stops[a]])[0] == "en":
                a += 1
            while b - a > 1 and identify_language(text[starts[b - 1] : stops[b - 1]])[0] == "en":
                b -= 1
            start = starts[a] + len(text[starts[a] : stops[a]]) - len(text[starts[a] : stops[a]].lstrip())
            found.append(Ignored(start, stops[b - 1], LANGUAGE))
            left_out += size
    return found if total - left_out >= MIN_REST_WORDS else []


def _is_foreign(passage: str) -> bool:
    language, confidence = identify_language(passage)
    return language not in (None, "en") and confidence >= MIN_CONFIDENCE


def _paragraphs(text: str, starts: list[int], stops: list[int]) -> Iterator[tuple[int, int]]:
    """Yield half-open ranges of the sentences that no blank line parts."""
    begin = 0
    for number in range(1, len(starts)):
        # The second line end of a blank line is a token of its own, the first of the sentence after it.
        if text[starts[number]] == "\n" or text.count("\n", stops[number - 1], starts[number]) > 1:
            yield begin, number
            begin = number
    yield begin, len(starts)


def _sums(flags: NDArray[np.bool_], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many of `flags` are set in each stretch, the stretches ending at `ends` (inclusive)."""
    counted = np.cumsum(flags, dtype=np.int64)[ends]
    counted[1:] -= counted[:-1].copy()
    return np.asarray(counted)


def merge_ignored(*ranges: Iterable[Ignored]) -> list[Ignored]:
    """Return all ranges in order; of two that overlap the later one is cut to what the other leaves."""
    merged: list[Ignored] = []
    for one in sorted((i for some in ranges for i in some), key=lambda i: (i.start, i.end)):
        start = max(one.start, merged[-1].end if merged else 0)
        if start < one.end:
            merged.append(Ignored(start, one.end, one.why))
    return merged
