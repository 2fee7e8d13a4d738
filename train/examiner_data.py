"""Windows for the examiner: WordPieces of one segment each, with the kind of the segment and a label on every piece.

Windows are cut by `detector.segment.prepare`, as at run time. Piece labels come from simulated spinning (exact), from
pairs aligned with their originals, and from texts that no spinner touched (all kept). Real output without its
original has no labels on its pieces; the training then knows only that some of them were replaced.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.results import KINDS
from detector.segment import prepare
from train.align import align
from train.corpora import Document, originals_of
from train.screen import SPUN, cut_words, stable_share

log = logging.getLogger(__name__)
KEPT, REPLACED, UNLABELLED = 0, 1, -1
"""Labels of a piece."""
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

    `pieces`: ids, and `labels`, both shape (pieces,). `kinds`: index into `KINDS`, `tables`: index into `names`,
    `texts`: number of the text it was cut from, each shape (windows,).
    """

    pieces: NDArray[np.uint32]
    labels: NDArray[np.int8]
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


def simulated(
    documents: Sequence[Document], data: Path, cache: Path, settings: Mapping[str, Any], families: frozenset[str]
) -> Iterator[Labelled]:
    """Yield simulated spinning of human documents, each beside its original cut to the same length.

    `families`: tool families in training; presets that imitate another one, and what is mined from its pairs, stay out.
    Change rates are drawn for each text from `settings["rate_factors"]`.
    """
    from train.align import document_pairs, mine
    from train.spinners.presets import PRESETS, Resources, make_spinner, neighbour_sample

    human = [d for d in documents if d.label == "original" and d.table.startswith("human/")]
    mined = {}
    for tool, tables in (("spinbot", {"spun/paired_openings"}), ("quillbot", {"spun/quillbot_pairs"})):
        rows = sorted((d for d in documents if d.table in tables), key=lambda d: stable_share(d.id))
        pairs = list(document_pairs(rows[: settings["mined_documents"]]))
        if pairs:
            mined[tool] = mine(pairs, rounds=1).table
    needed = {"spinbot": {"spinbot", "wild"}, "quillbot": {"quillbot"}}
    names = [p for p in settings["presets"] if needed.get(p.split("-")[0], set()) <= families]
    resources = Resources(data=data, mined=mined, texts=neighbour_sample([d.text for d in human], 3000), cache=cache)
    spinners: dict[tuple[str, float, bool], Any] = {}
    chosen = sorted(human, key=lambda d: stable_share(f"examiner {settings['seed']} {d.group}{d.id}"))
    chosen = spread(chosen, settings["documents"], settings["most_of_a_table"])
    for number, d in enumerate(chosen):
        rng = Random(f"{settings['seed']} {d.id}")
        text = cut_words(d.text, settings["longest_words"])
        name = names[number % len(names)]
        partly = rng.random() < settings["partial"] and "\n" in text.strip()
        key = (name, rng.choice(settings["rate_factors"]), partly)
        if key not in spinners:
            spinners[key] = make_spinner(name, resources, scaled(PRESETS[name], key[1], partly))
        spun = spinners[key].spin(text, rng)
        ranges = tuple((r.start, r.end) for r in spun.replacements if r.start < r.end)
        if ranges:
            yield Labelled(spun.text, SPUN, f"simulated/{name}", d.group, ranges)
            yield Labelled(text, "original", "simulated/original", d.group, ())


def spread(documents: Sequence[Document], most: int, most_of_a_table: int) -> list[Document]:
    """Return the first `most` documents with at most `most_of_a_table` of any table, in the given order."""
    taken: dict[str, int] = defaultdict(int)
    chosen: list[Document] = []
    for d in documents:
        if taken[d.table] < most_of_a_table and len(chosen) < most:
            taken[d.table] += 1
            chosen.append(d)
    return chosen


