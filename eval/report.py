"""From metrics.json to the report, Markdown and HTML: names of sets and numbers, never text of the data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.blocks import Block, Heading, Paragraph, Picture, Table, table_lines, to_html, to_markdown
from eval.metrics import AUPRC_PREVALENCE, FPR_TARGETS, PARTIAL_FPR, PREVALENCES, RANKING_MEASURES
from eval.protocols import MASKED_SUFFIX
from eval.reliability import MIXES
from eval.summary import SMALL_SET
from train.corpora import ROOT

__all__ = ["ROOT", "SMALL_SET", "blocks", "cell", "digest_tables", "percent", "table_lines", "write"]
Json = dict[str, Any]
DIGITS = 6  # decimals of the numbers in metrics.json; more are noise


def percent(target: float) -> str:
    """Return a rate as it is written in tables.

    >>> percent(0.001), percent(0.05)
    ('0.1 %', '5 %')
    """
    return f"{100 * target:g} %"


def digest_tables(data: Path, tables: Iterable[str]) -> str:
    """Return 12 hex digits over the names and bytes of the tables."""
    total = hashlib.sha256()
    for table in sorted(tables):
        total.update(f"{table}\0".encode())
        total.update(hashlib.sha256((data / f"{table}.parquet").read_bytes()).digest())
    return total.hexdigest()[:12]


def digest_of(digests: Mapping[str, str]) -> str:
    """Return 12 hex digits over names and digests of tables and files."""
    lines = "".join(f"{name}\0{digests[name]}\n" for name in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()[:12]


def cell(entry: Json | None, digits: int = 1, scale: float = 100.0) -> str:
    """Return a number with its interval (shares in percent), or a dash where there is none."""
    values = [entry.get(k) for k in ("value", "low", "high")] if entry else [None]
    if any(v is None for v in values):
        return "–"
    text = [f"{scale * v:.{digits}f}" for v in values if v is not None]
    return f"{text[0]} ({text[1]}–{text[2]})"


def rounded(value: Any) -> Any:
    """Return JSON data with every float rounded to `DIGITS` decimals."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(v) for v in value]
    return value


def threshold_head(key: str) -> str:
    """Return the head of a column: an operating point, or a rate of false positives."""
    try:
        return f"at {percent(float(key))}"
    except ValueError:
        return key


def _mark(entry: Json) -> str:
    return f"{entry['set']} †" if entry["small"] else str(entry["set"])


HOW_TO_READ: Mapping[str, str] = {
    "leave-one-tool-out": (
        "Each spun set was scored by models that saw **no output of its tool family** in training: SpinBot "
        "(`spinbot_*`, `paired_openings`), QuillBot (`quillbot_pairs`; `paired_openings`, of which some look like "
        "QuillBot, is then left out of training as well), and the wild ones (`wild`, `finance_glossary`, "
        "`glossary_more`, `paired_paragraphs`). Families are collections: which engine stands behind a page found "
        "in the wild is unknown, and some of those of 2022 may well be SpinBot's. Read the wild sets as *pages "
        "never seen*, not as surely a tool never seen."
    ),
    "known-tool": (
        "Each spun set was scored by models that saw **other articles of the same tool** in training, and none that "
        "shares an original, a title or a page with it. This is the estimate for new articles by known tools."
    ),
    "fixed": "Nothing was trained in this run but baselines that need it.",
}
HUMAN_TEXTS = (
    "Human texts were held out by writer: the thirteen small sets each wholly in one fold, `us_news` by outlet, "
    "`dailymail` (one outlet) by article. `students_gulf`, which answers the questions of `quillbot_pairs`, stays "
    "in training as human text whenever it is not in the held-out fold, also when QuillBot is left out. "
    "`learner_essays` is licensed for non-commercial use: scored only, in no training and in no threshold."
)
HALVES = (
    "Thresholds belong to one model and one half of its held-out human texts; a text is judged by the half that it "
    "is not in, so that every false-positive rate is measured on texts that did not set the threshold."
)
PARTS = {
    "table": "by human texts of other tables (four folds that hold small tables and outlets whole)",
    "writer": "by human texts of other kinds of writer",
    "group": "by human texts of other groups (four folds)",
}
CELLS = (
    "Cells: percent with the 95 % interval; *texts* is n. Shares: Wilson, at the effective sample size where texts "
    "share an original. AUROC, AUPRC, pAUC, F1 and calibration: bootstrap over groups of texts (spun and human), "
    f"thresholds held fixed. AUPRC: in a stream of which {percent(AUPRC_PREVALENCE)} is spun. pAUC: area up to "
    f"{percent(PARTIAL_FPR)} false positives, standardised after McClish (1989) as in scikit-learn (chance 50, "
    "perfect 100). Precision by share of spun articles: bounds from the worst and best corner of both intervals "
    "(conservative). Intervals hold for texts like these; they do not cover writers or tools of kinds that are not "
    f"here. † fewer than {SMALL_SET} texts: a rate there says little."
)
POINTS_OF_THESE = (
    "Our own scores of a file (`python -m train screen --held-out-scores`) are those of the shipped examiner, which "
    "saw none of these groups, behind screens and joins that were trained again without each text's group by the same "
    "recipe; vocabulary, association counts and the screen's article model saw them. **The operating points were set "
    "on these human texts**: what they flag here is what was chosen, not what to expect. The columns *threshold "
    "without this set* set them anew by the same rule on all other sets; they say what to expect of writers that are "
    "not here."
)
WORST = (
    "The worst of many groups looks worse than it is (its chance error was picked along with it); the second interval "
    "holds for all groups at once (Bonferroni)."
)
MASKED = (
    f"`wild{MASKED_SUFFIX}`: passages of `wild` with the phrase that they were found by cut out (they were found by "
    "searching for known phrases, which flatters detectors that know them)."
)

