"""Who is trained on what and judged on what, so that no scored text was ever in training, nor any text of its group.

Two protocols, each a list of rounds; a round trains one model and scores texts that it has not seen.

`leave-one-tool-out`: for each tool family (SpinBot, QuillBot, the wild ones) and each human fold, train without any
output of that family and without the human texts of that fold. Each spun text of the family is scored once, by the
model of the human fold that its group hashes to. It answers: what happens with a tool never seen?

`known-tool`: for each fold, hold out a part of the spun texts of every tool together with the human fold. It answers:
what happens with new articles put through tools that were in training?

Human folds hold out writers and outlets, not rows. A small human table (`FOLD_OF_TABLE`) is wholly held out in one
fold; of the two large ones, us_news is divided by outlet and dailymail (a single outlet) by article. Machine-translated
and model-rewritten tables are divided by group, which they share with the human text that they were made from. A text
in training may share neither a group nor its words with anything held out. Texts under a non-commercial licence are
never in training and never in a threshold.

Thresholds. Models of different rounds have different scales, so a threshold belongs to one model. The held-out human
texts of its fold (its *pool*, rows pooled, large tables capped) are cut in two halves by group. A text is judged by the
threshold of the half it is not in (spun and other texts are given a half by the same hash), so that no text takes part
in a threshold that is used on it, and the false-positive rate reported is measured and not chosen. The threshold for a
target rate is the split-conformal one: on exchangeable human text its expected rate does not exceed the target. A half
of n texts cannot support a rate below 1 / (n + 1); 0.1 % needs 999 texts in each half.

For each human table there is also the stricter rate at a threshold set on all *other* tables of the pool: the table's
writers are then unknown to the threshold as well.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import multiprocessing
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError
from eval.systems import Scorer, TrainableSystem, checked_scores
from train.corpora import Document

log = logging.getLogger(__name__)

PROTOCOLS = ("leave-one-tool-out", "known-tool")
FAMILIES = ("spinbot", "quillbot", "wild")
NO_FAMILY = ""
Scores = NDArray[np.float64]
MASKED_SUFFIX = " (search phrase cut)"

# Small human tables, held out whole. Balanced by rows; the four sets of short essays and abstracts stand in different
# folds, the two sets gathered beside spun/wild in the same one.
FOLD_OF_TABLE: Mapping[str, int] = {
    "human/reuters_1987": 0,
    "human/toefl_essays": 0,
    "human/wild": 0,
    "human/wild_nonnative": 0,
    "human/rss_2016": 1,
    "human/students_gulf": 1,
    "human/us_essays": 1,
    "human/many_domains": 2,
    "human/translated_news": 2,
    "human/cs_abstracts": 2,
    "human/bbc_2004": 3,
    "human/books_and_brown": 3,
    "human/college_essays": 3,
}
DIVIDED_BY_SOURCE = frozenset({"human/us_news_2006_2021"})
# Which collection a paired table belongs to; where both kinds are in one table it is left out with either.
FAMILY_OF_TABLE: Mapping[str, str] = {"spun/paired_openings": "spinbot", "spun/paired_paragraphs": "wild"}
ALSO_LEFT_OUT: Mapping[str, frozenset[str]] = {"quillbot": frozenset({"spun/paired_openings"})}


@dataclass(frozen=True, slots=True)
class Settings:
    """Sizes of a run. Caps are in rows of one table; those that remain are the first in the order of a seeded hash.

    `pool_rows` and `other_rows`: scored per round, of a human and of a machine-made table. `spun_rows`: scored in the
    whole run. `train_rows`: per round, of a human or machine-made table; spun rows are never capped in training.
    `deduplicated`: whether the caller took copies and near-copies out of the documents.
    """

    folds: int = 4
    pool_rows: int = 1200
    other_rows: int = 100
    spun_rows: int | None = None
    train_rows: int = 1500
    deduplicated: bool = True
    seed: int = 20220119

    def __post_init__(self) -> None:
        if not 1 < self.folds <= 4:
            raise ValueError(f"Settings.folds: expected 2 to 4, got {self.folds}")


QUICK = Settings(folds=2, pool_rows=150, other_rows=30, spun_rows=60, train_rows=300, deduplicated=False)


@dataclass(frozen=True, slots=True)
class Round:
    """One model; indices into the documents. `pool`: human texts for its thresholds; `others`: all else it scores."""

    left_out: str
    fold: int
    train: tuple[int, ...]
    pool: tuple[int, ...]
    others: tuple[int, ...]

    @property
    def name(self) -> str:
        """The family left out, if any, and the fold."""
        return f"{self.left_out or 'all-tools'}-{self.fold}"


def family_of(document: Document) -> str:
    """Return the tool family that a spun text is left out with."""
    return FAMILY_OF_TABLE.get(document.table, document.tool_family)


def stable_hash(seed: int, purpose: str, key: str) -> int:
    """Return 64 bits that depend on the arguments only, not on the process."""
    return int.from_bytes(hashlib.blake2b(f"{seed}|{purpose}|{key}".encode(), digest_size=8).digest(), "big")


def fold_of(document: Document, settings: Settings) -> int:
    """Return the fold in which a text is held out, in range(settings.folds)."""
    if document.table in FOLD_OF_TABLE:
        return FOLD_OF_TABLE[document.table] % settings.folds
    key = f"outlet:{document.source}" if document.table in DIVIDED_BY_SOURCE else document.group
    return stable_hash(settings.seed, "fold", key) % settings.folds


def half_of(document: Document, settings: Settings) -> int:
    """Return the half, 0 or 1, whose threshold is *not* used on a text."""
    return stable_hash(settings.seed, "half", document.group) % 2


def cut_search_phrases(documents: Sequence[Document], phrases: Mapping[str, str]) -> list[Document]:
    """Return copies of the documents that were found by a phrase, with that phrase cut out wherever it stands.

    `phrases`: by document id. The copies carry the table name with `MASKED_SUFFIX`; documents in which the phrase as
    given does not stand word for word (a reader noted it in another form) are left out.
    """
    copies = []
    for document in documents:
        words = re.findall(r"\w+", phrases.get(document.id, ""))
        if not words:
            continue
        cut, count = re.subn(
            r"\b" + r"\W+".join(map(re.escape, words)) + r"\b", " ", document.text, flags=re.IGNORECASE
        )
        if count:
            copies.append(replace(document, text=cut, table=document.table + MASKED_SUFFIX))
    return copies


def read_search_phrases(data: Path) -> dict[str, str]:
    """Return the phrase that each text of spun/wild was found by, by id; empty where the table is absent."""
    path = data / "spun" / "wild.parquet"
    if not path.is_file():
        return {}
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["id", "found_by"])
    return {str(r["id"]): str(r["found_by"] or "") for r in table.to_pylist()}


def capped(indices: Iterable[int], documents: Sequence[Document], cap: int | None, seed: int) -> list[int]:
    """Return at most `cap` indices of each table, chosen by hash so that the choice does not depend on other tables."""
    by_table: dict[str, list[int]] = {}
    for index in indices:
        by_table.setdefault(documents[index].table, []).append(index)
    kept: list[int] = []
    for rows in by_table.values():
        if cap is not None and len(rows) > cap:
            rows = sorted(rows, key=lambda i: (stable_hash(seed, "cap", documents[i].id), i))[:cap]
        kept += rows
    return sorted(kept)


def _text_keys(document: Document) -> set[bytes]:
    """Return keys of the text and its original that do not depend on case and white space."""
    texts = [document.text] + ([document.original] if document.original else [])
    return {hashlib.blake2b(" ".join(t.lower().split()).encode(), digest_size=12).digest() for t in texts}


def build_rounds(documents: Sequence[Document], protocol: str, settings: Settings) -> list[Round]:
    """Return the rounds of a protocol over the documents, the same for the same documents in the same order.

    Raises:
        ValueError: unknown protocol.
        InputError: a fold has no human text to set thresholds on, or no spun text to train on.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"unknown protocol {protocol!r}; expected one of {', '.join(PROTOCOLS)}")
    folds = [fold_of(d, settings) for d in documents]
    keys = [_text_keys(d) for d in documents]
    is_spun = [d.label == "spun" for d in documents]
    spun = capped((i for i, s in enumerate(is_spun) if s), documents, settings.spun_rows, settings.seed)
    rounds = []
    for left_out in FAMILIES if protocol == "leave-one-tool-out" else (NO_FAMILY,):
        for fold in range(settings.folds):
            held = [d.licence_nc or _is_held(d, folds[i], left_out, fold) for i, d in enumerate(documents)]
            held_groups = {d.group for d, h in zip(documents, held, strict=True) if h}
            held_keys = set().union(*(k for k, h in zip(keys, held, strict=True) if h))
            free = [
                i
                for i, d in enumerate(documents)
                if not d.table.endswith(MASKED_SUFFIX) and d.group not in held_groups and not keys[i] & held_keys
            ]
            train = [i for i in free if is_spun[i]]
            train += capped((i for i in free if not is_spun[i]), documents, settings.train_rows, settings.seed)
            mine = [i for i, f in enumerate(folds) if f == fold]
            pool = [i for i in mine if documents[i].label == "original" and not documents[i].licence_nc]
            others = [
                i for i in mine if not is_spun[i] and (documents[i].label != "original" or documents[i].licence_nc)
            ]
            scored_spun = [i for i in spun if folds[i] == fold and left_out in (NO_FAMILY, family_of(documents[i]))]
            others = capped(others, documents, settings.other_rows, settings.seed)
            pool = capped(pool, documents, settings.pool_rows, settings.seed)
            if not pool or not any(is_spun[i] for i in train):
                raise InputError(
                    f"{protocol}: fold {fold} without {left_out or 'held-out texts'} lacks human or spun texts"
                )
            rounds.append(Round(left_out, fold, tuple(sorted(train)), tuple(pool), tuple(sorted(scored_spun + others))))
    return rounds


