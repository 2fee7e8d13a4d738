"""Small samples of the tables for runs of a minute or two: balanced over tables, no two texts of one group."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from eval.attacks import truncate
from eval.protocols import stable_hash
from train.corpora import Document


def balanced_sample(
    documents: Sequence[Document],
    label: str,
    count: int,
    seed: int,
    *,
    longest: int,
    fewest: int = 0,
    taken: Collection[str] = (),
) -> list[Document]:
    """Return up to `count` documents of that label, as equally many of each table as there are.

    One text a group (articles of one original are not independent), none of the groups in `taken`, none of fewer than
    `fewest` words, and each cut after `longest` words. The choice within a table depends on ids and `seed` alone.
    """
    by_table: dict[str, list[Document]] = {}
    for document in documents:
        if document.label == label and document.group not in taken and len(document.text.split()) >= fewest:
            by_table.setdefault(document.table, []).append(document)
    queues = [
        sorted(by_table[table], key=lambda d: (stable_hash(seed, "sample", d.id), d.text), reverse=True)
        for table in sorted(by_table)
    ]
    chosen: list[Document] = []
    groups: set[str] = set()
    while queues and len(chosen) < count:
        for queue in queues:
            while queue and queue[-1].group in groups:
                queue.pop()
            if queue and len(chosen) < count:
                chosen.append(queue.pop())
                groups.add(chosen[-1].group)
        queues = [queue for queue in queues if queue]
    return sorted((replace(d, text=truncate(d.text, longest)) for d in chosen), key=lambda d: (d.table, d.id))
