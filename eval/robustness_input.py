"""What page furniture, tricks with characters and wrong encodings do to the shipped detector, before and after.

"Before" is the same model on the text as it stands, without normal form and without leaving furniture out; "after" is
the detector as shipped. Every changed text is compared with itself unchanged, so the differences hold for the texts at
hand even where the model was trained on some of them; the levels are flattered then and are no estimate.
"""

# Tables of a report stand as they are.
# ruff: noqa: E501

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from detector import SpinDetector, SpinResult, __version__
from detector.errors import InputError
from detector.normalise import WARNINGS, normalise
from detector.reading import decode
from detector.segment import prepare
from eval.attacks import ATTACKS, UNICODE_ATTACKS, attack
from eval.metrics import signature, wilson_interval
from eval.page_furniture import HELD_OUT, KNOWN, with_furniture
from eval.plain import as_it_stands, preparing
from eval.report import digest_tables, table_lines
from eval.sampling import balanced_sample
from train.corpora import Document, load_documents

POINTS = ("strict", "balanced", "sensitive")
TOLERANCE = 0.05  # of a probability: what furniture may change
_LONGEST, _FEWEST = 350, 60  # words of a text: enough to be sure of it, and the run stays short

Json = dict[str, Any]
Change = Callable[[str], str]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """The texts of a run, and the detector's results on them unchanged. `thresholds`: of the operating points."""

    detector: SpinDetector
    human: list[Document]
    spun: list[Document]
    plain: Mapping[str, SpinResult]
    thresholds: Mapping[str, float]
    signature: str

    @property
    def documents(self) -> list[Document]:
        """All texts, human ones first."""
        return [*self.human, *self.spun]

    def flagged(self, results: Sequence[SpinResult], point: str) -> int:
        """Return how many results are spun at an operating point; what is not scored is not."""
        return sum((r.probability or 0.0) >= self.thresholds[point] for r in results)


def draw(data: Path, model: str | None, human: int, spun: int, seed: int) -> Sample:
    """Return a sample balanced over the tables, scored."""
    documents = load_documents(data)
    chosen = [
        balanced_sample(documents, label, count, seed, longest=_LONGEST, fewest=_FEWEST)
        for label, count in (("original", human), ("spun", spun))
    ]
    one = SpinDetector.load(model)
    both = [*chosen[0], *chosen[1]]
    mark = signature(
        model=one.model_id,
        data=digest_tables(data, {d.table for d in both}),
        human=len(chosen[0]),
        spun=len(chosen[1]),
        words=_LONGEST,
        seed=seed,
        v=__version__,
    )
    plain = {d.id: one.score(d.text) for d in both}
    return Sample(one, chosen[0], chosen[1], plain, dict(one.operating_points), mark)


def _score(sample: Sample, documents: Sequence[Document], change: Change, before: bool = False) -> list[SpinResult]:
    with preparing(as_it_stands if before else prepare):
        return [sample.detector.score(change(d.text)) for d in documents]


def _share(count: int, of: int) -> str:
    low, high = wilson_interval(count, of)
    return f"{count / of:.1%} ({low:.1%} to {high:.1%})"


# --- furniture ---


def furniture_report(sample: Sample, seed: int) -> tuple[list[str], Json]:
    """Return the report on furniture as Markdown lines and as plain JSON types."""
    rows: list[list[str]] = []
    numbers: Json = {}
    for known, styles in ((True, KNOWN), (False, HELD_OUT)):
        total = Counter[str]()
        for style in styles:
            counts = _furniture_counts(sample, style, seed)
            total.update(counts)
            numbers[style] = {"held_out": not known, **counts}
            rows.append(_furniture_row(style.replace("_", " "), known, counts))
        rows.append(_furniture_row("**all of these**", known, total))
    lines = [
        "# Page furniture", "", f"`{sample.signature}`", "",
        "Menus, share bars, cookie banners, comment forms, records, captions and second copies put around each text "
        "(eval/page_furniture.py, made up for this). `within`: share of the texts whose probability changes by at most "
        f"{TOLERANCE}, with the 95 % Wilson interval; a text that is scored in one form and not in the other counts as "
        "changed. Before: nothing is left out. Styles not known: they were put aside before the rules were last worked "
        "on, and stand for sites not seen.", "",
        *table_lines(
            ["style", "known to the rules", "texts", "within, before", "within, after", "words left over a text",
             "false positives plain / before / after", "found plain / before / after"], rows),
        "", "## What is ignored of untouched human texts", "", *_ignored_lines(sample, numbers),
    ]  # fmt: skip
    return lines, numbers


