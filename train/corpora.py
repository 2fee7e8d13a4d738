"""The texts to train and measure on, as `Document` objects with groups that never stand on two sides of a split.

The tables are read through the Hugging Face `datasets` library, local Parquet files and public hub sets alike.
What a table means (label, tool family, source, group) is data: `TABLES` and `HUB_SETS`; a new corpus is a new row.

Groups: rows with an `original`, and texts that are such an original, share the hash of its words; news go by title,
books by book, WMT texts by source document, pages by address. students_gulf answers the questions that the originals
of quillbot_pairs answer too, but the latter do not name theirs: the two tables are clustered by TF-IDF (`link_groups`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import zlib
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
    `tool_family`: what leave-one-tool-out leaves out. `group`: rows of one group (same original, title, page,
    question or parent text) never stand on two sides of a split. `original`: the text before rewriting, where the
    table has it. `licence_nc`: for evaluation only; never train, tune or set a threshold on it.
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


def stable_share(key: str) -> float:
    """Return a number in [0, 1) that depends on the key alone."""
    return zlib.crc32(key.encode()) / 2**32


Row = Mapping[str, Any]


def text_key(text: str) -> str:
    """Return 16 hex digits of the words in lower case: equal for texts that differ in case or punctuation only."""
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
    human = re.sub(r"-[A-D]$", "", document)
    return f"wmt:{document.removesuffix(f'-{tool}') if tool else human}"


def _by_wmt_source(row: Row) -> str:
    found = re.search(r" doc (\S+) ", str(row.get("source") or ""))
    return f"wmt:{found.group(1)}" if found else _by_text(row)


def _by_prompted_text(row: Row) -> str:
    """Rows without an original are named `<prompt>-<number of the abstract>-<hash>`; the number is the abstract."""
    found = re.search(r"-([0-9]+)-[0-9a-f]{4}$", _last(row))
    return _by_text(row) if row.get("original") or not found else f"arxiv:{found.group(1)}"


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
    "llm/rewrite_gpt35_prompts": TableRule(_by_prompted_text),
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


MISLABELLED = frozenset(
    {
        "human/many_domains/Finance-105",
        "human/many_domains/Finance-143",
        "human/many_domains/Finance-182",
    }
)
"""Rows of human tables that a spinner wrote: web comments with its phrases ("on the off chance that", "utilized car",
"gems gathering"), found among the highest-scored human texts and read. One such row sets the threshold for 0.1 %."""


def load_documents(
    data: Path | None = None, tables: Sequence[str] | None = None, *, cache_dir: Path | None = None
) -> list[Document]:
    """Return the documents of the named tables (default: all) but the `MISLABELLED` ones, in table order.

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
    return link_groups([d for d in documents if d.id not in MISLABELLED])


def _shingles(text: str, size: int) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return set(zip(*(words[i:] for i in range(size)), strict=False))


def _link_stories(documents: Sequence[Document]) -> dict[str, str]:
    """Openings of stories that are in the SpinBot news too: {group of the opening: group of the news row}."""
    news = [(d.group, _shingles(d.text, 4)) for d in documents if d.table == "spun/spinbot_news"]
    linked: dict[str, str] = {}
    for opening in documents:
        if opening.table != "spun/paired_openings":
            continue
        own = _shingles(opening.text, 4)
        for group, other in news:
            # 0.2 of the 4-word shingles in common: the same story and tool; the next best story shares under 0.02.
            if len(own & other) >= 0.2 * max(1, len(own)):
                linked[opening.group] = group
    return linked


def _link_questions(documents: Sequence[Document]) -> dict[str, str]:
    """Clusters of exam questions over students_gulf and quillbot_pairs: {group: group of the cluster}.

    Single-linkage clusters of the answers by TF-IDF cosine, students' answers to one question joined beforehand.
    """
    answers: dict[str, str] = {}
    for d in documents:
        if d.table == "human/students_gulf":
            answers[d.group] = f"{answers.get(d.group, '')}\n{d.text}"
        elif d.table == "spun/quillbot_pairs" and d.original:
            answers.setdefault(d.group, d.original)
    if len(answers) < 2:
        return {}
    import numpy as np
    from scipy.sparse.csgraph import connected_components
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(sublinear_tf=True, stop_words="english").fit_transform(list(answers.values()))
    # 0.16: 99.5 % of the pairs of students' answers to different questions lie below it, so clusters err to too large.
    _, cluster = connected_components((vectors @ vectors.T).toarray() >= 0.16, directed=False)
    names = np.asarray(list(answers))
    first = {c: min(names[cluster == c].tolist()) for c in np.unique(cluster)}
    return {name: first[c] for name, c in zip(answers, cluster, strict=True)}


