"""`python -m train pairs`: windows of the tables and of simulated spinning, split without leaks, as Parquet.

A window is a run of whole sentences of about 120 words. Real and simulated spinning carry spans: what was replaced,
where, and what stood there (aligned for real pairs, exact for simulated ones).
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import click

from detector.errors import InputError
from train.align import Mined, align, document_pairs, is_whole, merge_tables, mine
from train.corpora import (
    Document,
    default_data_dir,
    list_tables,
    load_documents,
    originals_of,
    read_seeds,
    remove_duplicates,
    text_key,
)
from train.spinners.base import Replacement, sentence_ranges, words_of
from train.spinners.presets import PRESETS, Resources, make_spinner, neighbour_sample

log = logging.getLogger(__name__)

SPLITS = ("train", "calibration", "test")
SCHEMA = 1
_SHARES = (0.8, 0.1, 0.1)  # the usual cut; calibration needs some 10,000 human windows for a 0.1 % threshold
_HELD_SOURCES = 0.1  # share of the sources of a many-source table that is in no split but test
_MANY_SOURCES = 10


@dataclass(frozen=True, slots=True)
class Window:
    """Whole sentences of a document: half-open character offsets into its text."""

    start: int
    end: int


def windows(text: str, words: int = 120) -> list[Window]:
    """Return windows of whole sentences that cover the text, each of about `words` words.

    A window closes at the sentence end nearest above; a last piece of less than half the size joins the one before. A
    sentence longer than twice the size is a window of its own.
    """
    out: list[Window] = []
    start, size = -1, 0
    for a, b in sentence_ranges(text):
        start = a if start < 0 else start
        size += len(words_of(text[a:b]))
        if size >= words:
            out.append(Window(start, b))
            start, size = -1, 0
        last = b
    if start >= 0:
        if out and size < words / 2:
            out[-1] = Window(out[-1].start, last)
        else:
            out.append(Window(start, last))
    return out


def _unit(*parts: object) -> float:
    """A number in [0, 1) from a hash of the parts: the same on every machine."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def split_groups(documents: Iterable[Document], seed: int = 0) -> dict[str, str]:
    """Return {group: "train", "calibration" or "test"}, by hash, so that more data moves nothing.

    A group with a document that is for evaluation only (`licence_nc`), or from one of the held-out sources of a table
    with many sources, is in test as a whole.
    """
    documents = list(documents)
    sources: dict[str, set[str]] = {}
    for d in documents:
        sources.setdefault(d.table, set()).add(d.source)
    many = {table for table, names in sources.items() if len(names) >= _MANY_SOURCES}
    held: set[str] = set()
    for d in documents:
        if d.licence_nc or (d.table in many and _unit(seed, "source", d.source) < _HELD_SOURCES):
            held.add(d.group)
    out = {}
    for group in {d.group: None for d in documents}:
        point = _unit(seed, "group", group)
        by_hash = SPLITS[0] if point < _SHARES[0] else SPLITS[1] if point < _SHARES[0] + _SHARES[1] else SPLITS[2]
        out[group] = "test" if group in held else by_hash
    return out


def _clip(replacements: Iterable[Replacement], window: Window) -> list[dict[str, Any]]:
    """Spans in window coordinates; those that the rim cuts are left out."""
    return [
        {"start": r.start - window.start, "end": r.end - window.start, "original": r.original}
        for r in replacements
        if window.start <= r.start and r.end <= window.end
    ]


def _row(d: Document, number: int, text: str, split: str, spans: list[dict[str, Any]] | None) -> dict[str, Any]:
    return {
        "id": f"{d.id}#{number}",
        "text": text,
        "label": d.label,
        "table": d.table,
        "tool": d.tool,
        "source": d.source,
        "group": d.group,
        "split": split,
        "spans": spans,
    }


def real_rows(
    documents: Iterable[Document], splits: Mapping[str, str], words: int, table: Mapping[str, Mapping[str, int]]
) -> Iterator[dict[str, Any]]:
    """Yield the windows of the documents.

    `spans` is empty for what no spinner touched, the aligned replacements for spun text with a whole original, and None
    (unknown) for spun text without.
    """
    for d in documents:
        found: list[Replacement] | None = None if d.label == "spun" else []
        if d.label == "spun" and d.original and is_whole(d.original, d.text):
            found = align(d.original, d.text, table=table)
        for number, w in enumerate(windows(d.text, words)):
            spans = None if found is None else _clip(found, w)
            yield _row(d, number, d.text[w.start : w.end], splits[d.group], spans)


