"""How often the kind of a text is named right: as a person wrote it, spun, machine-translated, or by a language model.

    python -m eval kinds

Texts whose groups the examiner held out. The screen, which answers for what neither network reads, was trained on
them; what joins it to the networks, and the scales of the kinds, were fitted on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from detector import SpinDetector
from detector.errors import InputError
from detector.results import KINDS
from detector.store import open_model
from eval.examiner_windows import held_out_texts
from eval.metrics import clustered_share, signature
from train.corpora import Document
from train.examiner import Settings


def measure(documents: Sequence[Document], model: str | None, rows: int, seed: int) -> dict[str, Any]:
    """Return how often which kind is named, for each kind and each table.

    `documents`: those of the training. `rows`: texts of a table, chosen by the seed. The kind named is the one of the
    highest probability; texts that are not scored do not count.

    Raises:
        InputError: the model has no examiner, or it held out nothing of one of the kinds.
    """
    folder = open_model(model)
    recipe = folder.manifest.get("training", {}).get("examiner")
    if recipe is None:
        raise InputError(f"{folder.path}: the model has no examiner, so nothing is known that it held out")
    detector = SpinDetector(folder)
    texts = held_out_texts(documents, Settings(**recipe), rows, seed, KINDS)
    named: list[tuple[Document, str]] = []
    for document, result in zip(texts, detector.score_batch(d.text for d in texts), strict=True):
        if result.kinds is not None:
            named.append((document, max(KINDS, key=result.kinds.__getitem__)))
    by_kind: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        own = [(d, n) for d, n in named if d.label == kind]
        if not own:
            raise InputError(f"no text of the kind {kind} in these tables that {folder.model_id} held out")
        by_kind[kind] = {**_right(own), "named": {k: sum(n == k for _, n in own) for k in KINDS}}
    return {
        "model": folder.model_id,
        "signature": signature(model=folder.model_id, rows=rows, seed=seed),
        "rows": rows,
        "not_scored": len(texts) - len(named),
        "kinds": by_kind,
        "balanced_accuracy": float(np.mean([row["right"] for row in by_kind.values()])),
        "tables": {
            table: {"kind": kind, **_right([(d, n) for d, n in named if (d.table, d.label) == (table, kind)])}
            for table, kind in sorted({(d.table, d.label) for d, _ in named})
        },
    }


def _right(named: Sequence[tuple[Document, str]]) -> dict[str, Any]:
    """Return how many texts there are and the share of them named right, with its interval over groups."""
    share = clustered_share([float(d.label == kind) for d, kind in named], [d.group for d, _ in named])
    return {"texts": len(named), "right": share.value, "low": share.low, "high": share.high}


def to_markdown(found: Mapping[str, Any]) -> str:
    """Return the report."""

    def percent(row: Mapping[str, Any]) -> str:
        return f"{100 * row['right']:.0f} ({100 * row['low']:.0f}–{100 * row['high']:.0f})"

    texts = sum(row["texts"] for row in found["kinds"].values())
    lines = [
        "# The kind of a text",
        "",
        f"Made by `python -m eval kinds`: the kind of the highest probability of {texts:,} texts of groups that the "
        f"examiner held out, up to {found['rows']} a table ({found['not_scored']} more were not scored). No tool, "
        "translator or language model is new to it. The screen, which answers for what neither network reads, was "
        "trained on these texts, and what joins it to the networks was fitted on them. In % with the 95 % interval.",
        "",
        f"**Balanced accuracy: {100 * found['balanced_accuracy']:.1f} %** (mean of the four shares named right).",
        "",
        f"| kind | texts | {' | '.join(f'named {k}' for k in KINDS)} | right |",
        f"| --- | ---: |{' ---: |' * len(KINDS)} ---: |",
    ]
    for kind, row in found["kinds"].items():
        counts = " | ".join(str(row["named"][k]) for k in KINDS)
        lines.append(f"| {kind} | {row['texts']} | {counts} | {percent(row)} |")
    lines += ["", "| table | kind | texts | right |", "| --- | --- | ---: | ---: |"]
    lines += [f"| {name} | {row['kind']} | {row['texts']} | {percent(row)} |" for name, row in found["tables"].items()]
    return "\n".join([*lines, "", f"`{found['signature']}`", ""])
