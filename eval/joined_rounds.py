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
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.calibrate import FEATURE_NAMES, JOINED_NAMES, ArticleModel, joined_features, sigmoid
from detector.join import chosen_segments, first_segment
from eval.protocols import ALSO_LEFT_OUT, NO_FAMILY, Settings, build_rounds, family_of, fold_of
from train.corpora import Document
from train.examiner import Settings as ExaminerSettings
from train.examiner_data import Labelled, Windows, cut_windows, labelled_documents, select, simulated
from train.export import thresholds, upper_quantile
from train.join import SMALLEST_SET, article_weights, fit_gate, fit_looks, highest_cleared
from train.screen import SPUN, FittedScreen, fit, simulated_documents
from train.screen import Settings as ScreenSettings
from train.simulation import imitates_only

log = logging.getLogger(__name__)
Floats = NDArray[np.float64]
_SIMULATED = 600
"""Human documents of a round that are spun for the joins of the other rounds."""
ROUNDS: Mapping[str, tuple[str, str, int]] = {
    "spinbot-0": ("leave-one-tool-out", "spinbot", 0),
    "quillbot-1": ("leave-one-tool-out", "quillbot", 1),
    "wild-2": ("leave-one-tool-out", "wild", 2),
    "all-tools-3": ("known-tool", NO_FAMILY, 3),
}
"""Protocol, family left out, human fold held out."""


@dataclass(frozen=True)
class Read:
    """What both models say of a held-out text.

    `odds`: log odds by the screen and by the gate. `first`, `features`: of the joined model, of the segment looked at
    first and of all; `single`: whether that is the same.
    """

    odds: tuple[float, float]
    first: Floats
    features: Floats
    single: bool


@dataclass(frozen=True)
class Scored:
    """The held-out texts of a round.

    `rows` index the documents, the first `pool` of them human ones; `read`: what was said of them, None of one without
    words. `gates`: the log odds of the gate by the share of human texts let through. `simulated`: simulated spinning of
    some of the human ones, by spinners that imitate no tool left out, and `read_simulated`: what was said of it.
    """

    rows: list[int]
    pool: int
    read: list[Read | None]
    gates: Mapping[float, float]
    simulated: list[Document]
    read_simulated: list[Read | None]


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
        fitted = _read(fitted_file)
    else:
        fitted = fit([documents[i] for i in one.train], replace(screen, seed=rules.seed), data)
        _keep(fitted_file, fitted)
    gate, gate_odds = fit_gate(fitted, screen)
    people = np.array([d.table.startswith("human/") and d.words >= screen.article["min_words"] for d in fitted.encoded])
    gates = {share: upper_quantile(gate_odds[people], share) for share in (0.04, 0.08, 0.15, 0.2, 0.3)}
    known = [documents[i] for i in one.train if documents[i].label == SPUN]
    made = simulated_documents(
        [*known, *(documents[i] for i in one.pool)],
        replace(screen, simulation={**screen.simulation, "documents": _SIMULATED, "llm_documents": 0}),
        data,
    )
    made = [d for d in made if d.label == SPUN]
    texts = training_texts(pool, documents, family, fold)

    def cut(texts: Sequence[Labelled], min_replaced: float) -> Windows:
        return cut_windows(texts, tokenizer, fitted.counts, examiner.max_tokens, min_replaced)

    model = _examiner(name, lambda: cut(texts, examiner.windows["min_replaced"]), examiner, cache)
    most = int(screen.join["most_segments"])
    held_out = [documents[i] for i in rows]
    read = _examined([*held_out, *made], fitted, gate, model, cut, most)
    scored = Scored(rows, len(one.pool), read[: len(rows)], gates, made, read[len(rows) :])
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
    documents: Sequence[Document],
    fitted: FittedScreen,
    gate: ArticleModel,
    model: Any,
    cut: Callable[[Sequence[Labelled], float], Windows],
    most: int,
) -> list[Read | None]:
    """Read the documents by both models, those too that the gate would stop."""
    from train.examiner import score_windows

    screened = [fitted.read(d.text) for d in documents]
    chosen = [k for k, found in enumerate(screened) if found]
    windows = cut([Labelled(documents[k].text, "original", "", "", None) for k in chosen], 0.0)
    kept = np.zeros(len(windows), np.bool_)
    for text in np.unique(windows.texts):
        own = np.flatnonzero(windows.texts == text)
        kept[own[chosen_segments(len(own), most)]] = True
    windows = select(windows, kept)
    log.info("%d of %d texts examined, %d windows", len(chosen), len(documents), len(windows))
    kinds, tokens = score_windows(model, windows)
    lengths = windows.lengths()

    def joined(rows: NDArray[np.int64], odds: tuple[float, float], text: str) -> Floats:
        pieces = np.concatenate([np.arange(windows.offsets[r], windows.offsets[r + 1]) for r in rows])
        return joined_features(*odds, kinds[rows], tokens[pieces], lengths[rows], len(text.split()))

    result: list[Read | None] = [None] * len(documents)
    for number in np.unique(windows.texts):
        at = chosen[number]
        found = screened[at]
        assert found is not None, "only texts with words were cut"
        features, logits = found
        odds = (float(fitted.article.log_odds(features[: len(FEATURE_NAMES)])), float(gate.log_odds(features)))
        own = np.flatnonzero(windows.texts == number)
        places = chosen_segments(len(logits), most)
        first = places.index(first_segment(logits, places))
        text = documents[at].text
        result[at] = Read(odds, joined(own[first : first + 1], odds, text), joined(own, odds, text), len(own) == 1)
    return result


