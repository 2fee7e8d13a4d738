"""Windows for the examiner: WordPieces of one segment each, with the kind of the segment and a label on every piece.

Windows are cut by `detector.segment.prepare`, as at run time. Piece labels come from simulated spinning (exact), from
pairs aligned with their originals, and from texts that no spinner touched (all kept). Real output without its
original has no labels on its pieces; the training then knows only that some of them were replaced.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.examiner import WordLevels
from detector.join import chosen_segments
from detector.results import KINDS
from detector.segment import prepare
from train.align import align
from train.associations import PairCounts
from train.corpora import Document, originals_of, stable_share
from train.screen import SPUN
from train.simulation import simulate

log = logging.getLogger(__name__)
KEPT, REPLACED, UNLABELLED = 0, 1, -1
"""Labels of a piece."""
WRITTEN_BY = {"original": "", "llm_rewritten": "llm-", "machine_translated": "mt-"}
"""Kind of the text that a simulated spinner was given -> beginning of the preset in the table's name."""
Ranges = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text with what is known of it: half-open ranges of replaced characters, None if nobody knows."""

    text: str
    kind: str
    table: str
    group: str
    replaced: tuple[tuple[int, int], ...] | None


@dataclass(frozen=True)
class Windows:
    """Windows in flat arrays; the pieces of window i are those from `offsets[i]` to before `offsets[i + 1]`.

    `pieces`: ids, and `labels`, both shape (pieces,). `levels`: shape (pieces, 2), how well the piece's word goes with
    its neighbours, as from `detector.association.neighbour_levels`. `kinds`: index into `KINDS`, `tables`: index into
    `names`, `texts`: number of the text it was cut from, each shape (windows,).
    """

    pieces: NDArray[np.uint32]
    labels: NDArray[np.int8]
    levels: NDArray[np.int8]
    offsets: NDArray[np.int64]
    kinds: NDArray[np.int8]
    tables: NDArray[np.int16]
    texts: NDArray[np.int32]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.kinds)

    def lengths(self) -> NDArray[np.int64]:
        """Return the number of pieces of each window."""
        return np.diff(self.offsets)


def labelled_documents(documents: Iterable[Document], pair_rows: int, seed: int) -> Iterator[Labelled]:
    """Yield the documents and their originals; at most `pair_rows` of a table with originals are aligned."""
    documents = list(documents)
    paired: dict[str, list[str]] = defaultdict(list)
    for d in documents:
        if d.label == SPUN and d.original:
            paired[d.table].append(d.id)
    aligned = {i for ids in paired.values() for i in sorted(ids, key=lambda i: stable_share(f"{seed}{i}"))[:pair_rows]}
    for d in [*documents, *originals_of(documents)]:
        if d.label != SPUN:
            yield Labelled(d.text, d.label, d.table, d.group, ())
        elif d.id in aligned and d.original:
            found = tuple((r.start, r.end) for r in align(d.original, d.text) if r.start < r.end)
            yield Labelled(d.text, d.label, d.table, d.group, found)
        else:
            yield Labelled(d.text, d.label, d.table, d.group, None)


def simulated(documents: Sequence[Document], data: Path, settings: Mapping[str, Any]) -> Iterator[Labelled]:
    """Yield simulated spinning of documents, each beside its original cut to the same length.

    `settings`: the section [simulation] of the recipe, see `train.simulation.simulate`.
    """
    for one in simulate(documents, data, settings, f"examiner {settings['seed']}"):
        d = one.document
        ranges = tuple((r.start, r.end) for r in one.spun.replacements if r.start < r.end)
        written = WRITTEN_BY[d.label]
        yield Labelled(one.spun.text, SPUN, f"simulated/{written}{one.preset}", d.group, ranges)
        yield Labelled(one.text, d.label, f"simulated/{written}original", d.group, ())


def preset_of(table: str) -> str:
    """Return the preset behind a table of simulated spinning.

    >>> preset_of("simulated/llm-quillbot"), preset_of("simulated/glove")
    ('quillbot', 'glove')
    """
    name = table.removeprefix("simulated/")
    return next((name.removeprefix(w) for w in WRITTEN_BY.values() if w and name.startswith(w)), name)


def cut_windows(
    texts: Iterable[Labelled], tokenizer: Any, counts: PairCounts, max_tokens: int, min_replaced: float
) -> Windows:
    """Return the windows of the texts; `counts` tell of each word how well it goes with its neighbours.

    A window of a text whose replaced ranges are known counts as spun only if at least `min_replaced` of its pieces are
    replaced; with fewer but some it is left out (nobody could tell), with none it has the kind `original`.
    """
    pieces, labels, levels, kinds, tables, owners = [], [], [], [], [], []
    names: dict[str, int] = {}
    for number, given in enumerate(texts):
        prepared = prepare(given.text)
        normal = prepared.normal
        ranges = [prepared.segment_range(i) for i in range(len(prepared.ends))]
        if not ranges:
            continue
        words = WordLevels.of(prepared.tokens, counts.levels(prepared.tokens, given.group))
        back = None if normal.to_original is None else np.asarray(normal.to_original)
        is_replaced = np.zeros(len(given.text) + 1, np.int8)
        for start, end in given.replaced or ():
            is_replaced[start:end] = 1
        encodings = tokenizer.encode_batch([normal.text[a:b] for a, b in ranges])
        for (start, _), encoding in zip(ranges, encodings, strict=True):
            ids = np.asarray(encoding.ids[:max_tokens], np.uint32)
            starts = np.asarray([o[0] for o in encoding.offsets[:max_tokens]]) + start
            special = np.asarray(encoding.special_tokens_mask[:max_tokens], np.bool_)
            level = words.at(starts)
            level[special] = 0
            label = np.full(len(ids), UNLABELLED, np.int8)
            kind = given.kind
            if given.replaced is not None:
                label = is_replaced[starts if back is None else back[starts]]
                label[special] = UNLABELLED
                if kind == SPUN:
                    share = float(np.mean(label[~special])) if not special.all() else 0.0
                    if 0.0 < share < min_replaced:
                        continue
                    if share == 0.0:
                        kind = "original"
            pieces.append(ids)
            labels.append(label)
            levels.append(level.astype(np.int8))
            kinds.append(KINDS.index(kind))
            tables.append(names.setdefault(given.table, len(names)))
            owners.append(number)
    lengths = [len(p) for p in pieces]
    return Windows(
        np.concatenate(pieces),
        np.concatenate(labels),
        np.concatenate(levels),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.asarray(kinds, np.int8),
        np.asarray(tables, np.int16),
        np.asarray(owners, np.int32),
        tuple(names),
    )


def table_shares(windows: Windows, masses: Mapping[str, float], sides: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the probability with which each window is drawn, shape (windows,), sum 1.

    The sides (spun, simulated, others) are drawn by `sides`, within a side the tables by `masses` (those without one by
    the square root of their windows), within a table all windows evenly.
    """
    counts = np.bincount(windows.tables, minlength=len(windows.names))
    result = np.zeros(len(windows))
    side_of = ["spun" if n.startswith("spun/") and ":" not in n else
               "simulated" if n.startswith("simulated/") and not n.endswith("original") else "others"
               for n in windows.names]  # fmt: skip
    for side, share in sides.items():
        ours = [t for t, s in enumerate(side_of) if s == side and counts[t]]
        if not ours:
            continue
        weights = np.array([masses.get(windows.names[t], 0.05 * counts[t] ** 0.5) for t in ours])
        weights *= share / weights.sum()
        for table, weight in zip(ours, weights, strict=True):
            result[windows.tables == table] = weight / counts[table]
    return np.asarray(result / result.sum())


