"""The overlap test of a run: which training texts to compare with, what was found by set, what is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError
from detector.store import ModelFolder
from eval import held_out, overlap
from eval.judging import ONE_MODEL, SystemScores
from eval.protocols import build_rounds
from eval.suite import FIXED, Item, Suite
from train.corpora import TABLES, list_tables

Json = dict[str, Any]
Round = tuple[str, Sequence[int], Sequence[int]]  # the model's name, numbers trained on, numbers scored


def measure(
    systems: Sequence[SystemScores],
    items: Sequence[Item],
    suite: Suite,
    data: Path,
    model: ModelFolder,
    train_ids: Path | None,
) -> Json:
    """Return the overlap of the scored texts with training, for the report, and under "rows" {(text, unit): share}.

    Where nothing can be compared there is only "why".
    """
    texts = [i.document.text for i in items]
    originals = [i.document.original or "" for i in items]
    if train_ids or suite.protocol != FIXED:
        plan = _rounds(systems, items, suite, train_ids)
        against = "all texts that the model which scored them may have trained on (a text counts once a model)"
        if not plan:
            return {"why": "the scores name no round of the protocol; name what was trained on with --train-ids"}
    elif suite.tables and any(s.origin.startswith("file ") for s in systems):
        scored = held_out.scored_numbers(systems)
        found = held_out.training_of_shipped(model, [items[n].document for n in scored], data)
        if found is None:
            return {"why": "the scores come from a file; name what its models were trained on with --train-ids"}
        against = (
            "all texts that screen or examiner of the held-out scores may have trained on, by the model's manifest"
        )
        number_of = {(d.id, d.text): n for n, d in enumerate(i.document for i in items)}
        plan = []
        for documents, own in found:
            for d in documents:
                if (d.id, d.text) not in number_of:
                    number_of[d.id, d.text] = len(texts)
                    texts.append(d.text)
                    originals.append(d.original or "")
            plan.append((ONE_MODEL, [number_of[d.id, d.text] for d in documents], [scored[k] for k in own]))
    elif suite.files:
        tables = [t for t in list_tables(data) if t not in suite.tables]
        if not tables:
            return {"why": "there are no tables to compare with"}
        against = "all tables of the data folder, which the shipped model was trained on"
        own = [n for n, i in enumerate(items) if i.document.table not in suite.tables]
        texts += _texts_of(data, tables)
        originals = []
        plan = [(ONE_MODEL, range(len(items), len(texts)), own)]
    else:
        return {"why": "the model was trained on these very tables; with --scores of texts that it has not seen it is"}
    shares = overlap.shares_by_round(texts, [(train, test) for _, train, test in plan], originals)
    rows: dict[tuple[int, str], float] = {}
    for (unit, _, test), values in zip(plan, shares, strict=True):
        rows |= {(t, unit): float(v) for t, v in zip(test, values[:, 0], strict=True)}
    every = np.concatenate(shares)
    names = np.array([items[t].document.table for _, _, test in plan for t in test])
    return {
        **overlap.describe(every, suite.overlap.limit),
        "by_set": {str(n): overlap.describe(every[names == n], suite.overlap.limit) for n in np.unique(names)},
        "against": against,
        "action": suite.overlap.action,
        "rows": rows,
    }


def _rounds(
    systems: Sequence[SystemScores], items: Sequence[Item], suite: Suite, train_ids: Path | None
) -> list[Round]:
    trained: dict[str, Sequence[int]]
    if train_ids:
        trained = dict(held_out.rounds_of_ids(train_ids, items))
    else:
        # All that a round leaves to train on, more than the baselines' caps take; a score file that names the same
        # rounds is held to the same rule.
        everything = replace(suite.protocol_settings(), train_rows=len(items))
        trained = {o.name: o.train for o in build_rounds([i.document for i in items], suite.protocol, everything)}
    scored: dict[str, NDArray[np.int64]] = {}
    for unit in sorted({str(u) for s in systems for u in s.unit} & set(trained)):
        scored[unit] = np.unique(np.concatenate([s.text[s.unit == unit] for s in systems]))
    return [(unit, trained[unit], test.tolist()) for unit, test in scored.items()]


def _texts_of(data: Path, tables: Sequence[str]) -> Iterator[str]:
    """Yield the texts of the tables that training may use."""
    import pyarrow.parquet as pq

    for table in tables:
        if table in TABLES and TABLES[table].licence_nc:
            continue
        for value in pq.read_table(data / f"{table}.parquet", columns=["text"])["text"].to_pylist():
            yield str(value or "")


def without_overlap(systems: Sequence[SystemScores], found: Json, suite: Suite) -> tuple[list[SystemScores], int]:
    """Return the systems without the rows above the limit, and how many texts that touched.

    Raises:
        InputError: there are such rows, and the suite says that they stop the run.
    """
    above = {k for k, share in found.get("rows", {}).items() if share > suite.overlap.limit}
    if not above or suite.overlap.action == "report":
        return list(systems), 0
    if suite.overlap.action == "error":
        raise InputError(
            f"suite {suite.name}: {len(above)} texts share more than {100 * suite.overlap.limit:g} % of their "
            "8-word n-grams with a training text; take them out, or set overlap.action to drop or report"
        )
    kept = []
    for s in systems:
        rows = [(t, u) not in above for t, u in zip(s.text.tolist(), s.unit.tolist(), strict=True)]
        kept.append(s.keep(np.array(rows, dtype=np.bool_)))
    return kept, len({t for t, _ in above})
