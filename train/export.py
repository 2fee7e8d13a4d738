"""A fitted screen -> a model folder: suggestions, kinds, segment calibration, operating points, files, manifest."""

from __future__ import annotations

import json
import logging
import subprocess
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.evidence import JOINING_WORDS
from detector.results import MAX_SUGGESTIONS
from detector.screen import find_ngrams
from detector.store import write_manifest
from detector.words import tokenise
from train.align import document_pairs, merge_tables, mine, read_tortured_phrases
from train.corpora import ROOT, Document
from train.kinds import OTHER_KINDS
from train.package_texts import PACKAGE_TABLES
from train.screen import SPUN, FittedScreen, Floats, Settings, sample_weights, word_ids
from train.spinners.phrases import read_connectives
from train.suggestions import write_suggestions

log = logging.getLogger(__name__)
PHRASE_WORDS = 3
"""Longest n-gram whose odds are kept: longer ones occur once."""
TARGET_RATES: Mapping[str, float] = {"strict": 0.001, "balanced": 0.01, "sensitive": 0.05}
"""False-positive rates that the contract promises."""

SMALL_SETS = "small sets"
"""Name under which sets with too few texts for a threshold of their own stand together."""
_HUMAN_SETS_ALLOWED: Mapping[str, float] = {"strict": 2.0, "balanced": 1.0, "sensitive": 2.0}
"""A set of writers may be flagged at most so many times the promised rate: nobody's writers pay for the average. The
default has no slack, since it accuses in the name of people who chose nothing."""
_POOLED_ALLOWED: Mapping[str, float] = {"strict": 1.0, "balanced": 0.25, "sensitive": 1.0}
"""All texts together may be flagged at so many times the promised rate. The default must hold for writers of whom no
text stands here, and learners' essays, kept out of everything, were flagged four times as often as these texts."""
_SMALLEST_SET = 150
"""Texts of a set below which its own rate is too uncertain to set a threshold by."""


def glue_table() -> dict[str, Counter[str]]:
    """Return the glue phrases of all families of spinners: spun phrase -> originals, each counted three times."""
    glue: dict[str, Counter[str]] = {}
    for words, options in read_connectives().targets.items():
        for spun, _weight in options:
            if "*" not in words and "*" not in spun:
                glue.setdefault(spun, Counter())[" ".join(words)] += 3  # 3: as much as the least of the mined
    return glue


def normal_phrase(text: Any) -> str:
    """Return the phrase as the detector spells its tokens, or "" if it is too long, a number or has alternatives."""
    cleaned = str(text or "").split("/")[0].split("(")[0].replace("’", "'").lower().strip(" .,;:!?\"'")
    tokens = tokenise(cleaned)
    words = [cleaned[a:b] for a, b in zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)]
    if not 1 <= len(words) <= 6 or any(c.isdigit() for c in cleaned) or not cleaned.isascii():
        return ""
    return " ".join(words)


def substitution_table(
    documents: Sequence[Document], data: Path, used_by_people: Callable[[Sequence[str]], NDArray[np.bool_]]
) -> dict[str, list[str]]:
    """Return spun phrase -> likely originals, best first: from aligned pairs, lexicons, glue.

    `used_by_people` says of each phrase whether human texts hold it often. Such a phrase of several words is left out:
    it would complete phrases that nobody would call odd.
    """
    mined = mine(document_pairs(documents), min_count=3).table
    trusted = [glue_table()]
    tortured = data / "lexicon" / "tortured_phrases.tsv"
    if tortured.exists():
        trusted.append(read_tortured_phrases(tortured))
    merged: dict[str, Counter[str]] = {}
    for table, is_trusted in ((merge_tables(*trusted), True), (mined, False)):
        for raw, counts in table.items():
            spun = normal_phrase(raw)
            for original, n in counts.items():
                cleaned = normal_phrase(original)
                if spun and cleaned and cleaned != spun and (is_trusted or believable(spun, cleaned)):
                    merged.setdefault(spun, Counter())[cleaned] += n
    phrases = sorted(merged)
    common = used_by_people(phrases)
    return {
        spun: [original for original, _ in sorted(merged[spun].items(), key=lambda c: (-c[1], c[0]))[:MAX_SUGGESTIONS]]
        for spun, is_common in zip(phrases, common.tolist(), strict=True)
        if " " not in spun or not (is_common or (spun.count(" ") == 1 and set(spun.split()) <= JOINING_WORDS))
    }


