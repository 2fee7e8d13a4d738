"""Test texts by word-embedding swaps: a share of the words of human articles replaced by embedding neighbours.

There is no such tool's output among the tables. Two neighbour tables stand for tools that no model has trained on:
"own" is built as the training's table is (`train.spinners.embedding`), of other texts; "encoder" takes the input
vectors of the pretrained encoder, learned elsewhere by other people, whose neighbours are inflections and near synonyms
(government: governments, federal, administration).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from detector import SpinDetector
from detector.calibrate import sigmoid
from eval.protocols import Settings, fold_of, stable_hash
from train.corpora import Document
from train.examiner_data import Labelled
from train.recipe import RESERVED_TABLES, is_reserved
from train.screen import SPUN
from train.simulation import cut_words
from train.spinners.dictionary import Rates
from train.spinners.embedding import EmbeddingSpinner, Neighbours, build_neighbours, nearest_words
from train.spinners.filters import Compose, Protect
from train.spinners.presets import neighbour_sample

log = logging.getLogger(__name__)
LONGEST_WORDS = 450  # as the recipes cut the texts that they simulate spinning of
_VOCABULARY = 15_000  # words with neighbours, as in `build_neighbours`
_LEAST_COSINE = {"own": 0.45, "encoder": 0.35}  # below it neighbours read like noise (a dozen words of each looked at)


def source_documents(documents: Sequence[Document], fold: int, count: int, seed: int) -> list[Document]:
    """Return reserved texts of the fold, equally many of each table that has some: no model was trained on them."""
    rules = Settings()
    kept: list[Document] = []
    for table in RESERVED_TABLES:
        fresh = [d for d in documents if d.table == table and is_reserved(d) and fold_of(d, rules) == fold]
        kept += sorted(fresh, key=lambda d: stable_hash(seed, "swaps", d.id))[: count // len(RESERVED_TABLES)]
    return [replace(d, text=cut_words(d.text, LONGEST_WORDS)) for d in kept]


def encoder_neighbours(folder: Path) -> Neighbours:
    """Return the nearest whole words by the cosine of a BERT encoder's input vectors."""
    from safetensors.numpy import load_file

    from train.examiner import load_tokenizer

    weights = load_file(folder / "model.safetensors")
    table = next(v for k, v in weights.items() if k.endswith("word_embeddings.weight")).astype(np.float32)
    vocabulary: Mapping[str, int] = load_tokenizer(folder).get_vocab()
    # WordPiece vocabularies stand in the order of frequency.
    words = sorted((i, w) for w, i in vocabulary.items() if w.isalpha() and w.isascii() and len(w) > 2)[:_VOCABULARY]
    vectors = table[[i for i, _ in words]]
    vectors -= vectors.mean(axis=0)
    names = [w for _, w in words]
    return Neighbours(nearest_words(names, vectors), {w: len(names) - rank for rank, w in enumerate(names)})


def neighbour_tables(documents: Sequence[Document], fold: int, encoder: Path) -> dict[str, Neighbours]:
    """Return the two neighbour tables by name; "own" is built of the fold's human texts alone."""
    rules = Settings()
    human = [d.text for d in documents if d.table.startswith("human/") and fold_of(d, rules) == fold]
    return {"own": build_neighbours(neighbour_sample(human, 3000)), "encoder": encoder_neighbours(encoder)}


def swapped(
    documents: Sequence[Document], neighbours: Neighbours, name: str, share: float, seed: int
) -> tuple[list[Labelled], float]:
    """Return the documents with about `share` of their words swapped, and the share over all of them.

    The rate is set so that the share is right over all texts; a text that keeps every word is left out.
    """

    def spin(rate: float) -> list[tuple[Document, Any]]:
        spinner = EmbeddingSpinner(
            neighbours, Rates(rate, rate, rate, rate), least=_LEAST_COSINE[name], determinism=0.0, tool=f"test-{name}"
        )
        whole = Protect(Compose([spinner], 0.2), names=True, quotes=False)
        return [(d, whole.spin(d.text, Random(f"{seed} {name} {d.id}"))) for d in documents]

    def found(spun: Sequence[tuple[Document, Any]]) -> float:
        return sum(len(s.replacements) for _, s in spun) / max(1, sum(len(d.text.split()) for d, _ in spun))

    rate = 0.3  # any: it only measures how many words have neighbours
    spun = spin(min(1.0, rate * share / max(found(spin(rate)), 1e-3)))
    texts = [
        Labelled(s.text, SPUN, f"swaps/{name}", d.group, tuple((r.start, r.end) for r in s.replacements))
        for d, s in spun
        if s.replacements
    ]
    return texts, found(spun)


def measure_shipped(
    documents: Sequence[Document], model: str | None, encoder: Path, share: float, fold: int, count: int, seed: int
) -> dict[str, Any]:
    """Return a shipped model's probabilities of unseen human texts and of the same texts with words swapped.

    Beside them the mean of its examiner's token head, for which the screen clears no text.
    """
    detector = SpinDetector.load(model)
    chosen = source_documents(documents, fold, count, seed)
    sets: dict[str, list[str]] = {"human": [d.text for d in chosen]}
    changed = {}
    for name, neighbours in neighbour_tables(documents, fold, encoder).items():
        texts, changed[name] = swapped(chosen, neighbours, name, share, seed)
        sets[name] = [t.text for t in texts]
        log.info("%s: %d texts, %.1f %% of words swapped", name, len(texts), 100 * changed[name])
    found, alone = {}, {}
    for name, texts_of in sets.items():
        found[name] = [r.probability for r in detector.score_batch(texts_of)]
        alone[name] = [_replaced_share(detector, text) for text in texts_of]
    return {
        "model": detector.model_id,
        "thresholds": {k: float(v) for k, v in detector.operating_points.items()},
        "changed": changed,
        "probabilities": found,
        "examiner": alone,
    }


def _replaced_share(detector: SpinDetector, text: str) -> float | None:
    """Return the mean probability of replacement that the examiner gives the pieces, whatever the screen says."""
    examined = detector.examine(text)
    if examined is None or not len(examined.token_logits):
        return None
    return float(np.mean(sigmoid(examined.token_logits.astype(np.float64))))
