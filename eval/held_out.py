"""Who was trained on what, where the scores come from a file: for baselines on the same terms, and the overlap test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from detector.errors import InputError
from detector.store import ModelFolder
from eval.judging import ONE_MODEL, SystemScores
from eval.protocols import Round, build_rounds
from eval.scores import numbers_of, read_table
from eval.suite import Item, Suite
from train.corpora import Document, load_documents, text_key


def rounds_of_scores(found: Sequence[SystemScores], items: Sequence[Item], suite: Suite) -> list[Round]:
    """Return the protocol's rounds that the score files name, with the texts that were scored in them.

    A baseline trained in these rounds sees no group of the texts that the systems of the files were judged on, and
    scores the same ones.

    Raises:
        InputError: the files name a round that the protocol does not have.
    """
    documents = [i.document for i in items]
    known = {one.name: one for one in build_rounds(documents, suite.protocol, suite.protocol_settings())}
    units = sorted({str(u) for s in found for u in s.unit})
    if strange := [u for u in units if u not in known]:
        raise InputError(
            f"suite {suite.name}: the scores name rounds that {suite.protocol} does not have ({', '.join(strange)}; "
            f"expected some of {', '.join(known)}), so that no other system can be trained on the same terms"
        )
    return [_with_texts(known[u], found, documents) for u in units]


def _with_texts(one: Round, found: Sequence[SystemScores], documents: Sequence[Document]) -> Round:
    texts = sorted({int(t) for s in found for t in s.text[s.unit == one.name]})
    pool = [t for t in texts if documents[t].label == "original" and not documents[t].licence_nc]
    groups = {documents[t].group for t in texts}
    train = [i for i in one.train if documents[i].group not in groups]
    return replace(one, train=tuple(train), pool=tuple(pool), others=tuple(sorted(set(texts) - set(pool))))


def documents_without(tested: Sequence[Document], data: Path) -> list[Document]:
    """Return the documents of the tables that a system may be fitted on: no text nor group of the tested ones, no NC.

    Groups count for texts of tables only; those of a user's file are of another kind.
    """
    texts = {text_key(t) for d in tested for t in (d.text, d.original) if t}
    groups = {d.group for d in tested}
    return [
        d
        for d in load_documents(data)
        if not d.licence_nc and d.group not in groups and not texts & {text_key(t) for t in (d.text, d.original) if t}
    ]


def training_of_shipped(
    model: ModelFolder, tested: Sequence[Document], data: Path
) -> list[tuple[list[Document], list[int]]] | None:
    """Return pairs (documents trained on, numbers of `tested`) for what `python -m train screen` holds out.

    A text's score of `--held-out-scores` joins a screen that was fitted without the text's inner fold and the examiner,
    which has seen no held-out group; the recipes in the model's manifest say which these are. None for a model without
    an examiner.
    """
    from train.examiner import Settings as ExaminerSettings
    from train.examiner import training_documents
    from train.recipe import read_documents
    from train.screen import inner_fold

    recipes: dict[str, Any] = model.manifest.get("training", {})
    if "examiner" not in recipes:
        return None
    documents = [d for d in read_documents(data, recipes["recipe"]["documents"]) if not d.licence_nc]
    examiner = ExaminerSettings(**recipes["examiner"])
    seen = {d.id for d in training_documents(documents, examiner)}
    folds = int(recipes["recipe"]["article"]["inner_folds"])
    fold = [inner_fold(d.group, folds) for d in documents]
    own = [inner_fold(d.group, folds) for d in tested]
    return [
        (
            [d for d, f in zip(documents, fold, strict=True) if f != held or d.id in seen],
            [k for k, f in enumerate(own) if f == held],
        )
        for held in sorted(set(own))
    ]


def rounds_of_ids(path: Path, items: Sequence[Item]) -> dict[str, list[int]]:
    """Return {round: numbers of the texts trained on} of a file with the columns id and round (or fold)."""
    number_of, out = numbers_of(items), dict[str, list[int]]()
    for number, row in enumerate(read_table(path), 1):
        if "id" not in row:
            raise InputError(f"{path.name} row {number}: needs a column id (and round, where there are several)")
        text = number_of.get(str(row["id"]))
        if text is not None:
            unit = str(next((row[k] for k in ("round", "fold") if row.get(k) not in (None, "")), ONE_MODEL))
            out.setdefault(unit, []).append(text)
    return out


def scored_numbers(systems: Sequence[SystemScores]) -> list[int]:
    """Return the numbers of the texts that any of the systems scored, ascending."""
    return sorted({int(t) for s in systems for t in s.text})
