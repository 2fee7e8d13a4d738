"""`python -m train spinner-report`: how close simulated spinning comes to real spinning, in counts and scores.

Real and simulated pairs are measured alike, by the aligner, so its errors hit both. The simulated ones spin the
originals of the real pairs; what they were taught from real pairs comes from the other half (two folds by group).
"""

from __future__ import annotations

import hashlib
import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import click

from train.align import align, document_pairs
from train.corpora import ROOT, Document, default_data_dir, load_documents
from train.pairs import file_digest, mine_by_tool
from train.spinners.base import Replacement, Word, sentence_ranges, words_of
from train.spinners.embedding import count_words
from train.spinners.function_words import function_words
from train.spinners.lexicon import OPEN_CLASSES, tag_words
from train.spinners.presets import PRESETS, Preset, Resources, make_spinner, neighbour_sample

SCHEMA = 1
CLASSES = (*OPEN_CLASSES, "PROPN", "NUM", "function")
REAL_TABLES = ("spun/paired_openings", "spun/paired_paragraphs", "spun/quillbot_pairs")
_HUMAN_TABLES = ("human/bbc_2004", "human/us_news_2006_2021", "human/many_domains")

Pair = tuple[str, str]  # original, spun


@dataclass
class Measured:
    """Sums over pairs; `summary` turns them into shares."""

    pairs: int = 0
    words: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    spun_words: int = 0
    sentences: int = 0
    touched: int = 0
    shapes: Counter[str] = field(default_factory=Counter)
    targets: dict[str, Counter[str]] = field(default_factory=dict)
    sources: dict[str, Counter[str]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    renamed: int = 0
    merged_targets: int = 0
    merged: int = 0
    frequencies: list[float] = field(default_factory=list)

    def add(self, original: str, spun: str, counts: Mapping[str, int], total: int) -> None:
        """Measure one pair; `counts` and `total`: word counts of human text, for the frequency of targets."""
        replacements = align(original, spun)
        old_words, changed = _changed_words(original, spun, replacements)
        sentences = sentence_ranges(original)
        starts = frozenset(a for a, _ in sentences)
        tags = [_class(t.word_class) for t in tag_words(original, old_words, starts)]
        self.pairs += 1
        self.spun_words += len(words_of(spun))
        for tag, word, hit in zip(tags, old_words, changed, strict=True):
            self.words[tag] += 1
            self.changed[tag] += hit
            if tag in OPEN_CLASSES:
                self.seen[word.lower] += 1
                self.hit[word.lower] += hit
        for a, b in sentences:
            self.sentences += 1
            self.touched += any(hit for w, hit in zip(old_words, changed, strict=True) if a <= w.start < b)
        here: dict[str, set[str]] = {}
        back: dict[str, set[str]] = {}
        uses: Counter[str] = Counter()
        for r in replacements:
            old = [w.lower for w in words_of(r.original)]
            new = [w.lower for w in words_of(spun[r.start : r.end])]
            self.shapes[_shape(len(old), len(new))] += 1
            if len(old) == len(new) == 1 and old[0] not in function_words():
                self.targets.setdefault(old[0], Counter())[new[0]] += 1
                self.sources.setdefault(new[0], Counter())[old[0]] += 1
                here.setdefault(old[0], set()).add(new[0])
                back.setdefault(new[0], set()).add(old[0])
                uses[old[0]] += 1
                if total and counts.get(new[0]):
                    self.frequencies.append(1e6 * counts[new[0]] / total)
        self.repeated += sum(uses[old] > 1 for old in here)
        self.renamed += sum(len(new) > 1 for old, new in here.items())
        self.merged_targets += len(back)
        self.merged += sum(len(old) > 1 for old in back.values())

    def summary(self) -> dict[str, Any]:
        """Return counts and shares, rounded to three places; None where nothing was counted."""
        words, changed = sum(self.words.values()), sum(self.changed.values())
        content = [c for c in OPEN_CLASSES]
        often = [w for w, n in self.seen.items() if n >= 4]
        return {
            "pairs": self.pairs,
            "words": words,
            "changed": _share(changed, words),
            "changed_content": _share(sum(self.changed[c] for c in content), sum(self.words[c] for c in content)),
            "changed_by_class": {c: _share(self.changed[c], self.words[c]) for c in CLASSES},
            "replacements": sum(self.shapes.values()),
            "shapes": {s: _share(self.shapes[s], sum(self.shapes.values())) for s in SHAPES},
            "length_change": _share(self.spun_words - words, words),
            "sentences_touched": _share(self.touched, self.sentences),
            "same_word_several_targets_in_text": _share(self.renamed, self.repeated),
            "same_target_several_words_in_text": _share(self.merged, self.merged_targets),
            "targets_per_word": _mean(len(t) for t in self.targets.values() if sum(t.values()) >= 3),
            "words_per_target": _mean(len(s) for s in self.sources.values() if sum(s.values()) >= 3),
            # Of words seen four times or more: nearly always or nearly never replaced.
            "decided_words": _share(sum(not 0.2 < self.hit[w] / self.seen[w] < 0.8 for w in often), len(often)),
            "target_per_million_median": round(statistics.median(self.frequencies), 1) if self.frequencies else None,
        }


SHAPES = ("1:1", "1:n", "n:1", "n:m", "dropped", "put in")


def _shape(old: int, new: int) -> str:
    if not old or not new:
        return "put in" if not old else "dropped"
    return f"{'1' if old == 1 else 'n'}:{'1' if new == 1 else 'm' if old > 1 else 'n'}"


def _class(word_class: str) -> str:
    return word_class if word_class in CLASSES else "function"


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 3) if whole else None