_HUMAN_PHRASE_COUNT = 12
"""Segments of human text: about one in 10,000. "in that frame of mind" has 5, "a number of" thousands."""


def believable(spun: str, original: str) -> bool:
    """Whether a mined pair may be shown: a free rewording aligns long phrases to short ones, which help nobody."""
    new, old = spun.split(), original.split()
    if any(len(w) < 3 for w in old) or _negates(spun, original):
        return False
    ends_open = not {new[0], new[-1], old[0], old[-1]} & JOINING_WORDS
    return ends_open and len(old) <= len(new) + 1 and len(old) <= 3 and len(new) <= 4


_NEGATING = ("un", "in", "im", "ir", "il", "dis", "non", "mis")


def _negates(spun: str, original: str) -> bool:
    """Whether one is the other with a negating prefix: the alignment dropped a "not" that stood elsewhere."""
    longer, shorter = sorted((spun, original), key=len, reverse=True)
    return any(longer == prefix + shorter for prefix in _NEGATING)


class PhraseCounts:
    """In how many segments of real spun text and of human text each n-gram occurs."""

    def __init__(self, fitted: FittedScreen) -> None:
        self._vocabulary = fitted.vocabulary
        spun, human = [], []
        self.spun_segments = self.human_segments = 0
        for document in fitted.encoded:
            is_spun = document.table.startswith("spun/") and document.table != "spun/quillbot_pairs"
            if not is_spun and not (document.label == "original" and document.table != "simulated/original"):
                continue
            ids = word_ids(document, fitted.vocabulary)
            found = find_ngrams(ids, list(document.ends), PHRASE_WORDS)
            if is_spun:
                spun.append(found.hashes)
                self.spun_segments += len(document.ends)
            else:
                human.append(found.hashes)
                self.human_segments += len(document.ends)
        self.keys, self.spun = np.unique(np.concatenate(spun), return_counts=True)
        self.human = np.zeros(len(self.keys), np.int64)
        for hashes in human:
            place = np.minimum(np.searchsorted(self.keys, hashes), len(self.keys) - 1)
            hit = self.keys[place] == hashes
            np.add.at(self.human, place[hit], 1)
        self._human_hashes = human

    def log_odds(self) -> tuple[NDArray[np.uint64], NDArray[np.float16]]:
        """Return (keys, log odds) of the n-grams that spun text favours, the lower bound being above 0.5.

        The log odds ratio with a prior of one sighting, less most of a standard error, after Monroe, Colaresi & Quinn
        2008, "Fightin' Words". A single sighting proves nothing: two are asked of phrases and three of words.
        """
        spun, human = self.spun + 0.3, self.human + 1.0  # 0.3 and 1: doubt goes against the phrase
        odds = np.log(spun / self.spun_segments) - np.log(human / self.human_segments)
        odds -= 0.8 * np.sqrt(1.0 / spun + 1.0 / human)  # 0.8 standard errors: the lower bound of a 58 % interval
        kept = (self.spun >= 2) & (odds > 0.5)  # 0.5: below it half the vocabulary is in
        return self.keys[kept], odds[kept].astype(np.float16)

    def used_by_people(self, phrases: Sequence[str]) -> NDArray[np.bool_]:
        """Return whether each phrase is common in human text and not favoured by spinners.

        Of a long phrase its rarest part of PHRASE_WORDS words decides.
        """
        needles, owner = [], []
        for number, phrase in enumerate(phrases):
            ids = self._vocabulary.ids(tokenise(phrase))
            found = find_ngrams(ids, [len(ids)], PHRASE_WORDS)
            longest = found.lengths == min(PHRASE_WORDS, len(ids))
            needles.append(found.hashes[longest])
            owner.append(np.full(int(longest.sum()), number))
        keys, rows = np.concatenate(needles), np.concatenate(owner)
        unique, inverse = np.unique(keys, return_inverse=True)
        counts = np.zeros(len(unique), np.int64)
        for hashes in self._human_hashes:
            place = np.minimum(np.searchsorted(unique, hashes), len(unique) - 1)
            np.add.at(counts, place[unique[place] == hashes], 1)
        result = np.full(len(phrases), np.iinfo(np.int64).max)
        np.minimum.at(result, rows, counts[inverse])
        favoured = np.zeros(len(phrases), np.bool_)
        np.logical_or.at(favoured, rows, np.isin(keys, self.log_odds()[0]))
        return (result > _HUMAN_PHRASE_COUNT) & (result < np.iinfo(np.int64).max) & ~favoured


