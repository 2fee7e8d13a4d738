# The sentences of the report stand on one line each.
# ruff: noqa: E501
"""How short a text may be: what each operating point flags of human and of spun texts cut to 20, 30, ... words.

The model's own limit is taken away for the measurement. In sample for the shipped model: it was trained on most of these
texts in full, so that recall is flattered; the cut texts themselves it has not seen.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detector import SpinDetector
from detector.store import CONFIG, open_model, write_manifest
from eval.metrics import clustered_share
from eval.protocols import capped
from train.corpora import Document

LENGTHS = (20, 30, 40, 50, 60, 80, 100, 150, 200)
PROMISED = {"strict": 0.001, "balanced": 0.01, "sensitive": 0.05}
Json = dict[str, Any]


def cut(text: str, words: int) -> str | None:
    """Return the first `words` words of `text`, divided by white space as they stand; None where it has fewer."""
    at = 0
    for _ in range(words):
        while at < len(text) and text[at].isspace():
            at += 1
        if at == len(text):
            return None
        while at < len(text) and not text[at].isspace():
            at += 1
    return text[:at]


def without_limit(model: str | None, folder: Path) -> Path:
    """Write a copy of the model that scores texts from one word on into `folder`, and return its path."""
    found = open_model(model)
    target = folder / found.name
    shutil.copytree(found.path, target)
    config = {**found.config, "min_words": 1}
    (target / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    write_manifest(target, found.name, {})
    return target


def measure(documents: Sequence[Document], model: str | None, rows: int, seed: int) -> Json:
    """Return the flagged shares by length and operating point; the same texts at every length that they reach."""
    with tempfile.TemporaryDirectory() as folder:  # the examiner is read from it when first needed
        return _measure(SpinDetector.load(without_limit(model, Path(folder))), documents, model, rows, seed)


def _measure(detector: SpinDetector, documents: Sequence[Document], model: str | None, rows: int, seed: int) -> Json:
    original = open_model(model)
    thresholds = {name: float(value) for name, value in original.config["operating_points"].items()}
    spun = [d for d in documents if d.label == "spun"]
    human = [d for d in documents if d.label == "original"]
    by_length: list[Json] = []
    full = {
        "words": None,
        **{
            kind: _flagged(detector, of, None, rows, seed, thresholds)
            for kind, of in (("human", human), ("spun", spun))
        },
    }
    for words in LENGTHS:
        row: Json = {"words": words}
        for kind, texts in (("human", human), ("spun", spun)):
            row[kind] = _flagged(detector, texts, words, rows, seed, thresholds)
        by_length.append(row)
    return {
        "model": original.model_id,
        "min_words": int(original.config["min_words"]),
        "rows": rows,
        "seed": seed,
        "full": full,
        "lengths": by_length,
        "shortest": {point: shortest(by_length, full, point) for point in thresholds},
    }


def _flagged(
    detector: SpinDetector,
    documents: Sequence[Document],
    words: int | None,
    rows: int,
    seed: int,
    thresholds: dict[str, float],
) -> Json:
    chosen = [documents[i] for i in capped(range(len(documents)), documents, rows, seed)]
    texts = [(d.group, d.text if words is None else cut(d.text, words)) for d in chosen]
    scored = [(group, detector.score(text).probability) for group, text in texts if text is not None]
    found: Json = {"texts": len(scored)}
    for point, threshold in thresholds.items():
        share = clustered_share([float((p or 0.0) >= threshold) for _, p in scored], [group for group, _ in scored])
        found[point] = {"value": share.value, "low": share.low, "high": share.high}
    return found


def shortest(by_length: Sequence[Json], full: Json, point: str) -> int | None:
    """Return the fewest words from which on, at every length, false positives are as promised and recall at least half.

    As promised: the share itself is at most that of the operating point. None where no length will do.
    """
    result = None
    for row in reversed(by_length):
        kept = row["spun"][point]["value"] >= 0.5 * full["spun"][point]["value"]
        if row["human"][point]["value"] > PROMISED[point] or not kept:
            break
        result = int(row["words"])
    return result


def to_markdown(result: Json) -> str:
    """Return the report."""
    lines = [
        "# How short a text may be",
        "",
        f"`python -m eval inputs length`; model `{result['model']}`, up to {result['rows']} texts of each table (seed "
        f"{result['seed']}), each cut to its first words. **Not held out**: the model has seen most of these texts in full "
        "length, so that recall is flattered; compare the rows with each other. Shares in %, with 95 % intervals over the "
        "groups of texts.",
        "",
        "| words | human | strict | balanced | sensitive | spun | strict | balanced | sensitive |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in [*result["lengths"], result["full"]]:
        cells = [str(row["words"] or "all")]
        for kind, digits in (("human", 2), ("spun", 0)):
            cells.append(f"{row[kind]['texts']:,}")
            for point in PROMISED:
                one = {k: f"{100 * v:.{digits}f}" for k, v in row[kind][point].items()}
                cells.append(f"{one['value']} ({one['low']}\u2013{one['high']})")
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "Fewest words from which on no more than the promised share was flagged (few texts: see the intervals) and at least half of the recall on whole texts "
        "is kept: "
        + ", ".join(f"{p} {n if n is not None else 'none'}" for p, n in result["shortest"].items())
        + f". The model's own limit, below which a text is `too_short`, is {result['min_words']}.",
        "",
    ]
    return "\n".join(lines)