def scaled(preset: Any, factor: float, partly: bool) -> Any:
    """Return the preset with its change rates multiplied, and half of the paragraphs spun if `partly`.

    Presets that imitate no tool choose the words anew each time: always the same ones could be learned by heart.
    """
    return replace(
        preset,
        rates=preset.rates and preset.rates.scaled(factor),
        embedding=preset.embedding and preset.embedding.scaled(factor),
        glove=preset.glove and preset.glove.scaled(factor),
        glue=min(1.0, factor * preset.glue),
        mined_rate=min(1.0, factor * preset.mined_rate),
        determinism=preset.determinism if preset.mined else 0.0,
        partial=0.5 if partly else 1.0,
    )


def cut_windows(texts: Iterable[Labelled], tokenizer: Any, max_tokens: int, min_replaced: float) -> Windows:
    """Return the windows of the texts.

    A window of a text whose replaced ranges are known counts as spun only if at least `min_replaced` of its pieces are
    replaced; with fewer but some it is left out (nobody could tell), with none it has the kind `original`.
    """
    pieces, labels, kinds, tables, owners = [], [], [], [], []
    names: dict[str, int] = {}
    for number, given in enumerate(texts):
        prepared = prepare(given.text)
        normal = prepared.normal
        ranges = [prepared.segment_range(i) for i in range(len(prepared.ends))]
        if not ranges:
            continue
        back = None if normal.to_original is None else np.asarray(normal.to_original)
        is_replaced = np.zeros(len(given.text) + 1, np.int8)
        for start, end in given.replaced or ():
            is_replaced[start:end] = 1
        encodings = tokenizer.encode_batch([normal.text[a:b] for a, b in ranges])
        for (start, _), encoding in zip(ranges, encodings, strict=True):
            ids = np.asarray(encoding.ids[:max_tokens], np.uint32)
            starts = np.asarray([o[0] for o in encoding.offsets[:max_tokens]]) + start
            label = np.full(len(ids), UNLABELLED, np.int8)
            kind = given.kind
            if given.replaced is not None:
                label = is_replaced[starts if back is None else back[starts]]
                special = np.asarray(encoding.special_tokens_mask[:max_tokens], np.bool_)
                label[special] = UNLABELLED
                if kind == SPUN:
                    share = float(np.mean(label[~special])) if not special.all() else 0.0
                    if 0.0 < share < min_replaced:
                        continue
                    if share == 0.0:
                        kind = "original"
            pieces.append(ids)
            labels.append(label)
            kinds.append(KINDS.index(kind))
            tables.append(names.setdefault(given.table, len(names)))
            owners.append(number)
    lengths = [len(p) for p in pieces]
    return Windows(
        np.concatenate(pieces),
        np.concatenate(labels),
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
               "simulated" if n.startswith("simulated/") and n != "simulated/original" else "others"
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


def padded(windows: Windows, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
    """Return ids, attention mask and labels of a batch, shape (len(rows), longest), padded with 0, 0 and UNLABELLED."""
    lengths = windows.lengths()[rows]
    shape = (len(rows), int(lengths.max()))
    ids, mask, labels = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.full(shape, UNLABELLED, np.int8)
    for i, row in enumerate(rows):
        part = slice(windows.offsets[row], windows.offsets[row + 1])
        ids[i, : lengths[i]], mask[i, : lengths[i]] = windows.pieces[part], 1
        labels[i, : lengths[i]] = windows.labels[part]
    return ids, mask, labels


def select(windows: Windows, wanted: NDArray[np.bool_]) -> Windows:
    """Return some of the windows; `wanted`: shape (windows,)."""
    rows = np.flatnonzero(wanted)
    lengths = windows.lengths()[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    pieces = np.repeat(windows.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
    return Windows(
        windows.pieces[pieces],
        windows.labels[pieces],
        offsets.astype(np.int64),
        windows.kinds[rows],
        windows.tables[rows],
        windows.texts[rows],
        windows.names,
    )
