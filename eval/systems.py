"""The systems under test: baselines that fit nothing or only counts, a classical classifier, ours, and a user's.

Each is an object with a name and a `fit` that turns training documents into a scorer. The baselines tokenise by
themselves and share no code with the detector, so that they stay what they are when it changes.
"""

from __future__ import annotations

import csv
import importlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError, MissingExtraError
from train.corpora import Document

Scorer = Callable[[Sequence[str]], NDArray[np.float64]]
_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|[.!?;:]")  # words and the stops that end a stretch of neighbours
_STOPS = frozenset(".!?;:")


class TrainableSystem(Protocol):
    """What can be put on trial.

    The scorer that `fit` returns gives one finite number per text, in order, higher for more spun. The scale is free,
    since thresholds are set for each fitted scorer. A text that a system cannot judge must get its lowest score: it is
    then never flagged and counts as a miss. Same documents and seed, same scores.
    """

    @property
    def name(self) -> str:
        """The name in reports and on the command line."""
        ...

    def fit(self, documents: Sequence[Document], seed: int) -> Scorer:
        """Return a scorer trained on these documents and nothing else."""
        ...


def tokens(text: str) -> list[str]:
    """Return words in lower case and the stops between them."""
    return _TOKEN.findall(text.lower().replace("’", "'"))


def training_texts(documents: Sequence[Document]) -> tuple[list[str], NDArray[np.int8]]:
    """Return texts and labels (1 = spun): every document, and the originals of the spun ones as negatives.

    The originals keep a classifier from taking the topic of a spun set for spinning (data/README.md, "Traps").
    """
    labelled = {d.text: int(d.label == "spun") for d in documents}
    for document in documents:
        if document.label == "spun" and document.original:
            labelled.setdefault(document.original, 0)
    return list(labelled), np.fromiter(labelled.values(), np.int8, len(labelled))


@dataclass(frozen=True)
class TorturedPhrases:
    """Matches of a list of known tortured phrases per 100 words. Nothing is fitted.

    `data`: the folder that holds lexicon/tortured_phrases.tsv, half of the Problematic Paper Screener's list (Cabanac,
    Labbé, Magazinov 2021).
    """

    data: Path
    name: str = "tortured"
    _read: list[PhraseRate] = field(default_factory=list, repr=False, compare=False)

    def fit(self, documents: Sequence[Document], seed: int) -> Scorer:
        """Return the scorer, the same each time; neither documents nor seed matter."""
        del documents, seed
        if self._read:
            return self._read[0]
        path = self.data / "lexicon" / "tortured_phrases.tsv"
        if not path.is_file():
            raise InputError(f"{path}: not found; the system 'tortured' needs this list of phrases")
        with path.open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
            phrases = frozenset(tuple(tokens(row["spun"])) for row in rows)
        self._read.append(PhraseRate(phrases - {()}))
        return self._read[0]


