"""Training of the screen: vocabulary, association table, n-gram weights, the article model, thresholds, export.

What is fitted on what: the vocabulary on texts that were not spun, the association table on those that people or
language models wrote; the n-gram weights on segments of all training documents, on their originals and on simulated
spinning; the article model on segment scores of models that did not see the document's group (cross-fitting);
thresholds on human text only, scored the same way. Texts under a non-commercial licence take part in nothing.
"""

from __future__ import annotations

import logging
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from detector.association import (
    FREQUENCY_BANDS,
    NEIGHBOUR_LEVELS,
    AssociationTable,
    neighbour_levels,
    weaker_level_shares,
)
from detector.calibrate import FEATURE_NAMES, ArticleModel, article_features, gate_features
from detector.screen import Screen, find_ngrams
from detector.segment import prepare
from detector.words import BOUNDARY, Tokens, Vocabulary
from train.associations import PairCounts
from train.corpora import Document, default_data_dir, originals_of, stable_share
from train.kinds import KIND_BITS, KindModel, fit_kinds
from train.recipe import read_documents, read_recipe
from train.simulation import simulate
from train.whole_text import FittedWholeText, fit_whole_text

log = logging.getLogger(__name__)
DEFAULT_RECIPE = Path(__file__).parent / "recipes" / "screen.toml"
SPUN = "spun"
_LIGHT = 0.5
"""Factor of a spinner's change rates below which its output counts as lightly spun."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Settings:
    """The recipe. Unknown keys are an error; the fields are explained in `recipes/screen.toml`."""

    name: str
    seed: int
    vocabulary: Mapping[str, float]
    documents: Mapping[str, int]
    segments: Mapping[str, float]
    mass: Mapping[str, float]
    simulation: Mapping[str, Any]
    association: Mapping[str, int]
    article: Mapping[str, float]
    gate: Mapping[str, float]
    whole_text: Mapping[str, float]
    evidence: Mapping[str, float]
    join: Mapping[str, float]

    @classmethod
    def read(cls, path: Path = DEFAULT_RECIPE) -> Settings:
        """Read a recipe.

        Raises:
            InputError: a key is unknown or missing.
        """
        return cls(**read_recipe(path, DEFAULT_RECIPE, ("mass", "gate", "whole_text", "documents")))


@dataclass(frozen=True, slots=True)
class Encoded:
    """One document's tokens in a small form; `table` names its weight in the recipe."""

    id: str
    table: str
    label: str
    group: str
    hashes: NDArray[np.uint64]
    special: NDArray[np.int8]
    ends: tuple[int, ...]

    @property
    def words(self) -> int:
        """Number of words, numbers included."""
        return int(np.count_nonzero(self.special != BOUNDARY))


_cache: dict[int, tuple[NDArray[np.uint64], NDArray[np.int8], tuple[int, ...]]] = {}


def encode(document_id: str, table: str, label: str, group: str, text: str) -> Encoded:
    """Prepare a text as at run time. Results are kept per text, since every fold reads the same texts."""
    key = hash(text)
    if key not in _cache:
        prepared = prepare(text)
        _cache[key] = (prepared.tokens.hashes, prepared.tokens.special, tuple(prepared.ends))
    return Encoded(document_id, table, label, group, *_cache[key])


def texts_by_id(documents: Iterable[Document]) -> dict[str, list[str]]:
    """Return the texts of the documents by id; more than one where a table uses an id twice."""
    found: dict[str, list[str]] = defaultdict(list)
    for document in documents:
        found[document.id].append(document.text)
    return dict(found)


def text_of(encoded: Encoded, texts: Mapping[str, Sequence[str]]) -> str:
    """Return a document's text out of `texts_by_id`: of those under its id the one with its words.

    Some rows of llm/rewrite_gpt35_prompts share an id.
    """
    candidates = texts[encoded.id]
    if len(candidates) == 1:
        return candidates[0]
    return next(text for text in candidates if np.array_equal(prepare(text).tokens.hashes, encoded.hashes))


def word_ids(encoded: Encoded, vocabulary: Vocabulary) -> NDArray[np.int32]:
    """Return the ids of the document's tokens."""
    none = np.zeros(0, np.int64)
    return vocabulary.ids(Tokens(encoded.hashes, none, none, encoded.special, np.zeros(0, np.bool_)))


# --------------------------------------------------------------------------------------------------- documents