GENERATIONS = (
    "Tools A1, A2 and A3: generations of the most used spinner by its glue phrases (2015 to 2019, 2019 to 2022, since "
    "2022), for pages found in the wild."
)


def _first_lines(m: Json) -> list[Block]:
    out: list[Block] = [Heading(f"{m['model']}: {m['title'] or m['suite']}", 1)]
    warning = "" if m["held_out"] else f"**Not held out.** {m['not_held_out']}"
    about = " ".join(x for x in (warning, m["about"]) if x)
    out += [Paragraph(about)] if about else []
    if m["changed_data"]:
        out.append(
            Paragraph(f"**Not the pinned data: {', '.join(m['changed_data'])}.** Not comparable with other runs.")
        )
    counts = ", ".join(f"{n:,} {label.replace('_', '-')}" for label, n in m["texts"].items())
    left = [f"{n:,} {k if '`' in k else k.replace('_', ' ')}" for k, n in m["left_out"].items() if n]
    out.append(
        Paragraph(
            f"Texts: {counts}." + (f" Left out: {', '.join(left)}." if left else "") + f" Data `{m['data']['digest']}`."
        )
    )
    refused = {n: s["not_scored"] for n, s in m["systems"].items() if s["not_scored"]}
    if refused:
        named = ", ".join(f"{name} {count:,}" for name, count in refused.items())
        out.append(Paragraph(f"Texts that a system declined to score, counted as not flagged: {named}."))
    out += _overlap(m["overlap"])
    return out


def _overlap(found: Json | None) -> list[Block]:
    if not found or not found.get("texts"):
        why = (found or {}).get("why", "no training texts are at hand")
        return [Paragraph(f"Overlap of test texts with training texts: **not checked** ({why}).")]
    done = {"drop": "were left out", "report": "were kept", "error": "stop the run"}[found["action"]]
    limit = percent(found["limit"])
    said = (
        f"Overlap of the {found['texts']:,} texts scored with {found['against']}, in word n-grams. Texts of which more "
        f"than {limit} of the 8-word n-grams stand in training {done}: {found['above_limit']:,}. The others share set "
        "phrases, quotations and boilerplate."
    )
    rows = []
    for name, entry in {**found["by_set"], "**all**": found}.items():
        cells = [name, str(entry["texts"])]
        for size in entry["by_size"].values():
            share = size["texts_with_any"] / entry["texts"]
            cells += [f"{100 * share:.1f}", f"{100 * size['mean_share']:.2f}", f"{100 * size['largest_share']:.0f}"]
        rows.append([*cells, str(entry["above_limit"])])
    head = ["set", "texts"]
    for size in found["by_size"]:
        head += [f"share one of {size} words, % of texts", f"mean share of {size}-grams, %", "largest, %"]
    return [Paragraph(said), Table([*head, f"over {limit}"], rows)]