def _furniture_counts(sample: Sample, style: str, seed: int) -> Counter[str]:
    counts = Counter[str]()
    for document in sample.documents:
        page = with_furniture(document.text, style, Random(f"{seed}|{style}|{document.id}"))
        plain = sample.plain[document.id]
        counts["texts"] += 1
        kind = "human" if document.label == "original" else "spun"
        counts[kind] += 1
        counts[f"{kind}_plain"] += sample.flagged([plain], "balanced")
        for name, function in (("before", as_it_stands), ("after", prepare)):
            with preparing(function):
                result = sample.detector.score(page)
            a, b = plain.probability, result.probability
            counts[f"within_{name}"] += (a is None) == (b is None) and abs((a or 0.0) - (b or 0.0)) <= TOLERANCE
            counts[f"{kind}_{name}"] += sample.flagged([result], "balanced")
            if name == "after":
                counts["words_left"] += max(0, result.words - plain.words)
    return counts


def _furniture_row(name: str, known: bool, counts: Mapping[str, int]) -> list[str]:
    n = counts["texts"]
    return [
        name, "yes" if known else "no", str(n), _share(counts["within_before"], n), _share(counts["within_after"], n),
        f"{counts['words_left'] / n:.1f}",
        *(" / ".join(str(counts[f"{kind}_{form}"]) for form in ("plain", "before", "after")) + f" of {counts[kind]}"
          for kind in ("human", "spun")),
    ]  # fmt: skip


def _ignored_lines(sample: Sample, numbers: Json) -> list[str]:
    words, ignored, hit, texts = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for document in sample.human:
        result = sample.plain[document.id]
        words[document.table] += len(document.text.split())
        out = sum(len(document.text[i.start : i.end].split()) for i in result.ignored)
        ignored[document.table] += out
        hit[document.table] += out > 0
        texts[document.table] += 1
    numbers["untouched"] = {"words": words.total(), "ignored": ignored.total(), "texts_hit": hit.total()}
    rows = [
        [table, str(texts[table]), str(hit[table]), f"{ignored[table] / words[table]:.2%}"] for table in sorted(words)
    ]
    rows.append(["**all**", str(texts.total()), str(hit.total()), f"{ignored.total() / words.total():.2%}"])
    return table_lines(["table", "texts", "with anything ignored", "of the words"], rows)


# --- tricks with characters ---


def unicode_report(sample: Sample, seed: int) -> tuple[list[str], Json]:
    """Return the report on tricks with characters as Markdown lines and as plain JSON types."""
    rows: list[list[str]] = []
    numbers: Json = {}
    for name in UNICODE_ATTACKS:
        if name == "mojibake":
            continue
        numbers[name] = found = _attacked(sample, partial(_by_name, name, seed))
        rows.append(_attack_row(name.replace("_", " "), found))
    lines = [
        "# Tricks with characters", "", f"`{sample.signature}`", "",
        "Each trick on every text (eval/attacks.py). `found`: spun texts flagged, unattacked / before / after; the goal is "
        "98 % of the unattacked ones. `false positives`: human texts flagged at balanced, likewise. `lost`: spun texts "
        "flagged without the trick at any operating point and not with it. `named`: attacked texts whose result has the "
        "warning that is most frequent for the trick.", "",
        *table_lines(["trick", *(f"found, {p}" for p in POINTS), "kept (all points)", "lost", "false positives",
                      "named", "warning"], rows),
        "", "What each does: " + "; ".join(f"*{n.replace('_', ' ')}*: {ATTACKS[n].about[0].lower()}{ATTACKS[n].about[1:]}"
                                             for n in numbers) + ".",
        "", "## Warnings on untouched human texts", "", *_warning_lines(sample, numbers),
    ]  # fmt: skip
    return lines, numbers


def _by_name(name: str, seed: int, text: str) -> str:
    return attack(name, text, seed)


def _garbled(codecs: Sequence[str], text: str) -> str:
    return garble(typeset(text), codecs)


def _attacked(sample: Sample, change: Change) -> Json:
    out: Json = {}
    for kind, documents in (("human", sample.human), ("spun", sample.spun)):
        plain = [sample.plain[d.id] for d in documents]
        before, after = (_score(sample, documents, change, before) for before in (True, False))
        out[kind] = len(documents)
        for point in POINTS:
            out[f"{kind}_{point}"] = [sample.flagged(r, point) for r in (plain, before, after)]
        if kind == "spun":
            out["lost"] = sum(
                (a.probability or 0.0) >= t > (b.probability or 0.0)
                for a, b in zip(plain, after, strict=True)
                for t in sample.thresholds.values()
            )
        codes = Counter(code for r in after for code in r.warnings)
        out[f"{kind}_warnings"] = dict(codes)
    return out


def _attack_row(name: str, found: Json) -> list[str]:
    def slashed(kind: str, point: str) -> str:
        return " / ".join(map(str, found[f"{kind}_{point}"])) + f" of {found[kind]}"

    plain, after = (sum(found[f"spun_{p}"][i] for p in POINTS) for i in (0, 2))
    codes: Counter[str] = Counter(found["spun_warnings"]) + Counter(found["human_warnings"])
    code, count = codes.most_common(1)[0] if codes else ("none", 0)
    kept = f"{after / plain:.1%}" if plain else "none found"
    return [
        name, *(slashed("spun", p) for p in POINTS), kept, str(found["lost"]), slashed("human", "balanced"),
        _share(count, found["spun"] + found["human"]), f"`{code}`",
    ]  # fmt: skip


