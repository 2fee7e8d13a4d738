"""Phrases that readers marked in spun passages, with what they think stood there; in two halves by passage.

Half the passages may choose the weights of the suggestions, the other half measures them. The pairs themselves go into
no table of a model: it would know the answers.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.evidence import JOINING_WORDS
from detector.words import tokenise
from train.corpora import stable_share
from train.spinners.function_words import function_words

TABLES = ("spun/wild", "spun/finance_glossary")


@dataclass(frozen=True, slots=True)
class Artefact:
    """A marked phrase in its text: `words` (lower case) with the range [first, last).

    `original`: the words that the reader thinks stood there; `wanted`: those of them that bear meaning and are not in
    the phrase. `start`: character offset of the phrase in the text, `text`: the whole of it.
    """

    table: str
    half: str
    text: str
    start: int
    end: int
    words: list[str]
    first: int
    last: int
    original: frozenset[str]
    wanted: frozenset[str]


def read_artefacts(data: Path, half: str | None = None) -> list[Artefact]:
    """Return the artefacts that occur in their text and miss a word, of one half ("tune", "report") or of both.

    The half goes by the page of a wild passage and the title of a glossary article. Tables that are absent are left
    out.
    """
    from pyarrow.parquet import read_table

    out = []
    for table in TABLES:
        path = data / f"{table}.parquet"
        for row in read_table(path).to_pylist() if path.exists() else ():
            unit = str(row.get("title") or row.get("source") or row["id"])
            own_half = "tune" if stable_share(f"suggestions {unit}") < 0.5 else "report"  # 0.5: halves
            if half in (None, own_half):
                out += [a for mark in json.loads(row["artefacts"] or "[]") if (a := _read(table, own_half, row, mark))]
    return out


def _words(text: str) -> tuple[list[str], list[int], list[int]]:
    tokens = tokenise(text)
    starts, ends = tokens.starts.tolist(), tokens.ends.tolist()
    return [text[a:b].lower().replace("’", "'") for a, b in zip(starts, ends, strict=True)], starts, ends


def content_words(words: Collection[str]) -> frozenset[str]:
    """Return the words that are no function words, numbers or marks."""
    closed = function_words()
    return frozenset(w for w in words if w[:1].isalnum() and w not in closed and w not in JOINING_WORDS)


def _read(table: str, half: str, row: dict[str, Any], mark: dict[str, Any]) -> Artefact | None:
    phrase = [w for w in _words(str(mark.get("phrase") or ""))[0]]
    while phrase and not phrase[-1][0].isalnum():
        phrase.pop()
    words, starts, ends = _words(str(row["text"]))
    size = len(phrase)
    first = next((k for k in range(len(words) - size + 1) if words[k : k + size] == phrase), -1) if size else -1
    original = frozenset(_words(str(mark.get("probable_original") or ""))[0])
    wanted = content_words(original - set(phrase))
    if first < 0 or not wanted:
        return None
    return Artefact(
        table,
        half,
        str(row["text"]),
        starts[first],
        ends[first + size - 1],
        words,
        first,
        first + size,
        original,
        wanted,
    )