def fit_segment_calibration(logits: Floats, labels: NDArray[np.bool_], weights: Floats) -> tuple[float, float]:
    """Return (shift, scale) so that sigmoid((logit - shift) / scale) is P(spun) of a segment at even odds."""
    from sklearn.linear_model import LogisticRegression

    weights = weights.copy()
    for side in (labels, ~labels):
        weights[side] /= weights[side].sum()
    model = LogisticRegression(C=1e6).fit(logits[:, None], labels, sample_weight=weights * len(labels))
    slope = float(model.coef_[0, 0])
    return -float(model.intercept_[0]) / slope, 1.0 / slope


def operating_points(fitted: FittedScreen, min_words: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the screen's thresholds, from cross-fitted scores of the human training texts (see `thresholds`)."""
    human = [
        (d.table, s)
        for d, s in zip(fitted.encoded, fitted.cross_fitted.tolist(), strict=True)
        if d.table.startswith("human/") and d.label == "original" and d.words >= min_words
    ]
    return thresholds(np.array([t for t, _ in human]), np.array([s for _, s in human]))


def thresholds(
    tables: NDArray[np.str_], scores: Floats, smallest_set: int = _SMALLEST_SET
) -> tuple[dict[str, float], dict[str, Any]]:
    """Return thresholds as probabilities, and how they came about, from held-out log odds of human texts.

    A threshold is the highest of: the one that _POOLED_ALLOWED times the promised share of all texts exceeds, the one
    that the promised share exceeds with every set weighing alike, and for each set the one that _HUMAN_SETS_ALLOWED
    times the promised share exceeds. `tables`: the set of each text. Sets of fewer than `smallest_set` texts are taken
    together as one: alone, their threshold would be the score of their oddest text, whatever the promise. For the same
    reason a set in which a single text is more than what a rule allows takes no part in that rule.
    """
    names, sizes = np.unique(tables, return_counts=True)
    small = np.isin(tables, names[sizes < smallest_set])
    tables = np.where(small, SMALL_SETS, tables.astype(object)).astype(str)
    names, sizes = np.unique(tables, return_counts=True)
    points: dict[str, float] = {}
    details: dict[str, Any] = {"human_texts": len(scores), "sets": {}}
    for point, rate in TARGET_RATES.items():
        candidates = {"pooled": upper_quantile(scores, _POOLED_ALLOWED[point] * rate)}
        large = [(n, s) for n, s in zip(names.tolist(), sizes.tolist(), strict=True) if s * len(names) * rate >= 1.0]
        if large:
            even = np.zeros(len(scores))
            for name, size in large:
                even[tables == name] = 1.0 / size
            candidates["even"] = upper_quantile(scores[even > 0], rate, even[even > 0])
        for name, size in zip(names, sizes, strict=True):
            if size * _HUMAN_SETS_ALLOWED[point] * rate >= 1.0:
                candidates[str(name)] = upper_quantile(scores[tables == name], _HUMAN_SETS_ALLOWED[point] * rate)
        decisive = max(candidates, key=lambda k: candidates[k])
        # The detector rounds probabilities to six places: the threshold is the next one above what may not be flagged.
        allowed = round(float(1.0 / (1.0 + np.exp(-candidates[decisive]))), 6)
        points[point] = min(1.0, round(allowed + 1e-6, 6))
        details["sets"][point] = {"decided_by": decisive, "log_odds": round(candidates[decisive], 4)}
    return points, details


def upper_quantile(scores: Floats, rate: float, weights: Floats | None = None) -> float:
    """Return the smallest score that at most the share `rate` of the weight exceeds or equals."""
    order = np.argsort(-scores, kind="stable")
    mass = np.ones(len(scores)) if weights is None else weights
    above = np.cumsum(mass[order]) / mass.sum()
    allowed = int(np.searchsorted(above, rate, side="right"))  # so many of the highest may be flagged
    return float(np.nextafter(scores[order[min(allowed, len(scores) - 1)]], np.inf))


def write_model(
    folder: Path, fitted: FittedScreen, documents: Sequence[Document], data: Path, settings: Settings, seconds: float
) -> None:
    """Write the model folder: weights, tables, config, manifest. MODEL_CARD.md is written by hand and kept."""
    commit = _commit()  # first, since the model's own files may be tracked
    folder.mkdir(parents=True, exist_ok=True)
    min_words = int(settings.article["min_words"])
    labels = np.array([fitted.encoded[i].label == SPUN for i in fitted.segment_owner])
    shift, scale = fit_segment_calibration(
        fitted.segment_logits, labels, sample_weights(fitted.encoded, fitted.segment_owner, settings)
    )
    kinds = fitted.kinds
    points, details = operating_points(fitted, min_words)
    phrases = PhraseCounts(fitted)
    substitutions = substitution_table(documents, data, phrases.used_by_people)
    phrase_keys, phrase_odds = phrases.log_odds()
    log.info("thresholds %s (%s); %d phrases with suggestions", points, details, len(substitutions))
    _write_text(folder / "vocabulary.txt", "\n".join(fitted.vocabulary.words) + "\n")
    _write_text(folder / "names.txt", "\n".join(fitted.vocabulary.names) + "\n")
    _write_text(folder / "substitutions.json", json.dumps(substitutions, ensure_ascii=False, separators=(",", ":")))
    np.save(folder / "screen.npy", fitted.screen.weights.astype(np.float16))
    np.save(folder / "kinds.npy", kinds.weights)
    np.save(folder / "whole_text.npy", fitted.whole_text.weights)
    np.save(folder / "phrase_keys.npy", phrase_keys)
    np.save(folder / "phrase_odds.npy", phrase_odds)
    np.save(folder / "frequencies.npy", fitted.association.frequencies)
    np.save(folder / "pairs.npy", fitted.association.sketch)
    config = {
        "schema": 1,
        "name": settings.name,
        "min_words": min_words,
        "operating_points": points,
        "screen": {"bias": fitted.screen.bias},
        "association": {"pairs": fitted.association.pairs},
        "article": fitted.article.to_config(),
        "segment": {"shift": shift, "scale": scale},
        "kinds": {"names": list(OTHER_KINDS), "bias": kinds.bias, "scale": kinds.scale},
        "whole_text": {"bias": fitted.whole_text.bias, "floor": fitted.whole_text.floor},
        "evidence": dict(settings.evidence),
        "calibration": {"prevalence": settings.article["prevalence"]},
    }
    _write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")
    suggestions = write_suggestions(folder, documents, data)
    write_manifest(
        folder,
        settings.name,
        {
            "training": {
                "recipe": {name: getattr(settings, name) for name in Settings.__slots__},
                "data": data_digests(data),
                "packages": package_digests(documents),
                "commit": commit,
                "documents": len(fitted.encoded),
                "thresholds": details,
                "kinds_balanced_accuracy": round(kinds.accuracy, 4),
                "suggestions": suggestions,
                "seconds": round(seconds),
            }
        },
    )


def data_digests(data: Path) -> dict[str, str]:
    """Return the CRC-32 of each table and lexicon, to tell whether a rerun sees the same data."""
    paths = sorted(p for p in data.rglob("*") if p.suffix in {".parquet", ".tsv", ".gz"})
    return {p.relative_to(data).as_posix(): f"{zlib.crc32(p.read_bytes()):08x}" for p in paths}


def package_digests(documents: Iterable[Document]) -> dict[str, str]:
    """Return the CRC-32 of the texts of each table that comes with packages: other versions have other texts."""
    found: dict[str, int] = {}
    for document in documents:
        if document.table in PACKAGE_TABLES:
            text = document.text.encode("utf-8", "surrogatepass")
            found[document.table] = zlib.crc32(text, found.get(document.table, 0))
    return {table: f"{value:08x}" for table, value in sorted(found.items())}


def _write_text(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8"))


def _commit() -> str:
    """Return the git commit of the code, with "+" if files were changed since; "unknown" outside a repository."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
        dirty = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")


def check_export(folder: Path, fitted: FittedScreen, texts: Iterable[str]) -> float:
    """Return the largest difference in probability between the folder's detector and the fitted model.

    Raises:
        ValueError: it is above 0.01, what float16 weights can explain.
    """
    from detector.detect import SpinDetector

    detector = SpinDetector.load(folder)
    scored = [(t, r.probability) for t in texts if (r := detector.score(t)).probability is not None]
    expected = 1.0 / (1.0 + np.exp(-fitted.log_odds([t for t, _ in scored])))
    difference = float(np.abs(expected - np.array([p for _, p in scored])).max(initial=0.0))
    if difference > 0.01:  # 0.01: largest seen with float16 weights is 0.003
        raise ValueError(f"{folder}: exported probabilities differ by {difference:.4f} from the fitted model")
    return difference
