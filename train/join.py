"""Fits what joins the screen and the examiner: gate, first look, article model, segments, kinds, thresholds.

All of it is fitted on texts that neither model has seen: the examiner held their groups out, and the screen's scores
are cross-fitted. The examiner is run as it will be at run time, through the exported network. Simulated spinning of
such texts takes part as well, above all light one, of which there is no real output.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detector.association import AssociationTable
from detector.calibrate import GATE_NAMES, JOINED_NAMES, ArticleModel, Odds, sigmoid, spun_log_odds
from detector.errors import InputError
from detector.examiner import FIRST_LOOK, NETWORK_FILES, Examined, Examiner, WordLevels
from detector.join import chosen_segments, features_of, looked_at
from detector.results import KINDS
from detector.segment import prepare
from detector.store import open_model, write_manifest
from train.corpora import Document
from train.examiner import FIRST_LOOK_FOLDER
from train.examiner import Settings as ExaminerSettings
from train.examiner import training_documents as examiner_documents
from train.export import TARGET_RATES, thresholds, upper_quantile
from train.kinds import fit_kind_scale
from train.screen import SPUN, FittedScreen, Floats, Settings, inner_fold, sample_weights, text_of, texts_by_id

if TYPE_CHECKING:
    from train.examiner_model import ExaminerModel

log = logging.getLogger(__name__)
RECIPE_FILE = "recipe.json"
"""In the examiner's folder: the recipe it was trained by, which says what it has not seen."""
ASSOCIATION_DIGEST = "association_digest"
"""In the manifest: of the association table that the networks were trained with."""
_OTHERS = [k for k, kind in enumerate(KINDS) if kind != SPUN]
_SPUN_TABLES = ("spun/", "simulated/")
SMALLEST_SET = 100
"""Texts of a set from which it sets a threshold of its own; lower than the screen's, since a fifth is left of each."""


@dataclass(frozen=True)
class Examinations:
    """What a network of the examiner says of texts that it has not seen.

    One row a text: `rows` index the fitted documents; `features`: shape (texts, len(JOINED_NAMES)), or if it looks at
    one segment after the other (texts, looks, len(JOINED_NAMES)), see `after_each_look`; `kinds`: mean logits of the
    kinds, shape (texts, kinds). One row a segment: `segment_text` (index of the row above), `segment_screen`,
    `segment_spun`: the log odds of both models.
    """

    rows: NDArray[np.int64]
    features: Floats
    kinds: Floats
    segment_text: NDArray[np.int64]
    segment_screen: Floats
    segment_spun: Floats


def unseen(fitted: FittedScreen, documents: Sequence[Document], groups: AbstractSet[str]) -> NDArray[np.bool_]:
    """Return which of the fitted documents the examiner has seen nothing of: none of the `groups` of its training.

    Those of `documents` and simulated spinning, but none of what the latter was made from, which would count it twice.
    """
    taken = {d.id for d in documents if not d.licence_nc} | {d.id for d in fitted.simulated if d.label == SPUN}
    return np.array([d.id in taken and d.group not in groups for d in fitted.encoded])


@dataclass(frozen=True)
class Gate:
    """What decides whether the examiner looks at a text: from log odds of `threshold` on.

    `log_odds`: of the fitted documents, cross-fitted, shape (documents,).
    """

    model: ArticleModel
    log_odds: Floats
    threshold: float


def long_enough(fitted: FittedScreen, settings: Settings) -> NDArray[np.bool_]:
    """Return which of the fitted documents have the words that the detector asks for."""
    return np.array([d.words >= int(settings.article["min_words"]) for d in fitted.encoded])