def _is_held(document: Document, own_fold: int, left_out: str, fold: int) -> bool:
    """Return whether a text stays out of the training of a round by itself (not by its group)."""
    if document.label != "spun" or left_out == NO_FAMILY:
        return own_fold == fold
    return family_of(document) == left_out or document.table in ALSO_LEFT_OUT.get(left_out, frozenset())


def run_round(system: TrainableSystem, one: Round, documents: Sequence[Document], settings: Settings) -> Scores:
    """Train on the round's texts and return the scores of `one.pool + one.others`."""
    started = time.perf_counter()
    scorer: Scorer = system.fit([documents[i] for i in one.train], settings.seed)
    fitted = time.perf_counter()
    scores = checked_scores(scorer, [documents[i].text for i in one.pool + one.others], system.name)
    log.info("%s %s: fit %.0f s, score %.0f s", system.name, one.name, fitted - started, time.perf_counter() - fitted)
    return scores


@dataclass(frozen=True)
class _Job:
    systems: Sequence[TrainableSystem]
    rounds: Sequence[Round]
    documents: Sequence[Document]
    settings: Settings

    def __call__(self, task: tuple[int, int]) -> Scores:
        return run_round(self.systems[task[0]], self.rounds[task[1]], self.documents, self.settings)


_forked: _Job | None = None  # what the worker processes inherit; texts are not copied to them one by one


