"""The shipped detector over the tables: what it flags at each operating point and what it does not score.

In sample: the model was trained on most of these texts and its thresholds were set on them. Use it to see that the
shipped files do what training said, and where texts are refused; for an estimate on new texts see `first-report`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detector import SpinDetector, SpinResult, Verdict, __version__
from eval.metrics import clustered_share, signature
from eval.protocols import capped
from eval.report import SMALL_SET, cell, table_lines
from train.corpora import Document

OPERATING_POINTS = ("strict", "balanced", "sensitive")
WARNING = (
    "**Not held out.** The model was trained on most of these texts, and its thresholds were set on human texts among "
    "them. The shares show what the shipped files do, not what to expect of new texts."
)
Json = dict[str, Any]


def score_tables(documents: Sequence[Document], model: str | None, rows: int, seed: int, data_digest: str) -> Json:
    """Return the flagged share of each table at each operating point, as plain JSON types.

    A text that is not scored counts as not flagged, as it does for a user; `not_scored` counts them by reason.
    """
    detectors = {point: SpinDetector.load(model, operating_point=point) for point in OPERATING_POINTS}
    chosen = [documents[i] for i in capped(range(len(documents)), documents, rows, seed)]
    results = list(detectors["balanced"].score_batch(d.text for d in chosen))
    thresholds = {point: detector.threshold for point, detector in detectors.items()}
    by_table: dict[str, list[tuple[Document, SpinResult]]] = {}
    for document, result in zip(chosen, results, strict=True):
        by_table.setdefault(document.table, []).append((document, result))
    tables = []
    for name in sorted(by_table):
        pairs = by_table[name]
        groups = [d.group for d, _ in pairs]
        flagged = {}
        for point, threshold in thresholds.items():
            share = clustered_share([float((r.probability or 0.0) >= threshold) for _, r in pairs], groups)
            flagged[point] = {"value": share.value, "low": share.low, "high": share.high}
        refused = Counter(str(r.reason) for _, r in pairs if r.verdict is Verdict.NOT_SCORED)
        tables.append(
            {
                "set": name,
                "texts": len(pairs),
                "small": len(pairs) < SMALL_SET,
                "flagged": flagged,
                "not_scored": dict(sorted(refused.items())),
            }
        )
    return {
        "schema": 1,
        "held_out": False,
        "model": detectors["balanced"].model_id,
        "thresholds": thresholds,
        "signature": signature(
            model=detectors["balanced"].model_id,
            data=data_digest,
            protocol="in-sample",
            fpr="as-shipped",
            n=len(chosen),
            seed=seed,
            v=__version__,
        ),
        "tables": tables,
    }


def to_markdown(result: Json) -> str:
    """Return the shares as Markdown."""
    lines = [
        f"# {result['model']} over the tables, thresholds as shipped",
        "",
        WARNING,
        "",
        f"`{result['signature']}`",
        "",
    ]
    lines += ["Percent flagged with the 95 % Wilson interval; texts not scored count as not flagged.", ""]
    rows = [
        [
            f"{t['set']} †" if t["small"] else t["set"],
            str(t["texts"]),
            *(cell(t["flagged"][p]) for p in OPERATING_POINTS),
            ", ".join(f"{n} {reason}" for reason, n in t["not_scored"].items()) or "0",
        ]
        for t in result["tables"]
    ]
    heads = [f"{p} (p ≥ {result['thresholds'][p]:.3f})" for p in OPERATING_POINTS]
    lines += table_lines(["set", "texts", *heads, "not scored"], rows)
    return "\n".join([*lines, f"† fewer than {SMALL_SET} texts."]) + "\n"


def write(result: Json, out: Path) -> list[Path]:
    """Write in-sample.json and in-sample.md into the folder `out` (made if missing) and return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    as_json, as_markdown = out / "in-sample.json", out / "in-sample.md"
    as_json.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    as_markdown.write_text(to_markdown(result), encoding="utf-8")
    return [as_json, as_markdown]