def fit_gate(fitted: FittedScreen, settings: Settings) -> Gate:
    """Fit the gate; its threshold lets the recipe's share of the human documents through.

    On human texts against spun ones alone. That a translation or a model's text passes costs little, since there are
    few in any stream; and a paraphraser's output, which resembles them, passes as well.
    """
    encoded = fitted.encoded
    features = fitted.gate_features
    spun = np.array([d.label == SPUN for d in encoded])
    # With what simulated spinning was made from: both are cut to one length, which otherwise would tell.
    human = np.array([d.table.startswith("human/") or d.table == "simulated/original" for d in encoded])
    taught = spun | human
    rows = np.flatnonzero(taught)
    even = replace(
        settings, mass={**settings.mass, **settings.gate}, segments={**settings.segments, "negative_mass": 1.0}
    )
    weights = np.zeros(len(encoded))
    weights[rows] = sample_weights([encoded[i] for i in rows], np.arange(len(rows)), even, whole_articles=True)
    penalty = settings.join["gate_penalty"]
    model = fit_logistic(features[rows], spun[rows], weights[rows], penalty, GATE_NAMES)
    odds = cross_fit(features, spun, weights, [d.group for d in encoded], settings, penalty, GATE_NAMES, taught)
    people = long_enough(fitted, settings) & np.array([d.table.startswith("human/") for d in encoded])
    return Gate(model, odds, upper_quantile(odds[people], settings.join["examined_human_share"]))


def examine(
    fitted: FittedScreen,
    gate_odds: Floats,
    texts: Mapping[str, Sequence[str]],
    wanted: NDArray[np.int64],
    read: Callable[[str, Sequence[tuple[int, int]], WordLevels], Examined],
    choose: Callable[[Floats], list[int]],
    looks: int = 0,
) -> Examinations:
    """Run a network of the examiner on the fitted documents `wanted` (indices), texts from `texts_by_id`.

    `gate_odds`: shape (documents,), cross-fitted. `read`: `Examiner.examine` or `look`. `choose`: from the screen's log
    odds of the segments, those that are read, in the order of reading. `looks`: how many of them one after the other,
    0 for all at once.
    """
    begins = np.searchsorted(fitted.segment_owner, np.arange(len(fitted.encoded) + 1))
    rows: list[int] = []
    owners: list[int] = []
    features, kinds, screens, spuns = [], [], [], []
    for row in wanted.tolist():
        document = fitted.encoded[row]
        prepared = prepare(text_of(document, texts))
        logits = fitted.segment_logits[begins[row] : begins[row + 1]]
        order = choose(logits)
        levels = WordLevels.of(prepared.tokens, fitted.counts.levels(prepared.tokens, document.group))
        parts = {i: read(prepared.normal.text, [prepared.segment_range(i)], levels) for i in order}
        chosen = sorted(order)
        examined = Examined.joined([parts[i] for i in chosen])
        if not len(examined.token_logits):
            continue
        odds = Odds(float(fitted.cross_fitted[row]), float(gate_odds[row]), float(fitted.whole_text.cross_fitted[row]))
        owners += [len(rows)] * len(chosen)
        screens.append(logits[chosen])
        spuns.append(spun_log_odds(examined.kind_logits))
        kinds.append(np.average(examined.kind_logits, axis=0, weights=np.diff(examined.offsets)))
        rows.append(row)
        features.append(
            after_each_look(odds, [parts[i] for i in order], document.words, looks)
            if looks
            else features_of(odds, examined, document.words)
        )
    return Examinations(
        np.array(rows), np.array(features), np.array(kinds, dtype=np.float64), np.array(owners),
        np.concatenate(screens), np.concatenate(spuns),
    )  # fmt: skip


def after_each_look(odds: Odds, parts: Sequence[Examined], words: int, looks: int) -> Floats:
    """Return the joined model's features after each of so many looks, shape (looks, len(JOINED_NAMES)).

    `parts`: what was said of one segment after the other, pieces in at least one; a look at a segment without pieces,
    or where there are no more segments, changes nothing.
    """
    found: list[Floats | None] = [
        # In no particular order: it makes no difference to the features.
        features_of(odds, Examined.joined(parts[: k + 1]), words)
        for k in range(len(parts))
    ]
    seen = [f for f in found if f is not None]
    found += [seen[-1]] * (looks - len(found))
    # A detector that has seen no piece yet looks on.
    return np.array([f if f is not None else seen[0] for f in found])


def article_weights(
    tables: Sequence[str], spun: NDArray[np.bool_], population: Mapping[str, int], settings: Settings
) -> Floats:
    """Return the weight of each examined text: its table's mass over the texts that the table has, cleared ones too.

    So a table most of whose texts are cleared weighs little here, and the probability holds for all texts. The two
    sides have the weights that the recipe's prevalence gives them.
    """
    share = settings.article["prevalence"]
    mass = {t: settings.mass.get(t, 0.2) for t in population}  # 0.2: as for the screen, a small table's
    total = {s: sum(m for t, m in mass.items() if t.startswith(_SPUN_TABLES) == s) for s in (True, False)}
    weights = np.array([mass[t] / population[t] for t in tables])
    weights[spun] *= share / total[True]
    weights[~spun] *= (1.0 - share) / total[False]
    return weights


