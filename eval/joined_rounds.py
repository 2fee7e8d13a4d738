"""Held-out scores of screen and examiner joined: both are trained again without what they are judged on.

Training an examiner for each of the protocol's twelve rounds would take hours on two cores, so some rounds stand for
all: one for each tool family, each without another fold of the human writers, and one with all tools. A round scores
*all* texts of the family that it was trained without. It does what the recipes do with the texts that are left: the
examiner holds a share of their groups out, and on these the two models are joined (`train.join`).

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

from detector.calibrate import FEATURE_NAMES, JOINED_NAMES, WHOLE_TEXT, ArticleModel, Odds, joined_features, sigmoid
from detector.join import chosen_segments, looked_at
from eval.protocols import ALSO_LEFT_OUT, NO_FAMILY, Settings, build_rounds, family_of, fold_of
from train.corpora import Document
from train.examiner import Settings as ExaminerSettings
from train.examiner import fit_networks, is_held_out
from train.examiner_data import Labelled, Windows, cut_windows, labelled_documents, preset_of, simulated, spread
from train.join import (
    Population,
    after_the_looks,
    fit_clearing,
    fit_gate,
    fit_verdict,
    highest_cleared,
    long_enough,
    unseen,
)
from train.screen import SPUN, FittedScreen, fit, text_of, texts_by_id
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
class Screened:
    """A text and what the screen says of it.

    `group`: whose neighbouring words are taken off the counts, "" for none. `segments`: log odds of each segment.
    """

    text: str
    group: str
    odds: Odds
    segments: Floats


@dataclass(frozen=True)
class Read:
    """What both models say of a text.

    `first`, `features`: of the joined model, by the network of the first look after each look, shape
    (looks, len(JOINED_NAMES)), and by the examiner.
    """

    odds: Odds
    first: Floats
    features: Floats


@dataclass(frozen=True)
class Known:
    """What a round's models are joined on: texts of tools and writers in its training, groups new to the examiner.

    A row each: `tables`, `groups`, `spun`, the `gate`'s log odds, and `read`, None of what the gate stops.
    """

    tables: list[str]
    groups: list[str]
    spun: NDArray[np.bool_]
    gate: Floats
    read: list[Read | None]


@dataclass(frozen=True)
class Scored:
    """What a round's models say.

    `rows` index the held-out documents, the first `pool` of them human ones; `read`: what was said of them, None of one
    without words, those too that the gate would stop. `gate`: its log odds.
    """

    rows: list[int]
    pool: int
    read: list[Read | None]
    gate: float
    known: Known


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


def training_texts(
    pool: Sequence[Labelled], documents: Sequence[Document], family: str, fold: int, held_out: float
) -> list[Labelled]:
    """Return the texts that a round's examiner trains on: no group of the family's texts, nor of the human fold's.

    Nor those that it holds out, a share `held_out` of all groups.
    """
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
    return [
        t
        for t in pool
        if t.group not in held
        and not is_held_out(t.group, held_out)
        and imitates_only(_simulator(t.table), frozenset(families))
    ]


def _simulator(table: str) -> str:
    return preset_of(table) if table.startswith("simulated/") else ""


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
    texts = training_texts(pool, documents, family, fold, examiner.held_out)

    def cut(texts: Sequence[Labelled], min_replaced: float) -> Windows:
        return cut_windows(texts, tokenizer, fitted.counts, examiner.max_tokens, min_replaced)

    networks = fit_networks(
        lambda: cut(texts, examiner.windows["min_replaced"]),
        fitted.association.digest(),
        replace(examiner, teacher={**examiner.teacher, "steps": 0}),
        cache / f"{name}-examiner",
        resume=True,
    )
    gate, encoded = fit_gate(fitted, screen), fitted.encoded
    new = unseen(fitted, [documents[i] for i in one.train], {t.group for t in texts}) & long_enough(fitted, screen)
    numbers = np.flatnonzero(new).tolist()
    begins = np.searchsorted(fitted.segment_owner, np.arange(len(encoded) + 1))
    texts_known = texts_by_id([*(documents[i] for i in one.train), *fitted.simulated])
    known = [
        Screened(
            text_of(encoded[k], texts_known),
            encoded[k].group,
            Odds(float(fitted.cross_fitted[k]), float(gate.log_odds[k]), float(fitted.whole_text.cross_fitted[k])),
            fitted.segment_logits[begins[k] : begins[k + 1]],
        )
        if gate.log_odds[k] >= gate.threshold
        else None
        for k in numbers
    ]
    scored = Scored(
        rows,
        len(one.pool),
        _read_texts([_screened(documents[i].text, fitted, gate.model) for i in rows], networks, cut, screen),
        gate.threshold,
        Known(
            [encoded[k].table for k in numbers],
            [encoded[k].group for k in numbers],
            np.array([encoded[k].label == SPUN for k in numbers]),
            gate.log_odds[new],
            _read_texts(known, networks, cut, screen),
        ),
    )
    _keep(file, scored)
    return scored


def _screened(text: str, fitted: FittedScreen, gate: ArticleModel) -> Screened | None:
    """Return what the screen says of a new text; None of one without words."""
    found = fitted.read(text)
    if found is None:
        return None
    features, segments = found
    screen = float(fitted.article.log_odds(features[: len(FEATURE_NAMES)]))
    odds = Odds(screen, float(gate.log_odds(features)), float(features[WHOLE_TEXT]))
    return Screened(text, "", odds, segments)


def _read_texts(
    screened: Sequence[Screened | None],
    networks: tuple[Any, Any],
    cut: Callable[[Sequence[Labelled], float], Windows],
    screen: ScreenSettings,
) -> list[Read | None]:
    """Have the examiner and the network of the first look read the texts; None stays None."""
    from train.examiner import score_windows

    given = [(k, s) for k, s in enumerate(screened) if s]
    windows = cut([Labelled(s.text, "original", "", s.group, None) for _, s in given], 0.0)
    most, at_first = int(screen.join["most_segments"]), int(screen.join["look_segments"])
    windows = spread(windows, most)
    log.info("%d of %d texts examined, %d windows", len(given), len(screened), len(windows))
    scores = [score_windows(model, windows) for model in networks]
    lengths = windows.lengths()

    def joined(network: int, rows: NDArray[np.int64], text: Screened) -> Floats:
        kinds, tokens = scores[network]
        pieces = np.concatenate([np.arange(windows.offsets[r], windows.offsets[r + 1]) for r in rows])
        return joined_features(text.odds, kinds[rows], tokens[pieces], lengths[rows], len(text.text.split()))

    result: list[Read | None] = [None] * len(screened)
    for number in np.unique(windows.texts):
        at, text = given[number]
        own = np.flatnonzero(windows.texts == number)
        places = chosen_segments(len(text.segments), most)
        order = own[[places.index(i) for i in looked_at(text.segments, places, at_first)]]
        first = [joined(1, order[: k + 1], text) for k in range(len(order))]
        first += [first[-1]] * (at_first - len(first))  # no further segment changes nothing
        result[at] = Read(text.odds, np.array(first), joined(0, own, text))
    return result


def join_round(found: Scored, screen: ScreenSettings) -> Floats:
    """Return the probabilities of a round's held-out texts as the detector of its models would state them.

    What is cleared keeps the screen's probability, but below the lowest threshold, as in `train.join.fit_join`.
    """
    known = found.known
    texts = Population(
        np.array(known.tables), known.groups, known.spun, known.gate, np.ones(len(known.tables), np.bool_)
    )
    passed = {k: r for k, r in enumerate(known.read) if r}
    looked = np.array(list(passed))
    look, read = fit_clearing(texts, looked, np.array([r.first for r in passed.values()]), screen)
    features = np.array([passed[k].features for k in read.tolist()])
    judged = fit_verdict(texts, looked, look, read, features, screen)
    article, cleared = judged.article, highest_cleared(judged.points)
    result = np.full(len(found.rows), -np.inf)
    for k, one in enumerate(found.read):
        if one is None:
            continue
        result[k] = min(one.odds.screen, cleared)
        if one.odds.gate >= found.gate:
            seen = float(after_the_looks(look.model.log_odds(one.first)[np.newaxis], look.look_on)[0])
            result[k] = float(article.model.log_odds(one.features)) if seen >= look.read_on else min(seen, cleared)
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


def run(data: Path, cache: Path, out: Path, steps: int, rounds: Sequence[str]) -> Path:
    """Run the rounds and write their scores; what is trained and scored is kept in `cache`."""
    from eval.protocols import cut_search_phrases, read_search_phrases
    from train.corpora import load_documents, read_seeds, remove_duplicates
    from train.examiner import encoder_folder, load_tokenizer

    screen, examiner = ScreenSettings.read(), ExaminerSettings.read()
    share = steps / examiner.optimiser["steps"]
    examiner = replace(
        examiner,
        optimiser={**examiner.optimiser, "steps": steps},
        further={**examiner.further, "steps": round(share * examiner.further["steps"])},
        first_look={**examiner.first_look, "steps": round(share * examiner.first_look["steps"])},
    )
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
    write(out, scored, documents, screen)
    return out


def write(out: Path, scored: Mapping[str, Scored], documents: Sequence[Document], screen: ScreenSettings) -> None:
    """Write the scores as `eval.scores` reads them: of `ours` and `screen` probabilities, of `examiner` log odds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from eval.suite import key_of

    columns: dict[str, list[Any]] = {k: [] for k in ("id", "system", "suite", "round", "probability", "score")}
    for name, found in scored.items():
        systems: dict[str, tuple[Floats | None, Floats | None]] = {
            "ours": (join_round(found, screen), None),
            "screen": (sigmoid(np.array([one.odds.screen if one else -np.inf for one in found.read])), None),
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
