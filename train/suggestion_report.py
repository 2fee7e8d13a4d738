"""`python -m train suggestion-report --model DIR --out FILE`: what each source of suggestions is good for.

Every variant is fitted and measured alike: weights from half of the held-out pairs and half of the readers' passages,
hits on the other halves. A hit: a content word of the original that is not in the phrase is among the words of the
first one or three suggestions. Counts only; no text of the data is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from detector.detect import SpinDetector
from detector.store import open_model
from detector.suggest import Suggester
from eval.metrics import wilson_interval
from train.artefacts import Artefact, content_words, read_artefacts
from train.corpora import Document, default_data_dir, load_documents, stable_share
from train.suggestions import (
    CANDIDATES_KEPT,
    PAIR_TABLES,
    Aligned,
    Known,
    Parts,
    Sources,
    fit,
    fit_parts,
    make_ranker,
    make_settings,
    make_table,
    phrase_scores,
    read_embeddings,
)

Find = Callable[[Sequence[str], int, int], Sequence[str]]
TOP = (1, 3)
_MOST_PAIRS = 400  # replaced phrases of pairs that are looked at, drawn by hash: intervals of 5 points
_SHORTEST_PART = 5  # of the earlier table: letters of a single word that was put back


@dataclass(frozen=True, slots=True)
class Case:
    """A replaced phrase in its text and the words that would be right."""

    words: Sequence[str]
    first: int
    last: int
    wanted: frozenset[str]


@dataclass(frozen=True, slots=True)
class Rate:
    """`hits` of `n`."""

    hits: int
    n: int

    def __str__(self) -> str:
        if not self.n:
            return "-"
        low, high = wilson_interval(self.hits, self.n)
        return f"{100 * self.hits / self.n:.1f} % ({100 * low:.0f}-{100 * high:.0f})"


def earlier_table(table: Mapping[str, Sequence[str]]) -> Find:
    """Return what v1 did: the whole phrase from the table of substitutions, else its known parts put back."""
    from detector.evidence import Substitutions

    known = Substitutions(table)

    def find(words: Sequence[str], first: int, last: int) -> list[str]:
        span = list(words[first:last])
        if whole := table.get(" ".join(span)):
            return list(whole)
        parts = [(a, b) for a, b in known.longest_matches(span) if b - a > 1 or len(span[a]) >= _SHORTEST_PART]
        found: list[str] = []
        for choice in range(3 if parts else 0):  # the second and third best of the first part that has any
            rebuilt: list[str] = []
            done, varied = 0, False
            for start, end in parts:
                options = table[" ".join(span[start:end])]
                pick = 0 if varied or choice >= len(options) else choice
                varied = varied or pick > 0
                rebuilt += [*span[done:start], options[pick]]
                done = end
            found.append(" ".join([*rebuilt, *span[done:]]))
        return list(dict.fromkeys(found))

    return find


def pair_cases(aligned: Sequence[Aligned]) -> list[Case]:
    """Return replaced phrases with a content word on both sides, at most `_MOST_PAIRS`."""
    cases: list[tuple[float, Case]] = []
    for text in aligned:
        for first, last, original in text.replaced:
            wanted = content_words(original.split()) - set(text.words[first:last])
            if wanted and content_words(text.words[first:last]):
                cases.append((stable_share(f"{text.id} {first}"), Case(text.words, first, last, frozenset(wanted))))
    return [case for _, case in sorted(cases, key=lambda c: c[0])[:_MOST_PAIRS]]


def evaluate(find: Find, cases: Sequence[Case] | Sequence[Artefact]) -> dict[str, Rate]:
    """Return the rates of hits among one and three suggestions (`hit_1`, `hit_3`) and of no suggestion (`none`)."""
    hits = dict.fromkeys(TOP, 0)
    none = 0
    for case in cases:
        found = find(case.words, case.first, case.last)
        none += not found
        for top in TOP:
            hits[top] += any(not case.wanted.isdisjoint(s.lower().split()) for s in found[:top])
    n = len(cases)
    return {**{f"hit_{top}": Rate(hits[top], n) for top in TOP}, "none": Rate(none, n)}


def variants(
    model: Path, data: Path, documents: Sequence[Document], parts: tuple[Known, list[Aligned], Known]
) -> tuple[dict[str, Find], list[Case], list[Artefact]]:
    """Return the finders by name, and what to measure them on: held-out pairs, readers' marks."""
    from train.export import substitution_table

    most, held, _ = parts
    fitted = [t for t in held if stable_share(f"fit {t.id}") < 0.5]
    cases = pair_cases([t for t in held if stable_share(f"fit {t.id}") >= 0.5])
    marks, tune = read_artefacts(data, "report"), read_artefacts(data, "tune")
    folder = Parts.read(model)
    held_ids = {t.id for t in held}
    rest = [d for d in documents if d.id not in held_ids]
    table = substitution_table(rest, data, lambda phrases: np.zeros(len(phrases), np.bool_))
    finders = {"earlier table": earlier_table(table)}
    phrases = phrase_scores(most, frozenset(folder.vocabulary.words))
    needed = {w for c in cases for w in c.words[c.first : c.last]}
    needed |= {w for m in marks for w in m.words[m.first : m.last]}
    embed = read_embeddings()
    for name, sources in {
        "table, ranked": Sources(wordnet=False, embed=None),
        "+ WordNet": Sources(wordnet=True, embed=None),
        "+ neighbours, topic": Sources(wordnet=True, embed=embed),
    }.items():
        if sources.embed is None and "neighbours" in name:
            continue
        ranker = make_ranker(folder, most, data, sources)
        weights = fit(ranker, fitted, tune)
        made = make_table(ranker, weights, sorted(needed), phrases, CANDIDATES_KEPT)
        finders[name] = Suggester(made, folder.vocabulary, folder.association, make_settings(weights)).suggest
    return finders, cases, marks