def training_documents(documents: Iterable[Document], settings: Settings) -> list[Document]:
    """Return the documents to train on: no NC texts, large tables thinned by a stable hash."""
    by_table: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        if not document.licence_nc:
            by_table[document.table].append(document)
    chosen = []
    for table, rows in by_table.items():
        most = settings.documents.get(table, len(rows))
        chosen += sorted(rows, key=lambda d: stable_share(d.group + d.id))[:most]
    return sorted(chosen, key=lambda d: d.id)


# ------------------------------------------------------------------------------------------------- vocabulary

_WORD_FORM = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*")
_WITHIN_SENTENCE = re.compile(r"(?<=[a-z,] )([A-Za-z][a-z']+)")


def build_vocabulary(documents: Sequence[Document], settings: Settings) -> Vocabulary:
    """Return the words that unspun texts of several tables share; those nearly always capitalised are names."""
    counts: Counter[str] = Counter()
    tables: dict[str, set[str]] = defaultdict(set)
    lower: Counter[str] = Counter()
    capital: Counter[str] = Counter()
    for d in documents:
        if d.label == SPUN:
            continue
        text = d.text.replace("’", "'")
        own = Counter(_WORD_FORM.findall(text.lower()))
        counts.update(own)
        for word in own:
            tables[word].add(d.table)
        for word in _WITHIN_SENTENCE.findall(text):
            (capital if word[0].isupper() else lower)[word.lower()] += 1
    rules = settings.vocabulary
    words, names = [], []
    for word, n in counts.items():
        if len(word) == 1 and word not in "ai":
            continue
        if capital[word] >= 3 and capital[word] > rules["name_ratio"] * lower[word]:  # 3: fewer say nothing
            if n >= rules["min_name_count"]:
                names.append(word)
        elif n >= rules["min_count"] and len(tables[word]) >= rules["min_tables"]:
            words.append(word)
    return Vocabulary(sorted(words, key=lambda w: (-counts[w], w)), sorted(names))


# ------------------------------------------------------------------------------------------------- simulation


def simulated_documents(documents: Sequence[Document], settings: Settings, data: Path) -> list[Document]:
    """Return simulated spinning of some documents, each followed by its original (both cut to the same length).

    Partly and lightly spun ones have tables of their own, whose segments take no part (see `sample_weights`).
    """
    result = []
    for one in simulate(documents, data, settings.simulation, f"screen {settings.seed}"):
        shared = replace(one.document, tool=f"simulated {one.preset}", original=None)
        table = "simulated/" + ("partly_spun" if one.partly else "lightly_spun" if one.rate < _LIGHT else "spun")
        result.append(replace(shared, id=f"{shared.id}#spun", text=one.spun.text, table=table, label=SPUN))
        result.append(replace(shared, id=f"{shared.id}#cut", text=one.text, table="simulated/original", tool=""))
    return result


# --------------------------------------------------------------------------------------------- segment weights


@dataclass(frozen=True)
class SegmentMatrix:
    """Segments of all documents. `columns`, `offsets`: CSR columns; `document`: index of each segment's document."""

    columns: NDArray[np.int32]
    offsets: NDArray[np.int64]
    document: NDArray[np.int64]
    words: NDArray[np.int64]

    def to_csr(self, bits: int, dtype: type[np.floating] = np.float32) -> Any:
        """Return the scipy matrix, shape (segments, 2**bits), rows of L2 norm 1 (as `Screen` weighs n-grams)."""
        from scipy.sparse import csr_matrix

        counts = np.diff(self.offsets)
        values = np.repeat((1.0 / np.sqrt(np.maximum(counts, 1))).astype(dtype), counts)
        return csr_matrix((values, self.columns, self.offsets), shape=(len(counts), 1 << bits))


def segment_matrix(encoded: Sequence[Encoded], vocabulary: Vocabulary, bits: int) -> SegmentMatrix:
    """Return the n-gram columns of every segment of every document, documents without words skipped."""
    columns, counts, owner, words = [], [], [], []
    for number, document in enumerate(encoded):
        if not document.ends:
            continue
        ids = word_ids(document, vocabulary)
        ngrams = find_ngrams(ids, list(document.ends))
        by_segment = np.argsort(ngrams.segments, kind="stable")
        columns.append(ngrams.columns(bits)[by_segment].astype(np.int32))
        counts.append(ngrams.counts)
        owner.append(np.full(len(document.ends), number))
        words.append(segment_words(document))
    lengths = np.concatenate(counts)
    return SegmentMatrix(
        np.concatenate(columns), np.concatenate([[0], np.cumsum(lengths)]), np.concatenate(owner), np.concatenate(words)
    )