def _mean(values: Iterable[int]) -> float | None:
    values = list(values)
    return round(sum(values) / len(values), 2) if values else None


def _changed_words(original: str, spun: str, replacements: Sequence[Replacement]) -> tuple[list[Word], list[bool]]:
    """The words of the original and whether each was replaced or dropped.

    `align` gives offsets in the spun text, so the original is found again by its order: replaced strings occur in it
    one after the other. Moved clauses break the order; such a string is looked for from the start.
    """
    words = words_of(original)
    changed = [False] * len(words)
    at = 0
    shift_from = 0  # where in the spun text the last replacement ended
    for r in replacements:
        if r.original:
            guess = at + max(0, r.start - shift_from)
            # The text between two replacements is the same in both, so the string stands at the guess; else search.
            start = guess if original.startswith(r.original, guess) else original.find(r.original, at)
            start = original.find(r.original) if start < 0 else start
            end = start + len(r.original)
            for k, w in enumerate(words):
                if start <= w.start < end:
                    changed[k] = True
            at = end
        else:
            at += max(0, r.start - shift_from)
        shift_from = r.end
    return words, changed


def aligner_accuracy(spins: Iterable[tuple[str, Any]]) -> dict[str, float | None]:
    """Return precision and recall of replaced characters and whole replacements, given (original, Spun with the truth).

    Characters of the spun text that are letters or digits count; a whole replacement is right if offsets and original
    agree. Truth is trimmed to whole words and case-only or empty changes are left out, as `align` reports none.
    """
    found_chars = true_chars = both_chars = found_n = true_n = both_n = 0
    for original, spun in spins:
        truth = [r for r in spun.replacements if spun.text[r.start : r.end].strip() and r.original.strip()]
        found = [r for r in align(original, spun.text) if r.start < r.end]
        chars = [{c for r in rs for c in range(r.start, r.end) if spun.text[c].isalnum()} for rs in (truth, found)]
        true_chars, found_chars = true_chars + len(chars[0]), found_chars + len(chars[1])
        both_chars += len(chars[0] & chars[1])
        keys = [{(r.start, r.end, r.original) for r in rs} for rs in (truth, found)]
        true_n, found_n, both_n = true_n + len(keys[0]), found_n + len(keys[1]), both_n + len(keys[0] & keys[1])
    return {
        "character_precision": _share(both_chars, found_chars),
        "character_recall": _share(both_chars, true_chars),
        "whole_precision": _share(both_n, found_n),
        "whole_recall": _share(both_n, true_n),
    }


