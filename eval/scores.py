"""Score files: the scores of any system, made anywhere, as input of the harness, and what the harness writes itself.

A row is one text scored by one model: `id` (as in the table or file; `#cut` behind it where the search phrase was cut
out), `system`, `score` or `probability`, and optionally `round` (or `fold`): the model that made it, where several did,
each without some of the texts. Parquet, JSON Lines, CSV or NPZ. docs/evaluation.md has an example.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detector.errors import InputError
from eval.judging import NOT_SCORED, ONE_MODEL, SystemScores
from eval.suite import Item, key_of, read_rows
from eval.systems import OURS

Rows = list[dict[str, Any]]


def read_table(path: Path) -> Rows:
    """Return the rows of a Parquet, JSON Lines, CSV or NPZ file.

    Raises:
        InputError: the file cannot be read, or the arrays of an NPZ differ in length.
    """
    if path.suffix.lower() != ".npz":
        return read_rows(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            columns = {name: file[name].tolist() for name in file.files}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    if len({len(c) for c in columns.values()}) > 1:
        raise InputError(f"{path}: arrays of different lengths: { {k: len(v) for k, v in columns.items()} }")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def numbers_of(items: Sequence[Item]) -> dict[str, int]:
    """Return the number of each text by the key of score files; -1 for a key that several texts have."""
    out: dict[str, int] = {}
    for number, item in enumerate(items):
        key = key_of(item.document)
        out[key] = -1 if key in out else number
    return out


def read_scores(
    path: Path, items: Sequence[Item], suite: str, points: Mapping[str, float], model: str
) -> tuple[list[SystemScores], dict[str, int]]:
    """Return the scores by system, and counts of the rows left out and why.

    `suite`: rows with another value in a column `protocol` or `suite` are left out. `points`, `model`: of our model,
    for systems of that name whose values are probabilities. A missing probability means that the text was not scored.

    Raises:
        InputError: a column is missing, a text has two scores of one model, a value is no number, or nothing is left.
    """
    number_of = numbers_of(items)
    found: dict[str, list[tuple[int, str, float]]] = {}
    calibrated: dict[str, bool] = {}
    skipped: Counter[str] = Counter()
    seen: set[tuple[str, int, str]] = set()
    for number, row in enumerate(read_table(path), 1):
        kind = next((k for k in ("probability", "score") if row.get(k) is not None), "")
        kind = kind or next((k for k in ("probability", "score") if k in row), "")
        if "id" not in row or not kind:
            raise InputError(f"{path.name} row {number}: needs the columns id and score (or probability), has {[*row]}")
        about = row.get("protocol", row.get("suite"))
        text = number_of.get(str(row["id"]))
        other = about not in (None, "", suite)
        if other or text is None or text < 0:
            skipped[
                "another suite" if other else "an id of no text" if text is None else "the id of several texts"
            ] += 1
            continue
        name = str(row.get("system") or path.stem)
        unit = str(next((row[k] for k in ("round", "fold") if row.get(k) not in (None, "")), ONE_MODEL))
        value = row[kind]
        try:
            value = float("nan") if value is None or value == "" else float(value)
        except (TypeError, ValueError) as error:
            raise InputError(f"{path.name} row {number}: {kind} {value!r} is no number") from error
        if value != value:
            if kind == "score":
                raise InputError(f"{path.name} row {number}: no score; give texts that cannot be judged the lowest")
            value = NOT_SCORED
        if kind == "probability" and not (0.0 <= value <= 1.0 or value == NOT_SCORED):
            raise InputError(f"{path.name} row {number}: probability {value} is not in [0, 1]")
        if (name, text, unit) in seen:
            raise InputError(f"{path.name} row {number}: a second score of {row['id']} by {name} {unit}".rstrip())
        seen.add((name, text, unit))
        if calibrated.setdefault(name, kind == "probability") != (kind == "probability"):
            raise InputError(f"{path.name} row {number}: {name} has scores in some rows and probabilities in others")
        found.setdefault(name, []).append((text, unit, value))
    if not found:
        raise InputError(f"{path}: no score for any text of the suite {suite} ({dict(skipped) or 'the file is empty'})")
    out = []
    for name, rows in found.items():
        rows.sort()
        # The points belong to the model as shipped, not to those of rounds.
        ours = calibrated[name] and name in OURS and all(unit == ONE_MODEL for _, unit, _ in rows)
        out.append(
            SystemScores(
                name,
                np.array([r[0] for r in rows], dtype=np.int64),
                np.array([r[1] for r in rows]),
                np.array([r[2] for r in rows], dtype=np.float64),
                calibrated[name],
                dict(points) if ours else {},
                f"held-out, thresholds of {model}" if ours else "from-file",
                f"file {path.name}",
            )
        )
    return out, dict(skipped)


def write_scores(path: Path, systems: Iterable[SystemScores], items: Sequence[Item], suite: str) -> None:
    """Write the scores as Parquet that `read_scores` reads, one file for all systems."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, list[Any]] = {k: [] for k in ("id", "system", "suite", "round", "score", "probability")}
    for s in systems:
        columns["id"] += [key_of(items[i].document) for i in s.text]
        columns["system"] += [s.name] * len(s.text)
        columns["suite"] += [suite] * len(s.text)
        columns["round"] += s.unit.tolist()
        values: list[float | None] = [None if s.calibrated and v == NOT_SCORED else v for v in s.score.tolist()]
        nothing: list[float | None] = [None] * len(values)
        columns["score"] += nothing if s.calibrated else values
        columns["probability"] += values if s.calibrated else nothing
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, compression="zstd")
