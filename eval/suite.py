"""Suites: which labelled texts to judge on, and what their tables say about them. Data, read from TOML.

A suite names Parquet tables of the data folder (`[tables]`), labelled files beside the TOML (`[[files]]`), or both,
each with the SHA-256 of its bytes. A labelled file given instead of a suite (`python -m eval run my.jsonl`) is a suite
of its own. docs/evaluation.md explains every key.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import tomli

from detector.errors import InputError
from detector.results import KINDS
from eval import protocols
from train import corpora
from train.corpora import (
    ROOT,
    Document,
    DuplicateCounts,
    load_documents,
    read_seeds,
    remove_duplicates,
    text_key,
)

SUITES = ROOT / "eval" / "suites"
FIXED = "fixed"
PROTOCOLS = (FIXED, *protocols.PROTOCOLS)
UNITS = ("table", "writer", "group")
LABELLED_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
UNKNOWN = "unknown"
Json = dict[str, Any]

LABELS: Mapping[str, str] = {
    **{kind: kind for kind in KINDS},
    "human": "original",
    "clean": "original",
    "0": "original",
    "false": "original",
    "1": "spun",
    "true": "spun",
    "translated": "machine_translated",
    "llm": "llm_rewritten",
}


@dataclass(frozen=True, slots=True)
class Columns:
    """The schema of labelled files: which column holds what. Only `text` and `label` must be there.

    `group`: rows of one group (same original, page, author) are not independent. `writer`: kind of writer, over which
    false positives are compared. `spun_share`: share of the text that was spun, in [0, 1]. `replacements`: list of
    {start, end, original}, character offsets into the text; JSON text in CSV.
    """

    text: str = "text"
    label: str = "label"
    id: str = "id"
    tool: str = "tool"
    domain: str = "domain"
    writer: str = "writer"
    group: str = "group"
    original: str = "original"
    spun_share: str = "spun_share"
    replacements: str = "replacements"


@dataclass(frozen=True, slots=True)
class File:
    """A labelled file: path, pinned SHA-256 ("" = not pinned), and the label of rows without one."""

    path: Path
    sha256: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Overlap:
    """What to do with test texts of which more than `limit` of the 8-word n-grams stand in a training text.

    `action`: "drop", "error" or "report". Half: a reprint with another head and tail; quotations stay far below.
    """

    limit: float = 0.5
    action: str = "drop"


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite as read; see docs/evaluation.md.

    `threshold_unit`: human texts of the same table, kind of writer or group never set each other's threshold.
    `tables`, `sets`: pinned digests; `writers` and `domains` of tables that have no such column. Bands: lower bounds.
    """

    name: str
    title: str = ""
    about: str = ""
    protocol: str = FIXED
    held_out: bool = True
    systems: tuple[str, ...] = ("ours",)
    threshold_unit: str = "group"
    deduplicate: bool = True
    rows: int = 0
    seed: int = 20220119  # any fixed number; the day the SpinBot news set was made
    dilute: tuple[float, ...] = ()
    length_bands: tuple[int, ...] = (0, 100, 200, 400, 800)
    share_bands: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8)
    min_slice: int = 20
    spans: int = 0
    simulate: tuple[str, ...] = ()
    tables: Mapping[str, str] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    writers: Mapping[str, str] = field(default_factory=dict)
    domains: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    columns: Columns = field(default_factory=Columns)
    overlap: Overlap = field(default_factory=Overlap)
    settings: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None

    def __post_init__(self) -> None:
        for value, allowed, key in (
            (self.protocol, PROTOCOLS, "protocol"),
            (self.threshold_unit, UNITS, "threshold_unit"),
            (self.overlap.action, ("drop", "error", "report"), "overlap.action"),
        ):
            if value not in allowed:
                raise InputError(f"suite {self.name}: {key} {value!r} is none of {', '.join(allowed)}")
        if not self.tables and not self.files:
            raise InputError(f"suite {self.name}: names neither [tables] nor [[files]]")

    def protocol_settings(self) -> protocols.Settings:
        """Return the sizes of a trained protocol, as the suite and its seed set them."""
        return replace(protocols.Settings(), **{"seed": self.seed, **self.settings})


@dataclass(frozen=True, slots=True)
class Known:
    """A phrase that a spinner put in: character offsets into the spun text, and what stood there ("" = nothing)."""

    start: int
    end: int
    original: str