def _fold(group: str) -> int:
    return hashlib.blake2b(group.encode(), digest_size=1).digest()[0] % 2


def real_sets(documents: Iterable[Document]) -> dict[str, list[tuple[Pair, int]]]:
    """Return {name: [((original, spun), fold)]} of the real pairs, QuillBot by mode."""
    out: dict[str, list[tuple[Pair, int]]] = {}
    for d in documents:
        tool = d.tool.split(" (")[0]
        name = tool if d.table == "spun/quillbot_pairs" else f"{d.table.split('/')[1]}: {tool or 'SpinBot-like'}"
        for old, new, _ in document_pairs([d]):
            out.setdefault(name, []).append(((old, new), _fold(d.group)))
    return dict(sorted(out.items()))


def simulate(
    name: str,
    originals: Sequence[tuple[str, int]],
    resources: Sequence[Resources],
    seed: int,
    preset: Preset | None = None,
) -> list[tuple[str, Any]]:
    """Return (original, Spun) for each (original, fold), spun with what the other fold taught."""
    spinners = [make_spinner(name, r, preset) for r in resources]
    return [(text, spinners[1 - fold].spin(text, Random(f"{seed}:{name}:{text}"))) for text, fold in originals]


def make_resources(
    documents: Sequence[Document], human: Sequence[Document], data: Path, cache: Path | None
) -> list[Resources]:
    """Return resources taught by fold 0 and by fold 1."""
    texts = neighbour_sample([d.text for d in human], 3000)
    return [
        Resources(
            data,
            {k: m.table for k, m in mine_by_tool(d for d in documents if _fold(d.group) == fold).items()},
            texts,
            cache,
        )
        for fold in (0, 1)
    ]