def segment_words(document: Encoded) -> NDArray[np.int64]:
    """Return the number of words in each segment."""
    starts = np.concatenate([[0], np.asarray(document.ends[:-1], dtype=np.int64)])
    return np.add.reduceat((document.special != BOUNDARY).astype(np.int64), starts)


def sample_weights(
    encoded: Sequence[Encoded], owner: NDArray[np.int64], settings: Settings, *, whole_articles: bool = False
) -> Floats:
    """Return a weight per segment: each table its mass, shared equally; the two sides as the recipe says; mean 1.

    Partly and lightly spun articles count only as whole articles: which segments are spun is not recorded of the first,
    and in a segment of the second most n-grams are their writers'.
    """
    table = np.array([d.table for d in encoded])[owner]
    spun = np.array([d.label == SPUN for d in encoded])[owner]
    weights = np.zeros(len(owner))
    for name in np.unique(table):
        rows = table == name
        weights[rows] = settings.mass.get(str(name), 0.2) / rows.sum()  # 0.2: a small table's mass, for new tables
    if not whole_articles:
        weights[(table == "simulated/partly_spun") | (table == "simulated/lightly_spun")] = 0.0
    if spun.any():
        weights[spun] /= weights[spun].sum()
    weights[~spun] *= settings.segments["negative_mass"] / weights[~spun].sum()
    return np.asarray(weights * len(owner) / weights.sum())


def fit_weights(matrix: Any, labels: NDArray[np.bool_], weights: Floats, settings: Settings, seed: int) -> Screen:
    """Fit the n-gram weights by averaged stochastic gradient descent (scikit-learn's SGDClassifier, log loss)."""
    from sklearn.linear_model import SGDClassifier

    model = SGDClassifier(
        loss="log_loss",
        alpha=settings.segments["penalty"],
        average=True,
        max_iter=int(settings.segments["epochs"]),
        tol=None,
        random_state=seed,
    )
    model.fit(matrix, labels, sample_weight=weights)
    return Screen(model.coef_[0].astype(np.float32), float(model.intercept_[0]))


# ------------------------------------------------------------------------------------------------ association

_COUNTED = ("original", "llm_rewritten")
"""Kinds of text whose neighbouring words belong together; a machine translation's often do not."""


def count_pairs(documents: Sequence[Document], settings: Settings) -> PairCounts:
    """Build the vocabulary of the training documents and count the adjacent words of all texts that were not spun.

    Of all of them and not only those that the models are trained on, originals of rewritten ones too: the more the
    better. Texts under a non-commercial licence are left out. Both models read words and counts from here.
    """
    vocabulary = build_vocabulary(training_documents(documents, settings), settings)
    documents = [d for d in documents if not d.licence_nc]
    counted = [d for d in [*documents, *originals_of(documents)] if d.label in _COUNTED]
    encoded = (encode(d.id, d.table, d.label, d.group, d.text) for d in counted)
    return PairCounts(
        ((d.group, word_ids(d, vocabulary)) for d in encoded), vocabulary, int(settings.association["sketch_bytes"])
    )


# ---------------------------------------------------------------------------------------------- article model


def features_of(
    document: Encoded, ids: NDArray[np.int32], logits: Floats, associations: Floats, table: AssociationTable
) -> Floats:
    """Return the article model's features of one document."""
    statistics = table.word_statistics(ids[document.special != BOUNDARY])
    return article_features(logits, segment_words(document), associations, *statistics)


def _weaker_levels(
    document: Encoded, ids: NDArray[np.int32], at: NDArray[np.int64], associations: Floats, table: AssociationTable
) -> Floats:
    is_word = document.special != BOUNDARY
    levels = neighbour_levels(len(ids), at, associations)
    return weaker_level_shares(levels[is_word], table.log_frequencies[ids[is_word]])