def fit_logistic(
    features: Floats,
    labels: NDArray[np.bool_],
    weights: Floats,
    penalty: float,
    names: tuple[str, ...] = JOINED_NAMES,
) -> ArticleModel:
    """Fit a weighted logistic regression on standardised features."""
    from sklearn.linear_model import LogisticRegression

    means, scales = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)  # 1e-6: constant columns
    # Scaled to the mean weight 1, so that the penalty means the same whatever the number of texts.
    model = LogisticRegression(C=1.0 / penalty, max_iter=5000)
    model.fit((features - means) / scales, labels, sample_weight=weights / weights.mean())
    return ArticleModel(model.coef_[0].astype(np.float64), means, scales, float(model.intercept_[0]), names)


def cross_fit(
    features: Floats,
    labels: NDArray[np.bool_],
    weights: Floats,
    groups: Sequence[str],
    settings: Settings,
    penalty: float,
    names: tuple[str, ...] = JOINED_NAMES,
    taught: NDArray[np.bool_] | None = None,
    judged: Floats | None = None,
) -> Floats:
    """Return the log odds of each text by a model that was fitted without its group.

    `taught`: texts to fit on; the others only get their log odds. All by default. `judged`: what the log odds are of
    where that is not what is fitted on, shape (texts, ..., features); they then have the shape (texts, ...).
    """
    judged = features if judged is None else judged
    fold = np.array([inner_fold(g, int(settings.article["inner_folds"])) for g in groups])
    result = np.zeros(judged.shape[:-1])
    for held in np.unique(fold):
        inside, outside = fold != held, fold == held
        if taught is not None:
            inside &= taught
        model = fit_logistic(features[inside], labels[inside], weights[inside], penalty, names)
        result[outside] = model.log_odds(judged[outside])
    return result


def highest_cleared(points: Mapping[str, float]) -> float:
    """Return the log odds that a cleared text has at most: just below every threshold."""
    lowest = min(points.values())
    return float(np.log(lowest / (1.0 - lowest))) - 1e-3


@dataclass(frozen=True)
class FittedLook:
    """The model of the first look or of the whole reading.

    `log_odds`: shape (texts,), cross-fitted, of the texts that it was fitted on; of the first look (texts, looks), the
    model being fitted to what is known after the last.
    """

    model: ArticleModel
    log_odds: Floats


def fit_look(
    features: Floats, spun: NDArray[np.bool_], weights: Floats, groups: Sequence[str], settings: Settings
) -> FittedLook:
    """Fit what joins the screen to a network; `features`: as in `Examinations`."""
    penalty = settings.join["penalty"]
    last = features[:, -1] if features.ndim == 3 else features
    odds = cross_fit(last, spun, weights, groups, settings, penalty, judged=features)
    return FittedLook(*calibrated(fit_logistic(last, spun, weights, penalty), odds, spun, weights))


def after_the_looks(log_odds: Floats, look_on: float) -> Floats:
    """Return the log odds at which the first look ends: the first below `look_on`, else the last.

    >>> after_the_looks(np.array([[-1.0, 2.0, 3.0], [1.0, -2.0, 3.0], [1.0, 2.0, 3.0]]), 0.0)
    array([-1., -2.,  3.])
    """
    enough = log_odds < look_on
    enough[:, -1] = True
    return np.asarray(log_odds[np.arange(len(log_odds)), enough.argmax(axis=1)])


def reached_by(share: float, log_odds: Floats, people: int) -> float:
    """Return the log odds of the first look that a share of all human texts reaches.

    `log_odds`: of those that pass the gate. `people`: how many human texts there are, those that it stops included.
    """
    # What the gate stops is below whatever the first look says.
    return upper_quantile(np.concatenate([log_odds, np.full(people - len(log_odds), -np.inf)]), share)