def join_round(
    name: str, scored: Mapping[str, Scored], documents: Sequence[Document], screen: ScreenSettings, share: float
) -> Floats:
    """Return the probabilities of a round's texts as a detector would state them that was joined on the other rounds.

    `share`: of human texts, in the screen's training, that the gate lets through. What is cleared keeps the screen's
    probability, but below the lowest threshold, as in `train.join.fit_join`.
    """
    kept: list[tuple[Document, Read, float]] = []
    for other, found in scored.items():
        if other == name or ROUNDS[other][0] != "leave-one-tool-out":
            continue
        rows = [documents[i] for i in found.rows]
        for d, read in zip([*rows, *found.simulated], [*found.read, *found.read_simulated], strict=True):
            # Without the copies with their search phrase cut out.
            if read and not d.licence_nc and "(" not in d.table:
                kept.append((d, read, found.gates[share]))
    population = Counter(d.table for d, _, _ in kept)
    passed = [(d, read) for d, read, gate in kept if read.odds[1] >= gate]
    stopped = [(d, read) for d, read, gate in kept if read.odds[1] < gate and d.table.startswith("human/")]
    spun = np.array([d.label == SPUN for d, _ in passed])
    human = np.array([d.table.startswith("human/") for d, _ in passed])
    looks = fit_looks(
        np.array([r.first for _, r in passed]), np.array([r.features for _, r in passed]),
        np.array([r.single for _, r in passed]), spun,
        article_weights([d.table for d, _ in passed], spun, population, screen), [d.group for d, _ in passed], human,
        int(human.sum()) + len(stopped), screen,
    )  # fmt: skip
    log.info("%s: %s", name, dict(zip(JOINED_NAMES, looks.article.weights.round(2).tolist(), strict=True)))
    ranked = np.where(looks.cleared, looks.log_odds - 100.0, looks.log_odds)  # 100: below all that was read to the end
    points, _ = thresholds(
        np.array(
            [d.table for (d, _), h in zip(passed, human.tolist(), strict=True) if h] + [d.table for d, _ in stopped]
        ),
        np.concatenate([ranked[human], [r.odds[1] - 200.0 for _, r in stopped]]),
        SMALLEST_SET,
    )
    cleared = highest_cleared(points)
    own = scored[name]
    result = np.full(len(own.rows), -np.inf)
    for k, one in enumerate(own.read):
        if one is None:
            continue
        result[k] = min(one.odds[0], cleared)
        if one.odds[1] >= own.gates[share]:
            seen = float(looks.first_look.log_odds(one.first))
            read_on = one.single or seen >= looks.read_on
            result[k] = float(looks.article.log_odds(one.features)) if read_on else min(seen, cleared)
    return sigmoid(result)


def examiner_scores(found: Scored) -> Floats:
    """Return the examiner's own mean log odds of each text, uncalibrated; the lowest for a text without words."""
    at = JOINED_NAMES.index("mean_spun")
    return np.array([one.features[at] if one else -100.0 for one in found.read])


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
    """Write the scores as `eval.scores` reads them: of `ours` and `screen` probabilities, of `examiner` log odds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from eval.suite import key_of

    columns: dict[str, list[Any]] = {k: [] for k in ("id", "system", "suite", "round", "probability", "score")}
    for name, found in scored.items():
        systems: dict[str, tuple[Floats | None, Floats | None]] = {
            "ours": (join_round(name, scored, documents, screen, share), None),
            "screen": (sigmoid(np.array([one.odds[0] if one else -np.inf for one in found.read])), None),
            "examiner": (None, examiner_scores(found)),
        }
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