@dataclass(frozen=True, slots=True)
class Item:
    """One labelled text. `spun_share`: of the article, in [0, 1]; this and `replacements` are None where unknown."""

    document: Document
    writer: str
    domain: str
    words: int
    spun_share: float | None = None
    replacements: tuple[Known, ...] | None = None


def list_suites() -> list[str]:
    """Return the names of the suites that come with the harness."""
    return sorted(p.stem for p in SUITES.glob("*.toml"))


def read_suite(name: str) -> Suite:
    """Return a suite by name, by the path of a TOML file, or made of one labelled file.

    Raises:
        InputError: no such suite or file (the message lists the suites), unknown keys, or a value of a wrong kind.
    """
    path = Path(name)
    if path.suffix.lower() in LABELLED_SUFFIXES or path.name.endswith((".jsonl.gz", ".csv.gz")):
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        return Suite(
            name=re.sub(r"[^A-Za-z0-9._-]", "-", path.name.split(".")[0]),
            title=path.name,
            files=(File(path.resolve()),),
        )
    if path.suffix != ".toml":
        path = SUITES / f"{name}.toml"
    if not path.is_file():
        raise InputError(
            f"no suite {name!r}; existing: {', '.join(list_suites())}; or give a .toml, or a labelled file "
            f"({', '.join(LABELLED_SUFFIXES)})"
        )
    try:
        raw = tomli.loads(path.read_text(encoding="utf-8"))
        raw["files"] = tuple(_file(f, path) for f in raw.get("files", ()))
        for key, kind in (("columns", Columns), ("overlap", Overlap)):
            if key in raw:
                raw[key] = kind(**raw[key])
        known = {f.name for f in fields(Suite)} - {"name", "path"}
        if unknown := sorted(set(raw) - known):
            raise InputError(f"{path}: unknown key {', '.join(unknown)}; known: {', '.join(sorted(known))}")
        raw = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
        return Suite(name=path.stem, path=path, **raw)
    except (tomli.TOMLDecodeError, TypeError, KeyError) as error:
        raise InputError(f"{path}: {error}; docs/evaluation.md describes the keys of a suite") from error


def _file(entry: Mapping[str, Any], toml: Path) -> File:
    if unknown := sorted(set(entry) - {"path", "sha256", "label"}):
        raise InputError(f"{toml}: [[files]] has an unknown key {', '.join(unknown)}; known: path, sha256, label")
    return File(toml.parent / str(entry["path"]), str(entry.get("sha256", "")), str(entry.get("label", "")))


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; name the folder of the tables with --data") from error


def check_digests(suite: Suite, data: Path, *, go_on: bool = False) -> tuple[dict[str, str], list[str]]:
    """Return the digests found, by table or file name, and the names of those that differ from the pinned ones.

    Raises:
        InputError: one differs and `go_on` is not set, or a file is missing.
    """
    found, wrong = {}, []
    pinned = [(name, data / f"{name}.parquet", sha) for name, sha in suite.tables.items()]
    pinned += [(f.path.name, f.path, f.sha256) for f in suite.files]
    for name, path, expected in pinned:
        found[name] = digest(path)
        if expected and not found[name].startswith(expected):
            wrong.append(name)
    if wrong and not go_on:
        raise InputError(
            f"suite {suite.name}: not the data that it was made with: {', '.join(wrong)}. Numbers would not be "
            "comparable. Get the right data, or go on with --changed-data (the report then says so), or pin "
            f"the data anew with python -m eval pin {suite.name}"
        )
    return found, wrong


def pin(suite: Suite, data: Path) -> int:
    """Write the digests of the present data into the suite's TOML and return how many lines changed.

    Raises:
        InputError: the suite has no TOML, or a file is missing.
    """
    if suite.path is None:
        raise InputError(f"suite {suite.name} is a labelled file; only a .toml pins digests")
    text = before = suite.path.read_text(encoding="utf-8")
    for name in suite.tables:
        line = rf'^"{re.escape(name)}" = "[0-9a-f]*"'
        text = re.sub(line, f'"{name}" = "{digest(data / f"{name}.parquet")[:16]}"', text, flags=re.M)
    for file in suite.files:
        relative = file.path.relative_to(suite.path.parent).as_posix()
        line = rf'(^path = "{re.escape(relative)}"\nsha256 = )"[0-9a-f]*"'
        text = re.sub(line, rf'\g<1>"{digest(file.path)[:16]}"', text, flags=re.M)
    suite.path.write_text(text, encoding="utf-8")
    return sum(a != b for a, b in zip(before.splitlines(), text.splitlines(), strict=True))


