"""Held-out scores of screen and examiner joined: both are trained again without what they are judged on.

Training an examiner for each of the protocol's twelve rounds would take hours on two cores, so some rounds stand for
all: one for each tool family, each without another fold of the human writers, and one with all tools. A round scores
*all* texts of the family that it was trained without. What joins the two models in a round is fitted on the other
rounds' held-out texts, so it has seen neither the family nor the writers either.

    python -m eval joined --cache DIR --out SCORES.parquet
    python -m eval run leave-one-tool-out --scores SCORES.parquet --system tortured,association,tfidf
"""

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.calibrate import JOINED_NAMES, joined_features, sigmoid
from detector.join import chosen_segments
from eval.protocols import ALSO_LEFT_OUT, NO_FAMILY, Settings, build_rounds, family_of, fold_of
from train.corpora import Document
from train.examiner import Settings as ExaminerSettings
from train.examiner_data import Labelled, Windows, cut_windows, labelled_documents, select, simulated
from train.export import thresholds, upper_quantile
from train.join import SMALLEST_SET, article_weights, cross_fit, fit_logistic
from train.screen import SPUN, count_pairs, fit
from train.screen import Settings as ScreenSettings
from train.simulation import imitates_only

log = logging.getLogger(__name__)
Floats = NDArray[np.float64]
ROUNDS: Mapping[str, tuple[str, str, int]] = {
    "spinbot-0": ("leave-one-tool-out", "spinbot", 0),
    "quillbot-1": ("leave-one-tool-out", "quillbot", 1),
    "wild-2": ("leave-one-tool-out", "wild", 2),
    "all-tools-3": ("known-tool", NO_FAMILY, 3),
}
"""Protocol, family left out, human fold held out."""


@dataclass(frozen=True)
class Scored:
    """The held-out texts of a round.

    `rows` index the documents, the first `pool` of them human ones; `log_odds`: the screen's; `gates`: its gate by the
    share of human texts let through; `features`: of the joined model, by position in `rows`, of all texts with words
    (those that the gate clears too: for the examiner on its own).
    """

    rows: list[int]
    pool: int
    log_odds: Floats
    gates: Mapping[float, float]
    features: Mapping[int, Floats]


def make_pool(documents: Sequence[Document], settings: ExaminerSettings, data: Path, cache: Path) -> list[Labelled]:
    """Return everything that an examiner may be trained on, and simulated spinning of it; kept in `cache`."""
    from train.examiner import training_documents

    file = cache / "pool.pkl"
    if file.exists():
        kept: list[Labelled] = _read(file)
        return kept
    chosen = training_documents(documents, replace(settings, held_out=0.0))
    texts = list(labelled_documents(chosen, settings.windows["pair_rows"], settings.seed))
    texts += simulated(chosen, data, settings.simulation)
    _keep(file, texts)
    return texts


def training_texts(pool: Sequence[Labelled], documents: Sequence[Document], family: str, fold: int) -> list[Labelled]:
    """Return the texts that a round trains on: no group of the family's texts, nor of the human fold's."""
    rules = Settings()
    held, families = set(), set()
    for d in documents:
        if d.label == SPUN and family:
            out = family_of(d) == family or d.table in ALSO_LEFT_OUT.get(family, frozenset())
        else:
            out = fold_of(d, rules) == fold
        if out:
            held.add(d.group)
        elif d.label == SPUN:
            families.add(d.tool_family)
    return [t for t in pool if t.group not in held and imitates_only(_simulator(t.table), frozenset(families))]


def _simulator(table: str) -> str:
    return table.removeprefix("simulated/").removeprefix("llm-") if table.startswith("simulated/") else ""