def make_report(data: Path, *, seed: int = 0, cache: Path | None = None, quillbot: int = 60) -> dict[str, Any]:
    """Return the metrics as JSON types; about two minutes. `quillbot`: pairs per mode, drawn by position."""
    documents = load_documents(data, list(REAL_TABLES))
    human = load_documents(data, list(_HUMAN_TABLES))
    resources = make_resources(documents, human, data, cache)
    counts = count_words(resources[0].texts)
    total = sum(counts.values())
    real = real_sets(documents)
    for name, pairs in real.items():
        real[name] = pairs[:: max(1, len(pairs) // quillbot)]
    news = [(old, fold) for name, pairs in real.items() if "paired" in name for (old, _), fold in pairs]
    news = list(dict.fromkeys(news))
    answers = list(dict.fromkeys((old, f) for n, ps in real.items() if "paired" not in n for (old, _), f in ps))[
        :quillbot
    ]
    out: dict[str, Any] = {"schema": SCHEMA, "seed": seed, "real": {}, "simulated": {}, "aligner": {}}
    for name, pairs in real.items():
        measured = Measured()
        for (old, new), _ in pairs:
            measured.add(old, new, counts, total)
        out["real"][name] = measured.summary()
    for name in PRESETS:
        spins = simulate(name, answers if name.startswith("quillbot") else news, resources, seed)
        measured = Measured()
        for old, spun in spins:
            measured.add(old, spun.text, counts, total)
        out["simulated"][name] = measured.summary()
        out["aligner"][name] = aligner_accuracy(spins)
    out["inputs"] = {name: file_digest(data / f"{name}.parquet") for name in (*REAL_TABLES, *_HUMAN_TABLES)}
    return out


def render(metrics: Mapping[str, Any]) -> str:
    """Return the metrics as Markdown: counts and scores, no text of the tables."""
    sets = {**metrics["real"], **{f"simulated {n}": m for n, m in metrics["simulated"].items()}}
    lines = [
        "# Simulated spinners beside real ones",
        "",
        "Written by `python -m train spinner-report`. Shares in per cent. Both kinds are measured with the same",
        "aligner (`train/align.py`), so its errors hit both. Simulated spinning starts from the originals of the real",
        "pairs (`quillbot`: those of the QuillBot pairs; all others: news openings and documentation paragraphs); the",
        "phrase tables it mines come from the other half of the pairs.",
        "",
        "## How much changes",
        "",
        "| set | pairs | words | words changed | content | " + " | ".join(CLASSES) + " |",
        "|---|" + "---|" * (4 + len(CLASSES)),
    ]
    for name, m in sets.items():
        cells = [_percent(m["changed"]), _percent(m["changed_content"])]
        cells += [_percent(m["changed_by_class"][c]) for c in CLASSES]
        lines.append(f"| {name} | {m['pairs']} | {m['words']} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "## Shape of the replacements",
        "",
        "Old words : new words. Length = words of the spun text more than of the original.",
        "",
        "| set | replacements | " + " | ".join(SHAPES) + " | length | sentences touched |",
        "|---|" + "---|" * (3 + len(SHAPES)),
    ]
    for name, m in sets.items():
        cells = [_percent(m["shapes"][s]) for s in SHAPES]
        cells += [_percent(m["length_change"]), _percent(m["sentences_touched"])]
        lines.append(f"| {name} | {m['replacements']} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "## Collisions and habits",
        "",
        "Renamed: words replaced twice or more in one text that got several targets. Merged: targets in one text that",
        "stand for several words. Targets per word, words per target: over the whole set, those seen three times or",
        "more. Decided: words seen four times or more that are replaced in over 80 % or under 20 % of places.",
        "Frequency: median uses of the targets per million words of human news.",
        "",
        "| set | renamed | merged | targets per word | words per target | decided | frequency |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, m in sets.items():
        cells = [
            _percent(m["same_word_several_targets_in_text"]),
            _percent(m["same_target_several_words_in_text"]),
            _number(m["targets_per_word"]),
            _number(m["words_per_target"]),
            _percent(m["decided_words"]),
            _number(m["target_per_million_median"]),
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "## The aligner on simulated spinning, where the truth is known",
        "",
        "| spinner | character precision | character recall | whole replacements: precision | recall |",
        "|---|---|---|---|---|",
    ]
    for name, m in metrics["aligner"].items():
        keys = ("character_precision", "character_recall", "whole_precision", "whole_recall")
        lines.append(f"| {name} | " + " | ".join(_percent(m[k]) for k in keys) + " |")
    return "\n".join([*lines, ""])


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f}" if abs(value) >= 0.1 else f"{100 * value:.1f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


@click.command("spinner-report", context_settings={"show_default": True})
@click.option("--data", type=click.Path(path_type=Path), help="Folder of tables. [default: ../shared/data]")
@click.option(
    "--out", type=click.Path(path_type=Path), default=ROOT / "eval" / "reports" / "spinners", show_default=False
)
@click.option("--seed", default=0, help="Seed of the simulated spinning.")
@click.option("--cache", type=click.Path(path_type=Path), help="Folder outside the repository to keep neighbours in.")
def command(data: Path | None, out: Path, seed: int, cache: Path | None) -> None:
    """Compare simulated spinners with real ones: writes report.md and metrics.json."""
    metrics = make_report(default_data_dir() if data is None else data, seed=seed, cache=cache)
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    notes = out / "notes.md"  # what the numbers mean, written by hand
    text = render(metrics) + (f"\n{notes.read_text(encoding='utf-8')}" if notes.exists() else "")
    (out / "report.md").write_text(text, encoding="utf-8")
    click.echo(f"written: {out}")