@dataclass(frozen=True)
class PhraseRate:
    """Scores texts by the places where one of the phrases (tuples of lower-case words) begins, per 100 words."""

    phrases: frozenset[tuple[str, ...]]
    _rates: dict[str, float] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return one rate per text, 0 for a text without words. Rates are kept: every round asks for the same."""
        sizes_of: dict[str, set[int]] = {}
        for phrase in self.phrases:
            sizes_of.setdefault(phrase[0], set()).add(len(phrase))
        for text in texts:
            if text in self._rates:
                continue
            found = tokens(text)
            hits = sum(
                any(tuple(found[i : i + size]) in self.phrases for size in sizes_of.get(first, ()))
                for i, first in enumerate(found)
            )
            self._rates[text] = 100.0 * hits / max(sum(t not in _STOPS for t in found), 1)
        return np.array([self._rates[t] for t in texts], dtype=np.float64)


_MIN_COUNT = 5  # rarer words are mostly names and misprints, whose association says nothing
_SHRINK = 1.0  # pairs added to seen and expected: an unseen pair of common words counts, one of rare words hardly


@dataclass(frozen=True)
class Association:
    """How much rarer neighbouring words occur together in human text than their frequencies predict, on average.

    Fitted on counts over the human training texts only; no spun text is looked at. The association of a pair is
    log((seen + k) / (expected + k)), pointwise mutual information shrunk towards 0 where both are small.
    """

    name: str = "association"

    def fit(self, documents: Sequence[Document], seed: int) -> Scorer:
        """Return the scorer; the seed does not matter."""
        del seed
        texts = sorted({d.text for d in documents if d.label == "original"})
        if not texts:
            raise InputError("the system 'association' needs human texts to count in; the training documents hold none")
        frequency = Counter(token for text in texts for token in tokens(text))
        frequent = sorted(w for w, n in frequency.items() if n >= _MIN_COUNT and w not in _STOPS)
        ids = {word: i for i, word in enumerate(frequent)}
        unigrams = np.array([frequency[w] for w in frequent], dtype=np.float64)
        pairs, counts = np.unique(np.concatenate([_pairs(text, ids) for text in texts]), return_counts=True)
        return PairAssociation(ids, unigrams, pairs, counts.astype(np.float64))


def _pairs(text: str, ids: dict[str, int]) -> NDArray[np.int64]:
    """Return the keys first * len(ids) + second of neighbouring known words, stops between."""
    sequence = np.array([ids.get(token, -1) for token in tokens(text)], dtype=np.int64)
    first, second = sequence[:-1], sequence[1:]
    known = (first >= 0) & (second >= 0)
    return np.asarray(first[known] * len(ids) + second[known], dtype=np.int64)


@dataclass(frozen=True)
class PairAssociation:
    """Scores texts by minus the mean association of their neighbouring words.

    `unigrams`: counts by id. `pairs`: sorted keys, `counts`: how often each was seen.
    """

    ids: dict[str, int]
    unigrams: NDArray[np.float64]
    pairs: NDArray[np.int64]
    counts: NDArray[np.float64]

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return one score per text; one without a known pair gets -10, far below any other (they lie within +-5)."""
        total = float(self.counts.sum())
        scores = []
        for text in texts:
            keys = _pairs(text, self.ids)
            if not len(keys):
                scores.append(-10.0)
                continue
            place = np.minimum(np.searchsorted(self.pairs, keys), len(self.pairs) - 1)
            seen = np.where(self.pairs[place] == keys, self.counts[place], 0.0)
            first, second = np.divmod(keys, len(self.ids))
            mass = float(self.unigrams.sum())
            expected = self.unigrams[first] * self.unigrams[second] / mass**2 * total
            scores.append(-float(np.mean(np.log((seen + _SHRINK) / (expected + _SHRINK)))))
        return np.array(scores, dtype=np.float64)


@dataclass(frozen=True)
class TfidfLogistic:
    """TF-IDF of word 1- to 3-grams into a balanced logistic regression: what one would try first. From scikit-learn.

    `features`: hashed columns; 2**20 keep collisions rare at the few million n-grams of one fit, and a vocabulary would
    take gigabytes. `inverse_penalty`: C of the regression; 10 is the value that text classification with L2-normed rows
    commonly uses, not tuned here. Hashed counts of a text depend on nothing else and are kept between fits:
    the rounds of a protocol share most of their texts.
    """

    name: str = "tfidf"
    features: int = 2**20
    inverse_penalty: float = 10.0
    _counts: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def fit(self, documents: Sequence[Document], seed: int) -> Scorer:
        """Return the decision function (log odds) of the fitted classifier."""
        try:
            from sklearn.feature_extraction.text import TfidfTransformer
            from sklearn.linear_model import LogisticRegression
            from sklearn.pipeline import make_pipeline
        except ImportError as error:
            raise MissingExtraError("the system 'tfidf' needs scikit-learn: pip install '.[eval]'") from error
        texts, labels = training_texts(documents)
        classifier = make_pipeline(
            TfidfTransformer(sublinear_tf=True),
            LogisticRegression(C=self.inverse_penalty, class_weight="balanced", solver="liblinear", random_state=seed),
        )
        classifier.fit(self._hashed(texts), labels)

        def score(batch: Sequence[str]) -> NDArray[np.float64]:
            return np.asarray(classifier.decision_function(self._hashed(batch)), dtype=np.float64)

        return score

    def _hashed(self, texts: Sequence[str]) -> Any:
        """Return the n-gram counts as a sparse matrix of shape (len(texts), features)."""
        from scipy.sparse import vstack
        from sklearn.feature_extraction.text import HashingVectorizer

        vectorizer = HashingVectorizer(
            ngram_range=(1, 3), n_features=self.features, alternate_sign=False, norm=None, dtype=np.float32
        )
        new = [t for t in dict.fromkeys(texts) if t not in self._counts]
        if new:
            counts = vectorizer.transform(new)
            self._counts.update((text, counts[i]) for i, text in enumerate(new))
        return vstack([self._counts[t] for t in texts], format="csr", dtype=np.float64)


@dataclass(frozen=True)
class FixedFunction:
    """A user's `function(texts) -> scores` that needs no training."""

    name: str
    function: Callable[[Sequence[str]], Any]

    def fit(self, documents: Sequence[Document], seed: int) -> Scorer:
        """Return the function; neither documents nor seed matter."""
        del documents, seed

        def score(batch: Sequence[str]) -> NDArray[np.float64]:
            return np.asarray(self.function(batch), dtype=np.float64)

        return score


