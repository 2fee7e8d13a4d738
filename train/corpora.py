"""The texts to train and measure on, as one list of `Document` with groups that never stand on two sides of a split.

The tables are read through the Hugging Face `datasets` library, local Parquet files and public hub sets alike. What a table
means (label, tool family, source, group) is data: `TABLES` and `HUB_SETS`; adding a corpus is adding a row.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from detector.errors import InputError
from detector.results import KINDS

ROOT = Path(__file__).resolve().parent.parent
NO_TOOL = ""
_WORD = re.compile(r"[^\W_]+")

LABEL_OF_FOLDER: Mapping[str, str] = {
    "human": "original",
    "spun": "spun",
    "machine_translated": "machine_translated",
    "llm": "llm_rewritten",
}


@dataclass(frozen=True, slots=True)
class Document:
    """One text with everything a split or a report needs.

    `id`: as in the table (llm/rewrite_gpt35_prompts repeats a few). `label`: one of `detector.results.KINDS`.
    `tool_family`: what leave-one-tool-out leaves out. `group`: rows of one group (same original, title, page, question or
    parent text) never stand on two sides of a split. `original`: the text before rewriting, where the table has it.
    `licence_nc`: for evaluation only; never train, tune or set a threshold on it.
    """

    id: str
    text: str
    label: str
    table: str
    tool: str
    tool_family: str
    source: str
    group: str
    domain: str
    original: str | None
    licence_nc: bool

    def __post_init__(self) -> None:
        if self.label not in KINDS:
            raise ValueError(f"Document {self.id!r}: label {self.label!r} is not one of {KINDS}")
        if not self.group:
            raise ValueError(f"Document {self.id!r}: empty group")


Row = Mapping[str, Any]


def text_key(text: str) -> str:
    """Return 16 hex digits of the text's words in lower case: equal for texts that differ in case or punctuation only."""
    return hashlib.sha256(" ".join(_WORD.findall(text.lower())).encode()).hexdigest()[:16]


def _by_text(row: Row) -> str:
    return f"text:{text_key(str(row.get('original') or row['text']))}"


def _by_column(prefix: str, column: str) -> Callable[[Row], str]:
    return lambda row: f"{prefix}:{text_key(str(row[column]))}" if row.get(column) else _by_text(row)


def _last(row: Row) -> str:
    return str(row["id"]).rsplit("/", 1)[-1]


def _by_wmt_document(row: Row) -> str:
    """WMT 2022: human and machine translations of one source document share a group."""
    document, tool = _last(row), str(row.get("tool") or "")
    if tool and document.endswith(f"-{tool}"):
        document = document[: -len(tool) - 1]
    else:
        document = re.sub(r"-[A-D]$", "", document)
    return f"wmt:{document}"


def _by_wmt_source(row: Row) -> str:
    found = re.search(r" doc (\S+) ", str(row.get("source") or ""))
    return f"wmt:{found.group(1)}" if found else _by_text(row)


def _by_story(row: Row) -> str:
    """`spun/paired_openings/p2_council-1` and `-0` are two versions of one story."""
    return f"story:{re.sub(r'-[0-9]+$', '', _last(row))}"


@dataclass(frozen=True, slots=True)
class TableRule:
    """How the rows of one table become documents; `source` is the fallback where the table has no such column."""

    group: Callable[[Row], str] = _by_text
    tool_family: str = NO_TOOL
    source: str = ""
    licence_nc: bool = False


TABLES: Mapping[str, TableRule] = {
    "human/dailymail_2020": TableRule(_by_column("title", "title"), source="Daily Mail"),
    "human/us_news_2006_2021": TableRule(_by_column("title", "title")),
    "human/rss_2016": TableRule(_by_column("title", "title")),
    "human/reuters_1987": TableRule(_by_column("title", "title")),
    "human/bbc_2004": TableRule(),
    "human/books_and_brown": TableRule(_by_column("book", "source")),
    "human/many_domains": TableRule(source="many_domains"),
    "human/translated_news": TableRule(_by_wmt_document, source="WMT22"),
    "human/learner_essays": TableRule(source="ELLIPSE", licence_nc=True),
    "human/students_gulf": TableRule(_by_column("question", "domain"), source="students_gulf"),
    "human/wild": TableRule(_by_column("page", "source")),
    "human/wild_nonnative": TableRule(_by_column("page", "source")),
    "spun/spinbot_news": TableRule(_by_column("title", "original_title"), "spinbot", "Daily Mail 2022"),
    "spun/spinbot_science": TableRule(_by_text, "spinbot", "arXiv/PubMed"),
    "spun/quillbot_pairs": TableRule(_by_text, "quillbot", "quillbot_pairs"),
    "spun/wild": TableRule(_by_column("page", "source"), "wild"),
    "spun/finance_glossary": TableRule(_by_column("glossary", "title"), "wild", "glossary site"),
    "spun/glossary_more": TableRule(_by_column("glossary", "title"), "wild", "glossary site"),
    "spun/paired_openings": TableRule(_by_story, "paired", "news openings"),
    "spun/paired_paragraphs": TableRule(_by_text, "paired"),
    "llm/wild": TableRule(_by_column("page", "source")),
    "machine_translated/news": TableRule(_by_wmt_document, source="WMT22"),
    "machine_translated/wild": TableRule(_by_wmt_source),
}