def link_groups(documents: Iterable[Document]) -> list[Document]:
    """Return the documents with groups joined where two tables hold the same thing under different keys."""
    documents = list(documents)
    moved = {**_link_stories(documents), **_link_questions(documents)}
    return [replace(d, group=moved[d.group]) if d.group in moved else d for d in documents]


def originals_of(documents: Iterable[Document]) -> list[Document]:
    """Return the originals that the documents carry, as documents of their own, each once.

    They are the negatives that differ from the positives in nothing but the rewriting. Those of quillbot_pairs were
    written by a language model and get `llm_rewritten`, all others `original`. Table: `<table>:original`.
    """
    out: dict[str, Document] = {}
    for d in documents:
        if d.original:
            label = "llm_rewritten" if d.table == "spun/quillbot_pairs" else "original"
            table = f"{d.table}:original"
            own = replace(
                d,
                id=f"{d.id}:original",
                text=d.original,
                original=None,
                label=label,
                table=table,
                tool="",
                tool_family="",
            )
            out.setdefault(text_key(d.original), own)
    return list(out.values())


@dataclass(frozen=True, slots=True)
class HubSet:
    """How the rows of a public corpus on the Hugging Face hub become documents.

    `labels` maps the values of the label column, as strings, to `KINDS`. `tool_family` maps values of the tool column.
    """

    text_column: str
    label_column: str
    labels: Mapping[str, str]
    tool_column: str = ""
    domain_column: str = ""
    original_column: str = ""
    tool_family: Mapping[str, str] | None = None
    licence_nc: bool = False


_WAHLE = HubSet(
    text_column="text",
    label_column="label",
    labels={"0": "original", "1": "spun", "original": "original", "og": "original", "spun": "spun", "mg": "spun"},
    tool_column="method",
    domain_column="dataset",
    tool_family={"spinbot": "spinbot", "spinnerchief": "spinnerchief"},
)
HUB_SETS: Mapping[str, HubSet] = {
    # Wahle et al. 2022, "Identifying Machine-Paraphrased Plagiarism": SpinBot and SpinnerChief over arXiv, Wikipedia
    # and theses. Nothing joins a paragraph to its paraphrase, so groups are per text.
    "jpwahle/machine-paraphrase-dataset": _WAHLE,
}


def read_hub(
    name: str,
    split: str = "train",
    *,
    data_file: Path | None = None,
    cache_dir: Path | None = None,
    limit: int | None = None,
) -> list[Document]:
    """Return the documents of one split of a public corpus; needs a network unless `data_file` or the cache holds it.

    `data_file`: a local `.parquet`, `.json`, `.jsonl` or `.csv` copy with the same columns. `limit`: at most so many
    rows (the first ones). Documents get ids `name/split/number`.

    Raises:
        InputError: no schema for this name (the message lists the known ones), a column or label the schema does not
            expect, or the corpus cannot be fetched.
    """
    if name not in HUB_SETS:
        raise InputError(f"no schema for hub set {name}; known: {', '.join(HUB_SETS)} (add one to HUB_SETS)")
    schema = HUB_SETS[name]
    with _quiet_datasets() as datasets:
        cache = str(cache_dir) if cache_dir else None
        try:
            if data_file is None:
                table = datasets.load_dataset(name, split=split, cache_dir=cache)
            else:
                builder = {"jsonl": "json"}.get(ending := data_file.suffix.lstrip("."), ending)
                table = datasets.load_dataset(builder, data_files=str(data_file), split="train", cache_dir=cache)
        except (OSError, ValueError) as error:
            raise InputError(f"{name} ({split}) cannot be read: {error}; go online or pass data_file") from error
    needed = [c for c in (schema.text_column, schema.label_column) if c not in table.column_names]
    if needed:
        raise InputError(f"{name}: no column {', '.join(needed)}; columns: {', '.join(table.column_names)}")
    names = getattr(table.features[schema.label_column], "names", None)
    documents = []
    for number, row in enumerate(table if limit is None else table.select(range(min(limit, len(table))))):
        raw = row[schema.label_column]
        value = str(names[raw] if names is not None and isinstance(raw, int) else raw).lower()
        if value not in schema.labels:
            raise InputError(f"{name} row {number}: label {value!r} is none of {', '.join(schema.labels)}")
        label = schema.labels[value]
        tool = str(row.get(schema.tool_column) or "") if label != "original" else ""
        original = row.get(schema.original_column)
        documents.append(
            Document(
                id=f"{name}/{split}/{number}",
                text=str(row[schema.text_column]),
                label=label,
                table=f"hub/{name}",
                tool=tool,
                tool_family=(schema.tool_family or {}).get(tool.lower(), NO_TOOL),
                source=name,
                group=_by_text({"text": row[schema.text_column], "original": original}),
                domain=str(row.get(schema.domain_column) or ""),
                original=str(original) if original else None,
                licence_nc=schema.licence_nc,
            )
        )
    return documents