def batches(
    windows: Windows, shares: NDArray[np.float64], step: int, steps: int, size: int, seed: int, grouped: int = 8
) -> Iterator[NDArray[np.int64]]:
    """Yield the window indices of each step from `step` on, shape (size,).

    Windows of like length share a batch, so that little is padding. What is drawn depends on the seed and the number of
    the step alone, so that a stopped training goes on exactly.
    """
    cumulative = np.cumsum(shares)
    lengths = windows.lengths()
    for group in range(step // grouped, -(-steps // grouped)):
        rng = np.random.default_rng((seed, group))
        drawn = np.searchsorted(cumulative, rng.random(grouped * size) * cumulative[-1])
        drawn = drawn[np.argsort(lengths[drawn], kind="stable")].reshape(grouped, size)
        order = rng.permutation(grouped)
        for number, row in enumerate(order):
            at = group * grouped + number
            if step <= at < steps:
                yield drawn[row]


def padded(
    windows: Windows, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
    """Return ids, attention mask, levels and labels of a batch, padded with 0, 0, 0 and UNLABELLED.

    Shape (len(rows), longest), the levels' (len(rows), longest, 2).
    """
    lengths = windows.lengths()[rows]
    shape = (len(rows), int(lengths.max()))
    ids, mask, labels = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.full(shape, UNLABELLED, np.int8)
    levels = np.zeros((*shape, 2), np.int64)
    for i, row in enumerate(rows):
        part = slice(windows.offsets[row], windows.offsets[row + 1])
        ids[i, : lengths[i]], mask[i, : lengths[i]] = windows.pieces[part], 1
        levels[i, : lengths[i]] = windows.levels[part]
        labels[i, : lengths[i]] = windows.labels[part]
    return ids, mask, levels, labels


def select(windows: Windows, wanted: NDArray[np.bool_]) -> Windows:
    """Return some of the windows; `wanted`: shape (windows,)."""
    rows = np.flatnonzero(wanted)
    lengths = windows.lengths()[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    pieces = np.repeat(windows.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
    return Windows(
        windows.pieces[pieces],
        windows.labels[pieces],
        windows.levels[pieces],
        offsets.astype(np.int64),
        windows.kinds[rows],
        windows.tables[rows],
        windows.texts[rows],
        windows.names,
    )


def spread(windows: Windows, most: int) -> Windows:
    """Return at most `most` windows of each text, those that the detector would examine."""
    kept = np.zeros(len(windows), np.bool_)
    for text in np.unique(windows.texts):
        own = np.flatnonzero(windows.texts == text)
        kept[own[chosen_segments(len(own), most)]] = True
    return select(windows, kept)