def default_data_dir() -> Path:
    """Return the folder of tables: `DETECT_SPIN_DATA` if set, else `../shared/data` beside the repository."""
    named = os.environ.get("DETECT_SPIN_DATA")
    return Path(named) if named else ROOT.parent / "shared" / "data"


def list_tables(data: Path) -> list[str]:
    """Return the names of all tables in the folder, such as "human/bbc_2004", sorted."""
    return sorted(p.relative_to(data).with_suffix("").as_posix() for p in data.glob("*/*.parquet"))


@contextlib.contextmanager
def _quiet_datasets() -> Iterator[Any]:
    """Import `datasets` late (seconds) and keep its progress bars out of our output."""
    import datasets

    shown = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield datasets
    finally:
        if not shown:
            datasets.enable_progress_bars()


def _rows(files: Mapping[str, str], builder: str, cache_dir: Path | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (split name, row) of local files; the Arrow copies live in `cache_dir` or in a temporary folder."""
    with _quiet_datasets() as datasets, contextlib.ExitStack() as stack:
        cache = str(cache_dir) if cache_dir else stack.enter_context(tempfile.TemporaryDirectory(prefix="detect-spin-"))
        for name, path in files.items():
            table = datasets.load_dataset(builder, data_files=path, split="train", cache_dir=cache, keep_in_memory=True)
            for row in table.to_list():
                yield name, row


def _document(table: str, row: Row, rule: TableRule) -> Document:
    original = row.get("original")
    label = LABEL_OF_FOLDER[table.split("/", 1)[0]]
    return Document(
        id=str(row["id"]),
        text=str(row["text"]),
        label=label,
        table=table,
        tool="" if label == "original" else str(row.get("tool") or ""),
        tool_family=rule.tool_family,
        source=str(row.get("source") or rule.source or table),
        group=rule.group(row),
        domain=str(row.get("domain") or ""),
        original=str(original) if original else None,
        licence_nc=rule.licence_nc,
    )


def load_documents(
    data: Path | None = None, tables: Sequence[str] | None = None, *, cache_dir: Path | None = None
) -> list[Document]:
    """Return the documents of the named tables (default: all), in table order.

    Cost: about 10 s and 0.5 GB for all tables. Groups that need two tables (see `link_groups`) are linked among the
    tables asked for only; load everything before splitting.

    Raises:
        InputError: the folder has no tables, or a name is not among them (the message lists those that exist).
    """
    data = default_data_dir() if data is None else data
    existing = list_tables(data)
    if not existing:
        raise InputError(f"no tables (*/*.parquet) in {data}; name the folder with --data or DETECT_SPIN_DATA")
    wanted = existing if tables is None else list(dict.fromkeys(tables))
    unknown = [name for name in wanted if name not in existing]
    if unknown:
        raise InputError(f"unknown table {', '.join(unknown)} in {data}; existing: {', '.join(existing)}")
    for name in wanted:
        if name.split("/", 1)[0] not in LABEL_OF_FOLDER:
            raise InputError(f"table {name}: folder is none of {', '.join(LABEL_OF_FOLDER)}, so its label is unknown")
    files = {name: str(data / f"{name}.parquet") for name in wanted}
    plain = TableRule()
    documents = [_document(name, row, TABLES.get(name, plain)) for name, row in _rows(files, "parquet", cache_dir)]
    return link_groups(documents)


def _shingles(text: str, size: int) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return set(zip(*(words[i:] for i in range(size)), strict=False))


def link_groups(documents: Iterable[Document]) -> list[Document]:
    """Return the documents with groups joined where two tables hold the same thing under different keys."""
    documents = list(documents)
    news = [d for d in documents if d.table == "spun/spinbot_news"]
    openings = [d for d in documents if d.table == "spun/paired_openings"]
    moved: dict[str, str] = {}
    for opening in openings:
        own = _shingles(opening.text, 4)
        for other in news:
            # 0.2 of the 4-word shingles in common: the same story spun by the same tool; other stories share < 0.02.
            if len(own & _shingles(other.text, 4)) >= 0.2 * max(1, len(own)):
                moved[opening.group] = other.group
    return [replace(d, group=moved[d.group]) if d.group in moved else d for d in documents]