def _reading(m: Json) -> list[Block]:
    out: list[Block] = [Heading("How to read this")]
    out.append(Paragraph(HOW_TO_READ[m["protocol"]]))
    if m["protocol"] != "fixed":
        out.append(Paragraph(HUMAN_TEXTS))
    judged = {e["set"] for s in m["systems"].values() for kind in s["sets"].values() for e in kind}
    if missing := sorted(name for name in m["data"]["files"] if "/" in name and name not in judged):
        out.append(Paragraph(f"**Not judged**, since no model here was held out from them: {', '.join(missing)}."))
    units = sorted({bool(s["rounds"]) for s in m["systems"].values()})
    if True in units:
        out.append(Paragraph(HALVES))
    if False in units:
        names = [n for n, s in m["systems"].items() if not s["rounds"]]
        out.append(
            Paragraph(
                f"Thresholds for a rate of false positives ({', '.join(names)}): each text is judged "
                f"{PARTS[m['threshold_unit']]}, so that no text takes part in a threshold used on it."
            )
        )
    points = next((s["operating_points"] for s in m["systems"].values() if s["operating_points"]), None)
    if points:
        named = ", ".join(f"{k} (p ≥ {v:.3f})" for k, v in points.items())
        out.append(Paragraph(f"Operating points as shipped: {named}."))
    left = {n: [percent(t) for t in FPR_TARGETS if str(t) not in s["thresholds"]] for n, s in m["systems"].items()}
    for name, rates in left.items():
        if rates:
            s = m["systems"][name]
            out.append(
                Paragraph(
                    f"{name}: thresholds come from as few as {s['smallest_pool']:,} human texts, which support rates "
                    f"down to {100 * s['smallest_fpr']:.2f} %; **{' and '.join(rates)} cannot be measured and is "
                    "left out.**"
                )
            )
    tools = {e["set"] for s in m["systems"].values() for e in s["slices"]["spun"]["tool"]}
    notes = [CELLS, *([MASKED] if m["masked"] else []), *([GENERATIONS] if tools & {"A1", "A2", "A3"} else [])]
    out.append(Paragraph(" ".join(notes)))
    return out


def _side_by_side(m: Json) -> list[Block]:
    systems: Json = m["systems"]
    names = list(systems)
    first = systems[names[0]]
    if len(names) < 2 or not first["spun"]:
        return []
    out: list[Block] = [Heading("Side by side")]
    signatures = ["`" + systems[n]["signature"] + "`" for n in names]
    out.append(Paragraph(f"Texts that all systems scored. Signatures: {'; '.join(signatures)}"))
    for key in [k for k in first["thresholds"] if all(k in systems[n]["thresholds"] for n in names)]:
        rows = []
        for k, entry in enumerate(first["sets"]["spun"]):
            cells = [cell(systems[n]["sets"]["spun"][k]["flagged"][key]) for n in names]
            rows.append([f"recall {_mark(entry)}", str(entry["texts"]), *cells])
        human = [cell(systems[n]["human"]["flagged"][key], 2) for n in names]
        rows.append(["false positives, human", str(first["human"]["texts"]), *human])
        worst = [systems[n]["worst"]["writer"][key] for n in names]
        rows.append(["worst kind of writer", "", *(f"{w['set']} {cell(w)}" if w else "–" for w in worst)])
        f1 = [cell(systems[n]["overall"][key]["f1"]) for n in names]
        rows.append(["F1, mix of this suite", str(first["human"]["texts"] + first["spun"]["texts"]), *f1])
        out += [Heading(threshold_head(key).capitalize() + (" false positives" if key[0].isdigit() else ""), 3)]
        out.append(Table(["", "texts", *names], rows))
    rows = [
        [_mark(e), str(e["texts"]), *(cell(systems[n]["sets"]["spun"][k]["ranking"]["auroc"]) for n in names)]
        for k, e in enumerate(first["sets"]["spun"])
    ]
    rows.append(["all spun texts", str(first["spun"]["texts"]), *(cell(systems[n]["ranking"]["auroc"]) for n in names)])
    out += [Heading("Area under the ROC curve", 3), Table(["", "texts", *names], rows)]
    out += _others_side_by_side(systems, names)
    calibrated = [n for n in names if systems[n]["calibration"]]
    if not calibrated:
        return out
    every = [systems[n]["calibration"] for n in calibrated]
    rows = [
        [f"{title}, {MIXES[every[0]['mix']]}", str(every[0][key]["n"]), *(cell(c[key], 4, 1.0) for c in every)]
        for key, title in (("ece", "expected calibration error"), ("brier", "Brier score"))
    ]
    return [*out, Heading("Calibration", 3), Table(["", "texts", *calibrated], rows)]