def simulated_rows(
    names: Sequence[str], rows: Sequence[dict[str, Any]], resources: Resources, count: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Yield about `count` windows for each spinner: rows drawn by hash, spun; those left unchanged are left out."""
    for name in names:
        spinner = make_spinner(name, resources)
        chosen = sorted(rows, key=lambda row: _unit(seed, name, row["id"]))[:count]
        for row in chosen:
            spun = spinner.spin(row["text"], Random(f"{seed}:{name}:{row['id']}"))
            if spun.replacements:
                spans = [asdict(r) for r in spun.replacements]
                changed = {
                    "text": spun.text,
                    "label": "spun",
                    "table": f"simulated/{name}",
                    "tool": f"simulated {name}",
                }
                yield {**row, **changed, "id": f"{row['id']}:{name}", "spans": spans}


def mine_by_tool(documents: Iterable[Document]) -> dict[str, Mined]:
    """Return what the pairs of SpinBot-like tools and those of QuillBot teach: {"spinbot": ..., "quillbot": ...}."""
    documents = list(documents)
    kinds = {
        "spinbot": [d for d in documents if d.tool_family == "paired" and "quillbot" not in d.tool.lower()],
        "quillbot": [d for d in documents if d.tool_family == "quillbot"],
    }
    return {kind: mine(document_pairs(members)) for kind, members in kinds.items()}


def _schema() -> Any:
    import pyarrow as pa

    span = pa.struct([("start", pa.int32()), ("end", pa.int32()), ("original", pa.string())])
    texts = [(name, pa.string()) for name in ("id", "text", "label", "table", "tool", "source", "group", "split")]
    return pa.schema([*texts, ("spans", pa.list_(span))])


def write_splits(rows: Sequence[Mapping[str, Any]], out: Path) -> dict[str, Path]:
    """Write `train.parquet`, `calibration.parquet` and `test.parquet` and return their paths."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    out.mkdir(parents=True, exist_ok=True)
    paths = {}
    for split in SPLITS:
        table = pa.Table.from_pylist([dict(row) for row in rows if row["split"] == split], schema=_schema())
        paths[split] = out / f"{split}.parquet"
        pq.write_table(table, paths[split], compression="zstd")
    return paths


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)