@dataclass(frozen=True)
class FirstLook:
    """The first look as it will be taken.

    `log_odds`: shape (texts,), cross-fitted, where it ends. `look_on`, `read_on`: the log odds from which it goes on to
    the next segment, and from which the examiner reads.
    """

    model: ArticleModel
    log_odds: Floats
    look_on: float
    read_on: float


def fit_first_look(
    features: Floats,
    spun: NDArray[np.bool_],
    weights: Floats,
    groups: Sequence[str],
    human: NDArray[np.bool_],
    people: int,
    settings: Settings,
) -> FirstLook:
    """Fit the first look on the texts that pass the gate; `features`: after each look, as in `Examinations`.

    `human`: which of the texts people wrote; `people`: of those before the gate.
    """
    look = fit_look(features, spun, weights, groups, settings)
    look_on = reached_by(settings.join["look_on_human_share"], look.log_odds[human, -1], people)
    log_odds = after_the_looks(look.log_odds, look_on)
    return FirstLook(
        look.model, log_odds, look_on, reached_by(settings.join["read_on_human_share"], log_odds[human], people)
    )


def ranked(gate_odds: Floats, looked: NDArray[np.int64], look: Floats, read: NDArray[np.int64], odds: Floats) -> Floats:
    """Return log odds of all texts in the order of suspicion.

    `looked`, `read`: which texts pass the gate and which the first look does not clear; `look`, `odds`: their log odds.
    Below all that was read stands what the first look cleared, and below that what the gate stopped.
    """
    result = gate_odds - 200.0  # 200, 100: out of reach of any log odds
    result[looked] = look - 100.0
    result[read] = odds
    return result


@dataclass(frozen=True)
class Population:
    """The texts that a join is fitted on; all of shape (texts,).

    `gate_odds`: log odds of the gate. `taking_part`: which of them neither model has seen; the others are left out.
    """

    tables: NDArray[np.str_]
    groups: Sequence[str]
    spun: NDArray[np.bool_]
    gate_odds: Floats
    taking_part: NDArray[np.bool_]

    @property
    def human(self) -> NDArray[np.bool_]:
        """Which of the texts people wrote."""
        return np.char.startswith(self.tables, "human/")

    def sides(self, rows: NDArray[np.int64], settings: Settings) -> tuple[NDArray[np.bool_], Floats, list[str]]:
        """Return of some texts which are spun, their weights, and their groups."""
        spun, sizes = self.spun[rows], Counter(self.tables[self.taking_part].tolist())
        weights = article_weights(self.tables[rows].tolist(), spun, sizes, settings)
        return spun, weights, [self.groups[r] for r in rows]


@dataclass(frozen=True)
class Judgement:
    """Article model of a join, and what comes of it.

    `log_odds`: of all texts in the order of suspicion, see `ranked`; lowest for those that do not take part. `points`:
    thresholds as probabilities; `details`: how they came about.
    """

    article: FittedLook
    log_odds: Floats
    points: dict[str, float]
    details: dict[str, Any]


def fit_clearing(
    texts: Population, looked: NDArray[np.int64], features: Floats, settings: Settings
) -> tuple[FirstLook, NDArray[np.int64]]:
    """Fit the first look; return it with the rows that it does not clear, which the examiner is to read.

    `looked`: rows of the texts that pass the gate; `features`: theirs after each look, as in `Examinations`.
    """
    people = int((texts.human & texts.taking_part).sum())
    look = fit_first_look(features, *texts.sides(looked, settings), texts.human[looked], people, settings)
    wanted = looked[look.log_odds >= look.read_on]
    log.info("first look goes on from %.3f, %d read from %.3f", look.look_on, len(wanted), look.read_on)
    return look, wanted


def fit_verdict(
    texts: Population,
    looked: NDArray[np.int64],
    look: FirstLook,
    read: NDArray[np.int64],
    features: Floats,
    settings: Settings,
) -> Judgement:
    """Fit the article model on what was read, then the thresholds on all human texts.

    `looked`, `look`: as of `fit_clearing`. `read`: rows that the examiner found pieces in; `features`: theirs.
    """
    article = fit_look(features, *texts.sides(read, settings), settings)
    log.info("join: %s", dict(zip(JOINED_NAMES, article.model.weights.round(2).tolist(), strict=True)))
    log_odds = ranked(texts.gate_odds, looked, look.log_odds, read, article.log_odds)
    log_odds = np.where(texts.taking_part, log_odds, -np.inf)
    people = texts.human & texts.taking_part
    points, details = thresholds(texts.tables[people], log_odds[people], SMALLEST_SET)
    return Judgement(article, log_odds, points, details)