def read_rows(path: Path) -> list[Json]:
    """Return the rows of a JSON Lines, JSON, CSV, TSV or Parquet file; all but the last may be gzipped.

    Raises:
        InputError: the file cannot be read as what its ending says.
    """
    name = path.name.lower()
    try:
        if name.endswith(".parquet"):
            import pyarrow.parquet as pq

            return list(pq.read_table(path).to_pylist())
        raw = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
        text = raw.decode("utf-8-sig")
        if name.removesuffix(".gz").endswith((".csv", ".tsv")):
            csv.field_size_limit(2**31 - 1)  # the library's 128 kB is less than a long article
            delimiter = "\t" if name.removesuffix(".gz").endswith(".tsv") else ","
            return [dict(row) for row in csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)]
        if name.removesuffix(".gz").endswith(".json"):
            rows = json.loads(text)
        else:
            rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path}: expected an object for each row")
    return rows


def count_words(text: str) -> int:
    """Return the number of words as white space parts them."""
    return len(text.split())


def read_labelled(file: File, suite: Suite) -> list[Item]:
    """Return the rows of a labelled file.

    Raises:
        InputError: a column is missing, a label is unknown, or a number is out of range; names the row.
    """
    c, labels = suite.columns, {**LABELS, **{str(k).lower(): v for k, v in suite.labels.items()}}
    out: list[Item] = []
    for number, row in enumerate(read_rows(file.path), 1):
        where = f"{file.path.name} row {number}"
        if row.get(c.text) is None or not str(row[c.text]).strip():
            raise InputError(f"{where}: no {c.text!r}; columns: {', '.join(row)} (rename with [columns] in a suite)")
        value = row.get(c.label)
        value = file.label if value is None or value == "" else value
        label = labels.get(str(int(value) if isinstance(value, float) else value).lower())
        if label not in KINDS:
            raise InputError(f"{where}: label {value!r} is none of {', '.join(labels)} (map yours with [labels])")
        text = str(row[c.text])
        original = str(row[c.original]) if row.get(c.original) else None
        share = row.get(c.spun_share)
        share = None if share is None or share == "" else float(share)
        if share is not None and not 0.0 <= share <= 1.0:
            raise InputError(f"{where}: {c.spun_share} {share} is not in [0, 1]")
        tool = str(row.get(c.tool) or "") if label != "original" else ""
        document = Document(
            id=str(row.get(c.id) or f"{file.path.stem}/{number}"),
            text=text,
            label=label,
            table=file.path.name.split(".")[0],
            tool=tool,
            tool_family="",
            source=file.path.name,
            group=str(row.get(c.group) or f"text:{text_key(original or text)}"),
            domain=str(row.get(c.domain) or ""),
            original=original,
            licence_nc=False,
        )
        out.append(
            Item(
                document,
                writer=str(row.get(c.writer) or UNKNOWN) if label == "original" else "",
                domain=document.domain or UNKNOWN,
                words=count_words(text),
                spun_share=share if label == "spun" else None,
                replacements=_replacements(row.get(c.replacements), text, where) if label == "spun" else None,
            )
        )
    return out


def _replacements(value: Any, text: str, where: str) -> tuple[Known, ...] | None:
    if value is None or value == "":
        return None
    try:
        entries = json.loads(value) if isinstance(value, str) else value
        known = tuple(Known(int(e["start"]), int(e["end"]), str(e["original"])) for e in entries)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where}: replacements must be a list of {{start, end, original}}: {error!r}") from error
    if any(not 0 <= k.start <= k.end <= len(text) for k in known):
        raise InputError(f"{where}: replacements reach beyond the text")
    return known


def dilutions(items: Sequence[Item], shares: Sequence[float]) -> list[Item]:
    """Return partly spun copies of the spun texts that have an original of as many paragraphs: its paragraphs first.

    A copy at share s keeps the last paragraphs of the spun text, as many as come nearest to s of its words, and carries
    the share that came out. Texts of fewer than three paragraphs give none.
    """
    out = []
    for item in items:
        d = item.document
        spun, old = ([p for p in t.split("\n\n") if p.strip()] for t in (d.text, d.original or ""))
        if d.label != "spun" or len(spun) < 3 or len(spun) != len(old):
            continue
        words = [count_words(p) for p in spun]
        made = set()
        for share in shares:
            keep = min(range(1, len(spun)), key=lambda k: abs(sum(words[-k:]) / sum(words) - share))
            if keep in made:
                continue
            made.add(keep)
            text = "\n\n".join(old[:-keep] + spun[-keep:])
            exact = round(sum(words[-keep:]) / count_words(text), 3)
            partly = replace(d, id=f"{d.id}@{share:g}", text=text, table=f"{d.table} (partly spun)")
            out.append(Item(partly, item.writer, item.domain, count_words(text), exact))
    return out


