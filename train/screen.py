"""Training of the screen: vocabulary, association table, n-gram weights, the article model, thresholds, export.

What is fitted on what: the vocabulary and the association table on human texts; the n-gram weights on segments of all
training documents, on their originals and on simulated spinning of human ones; the article model on segment scores of
models that did not see the document's group (cross-fitting); thresholds on human text only, scored the same way. Texts
under a non-commercial licence take part in nothing.
"""

from __future__ import annotations

import logging
import re
import tempfile
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from detector.association import AssociationTable, count_level, pair_keys
from detector.calibrate import FEATURE_NAMES, ArticleModel, article_features
from detector.screen import Screen, find_ngrams
from detector.segment import prepare
from detector.words import BOUNDARY, FIRST_WORD_ID, Tokens, Vocabulary
from train.corpora import Document, default_data_dir
from train.recipe import read_documents, read_recipe

log = logging.getLogger(__name__)
DEFAULT_RECIPE = Path(__file__).parent / "recipes" / "screen.toml"
SPUN = "spun"
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
    evidence: Mapping[str, float]
    join: Mapping[str, float]

    @classmethod
    def read(cls, path: Path = DEFAULT_RECIPE) -> Settings:
        """Read a recipe.

        Raises:
            InputError: a key is unknown or missing.
        """
        return cls(**read_recipe(path, DEFAULT_RECIPE, ("mass", "documents")))


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


def word_ids(encoded: Encoded, vocabulary: Vocabulary) -> NDArray[np.int32]:
    """Return the ids of the document's tokens."""
    none = np.zeros(0, np.int64)
    return vocabulary.ids(Tokens(encoded.hashes, none, none, encoded.special, np.zeros(0, np.bool_)))


def stable_share(key: str) -> float:
    """Return a number in [0, 1) that depends on the key alone."""
    return zlib.crc32(key.encode()) / 2**32


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


def originals(documents: Iterable[Document]) -> list[Document]:
    """Return the texts that rewritten documents were made from, once each, in the group of the rewritten one.

    The originals of QuillBot's pairs were written by a language model, those of all others by people.
    """
    found: dict[str, Document] = {}
    for d in documents:
        if d.original and d.original not in found:
            found[d.original] = replace(
                d,
                id=f"{d.id}#original",
                text=d.original,
                table="originals/" + d.table.split("/")[1],
                label="llm_rewritten" if d.table == "spun/quillbot_pairs" else "original",
                tool="",
                tool_family="",
                original=None,
            )
    return list(found.values())


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


def simulate(documents: Sequence[Document], settings: Settings, data: Path) -> list[Document]:
    """Return simulated spinning of some human documents, each followed by its original (both cut to the same length).

    A preset that imitates a tool, and what is mined from that tool's pairs, is used only if the tool is in training:
    leaving a tool out leaves out what is known of it.
    """
    from train.align import document_pairs, mine
    from train.spinners.presets import Resources, make_spinner, neighbour_sample

    rules = settings.simulation
    human = [d for d in documents if d.label == "original" and d.table.startswith("human/")]
    families = {d.tool_family for d in documents if d.label == SPUN} | {
        "spinbot" for d in documents if d.table == "spun/paired_openings"
    }
    mined = {}
    for tool, tables in (("spinbot", {"spun/paired_openings"}), ("quillbot", {"spun/quillbot_pairs"})):
        rows = sorted((d for d in documents if d.table in tables), key=lambda d: stable_share(d.id))
        pairs = list(document_pairs(rows[: rules["mined_documents"]]))
        if pairs:
            mined[tool] = mine(pairs, rounds=1).table
    # The glue phrases were collected from SpinBot's output and from the wild passages; either left out, they are too.
    needed = {"spinbot": {"spinbot", "wild"}, "quillbot": {"quillbot"}}
    presets = [p for p in rules["presets"] if needed.get(p.split("-")[0], set()) <= families]
    cache = Path(tempfile.gettempdir()) / "detect-spin-cache"
    cache.mkdir(exist_ok=True)
    resources = Resources(data=data, mined=mined, texts=neighbour_sample([d.text for d in human], 3000), cache=cache)
    spinners = [make_spinner(p, resources, replace_partial(p, share)) for p in presets for share in (1.0, 0.5)]
    chosen = sorted(human, key=lambda d: stable_share("simulate" + d.group + d.id))[: rules["documents"]]
    result = []
    for number, document in enumerate(chosen):
        rng = Random(f"{settings.seed} {document.id}")
        text = cut_words(document.text, rules["longest_words"])
        preset = number % len(presets)
        partly = rng.random() < rules["partial"] and "\n" in text.strip()
        spun = spinners[2 * preset + partly].spin(text, rng)
        if not spun.replacements:
            continue
        shared = replace(document, tool=f"simulated {presets[preset]}", original=None)
        table = "simulated/partly_spun" if partly else "simulated/spun"
        result.append(replace(shared, id=f"{document.id}#spun", text=spun.text, table=table, label=SPUN))
        result.append(replace(shared, id=f"{document.id}#cut", text=text, table="simulated/original"))
    return result


