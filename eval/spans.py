"""Spans against known replacements: are the phrases shown those that a spinner put in, and do suggestions hit?

Characters: precision and recall of the characters of replaced phrases. Phrases: a shown span is right if it touches a
replaced phrase; a replaced phrase is found if a span touches it. Known replacements come with the text (spun by a
simulated spinner or by hand), or from aligning a real pair (`train.align`, itself right about nine times in ten).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eval.metrics import ratio_estimate
from eval.suite import Known
from eval.summary import estimate_json
from train.artefacts import content_words

Json = dict[str, Any]
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_ARTICLES = frozenset({"a", "an", "the"})
TOP = (1, 3)  # how many suggestions may be read for a hit


@dataclass(frozen=True, slots=True)
class Shown:
    """A phrase that a system shows: character offsets into the text, and what probably stood there, best first."""

    start: int
    end: int
    suggestions: tuple[str, ...] = ()


@dataclass
class Counts:
    """Sums over the texts of one set, one entry a text; `estimates` makes ratios of them."""

    groups: list[str] = field(default_factory=list)
    rows: list[dict[str, float]] = field(default_factory=list)

    def add(self, group: str, row: dict[str, float]) -> None:
        """Add one text."""
        self.groups.append(group)
        self.rows.append(row)

    def ratio(self, above: str, below: str, seed: int, factor: float = 1.0) -> Json | None:
        """Return sum(above) / sum(below) * factor, bootstrap interval over groups; n: what `below` counts in all."""
        top, bottom = ([r.get(k, 0.0) for r in self.rows] for k in (above, below))
        found = estimate_json(ratio_estimate(top, bottom, self.groups, seed))
        if found is None:
            return None
        scaled = {k: found[k] * factor for k in ("value", "low", "high")}
        return {**scaled, "n": round(sum(bottom)), "texts": found["n"]}


def normal(phrase: str) -> str:
    """Return the words of a phrase in lower case without articles: what two phrases are compared by.

    >>> normal("The Prime  Minister")
    'prime minister'
    """
    return " ".join(w for w in _WORD.findall(phrase.lower().replace("’", "'")) if w not in _ARTICLES)


def _characters(text: str, ranges: Iterable[tuple[int, int]]) -> set[int]:
    """Return the positions of letters and digits within the ranges: white space and punctuation count for nothing."""
    return {i for a, b in ranges for i in range(a, b) if text[i].isalnum()}


def what_stood_there(text: str, span: Shown, known: Sequence[Known]) -> set[str]:
    """Return what a right suggestion may say: the original of a phrase the span touches, or of the whole span.

    The whole: the span, stretched over the phrases that it touches, with each of them replaced by its original.
    """
    touched = [k for k in known if k.start < span.end and span.start < k.end]
    right = {normal(k.original) for k in touched}
    pieces, at = [], min([span.start, *(k.start for k in touched)])
    for k in sorted(touched, key=lambda k: k.start):
        pieces += [text[at : k.start], k.original]
        at = max(at, k.end)
    pieces.append(text[at : max(span.end, at)])
    return (right | {normal(" ".join(pieces))}) - {""}


def count(text: str, shown: Sequence[Shown], known: Sequence[Known]) -> dict[str, float]:
    """Return the counts of one spun text: characters, phrases and suggestions, known and right."""
    replaced = [k for k in known if k.end > k.start and k.original]
    own = _characters(text, ((s.start, s.end) for s in shown))
    true = _characters(text, ((k.start, k.end) for k in replaced))
    touching = [s for s in shown if any(k.start < s.end and s.start < k.end for k in replaced)]
    found = [k for k in replaced if any(k.start < s.end and s.start < k.end for s in shown)]
    out = {
        "shown_characters": float(len(own)),
        "replaced_characters": float(len(true)),
        "right_characters": float(len(own & true)),
        "spans": float(len(shown)),
        "right_spans": float(len(touching)),
        "phrases": float(len(replaced)),
        "found_phrases": float(len(found)),
        "with_suggestion": float(sum(bool(s.suggestions) for s in touching)),
    }
    for top in TOP:
        hits = 0
        for s in touching:
            right = what_stood_there(text, s, replaced)
            hits += any(normal(x) in right for x in s.suggestions[:top])
        out[f"hits_{top}"] = float(hits)
    return out


def estimates(counts: Counts, seed: int) -> Json:
    """Return the rates of a set of spun texts with known replacements."""
    return {
        "texts": len(counts.rows),
        "character_precision": counts.ratio("right_characters", "shown_characters", seed),
        "character_recall": counts.ratio("right_characters", "replaced_characters", seed),
        "phrase_precision": counts.ratio("right_spans", "spans", seed),
        "phrase_recall": counts.ratio("found_phrases", "phrases", seed),
        "with_suggestion": counts.ratio("with_suggestion", "right_spans", seed),
        **{f"suggestion_hit_{top}": counts.ratio(f"hits_{top}", "right_spans", seed) for top in TOP},
    }


def clean_rate(texts: Sequence[tuple[str, int, int]], seed: int) -> Json | None:
    """Return spans per 1,000 words of texts that nobody spun; `texts`: (group, words, spans shown)."""
    counts = Counts()
    for group, words, spans in texts:
        counts.add(group, {"words": float(words), "spans": float(spans)})
    return counts.ratio("spans", "words", seed, 1000.0)


def artefacts_covered(
    texts: Sequence[tuple[str, str, Sequence[Shown], Sequence[Mapping[str, str]]]], seed: int
) -> Json | None:
    """Return the share of the phrases that a reader marked which spans cover by half or more of their characters.

    `texts`: (group, text, spans, [{phrase, probable_original}]). Phrases that do not stand in the text word for word
    (any case, any white space) are left out. The reader did not mark everything, so there is no precision. A hit: a
    content word of the probable original that is not in the phrase is among the words of the first three suggestions of
    a span that touches the phrase; its rate is of all marked phrases with such a word, covered or not.
    """
    counts = Counts()
    for group, text, shown, marked in texts:
        covered = _characters(text, ((s.start, s.end) for s in shown))
        row = {"marked": 0.0, "covered": 0.0, "with_original": 0.0, "hits": 0.0}
        for entry in marked:
            words = _WORD.findall(str(entry.get("phrase") or ""))
            place = (
                re.search(r"\b" + r"\W+".join(map(re.escape, words)) + r"\b", text, re.IGNORECASE) if words else None
            )
            if place is None:
                continue
            own = _characters(text, [place.span()])
            row["marked"] += 1
            row["covered"] += 2 * len(own & covered) >= len(own)
            original = set(normal(str(entry.get("probable_original") or "")).split())
            wanted = content_words(original - {w.lower() for w in words})
            if not wanted:
                continue
            row["with_original"] += 1
            touching = [s for s in shown if s.start < place.end() and place.start() < s.end]
            suggested = {w for s in touching for x in s.suggestions[: TOP[-1]] for w in normal(x).split()}
            row["hits"] += not wanted.isdisjoint(suggested)
        counts.add(group, row)
    covered_share = counts.ratio("covered", "marked", seed)
    if covered_share is None:
        return None
    return {"covered": covered_share, f"suggestion_hit_{TOP[-1]}": counts.ratio("hits", "with_original", seed)}