def shown(detector: SpinDetector, marks: Sequence[Artefact]) -> dict[str, Rate]:
    """Return what a user sees of the marked phrases: those that a span touches, and hits in its suggestions."""
    texts = {m.text for m in marks}
    spans = {text: detector.score(text).spans for text in texts}
    touched, none, hits = 0, 0, dict.fromkeys(TOP, 0)
    for mark in marks:
        found = [s for s in spans[mark.text] if s.start < mark.end and mark.start < s.end]
        touched += bool(found)
        none += bool(found) and not any(s.suggestions for s in found)
        for top in TOP:
            words = {w for s in found for x in s.suggestions[:top] for w in x.lower().split()}
            hits[top] += not mark.wanted.isdisjoint(words)
    every = [s for found in spans.values() for s in found]
    return {
        "touched": Rate(touched, len(marks)),
        **{f"hit_{top}": Rate(hits[top], touched) for top in TOP},
        **{f"hit_{top}_of_all": Rate(hits[top], len(marks)) for top in TOP},
        "none": Rate(none, touched),
        "spans without": Rate(sum(not s.suggestions for s in every), len(every)),
    }


def report(model: Path, data: Path, documents: Sequence[Document], parts: tuple[Known, list[Aligned], Known]) -> str:
    """Return the report as Markdown."""
    finders, cases, marks = variants(model, data, documents, parts)
    lines = [
        "# Suggestions",
        "",
        "Made by `python -m train suggestion-report`. A hit: a content word of the original that is not in the phrase",
        "is among the words of the first one or three suggestions; intervals: Wilson, 95 %. Weights are fitted on half",
        "of the held-out pairs and of the passages with readers' marks, and measured here on the other half. No marked",
        "pair is in any table.",
        "",
    ]
    for title, group in (
        ("Phrases replaced in held-out pairs (nearly all QuillBot)", cases),
        ("Phrases marked by readers, as marked", marks),
    ):
        lines += [f"## {title}: {len(group)}", "", "| | first | among three | no suggestion | ms a phrase |"]
        lines += ["|---|---|---|---|---|"]
        for name, find in finders.items():
            begun = time.process_time()
            rates = evaluate(find, group)
            spent = 1000 * (time.process_time() - begun) / max(len(group), 1)
            lines.append(f"| {name} | {rates['hit_1']} | {rates['hit_3']} | {rates['none']} | {spent:.2f} |")
        lines.append("")
    opened = open_model(model)
    seen = shown(SpinDetector(opened), marks)
    lines += [
        f"## The same marks through the detector ({opened.name}): {seen['touched'].n}",
        "",
        "Spans are the detector's own, at its default operating point; a text that it does not call spun shows none.",
        "",
        "| | |",
        "|---|---|",
        f"| marks that a span touches | {seen['touched']} |",
        f"| of these, hit by the first suggestion | {seen['hit_1']} |",
        f"| of these, hit among three | {seen['hit_3']} |",
        f"| of all marks, hit among three | {seen['hit_3_of_all']} |",
        f"| of those touched, without any suggestion | {seen['none']} |",
        f"| of all spans in these texts, without suggestions | {seen['spans without']} |",
        "",
    ]
    return "\n".join(lines)


@click.command("suggestion-report", context_settings={"show_default": True})
@click.option("--model", type=click.Path(path_type=Path, exists=True), required=True, help="Model folder.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of tables. [default: ../shared/data]")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Markdown file to write.")
def command(model: Path, data: Path | None, out: Path) -> None:
    """Compare the sources of suggestions on held-out pairs and on readers' marks. Ten minutes."""
    data = default_data_dir() if data is None else data
    documents = load_documents(data, PAIR_TABLES)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(report(model, data, documents, fit_parts(documents, data)).encode("utf-8"))
    click.echo(f"written: {out}")
