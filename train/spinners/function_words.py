"""Closed-class words of English: what a spinner changes only inside phrases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

_DATA = Path(__file__).parent / "data"


def read_rows(name: str) -> Iterator[list[str]]:
    """Yield the tab-separated cells of a table in `train/spinners/data`; `#` starts a comment line."""
    for line in (_DATA / name).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.split("\t")


@cache
def function_words() -> Mapping[str, str]:
    """Return closed-class words in lower case and their class: DET PRON ADP CONJ AUX PART."""
    return {row[0]: row[1] for row in read_rows("function_words.tsv")}