def replace_partial(preset: str, share: float) -> Any:
    """Return the settings of a preset with another share of paragraphs spun."""
    from train.spinners.presets import PRESETS

    return replace(PRESETS[preset], partial=share)


def cut_words(text: str, longest: int) -> str:
    """Return the first `longest` words of the text, spacing kept."""
    ends = [m.end() for m in re.finditer(r"\S+", text)]
    return text if len(ends) <= longest else text[: ends[longest - 1]]


# --------------------------------------------------------------------------------------------- segment weights


@dataclass(frozen=True)
class SegmentMatrix:
    """Segments of all documents. `columns`, `offsets`: CSR columns; `document`: index of each segment's document."""

    columns: NDArray[np.int32]
    offsets: NDArray[np.int64]
    document: NDArray[np.int64]
    words: NDArray[np.int64]

    def to_csr(self, bits: int) -> Any:
        """Return the scipy matrix, shape (segments, 2**bits), rows of L2 norm 1 (as `Screen` weighs n-grams)."""
        from scipy.sparse import csr_matrix

        counts = np.diff(self.offsets)
        values = np.repeat((1.0 / np.sqrt(np.maximum(counts, 1))).astype(np.float32), counts)
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

    Partly spun articles count only as whole articles: which of their segments are spun is not recorded.
    """
    table = np.array([d.table for d in encoded])[owner]
    spun = np.array([d.label == SPUN for d in encoded])[owner]
    weights = np.zeros(len(owner))
    for name in np.unique(table):
        rows = table == name
        weights[rows] = settings.mass.get(str(name), 0.2) / rows.sum()  # 0.2: a small table's mass, for new tables
    if not whole_articles:
        weights[table == "simulated/partly_spun"] = 0.0
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


class PairCounts:
    """Exact pair counts of the human training documents, from which a document's own can be taken off."""

    def __init__(self, encoded: Sequence[Encoded], vocabulary: Vocabulary, sketch_bytes: int) -> None:
        human = [d for d in encoded if d.label == "original" and d.table.startswith("human/")]
        ids = [word_ids(d, vocabulary) for d in human]
        self.counted = {d.id for d in human}
        self.table = AssociationTable.count(ids, vocabulary.size, sketch_bytes)
        keys = [pair_keys(*real_pairs(i)) for i in ids]
        self._keys, self._counts = np.unique(np.concatenate(keys), return_counts=True)

    def associations(self, document: Encoded, ids: NDArray[np.int32]) -> Floats:
        """Return the associations of the document's pairs as if the document had not been counted."""
        first, second = real_pairs(ids)
        if not len(first):
            return np.zeros(0)
        if document.id.split("#")[0] not in self.counted:  # "#cut" and "#spun" are made from a counted text
            return self.table.associations(first, second, self.table.levels(pair_keys(first, second)))
        keys = pair_keys(first, second)
        _, inverse, own = np.unique(keys, return_inverse=True, return_counts=True)
        place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        seen = np.where(self._keys[place] == keys, self._counts[place] - own[inverse], 0)
        return self.table.associations(first, second, count_level(np.maximum(seen, 0).astype(np.float64)))


