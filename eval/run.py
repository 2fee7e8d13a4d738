"""`python -m eval run SUITE`: from a suite and systems, or scores made elsewhere, to the report. Joins the steps."""

from __future__ import annotations

import logging
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from detector import __version__
from detector.errors import InputError
from detector.store import open_model
from eval import held_out, plots, report, span_sets, summary, training_overlap
from eval.fixed_systems import DetectorSystem, ExaminerSystem, HubClassifier
from eval.judging import ONE_MODEL, Judged, SystemScores, common_texts, judge, parts_of
from eval.metrics import FPR_TARGETS, signature
from eval.protocols import MASKED_SUFFIX, QUICK, Round, ScoreStore, build_rounds, run_rounds
from eval.scores import read_scores, write_scores
from eval.spans import Shown
from eval.suite import FIXED, Item, Suite, check_digests, load_items
from eval.systems import FixedFunction, TorturedPhrases, TrainableSystem, checked_scores, load_system
from train.corpora import list_tables

log = logging.getLogger(__name__)
READY = (
    DetectorSystem,
    ExaminerSystem,
    HubClassifier,
    TorturedPhrases,
    FixedFunction,
)  # systems that learn nothing from texts
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
        left_out |= {f"rows of `{path.name}` with {k}": n for k, n in skipped.items()}
    names = options.systems or (() if options.scores else suite.systems)
    names = tuple(n for n in names if n not in {s.name for s in systems})
    # Beside scores of held-out texts a baseline is judged on the same texts, trained without their groups.
    numbers = held_out.scored_numbers(systems) if systems else list(range(len(items)))
    finders: dict[str, tuple[span_sets.Finder, set[int] | None]] = {}
    rounds: list[Round] = []
    if suite.protocol != FIXED and (names or not options.scores):
        rounds = (
            held_out.rounds_of_scores(systems, items, suite)
            if systems
            else build_rounds([i.document for i in items], suite.protocol, suite.protocol_settings())
        )
    for name in names:
        system = load_system(name, data, options.quick, trained=suite.protocol != FIXED, model=options.model)
        log.info("system %s", name)
        systems.append(
            _trained(system, rounds, items, suite, data, options)
            if rounds
            else _fixed(system, items, numbers, suite, data)
        )
        if isinstance(system, DetectorSystem) and not rounds:
            finders[name] = (_finder(system), None)
    for path in options.spans:
        for name, by_text in span_sets.read_spans(path, items).items():
            finders[name] = (_finder_of(by_text, items), set(by_text))
    shares: Json = {"why": "switched off with --no-overlap"}
    if options.overlap:
        log.info("overlap with training")
        shares = training_overlap.measure(systems, items, suite, data, model, options.train_ids)
    systems, dropped = training_overlap.without_overlap(systems, shares, suite)
    if options.save_scores:
        write_scores(options.save_scores, systems, items, suite.name)
    common, not_common = common_texts(systems)
    if not len(common):
        raise InputError(f"suite {suite.name}: no text that all systems scored")
    left_out |= {"not_scored_by_all_systems": not_common, "overlapping_training": dropped}
    settings = suite.protocol_settings()
    halves, parts = parts_of(items, settings, suite.threshold_unit)
    results: dict[str, tuple[Judged, Json]] = {}
    # Tables weigh in the calibration as in the recipe; the model of a round is trained by the same one.
    masses = model.manifest.get("training", {}).get("recipe", {}).get("mass") if suite.tables else None
    texts = span_sets.choose(items, suite, data) if finders else span_sets.SpanTexts()
    for s in systems:
        log.info("numbers of %s", s.name)
        judged = judge(s, items, halves, parts)
        found_json = summary.summarise_system(judged, items, suite, common, masses)
        if s.name in finders:
            find, known = finders[s.name]
            own = texts if known is None else span_sets.restricted(texts, known)
            found_json["spans"] = span_sets.summarise(find, own, items, suite)
        results[s.name] = (judged.keep(np.isin(s.text, common)), found_json)
    document = _document(suite, model.model_id, items, results, rounds, digests, changed, left_out, shares)
    out = out or report.ROOT / "eval" / "reports" / model.model_id.split("@")[0] / suite.name
    pictures = plots.draw(results, items, out) if options.pictures else []
    return document, report.write(document, pictures, out)


def _fixed(
    system: TrainableSystem, items: Sequence[Item], numbers: Sequence[int], suite: Suite, data: Path
) -> SystemScores:
    """Score the texts `numbers` by one model; a system that learns is fitted on the tables without their groups."""
    tested = [items[n].document for n in numbers]
    documents = []
    if not isinstance(system, READY) and list_tables(data):
        documents = held_out.documents_without(tested, data)
        log.info("%s: fitted on %d texts of %s", system.name, len(documents), data)
    elif not isinstance(system, READY):
        log.info("%s: no tables in %s to fit on", system.name, data)
    scorer = system.fit(documents, suite.seed)
    values = checked_scores(scorer, [d.text for d in tested], system.name)
    return SystemScores(
        system.name,
        np.array(numbers, dtype=np.int64),
        np.full(len(numbers), ONE_MODEL),
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
        # What is run here beside a score file was fitted without the groups of its texts, but for the shipped model.
        "held_out": suite.held_out
        or (
            any(j.scores.origin != "run" for j, _ in results.values())
            and not any(j.scores.origin == "run" and j.scores.points for j, _ in results.values())
        ),
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