def checked_scores(scorer: Scorer, texts: Sequence[str], name: str) -> NDArray[np.float64]:
    """Return the scores of the texts, or say what is wrong with them.

    Raises:
        InputError: the scorer returned another number of scores, or one that is not finite.
    """
    scores = np.asarray(scorer(texts), dtype=np.float64)
    if scores.shape != (len(texts),):
        raise InputError(f"system {name!r}: expected {len(texts)} scores, got an array of shape {scores.shape}")
    if not np.isfinite(scores).all():
        raise InputError(f"system {name!r}: a score is not finite; give texts that cannot be judged the lowest score")
    return scores


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the making of a system may depend on.

    `data`: folder of the tables. `trained`: the protocol trains a model per round, else the system must be ready or is
    fitted once. `model`: folder or name of ours, None = the shipped one. `quick`: as small as runs.
    """

    data: Path
    trained: bool = True
    model: str | None = None
    quick: bool = False


_QUICK_SIMULATED = 200  # of 2400: simulated spinning takes most of a fit on few documents


def _screen(wanted: Wanted, name: str = "screen") -> TrainableSystem:
    """The screen, trained anew on what the round allows."""
    try:
        # By name: the screen's training needs the train extra, which the other systems do not.
        module = importlib.import_module("train.screen")
    except ImportError as error:
        raise MissingExtraError(f"the system {name!r} needs train.screen ({error}): pip install '.[train]'") from error
    recipe = module.Settings.read()
    if wanted.quick:
        recipe = replace(recipe, simulation={**recipe.simulation, "documents": _QUICK_SIMULATED})
    return cast(TrainableSystem, replace(module.ScreenSystem(wanted.data, recipe), name=name))


def _ours(wanted: Wanted) -> TrainableSystem:
    """Ours: the detector of the model folder, or what the protocol trains in its place."""
    if wanted.trained:
        return _screen(wanted, "ours")
    from eval.fixed_systems import DetectorSystem

    return DetectorSystem(wanted.model)


def _examiner(wanted: Wanted) -> TrainableSystem:
    """The examiner of the model folder alone."""
    if wanted.trained:
        raise InputError(
            "the system 'examiner' takes hours to train in each round: python -m eval joined trains some of the "
            "rounds and writes its scores, for --scores"
        )
    from eval.fixed_systems import ExaminerSystem

    return ExaminerSystem(wanted.model)


SYSTEMS: dict[str, Callable[[Wanted], TrainableSystem]] = {
    "ours": _ours,
    "screen": _screen,
    "examiner": _examiner,
    "tortured": lambda wanted: TorturedPhrases(wanted.data),
    "association": lambda wanted: Association(),
    "tfidf": lambda wanted: TfidfLogistic(),
}
"""One function for each system; a new one is a new line. `ours` is what is shipped."""

OURS = frozenset({"ours", "both"})
"""Systems whose probabilities the operating points of our model belong to, also where they come from a file."""


def load_system(
    name: str, data: Path, quick: bool = False, *, trained: bool = True, model: str | None = None
) -> TrainableSystem:
    """Return the system of that name: one of `SYSTEMS`, a classifier of the hub, or your own.

    `owner/name`, or the path of a folder: a sequence classifier (`#LABEL` behind it names the class "spun"). Your own:
    `module:attribute`, a system (an object with `name` and `fit`, or a class of such) or a plain function from a list
    of texts to scores. `quick`, `trained`, `model`: see `Wanted`.

    Raises:
        InputError: no such system, or the attribute is neither.
        MissingExtraError: an optional library is missing.
    """
    if name in SYSTEMS:
        return SYSTEMS[name](Wanted(data, trained, model, quick))
    hub, _, label = name.partition("#")
    if "/" in hub or Path(hub, "config.json").is_file():
        from eval.fixed_systems import HubClassifier

        return HubClassifier(hub, label)
    module_name, colon, attribute = name.partition(":")
    if not colon:
        raise InputError(
            f"unknown system {name!r}; expected {', '.join(SYSTEMS)}, owner/name of a classifier of the hub, "
            "or module:attribute for your own"
        )
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"system {name!r}: {error}") from error
    if isinstance(found, type):
        found = found()
    if hasattr(found, "fit"):
        return cast(TrainableSystem, found)
    if callable(found):
        return FixedFunction(name, found)
    raise InputError(f"system {name!r}: has no fit and cannot be called")
