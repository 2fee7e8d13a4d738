"""Whether a text is running prose, told by its lines: no verse, lyrics, subtitles, code, tables or lists.

Prose comes in lines as long as paragraphs, or in lines cut at a width; whatever else is set in short lines was meant to
be. Every rule asks for the share of the text's words that stand in such lines, so that a menu above an article or a
verse within it changes nothing. Texts in long lines are let through after counting their line ends.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from itertools import pairwise

# How the constants were found: on own samples (eval/inputs/samples/not_prose.toml) and on the human and spun tables of
# `../shared/data`, of which hardly any text may be refused (eval/reports/robustness/language.md).
MAX_MEAN_LINE = 90  # characters; verse, subtitles and lists have 20 to 60, tables and code up to 80
MIN_LINES = 4
SHORT_LINE = 12  # words; the longest line of the own verse and lyrics has 12, hard-wrapped prose at 72 columns 13
MIN_SHORT_WORDS = 0.85  # share of the words that stand in short lines
MAX_SENTENCES = 0.6  # share of lines that end a sentence; above it, it is prose with a sentence a line, or dialogue
WIDEST = 0.9  # quantile of the lines' lengths that is taken for the width: a heading may be longer
MIN_WRAPPED = 0.4  # share of unfinished lines into which the first word of the next one would not have fitted
NARROW = 36  # characters; hardly anything is wrapped at less, and free verse mostly stays below
MIN_WRAPPED_NARROW = 0.7
SURELY_WRAPPED = 0.75  # at which capitals are names; own verse and lyrics of such width have at most 0.57
MAX_CAPITALS = 0.6  # share of unfinished lines before a capital: in verse often all, in prose names and titles
MIN_CUES = 0.2  # share of lines with a time; subtitles have one to three lines of text for each
MAX_CUE_LINE = 15  # words a line: entries of a live blog have times too, and are longer
MIN_ITEM_WORDS = 0.7  # share of the words that stand in list items, table rows or lines of code
MAX_ITEM = 9  # words of a list item without a stop

_CUE = re.compile(
    r"\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d{1,3})?(?:\s|\Z)|[\[<(]\d{1,2}:\d\d|\{\d+\}\{\d+\}|Dialogue: \d|.{0,16}-->"
)
_CELLS = re.compile(r"\t|\||;\s|(?<![.!?])[ ]{2,}(?=\S)|,(?=[^\s\d]|\d(?!\d\d\b))")
_SENTENCE_END = re.compile(r"[.!?\u2026][\"')\]\u201d\u2019*_]{0,3}\Z")
_ITEM = re.compile(r"[-*\u2022\u00b7+]\s|\(?\d{1,3}[.)]\s|[\d\u00bc-\u00be./-]+\s?[A-Za-z]{0,5}\b|[^:.]{1,30}:\s")
_COMMENT = re.compile(r"(?:#|//|/\*|\*/|\"\"\")\s?\S")
_CODE = re.compile(
    r"(?:def|class|import|from|return|if|elif|else|for|while|try|except|with|const|let|var|function|public|private|"
    r"static|void|int|double|struct|func|package|type|template|using|namespace|echo|export|set|done|fi|do|esac|mkdir|"
    r"SELECT|FROM|WHERE|JOIN|GROUP|ORDER|HAVING|INSERT|CREATE|UPDATE|DELETE)\b.*[({\[:;=<>\"'$]|"
    r"(?:SELECT|FROM|WHERE|JOIN|GROUP BY|ORDER BY|HAVING|VALUES)\b|"
    r"[})\]]+[;,)]*\Z|.*[{;]\Z|[\w.\[\]\"']{1,60}\s?(?:[-+*/|&]|:)?=\s?\S|[\w.]{1,60}\(.*\)\Z|</?[A-Za-z!]|#!|#include\b|"
    r"--\s?\S|(?:done|fi|else|end|pass|break|continue|try):?\Z"
)


class Layout(Enum):
    """What the lines of a text make it, other than running prose."""

    ITEMS = "items"
    """Subtitles, code, a table or a list, whatever the language."""
    VERSE = "verse"
    """Verse or lyrics, or a list of titles."""


def find_layout(text: str) -> Layout | None:
    """Return what the lines of `text` make it, None for running prose.

    Linear in the length. Only counts line ends where lines are long, as those of articles are.
    """
    ends = text.count("\n")
    if ends + 1 < MIN_LINES or len(text) > MAX_MEAN_LINE * (ends + 1):
        return None
    lines = [line for line in map(str.strip, text.split("\n")) if line]
    if len(lines) < MIN_LINES or len(text) > MAX_MEAN_LINE * len(lines):
        return None
    words = [line.count(" ") + 1 for line in lines]
    total = sum(words)
    cues = sum(_CUE.match(line) is not None for line in lines)
    if cues >= MIN_LINES and cues >= MIN_CUES * len(lines) and total <= MAX_CUE_LINE * len(lines):
        return Layout.ITEMS
    if _is_items(lines, words, total):
        return Layout.ITEMS
    return Layout.VERSE if _is_verse(lines, words, total) else None


def _is_items(lines: Sequence[str], words: Sequence[int], total: int) -> bool:
    """Whether most words stand in rows of a table, lines of code, or items of a list."""
    code = cells = items = 0
    for line, count in zip(lines, words, strict=True):
        ends = _SENTENCE_END.search(line) is not None
        if _COMMENT.match(line) or (not ends and _CODE.match(line[:300])):
            code += count
        elif len(_CELLS.findall(line[:300])) >= 2:
            cells += count
        elif not ends and count <= MAX_ITEM and _ITEM.match(line):
            items += count
    return max(code, cells, items) >= MIN_ITEM_WORDS * total


def _is_verse(lines: Sequence[str], words: Sequence[int], total: int) -> bool:
    """Whether the text stands in short lines that neither a width nor the end of a sentence explains."""
    short = sum(count for count in words if count <= SHORT_LINE)
    if short < MIN_SHORT_WORDS * total:
        return False
    if sum(_SENTENCE_END.search(line) is not None for line in lines) > MAX_SENTENCES * len(lines):
        return False
    # Prose cut at a width: each line was full, and goes on in the next one with whatever letter comes.
    width = sorted(map(len, lines))[int(WIDEST * len(lines))]
    open_ends = filled = capitals = 0
    for line, following in pairwise(lines):
        if _SENTENCE_END.search(line) is None:
            open_ends += 1
            filled += len(line) + 1 + len(following.partition(" ")[0]) > width
            capitals += following[0].isupper()
    wrapped = MIN_WRAPPED if width > NARROW else MIN_WRAPPED_NARROW
    if filled < wrapped * open_ends:
        return True
    return capitals > MAX_CAPITALS * open_ends and (width <= NARROW or filled < SURELY_WRAPPED * open_ends)