def real_pairs(ids: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the adjacent pairs of vocabulary words: first and second ids."""
    first, second = ids[:-1], ids[1:]
    real = (first >= FIRST_WORD_ID) & (second >= FIRST_WORD_ID)
    return first[real], second[real]


# ---------------------------------------------------------------------------------------------- article model


def features_of(
    document: Encoded, ids: NDArray[np.int32], logits: Floats, associations: Floats, table: AssociationTable
) -> Floats:
    """Return the article model's features of one document."""
    statistics = table.word_statistics(ids[document.special != BOUNDARY])
    return article_features(logits, segment_words(document), associations, *statistics)


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

    `cross_fitted`: log odds of `encoded`, shape (documents,); `segment_logits`, `segment_owner`: shape (segments,), the
    cross-fitted log odds of each segment and the index of its document.
    """

    vocabulary: Vocabulary
    screen: Screen
    association: AssociationTable
    article: ArticleModel
    encoded: list[Encoded]
    cross_fitted: Floats
    segment_logits: Floats
    segment_owner: NDArray[np.int64]

    def log_odds(self, texts: Sequence[str]) -> Floats:
        """Return the log odds of spinning of each text; a text without words gets -inf."""
        result = np.full(len(texts), -np.inf)
        for number, text in enumerate(texts):
            document = encode("", "", "original", "", text)
            if document.ends:
                ids = word_ids(document, self.vocabulary)
                logits = self.screen.logits(find_ngrams(ids, list(document.ends)))
                _, associations = self.association.adjacent(ids)
                result[number] = self.article.log_odds(
                    features_of(document, ids, logits, associations, self.association)
                )
        return result


def inner_fold(group: str, folds: int) -> int:
    """Return the cross-fitting fold of a group."""
    return int(stable_share("inner" + group) * folds)


def fit(documents: Sequence[Document], settings: Settings, data: Path) -> FittedScreen:
    """Fit everything on the documents (NC texts are dropped). About 7 minutes and 6 GB for all of ../shared/data."""
    chosen = training_documents(documents, settings)
    vocabulary = build_vocabulary(chosen, settings)
    log.info("%d documents, %d words, %d names", len(chosen), len(vocabulary.words), len(vocabulary.names))
    everything = [*chosen, *originals(chosen), *simulate(chosen, settings, data)]
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

    counts = PairCounts(encoded, vocabulary, int(settings.association["sketch_bytes"]))
    begins = np.searchsorted(owner, np.arange(len(encoded) + 1))
    features = np.zeros((len(encoded), len(FEATURE_NAMES)))
    for number, document in enumerate(encoded):
        ids = word_ids(document, vocabulary)
        own = logits[begins[number] : begins[number + 1]]
        features[number] = features_of(document, ids, own, counts.associations(document, ids), counts.table)
    masses = sample_weights(encoded, np.arange(len(encoded)), settings, whole_articles=True)
    article = fit_article_model(features, spun, masses, settings)
    return FittedScreen(vocabulary, screen, counts.table, article, encoded, article.log_odds(features), logits, owner)


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
    "--held-out-scores",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="With --examiner: Parquet for the probabilities of texts that neither model has seen.",
)
def command(recipe: Path, data: Path | None, out: Path, examiner: Path | None, held_out_scores: Path | None) -> None:
    """Train the screen, join the examiner to it if there is one, and write a model folder."""
    from train.export import check_export, write_model

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    started = time.monotonic()
    settings = Settings.read(recipe)
    data = data or default_data_dir()
    documents = read_documents(data, settings.documents)
    fitted = fit(documents, settings, data)
    write_model(out, fitted, training_documents(documents, settings), data, settings, time.monotonic() - started)
    difference = check_export(out, fitted, [d.text for d in documents[:: max(1, len(documents) // 200)]])
    log.info("%s written; largest difference of a probability %.5f", out, difference)
    if examiner:
        from train.join import join_models

        log.info("joined: %s", join_models(out, fitted, documents, examiner, settings, held_out_scores))