def _warning_lines(sample: Sample, numbers: Json) -> list[str]:
    codes = Counter(code for d in sample.human for code in normalise(d.text).warnings)
    numbers["untouched_warnings"] = dict(codes)
    n = len(sample.human)
    return table_lines(
        ["warning", "texts", "share"], [[f"`{c}`", str(codes[c]), _share(codes[c], n)] for c in WARNINGS]
    )


# --- encodings ---

_WRONG: Mapping[str, tuple[str, ...]] = {
    "UTF-8 read as Windows-1252": ("cp1252",),
    "UTF-8 read as Latin-1": ("latin_1",),
    "UTF-8 read as Windows-1252, twice": ("cp1252", "cp1252"),
    "UTF-8 read as Mac Roman": ("mac_roman",),
    "UTF-8 read as code page 437": ("cp437",),
    "UTF-8 read as Windows-1251": ("cp1251",),
}
_FILES: Mapping[str, tuple[str, str]] = {
    "UTF-8": ("utf-8", ""), "UTF-8 with mark": ("utf-8-sig", ""), "UTF-16 with mark": ("utf-16", ""),
    "UTF-16, little end first, no mark": ("utf-16-le", ""), "UTF-16, big end first, no mark": ("utf-16-be", ""),
    "Windows-1252": ("cp1252", ""), "Latin-1": ("latin_1", "no quotes"),
}  # fmt: skip


def typeset(text: str) -> str:
    """Return the text with typographic quotes, apostrophes and dashes, which is what wrong encodings garble."""
    pieces = text.replace("'", "\u2019").replace("--", "\u2014").split('"')
    return "".join(p + ("\u201c\u201d"[i % 2] if i < len(pieces) - 1 else "") for i, p in enumerate(pieces))


def garble(text: str, codecs: Sequence[str]) -> str:
    """Return the text as it looks when its UTF-8 is read by each of these codecs in turn."""
    for codec in codecs:
        raw = text.encode("utf-8", "replace")
        text = "".join(bytes([b]).decode(codec, "replace").replace("\ufffd", chr(b)) for b in raw)
    return text


def mojibake_report(sample: Sample, seed: int) -> tuple[list[str], Json]:
    """Return the report on wrong encodings as Markdown lines and as plain JSON types."""
    rows: list[list[str]] = []
    numbers: Json = {}
    changes: dict[str, Change] = {n: partial(_garbled, c) for n, c in _WRONG.items()}
    changes["odd quotes, UTF-8 read as Windows-1252"] = partial(_by_name, "mojibake", seed)
    for name, change in changes.items():
        numbers[name] = found = _attacked(sample, change)
        rows.append(_attack_row(name, found))
    files = []
    for name, (codec, special) in _FILES.items():
        same = of = 0
        for document in sample.documents:
            text = document.text if special else typeset(document.text)
            try:
                data = text.encode(codec)
            except UnicodeEncodeError:
                continue  # this text cannot be had in this encoding
            of += 1
            try:
                same += decode(data, "text")[0] == text
            except InputError:
                logger.info("%s in %s is refused", document.id, codec)
        numbers[f"file: {name}"] = {"texts": of, "same": same}
        files.append([name, str(of), _share(same, of)])
    lines = [
        "# Wrong encodings", "", f"`{sample.signature}`", "", "## Text that was garbled before it came", "",
        "Typographic quotes and dashes put into every text, then its UTF-8 read by a wrong codec. Columns as in unicode.md.",
        "", *table_lines(["text", *(f"found, {p}" for p in POINTS), "kept (all points)", "lost", "false positives",
                          "named", "warning"], rows),
        "", "## Files in their encodings, none named", "",
        "The same texts as bytes, read without `--encoding`; texts that an encoding cannot hold are left out.", "",
        *table_lines(["file", "texts", "read as written"], files),
    ]  # fmt: skip
    return lines, numbers


REPORTS: Mapping[str, Callable[[Sample, int], tuple[list[str], Json]]] = {
    "furniture": furniture_report,
    "unicode": unicode_report,
    "mojibake": mojibake_report,
}


def run(
    data: Path, model: str | None, human: int, spun: int, seed: int, names: Sequence[str], out: Path | None
) -> Iterator[tuple[str, str]]:
    """Make the reports of these names; yield each with its Markdown, and write it to `out` if given."""
    sample = draw(data, model, human, spun, seed)
    for name in names:
        lines, numbers = REPORTS[name](sample, seed)
        text = "\n".join(lines) + "\n"
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{name}.md").write_text(text, encoding="utf-8")
            record = {"signature": sample.signature, "numbers": numbers}
            (out / f"{name}.json").write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        yield name, text
