"""Simulated spinning of training documents, from which both models learn beside real output."""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

from train.corpora import Document, originals_of, stable_share
from train.spinners.base import Spun

NEEDED: Mapping[str, frozenset[str]] = {
    "spinbot": frozenset({"spinbot", "wild"}),
    "quillbot": frozenset({"quillbot"}),
}
"""Beginning of a preset's name -> the tool families that it imitates. The glue phrases were collected from SpinBot's
output and from the wild passages, so that either left out, they are too."""
_MINED: Mapping[str, str] = {"spinbot": "spun/paired_openings", "quillbot": "spun/quillbot_pairs"}
"""Tool -> the table whose pairs teach its substitutions."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a simulated spinner made of a document.

    `text`: the document's, cut to the longest length; `spun`: the same spun. `preset`, `rate`: the spinner and the
    factor by which its change rates were multiplied. `partly`: whether about half of the paragraphs were left alone.
    """

    document: Document
    text: str
    spun: Spun
    preset: str
    rate: float
    partly: bool


def tool_families(documents: Sequence[Document]) -> frozenset[str]:
    """Return the families of the tools whose output is among the documents."""
    families = {d.tool_family for d in documents if d.label == "spun"}
    return frozenset(families | {"spinbot" for d in documents if d.table == _MINED["spinbot"]})


def imitates_only(preset: str, families: frozenset[str]) -> bool:
    """Return whether a preset imitates none but these families: leaving a tool out leaves out what is known of it."""
    return NEEDED.get(preset.split("-")[0], frozenset()) <= families


def simulate(documents: Sequence[Document], data: Path, rules: Mapping[str, Any], salt: str) -> Iterator[Simulated]:
    """Yield simulated spinning of human documents, language models' texts and translations, by the presets in turn.

    A preset is used only if all tools that it imitates are among the documents. Texts in which nothing was replaced are
    left out. `rules`: the section [simulation] of a recipe. Translations are few, and are spun `mt_turns` times, by
    other presets. `salt`: other documents are drawn with another one.
    """
    from train.align import document_pairs, mine
    from train.spinners.presets import (
        MIXED,
        PRESETS,
        Resources,
        make_spinner,
        mixed_preset,
        neighbour_sample,
    )

    human = [d for d in documents if d.label == "original" and d.table.startswith("human/")]
    written = [d for d in [*documents, *originals_of(documents)] if d.label == "llm_rewritten"]
    translated = [d for d in documents if d.label == "machine_translated"]
    mined = {}
    for tool, table in _MINED.items():
        rows = sorted((d for d in documents if d.table == table), key=lambda d: stable_share(d.id))
        pairs = list(document_pairs(rows[: rules["mined_documents"]]))
        if pairs:
            mined[tool] = mine(pairs, rounds=1).table
    families = tool_families(documents)
    cache = Path(tempfile.gettempdir()) / "detect-spin-cache"
    cache.mkdir(exist_ok=True)
    resources = Resources(data=data, mined=mined, texts=neighbour_sample([d.text for d in human], 3000), cache=cache)
    spinners: dict[tuple[str, float, bool], Any] = {}
    for sources, count, names, turns in (
        (human, rules["documents"], rules["presets"], 1),
        (written, rules["llm_documents"], rules["llm_presets"], 1),
        (translated, rules["mt_documents"], rules["mt_presets"], rules["mt_turns"]),
    ):
        presets = [p for p in names if imitates_only(p, families)]
        if not presets:
            continue
        ordered = sorted(sources, key=lambda d: stable_share(f"{salt} {d.group}{d.id}"))
        chosen = spread(ordered, count, rules["most_of_a_table"])
        for turn, (number, d) in product(range(turns), enumerate(chosen)):
            own_salt = f"{salt} {d.id}" + (f" {turn}" if turn else "")
            rng = Random(own_salt)
            text = cut_words(d.text, rules["longest_words"])
            preset = presets[(number + turn) % len(presets)]
            partly = rng.random() < rules["partial"] and "\n" in text.strip()
            key = (preset, rng.choice(rules["rate_factors"]), partly)
            if preset == MIXED:
                # A name of its own, since what a spinner likes best goes by its name.
                own = make_spinner(own_salt, resources, scaled(mixed_preset(rng), key[1], partly, mixed=True))
            else:
                if key not in spinners:
                    spinners[key] = make_spinner(preset, resources, scaled(PRESETS[preset], key[1], partly))
                own = spinners[key]
            spun = own.spin(text, rng)
            if any(r.start < r.end for r in spun.replacements):
                yield Simulated(d, text, spun, *key)


def spread(documents: Sequence[Document], most: int, most_of_a_table: int) -> list[Document]:
    """Return the first `most` documents with at most `most_of_a_table` of any table, in the given order."""
    taken: dict[str, int] = defaultdict(int)
    chosen: list[Document] = []
    for d in documents:
        if taken[d.table] < most_of_a_table and len(chosen) < most:
            taken[d.table] += 1
            chosen.append(d)
    return chosen


def scaled(preset: Any, factor: float, partly: bool, *, mixed: bool = False) -> Any:
    """Return the preset with its change rates multiplied, and half of the paragraphs spun if `partly`.

    Presets that imitate no tool choose the words anew each time: always the same ones could be learned by heart. Not so
    a `mixed` one, which serves for one text.
    """
    return replace(
        preset,
        rates=preset.rates and preset.rates.scaled(factor),
        embedding=preset.embedding and preset.embedding.scaled(factor),
        glove=preset.glove and preset.glove.scaled(factor),
        glue=min(1.0, factor * preset.glue),
        mined_rate=min(1.0, factor * preset.mined_rate),
        determinism=preset.determinism if preset.mined or mixed else 0.0,
        partial=0.5 if partly else 1.0,
    )


def cut_words(text: str, longest: int) -> str:
    """Return the first `longest` words of the text, spacing kept."""
    ends = [m.end() for m in re.finditer(r"\S+", text)]
    return text if len(ends) <= longest else text[: ends[longest - 1]]