def calibrated(
    model: ArticleModel, log_odds: Floats, labels: NDArray[np.bool_], weights: Floats
) -> tuple[ArticleModel, Floats]:
    """Return the model and its cross-fitted log odds, stretched to what they are worth (Platt 1999).

    The join's penalty is so high that its weights are nearly alike, which carries best to tools never seen ("improper
    linear models", Dawes 1979); but so it says too little of what it is sure of.
    """
    from sklearn.linear_model import LogisticRegression

    # A penalty of 1 is nothing against thousands of texts; without any, texts that can be told without error have no
    # best slope.
    last = log_odds[:, -1:] if log_odds.ndim == 2 else log_odds[:, np.newaxis]
    line = LogisticRegression(C=1.0).fit(last, labels, sample_weight=weights / weights.mean())
    slope, bias = float(line.coef_[0, 0]), float(line.intercept_[0])
    stretched = replace(model, weights=slope * model.weights, bias=slope * model.bias + bias)
    return stretched, slope * log_odds + bias


def read_checkpoint(checkpoint: Path) -> tuple[ExaminerSettings, ExaminerModel]:
    """Return the recipe and the model of a folder of `python -m train examiner`."""
    from train.examiner_model import ExaminerModel

    recipe = json.loads((checkpoint / RECIPE_FILE).read_text(encoding="utf-8"))
    return ExaminerSettings(**recipe), ExaminerModel.from_pretrained(checkpoint)


