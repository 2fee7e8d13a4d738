"""The texts that spans are judged on: known pairs (given, aligned, simulated), marked artefacts, clean text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from detector.errors import InputError
from eval import spans
from eval.protocols import capped
from eval.scores import numbers_of, read_table
from eval.spans import Shown
from eval.suite import Item, Known, Suite
from train.align import align, is_whole, paragraph_pairs

ARTEFACT_TABLES = ("spun/wild", "spun/finance_glossary")
LONGEST_PAIR = 1200  # words; alignment is quadratic, about 0.4 s at this length
FEWEST_CLEAN = 10  # texts of a kind of writer, below which a rate of spans says nothing
Json = dict[str, Any]
Finder = Callable[[Sequence[str]], list[list[Shown]]]
"""Texts -> the phrases shown in each."""


@dataclass(frozen=True)
class Pair:
    """A spun text with known replacements; `ranges`: where they are known (all of it, or the paragraphs aligned)."""

    group: str
    text: str
    known: tuple[Known, ...]
    ranges: tuple[tuple[int, int], ...]


@dataclass
class SpanTexts:
    """What spans are judged on. `pairs`: by name of the set; the others: numbers of items."""

    pairs: dict[str, list[Pair]] = field(default_factory=dict)
    numbers: dict[str, list[int]] = field(default_factory=dict)  # of the items behind `pairs`; none for simulated ones
    clean: list[int] = field(default_factory=list)
    marked: dict[int, list[Mapping[str, str]]] = field(default_factory=dict)


def pair_of(item: Item) -> Pair | None:
    """Return the pair of an item: replacements as given, else aligned with its original; None where there is neither.

    Where the original is the opening only, its paragraphs are aligned with those of the text that they match.
    """
    d = item.document
    if item.replacements is not None:
        return Pair(d.group, d.text, item.replacements, ((0, len(d.text)),))
    if d.label != "spun" or not d.original or item.words > LONGEST_PAIR:
        return None
    if is_whole(d.original, d.text):
        known = tuple(Known(r.start, r.end, r.original) for r in align(d.original, d.text))
        return Pair(d.group, d.text, known, ((0, len(d.text)),))
    known, ranges, at = (), [], 0
    for old, new in paragraph_pairs(d.original, d.text):
        start = d.text.find(new, at)
        if start < 0:
            continue
        at = start + len(new)
        ranges.append((start, at))
        known += tuple(Known(start + r.start, start + r.end, r.original) for r in align(old, new))
    return Pair(d.group, d.text, known, tuple(ranges)) if ranges else None


def choose(items: Sequence[Item], suite: Suite, data: Path) -> SpanTexts:
    """Return the texts for spans: at most `suite.spans` of each table, by a seeded hash; none where that is 0."""
    out = SpanTexts()
    if not suite.spans:
        return out
    documents = [i.document for i in items]
    rows = capped(range(len(items)), documents, suite.spans, suite.seed)
    for number in rows:
        d = documents[number]
        if d.label == "original":
            out.clean.append(number)
        elif d.label == "spun" and "(" not in d.table and (pair := pair_of(items[number])):
            out.pairs.setdefault(d.table, []).append(pair)
            out.numbers.setdefault(d.table, []).append(number)
    marked = _artefacts(data, [t for t in ARTEFACT_TABLES if t in suite.tables])
    out.marked = {n: marked[d.id] for n, d in enumerate(documents) if d.id in marked and "(" not in d.table}
    if suite.simulate:
        out.pairs.update(_simulated(items, out.clean, suite, data))
    return out


def _artefacts(data: Path, tables: Sequence[str]) -> dict[str, list[Mapping[str, str]]]:
    import pyarrow.parquet as pq

    out = {}
    for table in tables:
        for row in pq.read_table(data / f"{table}.parquet", columns=["id", "artefacts"]).to_pylist():
            entries = json.loads(row["artefacts"] or "[]")
            if entries:
                out[str(row["id"])] = entries
    return out


def _simulated(items: Sequence[Item], clean: Sequence[int], suite: Suite, data: Path) -> dict[str, list[Pair]]:
    """Return human texts of the suite, spun by the presets that it names; the training used the same presets."""
    from train.spinners.presets import PRESETS, Resources, make_spinner

    if unknown := [name for name in suite.simulate if name not in PRESETS]:
        raise InputError(f"suite {suite.name}: unknown spinner {', '.join(unknown)}; existing: {', '.join(PRESETS)}")
    resources = Resources(data)
    out: dict[str, list[Pair]] = {}
    short = [n for n in clean if items[n].words <= LONGEST_PAIR][:: max(1, len(clean) // max(suite.spans, 1))]
    for name in suite.simulate:
        spinner = make_spinner(name, resources)
        for number in short[: suite.spans]:
            d = items[number].document
            spun = spinner.spin(d.text, Random(f"{suite.seed}:{name}:{d.id}"))
            known = tuple(Known(r.start, r.end, r.original) for r in spun.replacements)
            if known:
                out.setdefault(f"simulated {name}", []).append(Pair(d.group, spun.text, known, ((0, len(spun.text)),)))
    return out


def summarise(find: Finder, texts: SpanTexts, items: Sequence[Item], suite: Suite) -> Json:
    """Return what a system's spans are worth, as plain JSON types: pairs by set, marked artefacts, clean text."""
    out: Json = {"pairs": [], "clean": [], "marked": []}
    for name, pairs in texts.pairs.items():
        counts = spans.Counts()
        for pair, shown in zip(pairs, find([p.text for p in pairs]), strict=True):
            inside = [s for s in shown if any(a <= s.start and s.end <= b for a, b in pair.ranges)]
            counts.add(pair.group, spans.count(pair.text, inside, pair.known))
        out["pairs"].append({"set": name, **spans.estimates(counts, suite.seed)})
    return {**out, **_unpaired(find, texts, items, suite)}