@dataclass(frozen=True, slots=True)
class DuplicateCounts:
    """How many documents `remove_duplicates` took out, and why."""

    exact: int
    near: int
    excluded: int


_SHINGLE = 5  # words
_SKETCH = 64  # smallest shingle hashes kept per text
_INDEXED = 16  # of them looked up: at an overlap of 0.8 two texts share about 12 of their 16 smallest


def _shingle_hashes(text: str, numbers: dict[str, int]) -> Any:
    """Sorted distinct 64-bit hashes of the 5-word shingles; `numbers` numbers the words seen so far (mutated)."""
    import numpy as np

    words = np.array([numbers.setdefault(w, len(numbers) + 1) for w in _WORD.findall(text.lower())], dtype=np.uint64)
    if words.size < _SHINGLE:
        return np.zeros(0, dtype=np.uint64)
    hashes = np.zeros(words.size - _SHINGLE + 1, dtype=np.uint64)
    for i in range(_SHINGLE):
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + words[i : i + hashes.size]
    hashes ^= hashes >> np.uint64(31)  # splitmix64's finish, so that the smallest are a random sample
    hashes *= np.uint64(0xBF58476D1CE4E5B9)
    hashes ^= hashes >> np.uint64(29)
    return np.unique(hashes)


def remove_duplicates(
    documents: Iterable[Document], *, exclude: Iterable[str] = (), jaccard: float = 0.8
) -> tuple[list[Document], DuplicateCounts]:
    """Return the documents without copies, first one kept, order kept, and the counts.

    Exact: same words in lower case. Near: estimated Jaccard overlap of 5-word shingles at or above `jaccard` (0.8, the
    usual cut for news) with a kept document of the *same label* (a lightly spun copy is a pair, not a duplicate),
    by bottom-64 sketches (Broder 1997). `exclude`: texts that must not be there; a document that shares a tenth of
    its shingles with one of them goes. Cost: about a minute for all tables.
    """
    import numpy as np

    numbers: dict[str, int] = {}
    barred = [_shingle_hashes(text, numbers) for text in exclude]
    barred_all = np.unique(np.concatenate(barred)) if barred else np.zeros(0, dtype=np.uint64)
    kept: list[Document] = []
    sketches: list[Any] = []
    seen: set[tuple[str, str]] = set()
    holders: dict[tuple[str, int], list[int]] = {}
    exact = near = excluded = 0
    for document in documents:
        key = (document.label, text_key(document.text))
        if key in seen:
            exact += 1
            continue
        seen.add(key)
        hashes = _shingle_hashes(document.text, numbers)
        # A tenth of the shingles: quotations of one speech stay below it, a reprint or rewrite is far above.
        if barred_all.size and hashes.size and np.isin(hashes, barred_all).mean() >= 0.1:
            excluded += 1
            continue
        sketch = hashes[:_SKETCH]
        candidates: dict[int, int] = {}
        heads = sketch[:_INDEXED].tolist()
        for value in heads:
            for holder in holders.get((document.label, value), ()):
                candidates[holder] = candidates.get(holder, 0) + 1
        likely = [c for c, n in candidates.items() if n >= min(4, len(heads))]
        if any(_overlap(sketch, sketches[c]) >= jaccard for c in likely):
            near += 1
            continue
        for value in heads:
            holders.setdefault((document.label, value), []).append(len(kept))
        kept.append(document)
        sketches.append(sketch)
    return kept, DuplicateCounts(exact, near, excluded)


def _overlap(a: Any, b: Any) -> float:
    """Jaccard estimate from two bottom-k sketches: the share of the k smallest of the union that both hold."""
    import numpy as np

    union = np.union1d(a, b)[:_SKETCH]
    both = np.intersect1d(a, b, assume_unique=True)
    return float(np.isin(union, both).mean()) if union.size else 0.0


def read_seeds(data: Path) -> list[str]:
    """Return the texts of `seeds/*.txt` beside the data folder: for tests only, never to be trained on."""
    return [p.read_text(encoding="utf-8") for p in sorted((data.parent / "seeds").glob("*.txt"))]