def score_round(
    name: str,
    documents: Sequence[Document],
    pool: Sequence[Labelled],
    screen: ScreenSettings,
    examiner: ExaminerSettings,
    data: Path,
    cache: Path,
    tokenizer: Any,
) -> Scored:
    """Train both models for a round and score its held-out texts; models and scores are kept in `cache`."""
    file = cache / f"{name}.pkl"
    if file.exists():
        kept: Scored = _read(file)
        return kept
    protocol, family, fold = ROUNDS[name]
    rules = Settings()
    one = next(r for r in build_rounds(documents, protocol, rules) if r.left_out == family and r.fold == fold)
    others = set(one.others)
    if family:
        others |= {i for i, d in enumerate(documents) if d.label == SPUN and family_of(d) == family}
    rows = [*one.pool, *sorted(others)]
    fitted_file = cache / f"{name}-screen.pkl"
    if fitted_file.exists():
        log_odds, gates = _read(fitted_file)
    else:
        fitted = fit([documents[i] for i in one.train], replace(screen, seed=rules.seed), data)
        people = np.array(
            [d.table.startswith("human/") and d.words >= screen.article["min_words"] for d in fitted.encoded]
        )
        gates = {share: upper_quantile(fitted.cross_fitted[people], share) for share in (0.02, 0.04, 0.08, 0.16, 0.3)}
        log_odds = fitted.log_odds([documents[i].text for i in rows])
        _keep(fitted_file, (log_odds, gates))
    counts = count_pairs([documents[i] for i in one.train], screen)
    texts = training_texts(pool, documents, family, fold)

    def cut(texts: Sequence[Labelled], min_replaced: float) -> Windows:
        return cut_windows(texts, tokenizer, counts, examiner.max_tokens, min_replaced)

    model = _examiner(name, lambda: cut(texts, examiner.windows["min_replaced"]), examiner, cache)
    most = int(screen.join["most_segments"])
    scored = _examined(rows, len(one.pool), log_odds, gates, documents, model, cut, most)
    _keep(file, scored)
    return scored


def _examiner(name: str, cut: Callable[[], Windows], settings: ExaminerSettings, cache: Path) -> Any:
    import torch

    from train.examiner import encoder_folder, train
    from train.examiner_model import ExaminerModel

    folder = cache / f"{name}-examiner"
    if not (folder / "model.safetensors").exists():
        windows = cut()
        torch.manual_seed(settings.seed)
        log.info("%s: %d windows in training", name, len(windows))
        train(
            windows, ExaminerModel.from_encoder(encoder_folder(settings.encoder), settings.layers), settings, folder,
            resume=True,
        )  # fmt: skip
    return ExaminerModel.from_pretrained(folder)


def _examined(
    rows: list[int],
    pool: int,
    log_odds: Floats,
    gates: Mapping[float, float],
    documents: Sequence[Document],
    model: Any,
    cut: Callable[[Sequence[Labelled], float], Windows],
    most: int,
) -> Scored:
    from train.examiner import score_windows

    chosen = [k for k, value in enumerate(log_odds) if np.isfinite(value)]
    windows = cut([Labelled(documents[rows[k]].text, "original", "", "", None) for k in chosen], 0.0)
    kept = np.zeros(len(windows), np.bool_)
    for text in np.unique(windows.texts):
        own = np.flatnonzero(windows.texts == text)
        kept[own[chosen_segments(len(own), most)]] = True
    windows = select(windows, kept)
    log.info("%d of %d texts examined, %d windows", len(chosen), len(rows), len(windows))
    kinds, tokens = score_windows(model, windows)
    features = {}
    for text in np.unique(windows.texts):
        own = np.flatnonzero(windows.texts == text)
        pieces = slice(windows.offsets[own[0]], windows.offsets[own[-1] + 1])
        k = chosen[text]
        words = len(documents[rows[k]].text.split())
        features[k] = joined_features(float(log_odds[k]), kinds[own], tokens[pieces], windows.lengths()[own], words)
    return Scored(rows, pool, log_odds, gates, features)