def load_items(suite: Suite, data: Path) -> tuple[list[Item], Json]:
    """Return the texts of a suite, and what was left out and why (counts).

    Raises:
        InputError: a table or file is missing or not as the schema says.
    """
    items: list[Item] = []
    notes: Json = {}
    if suite.tables:
        documents = load_documents(data, sorted(suite.tables))
        if suite.deduplicate:
            # A reprint in training and its twin among the scored would make a new writer out of a known one.
            documents, dropped = without_duplicates(documents, data)
            notes["duplicates"] = {"exact": dropped.exact, "near": dropped.near, "excluded": dropped.excluded}
        if suite.rows:
            chosen = protocols.capped(range(len(documents)), documents, suite.rows, suite.seed)
            notes["rows_per_table"] = suite.rows
            documents = [documents[i] for i in chosen]
        found_by = protocols.read_search_phrases(data)
        documents += protocols.cut_search_phrases([d for d in documents if d.table == "spun/wild"], found_by)
        items += [table_item(d, suite) for d in documents]
    for file in suite.files:
        items += read_labelled(file, suite)
    items += dilutions(items, suite.dilute)
    if suite.protocol == FIXED:  # the rounds of a trained protocol count on the numbers of the documents
        items, notes["repeated_ids"] = _distinct(items)
    return items, notes


def without_duplicates(documents: Sequence[Document], data: Path) -> tuple[list[Document], DuplicateCounts]:
    """Return what `remove_duplicates` keeps, remembered in the temporary folder: it takes minutes for all tables.

    What is remembered belongs to these very texts, seeds and lines of code.
    """
    seeds = read_seeds(data)
    known = hashlib.sha256(Path(corpora.__file__).read_bytes())
    for text in (*(f"{d.id}\0{d.label}\0{d.text}" for d in documents), *seeds):
        known.update(text.encode("utf-8", "surrogatepass") + b"\0")
    file = Path(tempfile.gettempdir()) / "detect-spin-cache" / f"duplicates-{known.hexdigest()[:16]}.json"
    if file.is_file():
        found = json.loads(file.read_text(encoding="utf-8"))
        gone = set(found["rows"])
        return [d for n, d in enumerate(documents) if n not in gone], DuplicateCounts(**found["counts"])
    kept, counts = remove_duplicates(documents, exclude=seeds)
    left = {id(d) for d in kept}
    rows = [n for n, d in enumerate(documents) if id(d) not in left]
    file.parent.mkdir(exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps({"rows": rows, "counts": asdict(counts)}), encoding="utf-8")
    partial.replace(file)  # in one step: another run may be reading
    return kept, counts


def _distinct(items: Iterable[Item]) -> tuple[list[Item], int]:
    """Return the first item of each id, and how many went."""
    items = list(items)
    first: dict[str, Item] = {}
    for item in items:
        first.setdefault(key_of(item.document), item)
    return list(first.values()), len(items) - len(first)


def table_item(d: Document, suite: Suite) -> Item:
    """Return a document of a table with what the suite says about its table."""
    base = d.table.removesuffix(protocols.MASKED_SUFFIX)
    writer = suite.writers.get(base, base.split("/")[-1]) if d.label == "original" else ""
    return Item(d, writer, suite.domains.get(base) or d.domain or UNKNOWN, count_words(d.text))


def key_of(document: Document) -> str:
    """Return the id by which score files name a text: its id, with "#cut" where the search phrase was cut out."""
    return document.id + ("#cut" if document.table.endswith(protocols.MASKED_SUFFIX) else "")


def band(value: float, bounds: Sequence[float], *, percent: bool = False) -> str:
    """Return the name of the band that a number is in; bounds are lower ones, ascending.

    >>> band(150, (0, 100, 200)), band(700, (0, 100, 200)), band(0.25, (0.0, 0.2, 0.4), percent=True)
    ('100–199', '200+', '20–39 %')
    """
    k = max((i for i, b in enumerate(bounds) if value >= b), default=0)
    low, high = bounds[k], bounds[k + 1] if k + 1 < len(bounds) else None
    if percent:
        return f"{round(100 * low)}–{round(100 * high) - 1 if high is not None else 100} %"
    return f"{low:g}+" if high is None else f"{low:g}–{high - 1:g}"