def _unpaired(find: Finder, texts: SpanTexts, items: Sequence[Item], suite: Suite) -> Json:
    clean: dict[str, list[tuple[str, int, int]]] = {}
    found = find([items[n].document.text for n in texts.clean])
    for n, shown in zip(texts.clean, found, strict=True):
        item = items[n]
        for name in ("all human texts", item.writer):
            clean.setdefault(name, []).append((item.document.group, item.words, len(shown)))
    marked: dict[str, list[tuple[str, str, Sequence[Shown], Sequence[Mapping[str, str]]]]] = {}
    found = find([items[n].document.text for n in texts.marked])
    for (n, entries), shown in zip(texts.marked.items(), found, strict=True):
        d = items[n].document
        marked.setdefault(d.table, []).append((d.group, d.text, shown, entries))
    return {
        "clean": [
            {"set": name, "texts": len(rows), "per_1000_words": spans.clean_rate(rows, suite.seed)}
            for name, rows in sorted(clean.items(), key=lambda x: (x[0] != "all human texts", x[0]))
            if name == "all human texts" or len(rows) >= FEWEST_CLEAN
        ],
        "marked": [
            {"set": name, "texts": len(rows), **(spans.artefacts_covered(rows, suite.seed) or {})}
            for name, rows in sorted(marked.items())
        ],
    }


def read_spans(path: Path, items: Sequence[Item]) -> dict[str, dict[int, list[Shown]]]:
    """Return {system: {number of the text: spans}} of a span file: `id`, `system`, `start`, `end`, `suggestions`.

    A row without `start` says that the text was looked at and nothing shown. `suggestions`: a list, or JSON of one.

    Raises:
        InputError: a column is missing, or a span lies outside its text.
    """
    number_of = numbers_of(items)
    out: dict[str, dict[int, list[Shown]]] = {}
    for number, row in enumerate(read_table(path), 1):
        if not {"id", "start", "end"} <= set(row):
            raise InputError(f"{path.name} row {number}: needs the columns id, start and end, has {', '.join(row)}")
        text = number_of.get(str(row["id"]), -1)
        if text < 0:
            continue
        own = out.setdefault(str(row.get("system") or path.stem), {}).setdefault(text, [])
        if row["start"] in (None, "") or row["start"] != row["start"]:
            continue
        start, end = int(row["start"]), int(row["end"])
        if not 0 <= start < end <= len(items[text].document.text):
            raise InputError(f"{path.name} row {number}: {start}..{end} is not within the text {row['id']}")
        words = row.get("suggestions") or []
        words = json.loads(words) if isinstance(words, str) else words
        own.append(Shown(start, end, tuple(map(str, words))))
    return out


def restricted(texts: SpanTexts, known: set[int]) -> SpanTexts:
    """Return the texts that a span file speaks of."""
    out = SpanTexts(clean=[n for n in texts.clean if n in known])
    out.marked = {n: m for n, m in texts.marked.items() if n in known}
    for name, numbers in texts.numbers.items():
        kept = [(p, n) for p, n in zip(texts.pairs[name], numbers, strict=True) if n in known]
        if kept:
            out.pairs[name] = [p for p, _ in kept]
            out.numbers[name] = [n for _, n in kept]
    return out
