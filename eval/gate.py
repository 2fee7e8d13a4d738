"""The gate: floors under what the shipped model must reach, so that a change that makes it worse does not pass CI.

Three sets of metrics. `data`: fixed samples of the tables, where the data folder is there. `own`: the small texts of
eval/suites/own, everywhere. `program`: speed against a fixed yardstick, and size. Most texts of the tables were in the
model's training; that does not matter here, for the gate compares a model with its predecessor on the same texts and
claims nothing about new ones (see the reports of `python -m eval run` for that).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detector import SpinDetector, SpinResult, Verdict
from detector.errors import InputError
from eval.metrics import brier_score, expected_calibration_error
from eval.report import digest_tables
from eval.sampling import balanced_sample
from eval.spans import Counts, Shown, artefacts_covered, clean_rate, count
from eval.suite import LABELS, SUITES, Known, read_rows
from eval.yardstick import articles_per_unit
from train.corpora import Document, load_documents

FLOORS = Path(__file__).parent / "floors.json"
SETS = ("program", "own", "data")
POINTS = ("strict", "balanced", "sensitive")
SCHEMA_VERSION = 1
SEED = 20220119
LONGEST = 400  # words of a text of the tables: bounds the time, and few articles change their verdict behind it
PER_TABLE = {"spun": 40, "original": 60, "llm_rewritten": 25, "machine_translated": 25}
ARTEFACT_TABLES = ("spun/wild", "spun/finance_glossary")
ROUNDS = 5
Json = dict[str, Any]


@dataclass(frozen=True)
class Metric:
    """What was measured. `higher`: whether more is better. `n`: rows behind it, which set the margin of a floor."""

    value: float
    higher: bool
    n: int

    def margin(self, name: str) -> float:
        """Return by how much a floor lies on the worse side of this value.

        Shares: one text, or, where that is more, 0.01 (of false positives 0.002). Others: see `MARGINS`.
        """
        for prefix, (absolute, relative) in MARGINS.items():
            if name.startswith(prefix):
                return max(absolute, relative * abs(self.value))
        return max(0.01 if self.higher else 0.002, 1.0 / max(self.n, 1))


# (absolute, relative to the value), by the beginning of the name. What differs between two equal models is rounding on
# another processor and, for speed, the machine: four runs on two cores shared with trainings gave 45 to 56 articles,
# 0.2 apart, and another processor may add as much again.
MARGINS: Mapping[str, tuple[float, float]] = {
    "speed": (0.0, 0.35),
    "size": (0.0, 0.02),
    "brier": (0.002, 0.0),
    "ece": (0.01, 0.0),
    "spans_per_1000_words": (0.05, 0.1),
}


@dataclass(frozen=True)
class Measured:
    """The metrics of a set by name, with a digest of the texts behind them and a line that says how they are drawn."""

    metrics: dict[str, Metric]
    digest: str
    sample: str


@dataclass(frozen=True)
class Row:
    """One line of the table. `worse_by`: how far the value is on the wrong side of the floor, else 0."""

    name: str
    floor: float | None
    value: float | None
    n: int
    worse_by: float
    note: str = ""


def _flag_rates(
    prefix: str, probabilities: Sequence[float], thresholds: Mapping[str, float], higher: bool
) -> dict[str, Metric]:
    values = np.asarray(probabilities, dtype=np.float64)
    return {
        f"{prefix}/{point}": Metric(float(np.mean(values >= threshold)), higher, len(values))
        for point, threshold in thresholds.items()
    }


def _probability(result: SpinResult) -> float:
    # A text that is not scored is never flagged.
    return -1.0 if result.verdict is Verdict.NOT_SCORED else float(result.probability or 0.0)


def _calibration(rows: Sequence[tuple[SpinResult, bool]]) -> dict[str, Metric]:
    """Return Brier score and ECE of the scored texts, spun and not spun weighing the same."""
    scored = [(_probability(r), spun) for r, spun in rows if r.verdict is not Verdict.NOT_SCORED]
    probabilities = np.array([p for p, _ in scored])
    labels = np.array([float(spun) for _, spun in scored])
    weights = np.where(labels == 1, 0.5 / max(labels.sum(), 1), 0.5 / max((1 - labels).sum(), 1))
    return {
        "brier": Metric(brier_score(probabilities, labels, weights), False, len(scored)),
        "ece": Metric(expected_calibration_error(probabilities, labels, weights), False, len(scored)),
    }


def _clean_spans(results: Sequence[SpinResult]) -> dict[str, Metric]:
    found = clean_rate([(str(i), r.words, len(r.spans)) for i, r in enumerate(results)], SEED)
    return {} if found is None else {"spans_per_1000_words/human": Metric(found["value"], False, found["n"])}


def _shown(result: SpinResult) -> list[Shown]:
    return [Shown(s.start, s.end, tuple(s.suggestions)) for s in result.spans]


def measure_tables(detector: SpinDetector, data: Path) -> Measured:
    """Return the metrics of the set `data`."""
    documents = load_documents(data)
    samples: dict[str, list[Document]] = {}
    for label, rows in PER_TABLE.items():
        tables = len({d.table for d in documents if d.label == label})
        samples[label] = balanced_sample(documents, label, rows * tables, SEED, longest=LONGEST, fewest=60)
    scored = {
        label: [(d, r) for d, r in zip(chosen, detector.score_batch(d.text for d in chosen), strict=True)]
        for label, chosen in samples.items()
    }
    points = detector.operating_points
    metrics: dict[str, Metric] = {}
    for table in sorted({d.table for d in samples["spun"]}):
        found = [_probability(r) for d, r in scored["spun"] if d.table == table]
        metrics |= _flag_rates(f"recall/{table.split('/')[1]}", found, points, True)
    human = {t: [_probability(r) for d, r in scored["original"] if d.table == t] for t in _tables(samples["original"])}
    metrics |= _flag_rates("fpr/human", [p for found in human.values() for p in found], points, False)
    for point, threshold in points.items():
        # One table's share, so that the margin is one text of that table.
        shares = {t: float(np.mean(np.array(found) >= threshold)) for t, found in human.items() if len(found) >= 20}
        worst = max(shares, key=lambda t: (shares[t], t))
        metrics[f"fpr/worst_human_set/{point}"] = Metric(shares[worst], False, len(human[worst]))
    for label in ("llm_rewritten", "machine_translated"):
        metrics |= _flag_rates(f"fpr/{label}", [_probability(r) for _, r in scored[label]], points, False)
    rows_with_labels = [(r, True) for _, r in scored["spun"]] + [(r, False) for _, r in scored["original"]]
    metrics |= _calibration(rows_with_labels)
    metrics |= _clean_spans([r for _, r in scored["original"]])
    metrics |= _artefacts(detector, data, documents)
    sample = f"{', '.join(f'{len(v)} {k}' for k, v in samples.items())}; {LONGEST} words, seed {SEED}"
    return Measured(metrics, digest_tables(data, _tables(documents)), sample)


def _tables(documents: Sequence[Document]) -> list[str]:
    return sorted({d.table for d in documents})


def _artefacts(detector: SpinDetector, data: Path, documents: Sequence[Document]) -> dict[str, Metric]:
    """Return how many of the phrases that a reader marked are covered by spans, and how often a suggestion hits."""
    import pyarrow.parquet as pq

    marked: dict[str, list[Json]] = {}
    for table in ARTEFACT_TABLES:
        rows = pq.read_table(data / f"{table}.parquet", columns=["id", "artefacts"]).to_pylist()
        marked |= {str(r["id"]): json.loads(r["artefacts"] or "[]") for r in rows}
    chosen = [d for d in documents if marked.get(d.id)]
    results = detector.score_batch(d.text for d in chosen)
    texts = [(d.group, d.text, _shown(r), marked[d.id]) for d, r in zip(chosen, results, strict=True)]
    found = artefacts_covered(texts, SEED)
    if found is None:
        return {}
    return {f"artefacts/{k}": Metric(v["value"], True, v["n"]) for k, v in found.items() if v is not None}


def measure_own(detector: SpinDetector, folder: Path) -> Measured:
    """Return the metrics of the set `own`: the labelled files (*.jsonl) of a folder.

    Raises:
        InputError: there are none, or one of them cannot be read.
    """
    files = sorted(folder.glob("*.jsonl"))
    rows = [row for file in files for row in read_rows(file)]
    if not rows:
        raise InputError(f"{folder}: no labelled texts (*.jsonl)")
    results = list(detector.score_batch(str(row["text"]) for row in rows))
    kinds = [LABELS[str(row["label"]).lower()] for row in rows]
    points = detector.operating_points
    metrics: dict[str, Metric] = {}
    tools: dict[str, list[float]] = {}
    for row, kind, result in zip(rows, kinds, results, strict=True):
        if kind == "spun":
            tools.setdefault(re.sub(r"\W+", "_", str(row.get("tool") or "unknown")), []).append(_probability(result))
    for tool, found in sorted(tools.items()):
        metrics |= _flag_rates(f"recall/{tool}", found, points, True)
    for kind in sorted(set(kinds) - {"spun"}):
        found = [_probability(r) for k, r in zip(kinds, results, strict=True) if k == kind]
        metrics |= _flag_rates(f"fpr/{kind}", found, points, False)
    metrics |= _calibration(
        [(r, k == "spun") for r, k in zip(results, kinds, strict=True) if k in ("spun", "original")]
    )
    metrics |= _clean_spans([r for r, k in zip(results, kinds, strict=True) if k == "original"])
    counts = Counts()
    for row, result in zip(rows, results, strict=True):
        if row.get("replacements"):
            known = [Known(k["start"], k["end"], k["original"]) for k in row["replacements"]]
            counts.add(str(row["id"]), count(str(row["text"]), _shown(result), known))
    for name, above, below in (("found", "found_phrases", "phrases"), ("suggestion_hit_3", "hits_3", "right_spans")):
        if (share := counts.ratio(above, below, SEED)) is not None:
            metrics[f"phrases/{name}"] = Metric(share["value"], True, share["n"])
    digest = hashlib.sha256(b"".join(hashlib.sha256(f.read_bytes()).digest() for f in files)).hexdigest()[:12]
    return Measured(metrics, digest, f"{len(rows)} texts of {', '.join(f.name for f in files)}")


def measure_program(detector: SpinDetector, model: Path, folder: Path) -> Measured:
    """Return the metrics of the set `program`: speed on the own texts, and bytes of the model folder."""
    rows = [row for file in sorted(folder.glob("*.jsonl")) for row in read_rows(file)]
    metrics: dict[str, Metric] = {}
    for name, label in (("human", "original"), ("spun", "spun")):
        texts = [str(row["text"]) for row in rows if LABELS[str(row["label"]).lower()] == label]

        def score_all(texts: Sequence[str] = texts) -> None:
            for _ in detector.score_batch(texts):
                pass

        metrics[f"speed/{name}"] = Metric(articles_per_unit(score_all, len(texts), ROUNDS), True, len(texts))
    files = [p for p in model.rglob("*") if p.is_file()]
    metrics["size/bytes"] = Metric(float(sum(p.stat().st_size for p in files)), False, len(files))
    digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:12]
    return Measured(metrics, digest, "articles in the CPU time of one unit of eval/yardstick.py; bytes of the folder")


def measure(detector: SpinDetector, model: Path, data: Path | None, sets: Sequence[str]) -> dict[str, Measured]:
    """Return the sets asked for; `data` is left out where there is no data folder."""
    own = SUITES / "own"
    found: dict[str, Measured] = {}
    for name in sets:
        if name == "program":
            found[name] = measure_program(detector, model, own)
        elif name == "own":
            found[name] = measure_own(detector, own)
        elif data is not None:
            found[name] = measure_tables(detector, data)
    return found


def compare(floors: Json, measured: Measured) -> list[Row]:
    """Return a row for each metric that has a floor or was measured. A floor without a value counts as fallen."""
    rows = []
    known: dict[str, Json] = floors.get("metrics", {})
    for name in dict.fromkeys((*known, *measured.metrics)):
        metric, entry = measured.metrics.get(name), known.get(name)
        if metric is None:
            rows.append(Row(name, known[name]["floor"], None, 0, float("inf"), "no longer measured"))
        elif entry is None:
            rows.append(Row(name, None, metric.value, metric.n, 0.0, "no floor yet; --raise sets one"))
        else:
            gap = entry["floor"] - metric.value if metric.higher else metric.value - entry["floor"]
            rows.append(Row(name, entry["floor"], metric.value, metric.n, gap if gap > _ROUNDING else 0.0))
    return rows


_ROUNDING = 1e-9  # floors are written with six significant digits, on the lenient side


def new_floors(floors: Json, measured: Measured, model_id: str, allow_lower: bool) -> Json:
    """Return the floors of a set after `--raise`: what was measured minus its margin.

    Without `allow_lower` a floor that would fall, or belongs to a metric that is gone, stays as it is.
    """
    metrics: Json = {} if allow_lower else dict(floors.get("metrics", {}))
    for name, metric in measured.metrics.items():
        sign = 1 if metric.higher else -1
        floor = metric.value - sign * metric.margin(name)
        floor -= sign * max(5e-6 * abs(floor), 1e-9)  # what six significant digits may take away
        if name.startswith(("recall", "fpr", "artefacts", "phrases")):
            floor = min(max(floor, 0.0), 1.0)
        floor = float(f"{floor:.6g}")
        old = metrics.get(name)
        if old is not None and sign * old["floor"] > sign * floor:
            continue
        metrics[name] = {
            "floor": floor,
            "measured": float(f"{metric.value:.6g}"),
            "higher": metric.higher,
            "n": metric.n,
        }
    return {"model": model_id, "digest": measured.digest, "sample": measured.sample, "metrics": metrics}


def read_floors(path: Path) -> Json:
    """Return the floors by set; empty where there is no file.

    Raises:
        InputError: the file is not what `--raise` writes.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path}: is not valid JSON: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA_VERSION or "sets" not in content:
        raise InputError(f"{path}: is no file of floors of schema {SCHEMA_VERSION}; make one with --raise")
    return dict(content["sets"])


def write_floors(path: Path, sets: Json) -> None:
    """Write the floors of all sets."""
    ordered = {name: sets[name] for name in SETS if name in sets}
    path.write_text(json.dumps({"schema": SCHEMA_VERSION, "sets": ordered}, indent=1) + "\n", encoding="utf-8")


def to_text(name: str, floors: Json, measured: Measured, rows: Sequence[Row]) -> str:
    """Return the table of a set for a terminal, what fell first."""
    lines = [f"{name} ({measured.sample}; {measured.digest}); floors of {floors.get('model', 'no model yet')}"]
    width = max([len(r.name) for r in rows], default=0)
    for row in sorted(rows, key=lambda r: not r.worse_by):
        shown = ["–" if x is None else f"{x:.4g}" for x in (row.floor, row.value)]
        fell = f"  WORSE by {row.worse_by:.4g}" if row.worse_by else ""
        note = f"  {row.note}" if row.note else ""
        lines.append(
            f"  {row.name:<{width}}  floor {shown[0]:>9}  now {shown[1]:>9}  n {row.n:<6}{fell}{note}".rstrip()
        )
    return "\n".join(lines)