def _others_side_by_side(systems: Json, names: Sequence[str]) -> list[Block]:
    """Return what the systems flag of texts that are not spun, set by set: what they find may be a topic."""
    key = next((k for k in ("0.01", "0.05") if all(k in systems[n]["thresholds"] for n in names)), None)
    if key is None:
        return []
    rows = []
    for kind in ("human", "machine_made"):
        for k, e in enumerate(systems[names[0]]["sets"][kind]):
            rows.append(
                [_mark(e), str(e["texts"]), *(cell(systems[n]["sets"][kind][k]["flagged"][key]) for n in names)]
            )
    note = "A system that flags a spun set and as much of the human set on the same topics has found the topic."
    if any(e["set"] == "human/students_gulf" for e in systems[names[0]]["sets"]["human"]):
        note += (
            " Read `quillbot_pairs` beside `students_gulf` (the same questions), `spinbot_news` beside "
            "`dailymail_2020`, `spinbot_science` beside `cs_abstracts` and the translated abstracts."
        )
    head = ["", "texts", *names]
    title = f"Flagged of texts that are not spun, {threshold_head(key)} false positives"
    return [Heading(title, 3), Paragraph(note), Table(head, rows)]


def _spun(s: Json) -> list[Block]:
    keys, heads = s["thresholds"], [threshold_head(k) for k in s["thresholds"]]
    out: list[Block] = [Heading("Precision, recall, F1 in the mix of this suite", 3)]
    n = next(iter(s["overall"].values()))["n"] if s["overall"] else {"spun": 0, "human": 0}
    rows = [
        [h, f"{n['spun']:,} + {n['human']:,}", *(cell(s["overall"][k][x]) for x in ("precision", "recall", "f1"))]
        for h, k in zip(heads, keys, strict=True)
    ]
    out.append(Table(["threshold", "texts, spun + human", "precision", "recall", "F1"], rows, s["signature"]))
    out.append(Heading("Precision by share of spun articles in the stream", 3))
    rows = [[h, *(cell(s["precision"][k][str(p)]) for p in PREVALENCES)] for h, k in zip(heads, keys, strict=True)]
    note = f" (from recall of {n['spun']:,} spun and flags of {n['human']:,} human texts)"
    head = ["threshold" + note, *(f"{percent(p)} spun" for p in PREVALENCES)]
    out.append(Table(head, rows, s["signature"]))
    out.append(Heading("Spun sets: recall", 3))
    ranks = ("AUROC", f"AUPRC, {percent(AUPRC_PREVALENCE)} spun", f"pAUC, {percent(PARTIAL_FPR)}")
    rows = [
        [_mark(e), str(e["texts"]), str(e["groups"])]
        + [cell(e["flagged"][k]) for k in keys]
        + [cell(e["ranking"][m]) for m in RANKING_MEASURES]
        for e in s["sets"]["spun"]
    ]
    every = s["spun"]
    rows.append(
        ["**all**", str(every["texts"]), str(every["groups"])]
        + [cell(every["flagged"][k]) for k in keys]
        + [cell(s["ranking"][m]) for m in RANKING_MEASURES]
    )
    return [*out, Table(["set", "texts", "groups", *heads, *ranks], rows, s["signature"])]


def _set_precision(s: Json) -> list[Block]:
    out: list[Block] = []
    keys = [k for k in s["thresholds"] if k in ("0.01", "balanced", "argmax")]
    for key in keys:
        out.append(Heading(f"Precision by spun set, {threshold_head(key)}", 3))
        rows = [
            [_mark(e), str(e["texts"]), *(cell(e["precision"][key][str(p)]) for p in PREVALENCES)]
            for e in s["sets"]["spun"]
        ]
        out.append(Table(["set", "texts", *(f"{percent(p)} spun" for p in PREVALENCES)], rows, s["signature"]))
    return out


