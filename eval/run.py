"""`python -m eval run SUITE`: from a suite and systems, or scores made elsewhere, to the report. Joins the steps."""

from __future__ import annotations

import logging
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from detector import __version__
from detector.errors import InputError
from detector.store import open_model
from eval import overlap, plots, report, span_sets, summary
from eval.fixed_systems import DetectorSystem, HubClassifier
from eval.judging import ONE_MODEL, Judged, SystemScores, common_texts, judge, parts_of
from eval.metrics import FPR_TARGETS, signature
from eval.protocols import MASKED_SUFFIX, QUICK, Round, ScoreStore, build_rounds, run_rounds
from eval.scores import numbers_of, read_scores, read_table, write_scores
from eval.spans import Shown
from eval.suite import FIXED, Item, Suite, check_digests, load_items
from eval.systems import FixedFunction, TorturedPhrases, TrainableSystem, checked_scores, load_system
from train.corpora import TABLES, list_tables, load_documents, text_key

log = logging.getLogger(__name__)
READY = (DetectorSystem, HubClassifier, TorturedPhrases, FixedFunction)  # systems that learn nothing from texts
SCHEMA_VERSION = 2
Json = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What the command line asks for; see `python -m eval run --help`."""

    systems: tuple[str, ...] = ()
    model: str | None = None
    scores: tuple[Path, ...] = ()
    spans: tuple[Path, ...] = ()
    train_ids: Path | None = None
    changed_data: bool = False
    overlap: bool = True
    pictures: bool = True
    quick: bool = False
    jobs: int = 1
    store: Path | None = None
    reuse: frozenset[str] = frozenset()
    save_scores: Path | None = None


def adjusted(suite: Suite, *, seed: int | None, rows: int | None, quick: bool) -> Suite:
    """Return the suite with what the command line changes."""
    if quick:
        small = {k: v for k, v in asdict(QUICK).items() if k != "seed"}
        suite = replace(suite, settings={**suite.settings, **small}, deduplicate=False, spans=min(suite.spans, 10))
        if suite.protocol == FIXED and suite.tables:
            suite = replace(suite, rows=30)
    if rows is not None:
        suite = replace(suite, rows=rows)
    return suite if seed is None else replace(suite, seed=seed)


def run(suite: Suite, data: Path, options: Options, out: Path | None) -> tuple[Json, list[Path]]:
    """Return the metrics document and the files written: to `out`, else to eval/reports/<model>/<suite>/.

    Raises:
        InputError: data differ from the pinned ones, a system or file is wrong, or too few texts for any number.
    """
    digests, changed = check_digests(suite, data, go_on=options.changed_data)
    items, left_out = load_items(suite, data)
    model = open_model(options.model)
    ours = DetectorSystem(options.model)
    systems: list[SystemScores] = []
    for path in options.scores:
        found, skipped = read_scores(path, items, suite.name, ours.points, ours.model_id)
        systems += found
        left_out |= {f"rows_of_{path.name}_{k.replace(' ', '_')}": n for k, n in skipped.items()}
    names = options.systems or (() if options.scores else suite.systems)
    names = tuple(n for n in names if n not in {s.name for s in systems})
    finders: dict[str, tuple[span_sets.Finder, set[int] | None]] = {}
    rounds: list[Round] = []
    if suite.protocol != FIXED and (names or not options.scores):
        rounds = build_rounds([i.document for i in items], suite.protocol, suite.protocol_settings())
    for name in names:
        system = load_system(name, data, options.quick, trained=suite.protocol != FIXED, model=options.model)
        log.info("system %s", name)
        systems.append(
            _trained(system, rounds, items, suite, data, options) if rounds else _fixed(system, items, suite, data)
        )
        if isinstance(system, DetectorSystem) and not rounds:
            finders[name] = (_finder(system), None)
    for path in options.spans:
        for name, by_text in span_sets.read_spans(path, items).items():
            finders[name] = (_finder_of(by_text, items), set(by_text))
    shares = _overlap(systems, items, suite, data, options)
    systems, dropped = _without_overlap(systems, shares, suite)
    if options.save_scores:
        write_scores(options.save_scores, systems, items, suite.name)
    common, not_common = common_texts(systems)
    if not len(common):
        raise InputError(f"suite {suite.name}: no text that all systems scored")
    left_out |= {"not_scored_by_all_systems": not_common, "overlapping_training": dropped}
    settings = suite.protocol_settings()
    halves, parts = parts_of(items, settings, suite.threshold_unit)
    results: dict[str, tuple[Judged, Json]] = {}
    texts = span_sets.choose(items, suite, data) if finders else span_sets.SpanTexts()
    for s in systems:
        log.info("numbers of %s", s.name)
        judged = judge(s, items, halves, parts)
        found_json = summary.summarise_system(judged, items, suite, common)
        if s.name in finders:
            find, known = finders[s.name]
            own = texts if known is None else span_sets.restricted(texts, known)
            found_json["spans"] = span_sets.summarise(find, own, items, suite)
        results[s.name] = (judged.keep(np.isin(s.text, common)), found_json)
    document = _document(suite, model.model_id, items, results, rounds, digests, changed, left_out, shares)
    out = out or report.ROOT / "eval" / "reports" / model.model_id.split("@")[0] / suite.name
    pictures = plots.draw(results, items, out) if options.pictures else []
    return document, report.write(document, pictures, out)


def _fixed(system: TrainableSystem, items: Sequence[Item], suite: Suite, data: Path) -> SystemScores:
    """Score every text by one model; a system that learns is fitted on the tables without the texts of the suite."""
    documents = []
    if not isinstance(system, READY) and list_tables(data):
        tested = {text_key(t) for i in items for t in (i.document.text, i.document.original) if t}
        documents = [
            d
            for d in load_documents(data)
            if not d.licence_nc and not tested & {text_key(t) for t in (d.text, d.original) if t}
        ]
        log.info("%s: fitted on %d texts of %s", system.name, len(documents), data)
    elif not isinstance(system, READY):
        log.info("%s: no tables in %s to fit on", system.name, data)
    scorer = system.fit(documents, suite.seed)
    values = checked_scores(scorer, [i.document.text for i in items], system.name)
    return SystemScores(
        system.name,
        np.arange(len(items), dtype=np.int64),
        np.full(len(items), ONE_MODEL),
        values,
        bool(getattr(system, "calibrated", False)),
        dict(getattr(system, "points", {})),
        str(getattr(system, "model_id", "fitted-on-tables" if documents else "fixed")),
    )


def _trained(
    system: TrainableSystem, rounds: Sequence[Round], items: Sequence[Item], suite: Suite, data: Path, options: Options
) -> SystemScores:
    """Train a model for each round and score what it has not seen."""
    documents, settings = [i.document for i in items], suite.protocol_settings()
    store = None
    if options.store:
        key = f"{report.digest_tables(data, suite.tables)}|{suite.protocol}|{settings}"
        store = ScoreStore(options.store, key, options.reuse)
    found = run_rounds([system], rounds, documents, settings, options.jobs, store)[0]
    numbers = [one.pool + one.others for one in rounds]
    return SystemScores(
        system.name,
        np.concatenate([np.array(n, dtype=np.int64) for n in numbers]),
        np.concatenate([np.full(len(n), one.name) for one, n in zip(rounds, numbers, strict=True)]),
        np.concatenate(found),
        bool(getattr(system, "calibrated", False)),
        dict(getattr(system, "points", {})),
        "one-per-round",
    )


def _finder(system: DetectorSystem) -> span_sets.Finder:
    def find(texts: Sequence[str]) -> list[list[Shown]]:
        return [[Shown(s.start, s.end, s.suggestions) for s in r.spans] for r in system.results(texts)]

    return find


def _finder_of(by_text: Mapping[int, list[Shown]], items: Sequence[Item]) -> span_sets.Finder:
    known = {items[n].document.text: shown for n, shown in by_text.items()}
    return lambda texts: [known[t] for t in texts]


def _rounds_of_ids(path: Path, items: Sequence[Item]) -> dict[str, list[int]]:
    """Return {round: numbers of the texts trained on} of a file with the columns id and round (or fold)."""
    number_of, out = numbers_of(items), dict[str, list[int]]()
    for number, row in enumerate(read_table(path), 1):
        if "id" not in row:
            raise InputError(f"{path.name} row {number}: needs a column id (and round, where there are several)")
        text = number_of.get(str(row["id"]))
        if text is not None:
            unit = str(next((row[k] for k in ("round", "fold") if row.get(k) not in (None, "")), ONE_MODEL))
            out.setdefault(unit, []).append(text)
    return out


def _overlap(
    systems: Sequence[SystemScores], items: Sequence[Item], suite: Suite, data: Path, options: Options
) -> Json:
    """Return the overlap of test texts with training, for the report, and under "rows" {(text, unit): share}."""
    if not options.overlap:
        return {"why": "switched off with --no-overlap"}
    texts = [i.document.text for i in items]
    trained: dict[str, Sequence[int]] = {}
    if options.train_ids:
        trained |= _rounds_of_ids(options.train_ids, items)
    elif suite.protocol != FIXED:
        # All that a round leaves to train on, more than the baselines' caps take; a score file that names the same
        # rounds is held to the same rule.
        everything = replace(suite.protocol_settings(), train_rows=len(items))
        rounds = build_rounds([i.document for i in items], suite.protocol, everything)
        trained |= {one.name: one.train for one in rounds}
    units = sorted({str(u) for s in systems for u in s.unit} & set(trained))
    plan = [(u, trained[u], sorted({int(t) for s in systems for t in s.text[s.unit == u]})) for u in units]
    if plan:
        originals = [i.document.original or "" for i in items]
        found = overlap.shares_by_round(texts, [(train, test) for _, train, test in plan], originals)
        parts, rows = [], dict[tuple[int, str], float]()
        for (unit, _, test), values in zip(plan, found, strict=True):
            parts.append(values)
            rows |= {(t, unit): float(v) for t, v in zip(test, values[:, 0], strict=True)}
        return {
            **overlap.describe(np.concatenate(parts), suite.overlap.limit),
            "against": "all texts that the model which scored them may have trained on (a text counts once a model)",
            "action": suite.overlap.action,
            "rows": rows,
        }
    if not suite.files:
        unknown = "the scores come from a file; name what its models were trained on with --train-ids"
        return {"why": unknown if options.scores else "the model was trained on these tables"}
    tables = [t for t in list_tables(data) if t not in suite.tables]
    if not tables:
        return {"why": "there are no tables to compare with"}
    own = [n for n, i in enumerate(items) if i.document.table not in suite.tables]
    values = overlap.shares_in_training(_texts_of(data, tables), [texts[n] for n in own])
    return {
        **overlap.describe(values, suite.overlap.limit),
        "against": "all tables of the data folder, which the shipped model was trained on",
        "action": suite.overlap.action,
        "rows": {(n, ONE_MODEL): float(v) for n, v in zip(own, values[:, 0], strict=True)},
    }


def _texts_of(data: Path, tables: Sequence[str]) -> Iterator[str]:
    """Yield the texts of the tables that training may use."""
    import pyarrow.parquet as pq

    for table in tables:
        if table in TABLES and TABLES[table].licence_nc:
            continue
        for value in pq.read_table(data / f"{table}.parquet", columns=["text"])["text"].to_pylist():
            yield str(value or "")


def _without_overlap(systems: Sequence[SystemScores], found: Json, suite: Suite) -> tuple[list[SystemScores], int]:
    """Return the systems without the rows above the limit, and how many texts that touched."""
    above = {k for k, share in found.get("rows", {}).items() if share > suite.overlap.limit}
    if not above or suite.overlap.action == "report":
        return list(systems), 0
    if suite.overlap.action == "error":
        raise InputError(
            f"suite {suite.name}: {len(above)} texts share more than {report.percent(suite.overlap.limit)} of their "
            "8-word n-grams with a training text; take them out, or set overlap.action to drop or report"
        )
    kept = []
    for s in systems:
        rows = [(t, u) not in above for t, u in zip(s.text.tolist(), s.unit.tolist(), strict=True)]
        kept.append(s.keep(np.array(rows, dtype=np.bool_)))
    return kept, len({t for t, _ in above})


def _document(
    suite: Suite,
    model_id: str,
    items: Sequence[Item],
    results: Mapping[str, tuple[Judged, Json]],
    rounds: Sequence[Round],
    digests: Mapping[str, str],
    changed: Sequence[str],
    left_out: Json,
    shares: Json,
) -> Json:
    """Return metrics.json."""
    whole = report.digest_of(digests)
    settings = suite.protocol_settings()
    systems: Json = {}
    for name, (judged, numbers) in results.items():
        sizes: dict[str, str | int] = {}
        if rounds:
            sizes = {"pool": settings.pool_rows, "train": settings.train_rows, "folds": settings.folds}
        numbers["rounds"] = sorted({str(u) for u in judged.scores.unit} - {ONE_MODEL})
        numbers["signature"] = signature(
            system=name,
            model=judged.scores.model,
            data=whole,
            suite=suite.name,
            protocol=suite.protocol,
            fpr="+".join(report.percent(t).replace(" ", "") for t in FPR_TARGETS),
            n=len(np.unique(judged.scores.text)),
            **sizes,
            bs=summary.RESAMPLES,
            seed=suite.seed,
            v=__version__,
        )
        systems[name] = numbers
    texts = next(iter(results.values()))[0].scores.text
    chosen = [items[t].document for t in np.unique(texts)]
    warning = "The model was trained on most of these texts, and its thresholds were set on human texts among them. "
    warning += "The numbers show what the shipped files do, not what to expect of new texts."
    flat = {k: sum(v.values()) if isinstance(v, dict) else v for k, v in left_out.items()}
    result = {
        "schema": SCHEMA_VERSION,
        "model": model_id,
        "suite": suite.name,
        "title": suite.title,
        "about": suite.about,
        "held_out": suite.held_out or all(j.scores.origin != "run" for j, _ in results.values()),
        "not_held_out": warning,
        "protocol": suite.protocol,
        "threshold_unit": suite.threshold_unit,
        "masked": any(d.table.endswith(MASKED_SUFFIX) for d in chosen),
        "data": {"digest": whole, "files": {k: v[:16] for k, v in sorted(digests.items())}},
        "changed_data": list(changed),
        "texts": dict(sorted(Counter(d.label for d in chosen).items())),
        "left_out": flat,
        "overlap": {k: v for k, v in shares.items() if k != "rows"},
        "version": __version__,
        "seed": suite.seed,
        "libraries": {
            "python": platform.python_version(),
            **{p: metadata.version(p) for p in ("numpy", "scikit-learn", "matplotlib")},
        },
        "rounds": [
            {
                "left_out": one.left_out or None,
                "fold": one.fold,
                "train_texts": len(one.train),
                "train_spun": sum(items[i].document.label == "spun" for i in one.train),
                "human_texts": len(one.pool),
                "human_sets": sorted({items[i].document.table for i in one.pool}),
            }
            for one in rounds
        ],
        "systems": systems,
    }
    rounded: Json = report.rounded(result)
    return rounded