def _digest(file: Any) -> str:
    """Python 3.10 has no `hashlib.file_digest`."""
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def make_pairs(
    data: Path,
    out: Path,
    *,
    tables: Sequence[str] | None = None,
    simulate: Sequence[str] = (),
    simulated_windows: int = 3000,
    window_words: int = 120,
    max_documents: int | None = None,
    seed: int = 0,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Write the splits and `summary.json` to `out` and return the summary.

    `max_documents`: at most so many per table, drawn by hash. Substitutions for simulated spinners are mined from the
    pairs of the train split only. Cost: about four minutes and 3 GB for all tables; seconds for a few thousand
    documents.

    Raises:
        InputError: no tables in `data`, an unknown table or an unknown spinner (the message lists those that exist).
    """
    unknown = [name for name in simulate if name not in PRESETS]
    if unknown:
        raise InputError(f"unknown spinner {', '.join(unknown)}; existing: {', '.join(PRESETS)}")
    if window_words < 20:
        raise InputError(f"--window-words {window_words}: at least 20, shorter windows hold no evidence")
    names = list_tables(data) if tables is None else list(tables)
    documents = load_documents(data, names)
    documents += originals_of(documents)
    if max_documents is not None:
        documents = _sample(documents, max_documents, seed)
    log.info("%d documents", len(documents))
    documents, duplicates = remove_duplicates(documents, exclude=read_seeds(data))
    splits = split_groups(documents, seed)
    mined = mine_by_tool(d for d in documents if splits[d.group] == "train" and not d.licence_nc)
    known = merge_tables(*(m.table for m in mined.values()))
    rows = list(real_rows(documents, splits, window_words, known))
    human = {d.id for d in documents if d.label == "original" and not d.licence_nc}
    if simulate:
        spinnable = [row for row in rows if row["label"] == "original" and row["id"].rsplit("#", 1)[0] in human]
        texts = neighbour_sample([d.text for d in documents if d.id in human and splits[d.group] == "train"])
        resources = Resources(data, {k: m.table for k, m in mined.items()}, texts, cache)
        rows += simulated_rows(simulate, spinnable, resources, simulated_windows, seed)
    kept: dict[tuple[str, str], dict[str, Any]] = {}
    ids: Counter[str] = Counter()
    for row in rows:
        if kept.setdefault((row["label"], text_key(row["text"])), row) is row:
            ids[row["id"]] += 1
            if ids[row["id"]] > 1:  # a table that repeats its ids
                row["id"] = f"{row['id']}~{ids[row['id']]}"
    paths = write_splits(list(kept.values()), out)
    summary = _summary(kept.values())
    summary |= {
        "duplicates": {**asdict(duplicates), "windows": len(rows) - len(kept)},
        "settings": {
            "tables": names,
            "simulate": list(simulate),
            "simulated_windows": simulated_windows,
            "window_words": window_words,
            "max_documents": max_documents,
            "seed": seed,
        },
        "inputs": {name: file_digest(data / f"{name}.parquet") for name in names},
        "outputs": {split: file_digest(path) for split, path in paths.items()},
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return summary


def _sample(documents: Iterable[Document], most: int, seed: int) -> list[Document]:
    """At most so many documents of each table, drawn by hash, order kept."""
    by_table: dict[str, list[Document]] = {}
    for d in documents:
        by_table.setdefault(d.table, []).append(d)
    out = []
    for members in by_table.values():
        chosen = {id(d) for d in sorted(members, key=lambda d: _unit(seed, "sample", d.id))[:most]}
        out += [d for d in members if id(d) in chosen]
    return out


def _summary(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    tables: dict[str, Counter[str]] = {}
    groups: dict[str, set[str]] = {split: set() for split in SPLITS}
    for row in rows:
        counts[row["split"]][row["label"]] += 1
        tables.setdefault(row["table"], Counter())[row["split"]] += 1
        groups[row["split"]].add(row["group"])
    return {
        "schema": SCHEMA,
        "windows": {split: dict(sorted(c.items())) for split, c in counts.items()},
        "groups": {split: len(g) for split, g in groups.items()},
        "tables": {table: {s: c[s] for s in SPLITS} for table, c in sorted(tables.items())},
    }


@click.command("pairs", context_settings={"show_default": True})
@click.option("--data", type=click.Path(path_type=Path), help="Folder of tables. [default: ../shared/data]")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to.")
@click.option("--tables", multiple=True, help="A table such as human/bbc_2004; may be repeated. [default: all]")
@click.option("--simulate", multiple=True, metavar="SPINNER", help=f"May be repeated: {', '.join(PRESETS)}.")
@click.option("--simulated-windows", default=3000, help="Windows per simulated spinner.")
@click.option("--window-words", default=120, help="Words per window, about.")
@click.option("--max-documents", type=int, help="At most so many documents per table. [default: all]")
@click.option("--seed", default=0, help="Changes the splits and the simulated spinning.")
@click.option("--cache", type=click.Path(path_type=Path), help="Folder outside the repository to keep neighbours in.")
def command(
    data: Path | None,
    out: Path,
    tables: tuple[str, ...],
    simulate: tuple[str, ...],
    simulated_windows: int,
    window_words: int,
    max_documents: int | None,
    seed: int,
    cache: Path | None,
) -> None:
    """Write windows with labels, spans and splits as Parquet, and a summary.

    \b
    python -m train pairs --out /tmp/pairs --simulate spinbot-2022 --simulate dictionary
    python -m train pairs --out /tmp/pairs --tables spun/quillbot_pairs --tables human/bbc_2004
    """  # noqa: D301  # click wants the character, not the letters
    summary = make_pairs(
        default_data_dir() if data is None else data,
        out,
        tables=tables or None,
        simulate=simulate,
        simulated_windows=simulated_windows,
        window_words=window_words,
        max_documents=max_documents,
        seed=seed,
        cache=cache,
    )
    for split in SPLITS:
        labels = ", ".join(f"{n} {label}" for label, n in summary["windows"][split].items())
        click.echo(f"{split}: {summary['groups'][split]} groups; {labels}")
    d = summary["duplicates"]
    click.echo(
        f"removed: {d['exact']} exact and {d['near']} near duplicates, {d['excluded']} seeds, {d['windows']} windows"
    )
    click.echo(f"written: {out}")