def _slices(title: str, entries: Sequence[Json], s: Json, digits: int = 1) -> list[Block]:
    if not entries:
        return []
    keys = s["thresholds"]
    rows = [[_mark(e), str(e["texts"]), *(cell(e["flagged"][k], digits) for k in keys)] for e in entries]
    return [Heading(title, 3), Table(["", "texts", *map(threshold_head, keys)], rows, s["signature"])]


def _human(s: Json) -> list[Block]:
    keys = s["thresholds"]
    anew = s["points_set_on_these_texts"]
    rates = [k for k in keys if k[0].isdigit() or anew]
    rows = []
    for e in [s["human"], *s["sets"]["human"]]:
        new = e.get("threshold_without_set") or {}
        name = _mark(e) + ("" if e.get("in_thresholds", True) else " (NC, in no threshold)")
        rows.append(
            [name, str(e["texts"]), *(cell(e["flagged"][k], 2) for k in keys), *(cell(new.get(k), 2) for k in rates)]
        )
    head = ["set", "texts", *map(threshold_head, keys)]
    head += [f"{threshold_head(k)}, threshold without this set" for k in rates]
    out: list[Block] = [Heading("Human sets: flagged", 3)]
    if anew:
        out.append(Paragraph(POINTS_OF_THESE))
    out.append(Table(head, rows, s["signature"]))
    return out


def _worst(s: Json) -> list[Block]:
    rows = []
    for what, label in (("writer", "most flagged kind of writer"), ("tool", "least found tool")):
        for key, w in s["worst"][what].items():
            if w:
                both = f"{100 * w['all_low']:.1f}–{100 * w['all_high']:.1f}"
                rows.append([f"{label}, {threshold_head(key)}", w["set"], str(w["n"]), str(w["of"]), cell(w), both])
    if not rows:
        return []
    head = ["", "group", "texts", "groups compared", "flagged", "holds for all"]
    return [Heading("Worst groups", 3), Paragraph(WORST), Table(head, rows, s["signature"])]


def _calibration(s: Json) -> list[Block]:
    c = s["calibration"]
    if not c:
        return []
    note = (
        "A probability is calibrated for one mix of texts. Here half of every mix is spun; the other half is human, "
        f"machine-translated and model-written text, without what the system declined to score. {c['bins']} bins of "
        "equal mass. ECE is biased upwards by the noise within bins. A constant answer of 0.5 has a Brier score of "
        "0.25."
    )
    if c["mix"] == "recipe":
        note += (
            " The probabilities are stated for the first mix: `[mass]` in train/recipes/screen.toml. In the others "
            "they may be off without being wrong."
        )
    rows = [
        [MIXES[k], str(e["ece"]["n"]), cell(e["ece"], 4, 1.0), cell(e["brier"], 4, 1.0)] for k, e in c["mixes"].items()
    ]
    out: list[Block] = [Heading("Calibration", 3), Paragraph(note)]
    out.append(Table(["mix", "texts", "expected calibration error", "Brier score"], rows, s["signature"]))
    out.append(Heading("Calibration by set", 3))
    out.append(
        Paragraph(
            "Mean probability: of a spun set it should be near 100, of any other near 0; what is missing are texts "
            "that the system cannot tell. Against the rest: this set as the spun half, all that is not spun as the "
            "other half."
        )
    )
    rows = []
    for e in c["sets"]:
        rest = e.get("against_rest") or {}
        shown = [cell(rest.get("ece"), 3, 1.0), cell(rest.get("brier"), 3, 1.0)]
        rows.append([e["set"], str(e["texts"]), cell(e["mean"]), f"{e['brier']:.4f}", *shown])
    head = [
        "set",
        "texts",
        "mean probability, %",
        "Brier score",
        "ECE against the rest",
        "Brier against the rest",
    ]
    out.append(Table(head, rows, s["signature"]))
    return out