def fit_article_model(features: Floats, labels: NDArray[np.bool_], weights: Floats, settings: Settings) -> ArticleModel:
    """Fit the logistic regression; `weights` carry the tables' masses, the sides balanced to the prevalence."""
    from sklearn.linear_model import LogisticRegression

    means, scales = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)  # 1e-6: constant columns
    share = settings.article["prevalence"]
    weights = weights.copy()
    weights[labels] *= share / weights[labels].sum()
    weights[~labels] *= (1 - share) / weights[~labels].sum()
    model = LogisticRegression(C=1.0 / settings.article["penalty"], max_iter=2000)
    model.fit((features - means) / scales, labels, sample_weight=weights * len(labels))
    return ArticleModel(model.coef_[0].astype(np.float64), means, scales, float(model.intercept_[0]))


@dataclass(frozen=True)
class FittedScreen:
    """Everything that scoring an article takes, and the cross-fitted scores of the training documents.

    `features`: of the article model, shape (documents, features), and `cross_fitted`: log odds of `encoded`, shape
    (documents,), both from cross-fitted segments; `weaker_levels`: `association.weaker_level_shares` of each document;
    `segment_logits`, `segment_owner`: shape (segments,), the cross-fitted log odds of each segment and the index of its
    document. `simulated`: those of the documents that were made by simulated spinners, and what they were made from.
    """

    screen: Screen
    counts: PairCounts
    article: ArticleModel
    kinds: KindModel
    whole_text: FittedWholeText
    encoded: list[Encoded]
    features: Floats
    weaker_levels: Floats
    cross_fitted: Floats
    segment_logits: Floats
    segment_owner: NDArray[np.int64]
    simulated: list[Document]

    @property
    def gate_features(self) -> Floats:
        """What the gate looks at, cross-fitted, shape (documents, len(GATE_NAMES))."""
        return gate_features(self.features, self.kinds.cross_fitted, self.weaker_levels, self.whole_text.cross_fitted)

    @property
    def vocabulary(self) -> Vocabulary:
        """The words that count."""
        return self.counts.vocabulary

    @property
    def association(self) -> AssociationTable:
        """What the model keeps of the counts."""
        return self.counts.table

    def read(self, text: str) -> tuple[Floats, Floats] | None:
        """Return the gate's features of a new text and the log odds of its segments; None for a text without words.

        The features: shape (len(GATE_NAMES),), the first ones are the article model's.
        """
        document = encode("", "", "original", "", text)
        if not document.ends:
            return None
        ids = word_ids(document, self.vocabulary)
        ngrams = find_ngrams(ids, list(document.ends))
        logits = self.screen.logits(ngrams)
        at, associations = self.association.adjacent(ids)
        own = features_of(document, ids, logits, associations, self.association)
        kinds = self.kinds.log_odds(ngrams, segment_words(document))
        weaker = _weaker_levels(document, ids, at, associations, self.association)
        model = self.whole_text.model
        whole_text = model.log_odds(model.total(ngrams), len(ngrams.hashes))
        return gate_features(own, kinds, weaker, whole_text), logits

    def log_odds(self, texts: Sequence[str]) -> Floats:
        """Return the log odds of spinning of each text; a text without words gets -inf."""
        result = np.full(len(texts), -np.inf)
        for number, text in enumerate(texts):
            if found := self.read(text):
                result[number] = self.article.log_odds(found[0][: len(FEATURE_NAMES)])
        return result


def inner_fold(group: str, folds: int) -> int:
    """Return the cross-fitting fold of a group."""
    return int(stable_share("inner" + group) * folds)