def _run_forked(task: tuple[int, int]) -> Scores:
    assert _forked is not None, "set before the workers are forked"
    return _forked(task)


def run_rounds(
    systems: Sequence[TrainableSystem],
    rounds: Sequence[Round],
    documents: Sequence[Document],
    settings: Settings,
    jobs: int = 1,
    store: ScoreStore | None = None,
) -> list[list[Scores]]:
    """Return the scores of every system (outer) in every round (inner); `jobs` processes change the time only.

    Scores that `store` holds are taken from there, new ones are put there.
    """
    global _forked
    tasks = [(s, r) for s in range(len(systems)) for r in range(len(rounds))]
    known = {t: store.get(systems[t[0]].name, rounds[t[1]]) if store else None for t in tasks}
    missing = [t for t in tasks if known[t] is None]
    job = _Job(systems, rounds, documents, settings)
    results: dict[tuple[int, int], Scores] = {t: scores for t, scores in known.items() if scores is not None}
    with contextlib.ExitStack() as stack:
        found: Iterable[Scores]
        if jobs > 1 and "fork" in multiprocessing.get_all_start_methods():
            _forked = job
            context = multiprocessing.get_context("fork")
            found = stack.enter_context(ProcessPoolExecutor(jobs, mp_context=context)).map(_run_forked, missing)
        else:
            found = map(job, missing)
        for task, scores in zip(missing, found, strict=True):
            results[task] = scores
            if store:
                store.put(systems[task[0]].name, rounds[task[1]], scores)
    _forked = None
    return [[results[s, r] for r in range(len(rounds))] for s in range(len(systems))]


@dataclass(frozen=True)
class ScoreStore:
    """A folder of scores of earlier runs (numbers only), so that a report can be redone without training again.

    `key` names everything that scores depend on but the system's code: data, protocol, settings. `reuse` names the
    systems whose saved scores may be used; name one only if its code has not changed.
    """

    folder: Path
    key: str
    reuse: frozenset[str] = frozenset()

    def _file(self, system: str, one: Round) -> Path:
        rows = ",".join(map(str, (*one.train, -1, *one.pool, -1, *one.others)))
        digest = hashlib.sha256(f"{self.key}|{system}|{one.name}|{rows}".encode()).hexdigest()[:16]
        return self.folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', system)}-{one.name}-{digest}.npy"

    def get(self, system: str, one: Round) -> Scores | None:
        """Return the saved scores of this system in this round, or None."""
        path = self._file(system, one)
        return np.load(path, allow_pickle=False) if system in self.reuse and path.is_file() else None

    def put(self, system: str, one: Round, scores: Scores) -> None:
        """Save scores."""
        self.folder.mkdir(parents=True, exist_ok=True)
        np.save(self._file(system, one), scores, allow_pickle=False)