def join_models(
    folder: Path,
    fitted: FittedScreen,
    documents: Sequence[Document],
    checkpoint: Path,
    settings: Settings,
    held_out_scores: Path | None = None,
) -> dict[str, Any]:
    """Export the examiner of `checkpoint` into the model folder and join it to the screen (see `fit_join`).

    Raises:
        InputError: the examiner was trained with another association table.
        ValueError: the exported network differs from the checkpoint.
    """
    from train.examiner_model import ExaminerModel
    from train.export_examiner import export_examiner

    examiner_settings, model = read_checkpoint(checkpoint)
    if model.config.association_digest != fitted.association.digest():
        raise InputError(
            f"{checkpoint}: the examiner was trained with other counts of neighbouring words than this screen's; train "
            "it again from the same data with `python -m train examiner --screen RECIPE`"
        )
    sample = [d.text[:2000] for d in documents[:: max(1, len(documents) // 40)]]
    tokenizer, longest = checkpoint / "tokenizer.json", examiner_settings.max_tokens
    exported = export_examiner(model, tokenizer, folder, texts=sample, max_tokens=longest)
    small = ExaminerModel.from_pretrained(checkpoint / FIRST_LOOK_FOLDER)
    look = export_examiner(small, tokenizer, folder, name=FIRST_LOOK, texts=sample, max_tokens=longest)
    log.info("exported: %s; first look: %s", exported, look)
    measured = {
        "export": asdict(exported),
        "export_first_look": asdict(look),
        ASSOCIATION_DIGEST: model.config.association_digest,
    }
    return fit_join(folder, fitted, documents, examiner_settings, settings, measured, held_out_scores)


@dataclass(frozen=True)
class Exported:
    """The networks of a finished model folder, with what a new join must know of them.

    `files`: name -> content. `settings`: the recipe that they were trained by. `measured`: at their export, with the
    digest of the association table that they were trained with.
    """

    files: Mapping[str, bytes]
    settings: ExaminerSettings
    measured: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Exported:
        """Read the networks of a model folder.

        Raises:
            InputError: it has none, or its manifest does not say how they were trained.
        """
        model = open_model(folder)
        training = model.manifest.get("training", {})
        if "examiner" not in model.config or not {"examiner", "join"} <= training.keys():
            raise InputError(f"{folder}: no examiner, or nothing of its training in the manifest; give a joined model")
        measured = {k: v for k, v in training["join"].items() if k.startswith("export") or k == ASSOCIATION_DIGEST}
        if ASSOCIATION_DIGEST not in measured:  # a model of before it was written down had its own table's networks
            frequencies, sketch = (np.load(model.file(name)) for name in ("frequencies.npy", "pairs.npy"))
            table = AssociationTable(frequencies, sketch, model.config["association"]["pairs"])
            measured[ASSOCIATION_DIGEST] = table.digest()
        files = {name: model.file(name).read_bytes() for name in NETWORK_FILES}
        return cls(files, ExaminerSettings(**training["examiner"]), measured)


def join_exported(
    folder: Path,
    fitted: FittedScreen,
    documents: Sequence[Document],
    exported: Exported,
    settings: Settings,
    held_out_scores: Path | None = None,
) -> dict[str, Any]:
    """Join the networks of a finished model to a new screen (see `fit_join`), whose model folder gets their files.

    The new screen may have counted other texts than the networks were trained with, as when a set of human texts was
    added: what is measured afterwards is measured with the new counts.
    """
    if exported.measured[ASSOCIATION_DIGEST] != fitted.association.digest():
        log.warning("the networks were trained with other counts of neighbouring words than this screen's")
    for name, content in exported.files.items():
        (folder / name).write_bytes(content)
    return fit_join(folder, fitted, documents, exported.settings, settings, exported.measured, held_out_scores)


def fit_join(
    folder: Path,
    fitted: FittedScreen,
    documents: Sequence[Document],
    examiner_settings: ExaminerSettings,
    settings: Settings,
    measured: Mapping[str, Any],
    held_out_scores: Path | None = None,
) -> dict[str, Any]:
    """Join the exported examiner in the model folder to its screen: gate, article model, thresholds, config, manifest.

    `documents`: all that either model was trained on or could have been, but for simulated ones. `held_out_scores`:
    Parquet file to write the probabilities of the unseen texts to, as `eval.scores` reads them. Returns `measured` with
    what was measured on the unseen texts; it also goes into the manifest.
    """
    texts = texts_by_id([*documents, *fitted.simulated])
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    config["examiner"] = {"max_tokens": examiner_settings.max_tokens}
    _write(folder, config, manifest)
    examiner = Examiner(open_model(folder))

    rules = settings.join
    gate, encoded = fit_gate(fitted, settings), fitted.encoded
    trained = {d.group for d in examiner_documents(documents, examiner_settings)}
    new = unseen(fitted, documents, trained) & long_enough(fitted, settings)
    population = Population(
        np.array([d.table for d in encoded]),
        [d.group for d in encoded],
        np.array([d.label == SPUN for d in encoded]),
        gate.log_odds,
        new,
    )
    most, at_first = int(rules["most_segments"]), int(rules["look_segments"])

    def look_at(logits: Floats) -> list[int]:
        return looked_at(logits, chosen_segments(len(logits), most), at_first)

    passed = np.flatnonzero(new & (gate.log_odds >= gate.threshold))
    log.info("gate %.3f: %d of %d unseen texts looked at", gate.threshold, len(passed), new.sum())
    looked = examine(fitted, gate.log_odds, texts, passed, examiner.look, look_at, at_first)
    look, wanted = fit_clearing(population, looked.rows, looked.features, settings)
    examined = examine(
        fitted, gate.log_odds, texts, wanted, examiner.examine, lambda logits: chosen_segments(len(logits), most)
    )
    judged = fit_verdict(population, looked.rows, look, examined.rows, examined.features, settings)
    article, log_odds, points = judged.article, judged.log_odds, judged.points
    cleared = highest_cleared(points)
    if held_out_scores:
        shown = np.minimum(fitted.cross_fitted, cleared)
        shown[looked.rows] = np.minimum(look.log_odds, cleared)
        shown[examined.rows] = article.log_odds
        real = new & ~np.isin([d.id for d in encoded], [d.id for d in fitted.simulated])
        both = {"ours": shown[real], "screen": fitted.cross_fitted[real]}
        _write_scores(held_out_scores, [encoded[i].id for i in np.flatnonzero(real)], both)
    segment = _fit_segments(examined, *population.sides(examined.rows, settings)[:2])
    scale, accuracy = _kind_scale(encoded, examined)
    look_scale, look_accuracy = _kind_scale(encoded, looked)  # as if it had looked at all segments that it may
    measured = {
        **measured,
        "gate": _share_table(encoded, new, gate.log_odds >= gate.threshold),
        "read_on": _share_table(encoded, new, log_odds > -50.0),
        "flagged": _flagged(encoded, log_odds, new, points),
        "kinds_balanced_accuracy_read": round(accuracy, 4),
        "kinds_balanced_accuracy_looked_at": round(look_accuracy, 4),
        "thresholds": judged.details,
    }
    config["operating_points"] = points
    config["evidence"] = dict(settings.evidence)
    config["join"] = {
        "gate": {"log_odds": gate.threshold, "article": gate.model.to_config()},
        "first_look": {
            "log_odds": look.read_on,
            "look_on_log_odds": look.look_on,
            "article": look.model.to_config(),
            "segments": at_first,
            "kind_scale": look_scale,
        },
        "cleared": cleared,
        "most_segments": most,
        "article": article.model.to_config(),
        "segment": segment,
        "kind_scale": scale,
    }
    manifest["training"] |= {"examiner": asdict(examiner_settings), "join": measured, "thresholds": judged.details}
    _write(folder, config, manifest)
    return measured


def _kind_scale(encoded: Sequence[Any], examined: Examinations) -> tuple[float, float]:
    """Return the scale of the logits of the kinds but spun, and their balanced accuracy, on the texts not spun."""
    other = [i for i, r in enumerate(examined.rows) if encoded[r].label != SPUN]
    kind_of = np.array([_OTHERS.index(KINDS.index(encoded[examined.rows[i]].label)) for i in other])
    return fit_kind_scale(examined.kinds[other][:, _OTHERS], kind_of)


def _fit_segments(examined: Examinations, spun: NDArray[np.bool_], weights: Floats) -> list[float]:
    """Return (screen's weight, examiner's weight, bias) of a segment's log odds, at even odds of the examined ones."""
    from sklearn.linear_model import LogisticRegression

    labels = spun[examined.segment_text]
    per_segment = weights[examined.segment_text] / np.bincount(examined.segment_text)[examined.segment_text]
    for side in (labels, ~labels):
        per_segment[side] /= per_segment[side].sum()
    features = np.stack([examined.segment_screen, examined.segment_spun], axis=1)
    model = LogisticRegression(C=1.0).fit(features, labels, sample_weight=per_segment * len(labels))
    return [*(float(c) for c in model.coef_[0]), float(model.intercept_[0])]


def _share_table(encoded: Sequence[Any], new: NDArray[np.bool_], passed: NDArray[np.bool_]) -> dict[str, list[float]]:
    """Return for each table the number of unseen texts and the share of them that passed."""
    rows = np.flatnonzero(new).tolist()
    found: dict[str, list[bool]] = {}
    for i in rows:
        found.setdefault(encoded[i].table, []).append(bool(passed[i]))
    return {table: [len(own), round(float(np.mean(own)), 4)] for table, own in sorted(found.items())}


def _flagged(
    encoded: Sequence[Any], log_odds: Floats, new: NDArray[np.bool_], points: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Return for each table the share flagged at each operating point, cross-fitted."""
    with np.errstate(over="ignore"):
        probability = 1.0 / (1.0 + np.exp(-log_odds))
    result: dict[str, dict[str, float]] = {}
    unseen_rows = np.flatnonzero(new).tolist()
    for table in sorted({encoded[i].table for i in unseen_rows}):
        rows = [i for i in unseen_rows if encoded[i].table == table]
        result[table] = {p: round(float(np.mean(probability[rows] >= points[p])), 4) for p in TARGET_RATES}
    return result


def _write_scores(path: Path, ids: Sequence[str], log_odds: Mapping[str, Floats]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = np.unique(np.array(ids), return_index=True)[1]  # some rows of llm/rewrite_gpt35_prompts share an id
    columns: dict[str, list[Any]] = {
        "id": [ids[i] for i in first] * len(log_odds),
        "system": [name for name in log_odds for _ in first],
        "probability": [p for values in log_odds.values() for p in sigmoid(values[first]).tolist()],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, compression="zstd")


def _write(folder: Path, config: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    (folder / "config.json").write_bytes((json.dumps(config, indent=2) + "\n").encode("utf-8"))
    write_manifest(folder, str(manifest["name"]), {"training": manifest["training"]})