def join_round(
    name: str, scored: Mapping[str, Scored], documents: Sequence[Document], screen: ScreenSettings, share: float
) -> Floats:
    """Return the probabilities of a round's texts as a detector would state them that was joined on the other rounds.

    `share`: of human texts, in the screen's training, that the gate lets through. What is cleared keeps the screen's
    probability, but below the lowest threshold, as in `train.join.fit_join`.
    """
    features: list[Floats] = []
    chosen: list[Document] = []
    people: list[tuple[str, int]] = []  # table, and number among the chosen, -1 for the cleared
    odds: list[float] = []
    population: dict[str, int] = {}
    for other, found in scored.items():
        if other == name or ROUNDS[other][0] != "leave-one-tool-out":
            continue
        for k, row in enumerate(found.rows):
            d = documents[row]
            if d.licence_nc or "(" in d.table:  # the copies with their search phrase cut out
                continue
            population[d.table] = population.get(d.table, 0) + 1
            examined = k in found.features and found.log_odds[k] >= found.gates[share]
            if d.table.startswith("human/"):
                people.append((d.table, len(chosen) if examined else -1))
                odds.append(found.log_odds[k] - 100.0)  # 100: below every examined text
            if examined:
                features.append(found.features[k])
                chosen.append(d)
    spun = np.array([d.label == SPUN for d in chosen])
    weights = article_weights([d.table for d in chosen], spun, population, screen)
    inputs = np.array(features)
    model = fit_logistic(inputs, spun, weights, screen.join["penalty"])
    log.info("%s: %s", name, dict(zip(JOINED_NAMES, model.weights.round(2).tolist(), strict=True)))
    held_out = cross_fit(inputs, spun, weights, [d.group for d in chosen], screen)
    human = np.array([held_out[at] if at >= 0 else low for (_, at), low in zip(people, odds, strict=True)])
    points, _ = thresholds(np.array([table for table, _ in people]), human, SMALLEST_SET)
    lowest = min(points.values())
    own = scored[name]
    result = np.minimum(own.log_odds, np.log(lowest / (1.0 - lowest)) - 1e-3)  # 1e-3: what the screen clears is below
    for k, row_features in own.features.items():
        if own.log_odds[k] >= own.gates[share]:
            result[k] = float(model.log_odds(row_features))
    return sigmoid(result)


def examiner_scores(found: Scored) -> Floats:
    """Return the examiner's own mean log odds of each text, uncalibrated; the lowest for a text without words."""
    at = JOINED_NAMES.index("mean_spun")
    return np.array([found.features[k][at] if k in found.features else -100.0 for k in range(len(found.rows))])


def _keep(file: Path, value: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps(value))


def _read(file: Path) -> Any:
    """Read what an earlier run of this program left in the caller's own cache folder."""
    return pickle.loads(file.read_bytes())


def run(data: Path, cache: Path, out: Path, steps: int, rounds: Sequence[str], share: float | None) -> Path:
    """Run the rounds and write their scores; what is trained and scored is kept in `cache`."""
    from eval.protocols import cut_search_phrases, read_search_phrases
    from train.corpora import load_documents, read_seeds, remove_duplicates
    from train.examiner import encoder_folder, load_tokenizer

    screen, examiner = ScreenSettings.read(), ExaminerSettings.read()
    examiner = replace(examiner, optimiser={**examiner.optimiser, "steps": steps})
    documents, dropped = remove_duplicates(load_documents(data), exclude=read_seeds(data))
    log.info("dropped %s", dropped)
    # A folder for these texts and recipes: what is kept for others has other row numbers and other models.
    known = hashlib.sha256(f"{screen}{examiner}".encode())
    for d in documents:
        known.update(f"{d.id}\0{d.group}\0{d.text}\0".encode("utf-8", "surrogatepass"))
    cache = cache / known.hexdigest()[:12]
    tokenizer = load_tokenizer(encoder_folder(examiner.encoder))
    pool = make_pool(documents, examiner, data, cache)
    documents += cut_search_phrases([d for d in documents if d.table == "spun/wild"], read_search_phrases(data))
    scored = {name: score_round(name, documents, pool, screen, examiner, data, cache, tokenizer) for name in rounds}
    write(out, scored, documents, screen, share or screen.join["examined_human_share"])
    return out


def write(
    out: Path, scored: Mapping[str, Scored], documents: Sequence[Document], screen: ScreenSettings, share: float
) -> None:
    """Write the scores of `ours` and `screen` (probabilities) and of `examiner` (log odds) as `eval.scores` reads them.

    The examiner is left out where it was not run on every text.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from eval.suite import key_of

    columns: dict[str, list[Any]] = {k: [] for k in ("id", "system", "suite", "round", "probability", "score")}
    for name, found in scored.items():
        systems: dict[str, tuple[Floats | None, Floats | None]] = {
            "ours": (join_round(name, scored, documents, screen, share), None),
            "screen": (sigmoid(found.log_odds), None),
        }
        if all(k in found.features for k in np.flatnonzero(np.isfinite(found.log_odds))):
            systems["examiner"] = (None, examiner_scores(found))
        for system, (probability, score) in systems.items():
            n = len(found.rows)
            columns["id"] += [key_of(documents[i]) for i in found.rows]
            columns["system"] += [system] * n
            columns["suite"] += [ROUNDS[name][0]] * n
            columns["round"] += [name] * n
            columns["probability"] += [None] * n if probability is None else probability.tolist()
            columns["score"] += [None] * n if score is None else score.tolist()
    out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), out, compression="zstd")