def _spans(s: Json) -> list[Block]:
    found = s.get("spans")
    if not found:
        return []
    out: list[Block] = [Heading("Spans", 3)]
    if found["pairs"]:
        names = {
            "character_precision": "precision, characters",
            "character_recall": "recall, characters",
            "phrase_precision": "precision, phrases",
            "phrase_recall": "recall, phrases",
            "suggestion_hit_1": "first suggestion right",
            "suggestion_hit_3": "one of three right",
        }
        rows = [
            [e["set"], str(e["texts"]), *(f"{cell(e[k])}, n {e[k]['n']:,}" if e[k] else "–" for k in names)]
            for e in found["pairs"]
        ]
        out.append(
            Paragraph(
                "Shown spans against phrases known to be replaced; n counts characters, spans, phrases, and right "
                "spans. Texts in which nothing is shown count in recall. Real pairs are aligned, which is right "
                "about nine times in ten. A suggestion is right if it is the original phrase (articles aside)."
            )
        )
        out.append(Table(["set", "texts", *names.values()], rows, s["signature"]))
    if found["clean"]:
        rows = [
            [e["set"], str(e["texts"]), f"{e['per_1000_words']['n']:,}", cell(e["per_1000_words"], 2, 1.0)]
            for e in found["clean"]
            if e["per_1000_words"]
        ]
        out.append(Heading("Spans on clean text", 3))
        out.append(Table(["kind of writer", "texts", "words", "spans per 1,000 words"], rows, s["signature"]))
    if found["marked"]:
        rows = [
            [
                e["set"],
                str(e["texts"]),
                f"{e['covered']['n']:,}" if e.get("covered") else "0",
                cell(e.get("covered")),
                cell(e.get("suggestion_hit_3")),
            ]
            for e in found["marked"]
        ]
        out.append(Heading("Phrases that readers marked", 3))
        out.append(Table(["set", "texts", "phrases", "covered", "one of three right"], rows, s["signature"]))
    return out


def _details(name: str, s: Json) -> list[Block]:
    out: list[Block] = [Heading(f"{name} in full")]
    if s["spun"]:
        out += _spun(s) + _set_precision(s)
    out += _human(s)
    out += _slices("Machine-translated and model-written, never spun: flagged", s["sets"]["machine_made"], s)
    out += _worst(s)
    if s["spun"]:
        for by, title in (
            ("tool", "Recall by tool"),
            ("domain", "Recall by domain"),
            ("length", "Recall by length in words"),
            ("share", "Recall by share of the article that is spun"),
        ):
            out += _slices(title, s["slices"]["spun"][by], s)
    for by, title in (
        ("writer", "Human texts by kind of writer: flagged"),
        ("domain", "Human texts by domain: flagged"),
        ("length", "Human texts by length in words: flagged"),
    ):
        out += _slices(title, s["slices"]["human"][by], s, 2)
    return out + _calibration(s) + _spans(s)


def blocks(m: Json, pictures: Sequence[Picture] = ()) -> list[Block]:
    """Return the report: pictures, how to read it, all systems side by side, the first one in full."""
    out = _first_lines(m)
    names = list(m["systems"])
    if any(p.path.name == "roc.png" for p in pictures):
        out += [Heading("Pictures"), *pictures]
    else:
        out += pictures
    out += _reading(m) + _side_by_side(m)
    out += _details(names[0], m["systems"][names[0]])
    if len(names) > 1:
        out.append(Paragraph(f"The same numbers for {', '.join(names[1:])} stand in `metrics.json`."))
    if m["rounds"]:
        rows = [
            [
                one["left_out"] or "–",
                str(one["fold"]),
                str(one["train_texts"]),
                str(one["train_spun"]),
                str(one["human_texts"]),
                ", ".join(x.split("/")[-1] for x in one["human_sets"]),
            ]
            for one in m["rounds"]
        ]
        head = ["left out", "fold", "texts in training", "of these spun", "human texts held out", "sets held out"]
        out += [Heading("Rounds"), Table(head, rows)]
    return out


def write(m: Json, pictures: Sequence[Picture], out: Path) -> list[Path]:
    """Write metrics.json, report.md and report.html into the folder `out` and return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    report = blocks(m, pictures)
    files = {
        "metrics.json": json.dumps(m, indent=1, allow_nan=False, ensure_ascii=False) + "\n",
        "report.md": to_markdown(report),
        "report.html": to_html(report),
    }
    for name, content in files.items():
        (out / name).write_text(content, encoding="utf-8")
    return [out / name for name in files]