def fit(documents: Sequence[Document], settings: Settings, data: Path) -> FittedScreen:
    """Fit everything on the documents (NC texts are dropped). About 7 minutes and 6 GB for all of ../shared/data."""
    chosen = training_documents(documents, settings)
    counts = count_pairs(documents, settings)
    vocabulary = counts.vocabulary
    log.info("%d documents, %d words, %d names", len(chosen), len(vocabulary.words), len(vocabulary.names))
    simulated = simulated_documents(chosen, settings, data)
    everything = [*chosen, *originals_of(chosen), *simulated]
    encoded = [encode(d.id, d.table, d.label, d.group, d.text) for d in everything]
    encoded = [d for d in encoded if d.ends]
    bits = int(settings.segments["bits"])
    segments = segment_matrix(encoded, vocabulary, bits)
    matrix = segments.to_csr(bits)
    spun = np.array([d.label == SPUN for d in encoded])
    fold = np.array([inner_fold(d.group, int(settings.article["inner_folds"])) for d in encoded])
    owner = segments.document
    labels = spun[owner]
    logits = np.zeros(len(owner))
    for held in np.unique(fold):
        rows = fold[owner] != held
        part = fit_weights(
            matrix[rows], labels[rows], sample_weights(encoded, owner[rows], settings), settings, settings.seed
        )
        logits[~rows] = part.bias + matrix[~rows] @ part.weights
        log.info("inner fold %d of %d: %d segments in training", held + 1, fold.max() + 1, rows.sum())
    weights = sample_weights(encoded, owner, settings)
    screen = fit_weights(matrix, labels, weights, settings, settings.seed)

    begins = np.searchsorted(owner, np.arange(len(encoded) + 1))
    features = np.zeros((len(encoded), len(FEATURE_NAMES)))
    weaker_levels = np.zeros((len(encoded), FREQUENCY_BANDS * NEIGHBOUR_LEVELS))
    for number, document in enumerate(encoded):
        ids = word_ids(document, vocabulary)
        own = logits[begins[number] : begins[number + 1]]
        at, associations = counts.adjacent(ids, document.group)
        features[number] = features_of(document, ids, own, associations, counts.table)
        weaker_levels[number] = _weaker_levels(document, ids, at, associations, counts.table)
    masses = sample_weights(encoded, np.arange(len(encoded)), settings, whole_articles=True)
    article = fit_article_model(features, spun, masses, settings)
    few_columns = segment_matrix(encoded, vocabulary, KIND_BITS)
    kinds = fit_kinds(encoded, few_columns, fold, settings)
    log.info("kinds: balanced accuracy %.3f, cross-fitted; scale %.3f", kinds.accuracy, kinds.scale)
    whole_text = fit_whole_text(encoded, few_columns, KIND_BITS, fold, settings)
    return FittedScreen(
        screen, counts, article, kinds, whole_text, encoded, features, weaker_levels, article.log_odds(features),
        logits, owner, simulated,
    )  # fmt: skip


@dataclass(frozen=True)
class ScreenSystem:
    """Ours, for the evaluation: `fit` on documents, then score texts by log odds (see `eval.systems`)."""

    data: Path
    settings: Settings
    name: str = "ours"

    def fit(self, documents: Sequence[Document], seed: int) -> Callable[[Sequence[str]], Floats]:
        """Return a scorer: higher = more spun; a text without words gets the lowest finite score."""
        fitted = fit(documents, replace(self.settings, seed=seed), self.data)

        def score(texts: Sequence[str]) -> Floats:
            return np.maximum(fitted.log_odds(texts), -1e6)  # below any real score, and finite

        return score


@click.command("screen")
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=DEFAULT_RECIPE)
@click.option("--data", type=click.Path(path_type=Path), default=None, help="Folder of tables; default ../shared/data.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Model folder to write.")
@click.option(
    "--examiner",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=None,
    help="Folder of `python -m train examiner`: joins it to the screen.",
)
@click.option(
    "--networks",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=None,
    help="Model folder, also that of --out, whose examiner is joined to the new screen as it is.",
)
@click.option(
    "--held-out-scores",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="With an examiner: Parquet for the probabilities of texts that neither model has seen.",
)
def command(
    recipe: Path,
    data: Path | None,
    out: Path,
    examiner: Path | None,
    networks: Path | None,
    held_out_scores: Path | None,
) -> None:
    """Train the screen, join the examiner to it if there is one, and write a model folder."""
    from train.export import check_export, write_model
    from train.join import Exported, join_exported, join_models

    if examiner and networks:
        raise click.UsageError("--examiner and --networks both name an examiner; give one of them")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    started = time.monotonic()
    exported = Exported.read(networks) if networks else None  # before --out is written, which may be the same folder
    settings = Settings.read(recipe)
    data = data or default_data_dir()
    documents = read_documents(data, settings.documents)
    fitted = fit(documents, settings, data)
    write_model(out, fitted, training_documents(documents, settings), data, settings, time.monotonic() - started)
    difference = check_export(out, fitted, [d.text for d in documents[:: max(1, len(documents) // 200)]])
    log.info("%s written; largest difference of a probability %.5f", out, difference)
    if examiner:
        log.info("joined: %s", join_models(out, fitted, documents, examiner, settings, held_out_scores))
    if exported:
        log.info("joined: %s", join_exported(out, fitted, documents, exported, settings, held_out_scores))
