"""The accuracy table of the README, made from the committed metrics, so that it says what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from detector.errors import InputError
from detector.store import DEFAULT_MODEL
from eval.protocols import MASKED_SUFFIX
from train.corpora import ROOT

REPORTS = ROOT / "eval" / "reports" / DEFAULT_MODEL
START, END = "<!-- accuracy:start -->", "<!-- accuracy:end -->"
_RATES = ("0.001", "0.01", "0.05")
_SUITES = (
    ("leave-one-tool-out", "**A tool that was not in training** (every output of its family left out)."),
    (
        "shipped",
        "**The shipped model's recipe on texts that it has not seen**, put through tools that were in training.",
    ),
)
Json = dict[str, Any]


def _percent(entry: Json | None, digits: int = 0) -> str:
    if entry is None or entry["value"] is None:
        return "–"
    value, low, high = (100 * entry[k] for k in ("value", "low", "high"))
    return f"{value:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def _recall_table(ours: Json) -> list[str]:
    points = list(ours["operating_points"])
    heads = ["0.1 % FPR", "1 % FPR", "5 % FPR", *points]
    lines = [f"| set | texts | {' | '.join(heads)} |", "| --- | ---: |" + " ---: |" * len(heads)]
    sets = ours["sets"]["spun"]
    for row in [*sets, {**ours["spun"], "set": "**all**"}]:
        name = row["set"] + (" †" if row["small"] else "")
        cells = [_percent(row["flagged"].get(key)) for key in (*_RATES, *points)]
        lines.append(f"| {name} | {row['texts']:,} | {' | '.join(cells)} |")
    # Most texts are of one tool: what every set weighing alike comes to. Copies of a set are none of their own.
    whole = [row["flagged"] for row in sets if not row["set"].endswith(MASKED_SUFFIX)]
    means = [[f[key]["value"] for f in whole if f.get(key)] for key in (*_RATES, *points)]
    cells = [f"{100 * sum(m) / len(m):.0f}" if m else "–" for m in means]
    return [*lines, f"| **mean of the sets** | | {' | '.join(cells)} |"]


def _sentence(ours: Json) -> str:
    human = ours["human"]
    parts = [f"False positives measured, of {human['texts']:,} human texts:"]
    anew = human.get("threshold_without_set") if ours["points_set_on_these_texts"] else None
    for key, entry in human["flagged"].items():
        name = f"{100 * float(key):g} % threshold" if key in _RATES else key
        parts.append(f"{name} {_percent(anew[key] if anew and key not in _RATES else entry, 2)} %,")
    text = " ".join(parts).rstrip(",") + "."
    if anew:
        text += " The operating points were set on these texts; their rates are for points set anew without each set."
    if worst := ours["worst"]["writer"].get("0.01"):
        text += (
            f" Most flagged kind of writer at the 1 % threshold, worst of {worst['of']}: {worst['set']}, "
            f"{_percent(worst, 1)} % of {worst['n']:,}."
        )
    rank = ours["ranking"]
    return f"{text} AUROC {_percent(rank['auroc'], 1)}, partial AUC below 1 % FPR {_percent(rank['partial_auroc'], 1)}."


def accuracy_section(reports: Path = REPORTS) -> str:
    """Return the Markdown that stands between the README's accuracy markers.

    Raises:
        InputError: a report is missing, or lacks the system `ours`.
    """
    parts = []
    for suite, title in _SUITES:
        path = reports / suite / "metrics.json"
        if not path.exists():
            raise InputError(f"{path}: not found; make it with python -m eval run {suite}")
        metrics = json.loads(path.read_text(encoding="utf-8"))
        ours = metrics["systems"].get("ours")
        if ours is None:
            raise InputError(f"{path}: no system 'ours'; make it with python -m eval run {suite} --system ours")
        if not metrics["held_out"] or ours["origin"] == "run":
            raise InputError(
                f"{path}: its scores are not those of screen and examiner held out; make it with python -m eval run "
                f"{suite} --scores FILE (docs/evaluation.md)"
            )
        link = path.parent.relative_to(ROOT).as_posix() + "/report.md"
        lines = [
            f"{title} Recall in % at thresholds with so many false positives on human {_writers(suite)}"
            f"{_points_note(ours)}; 95 % interval ([report]({link})). † fewer than 100 texts.",
            "",
            *_recall_table(ours),
            "",
            _sentence(ours),
            "",
            f"`{ours['signature']}`",
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _writers(suite: str) -> str:
    if suite == "shipped":
        return "texts of other sets, which it has not seen"
    return "writers and outlets that were not in training either (of one outlet, other articles)"


def _points_note(ours: Json) -> str:
    return ", and at the shipped operating points" if ours["operating_points"] else ""


def rewrite(readme: Path, section: str) -> bool:
    """Put the section between the markers of the README; return whether anything changed.

    Raises:
        InputError: the markers are not there, once each and in order.
    """
    text = readme.read_text(encoding="utf-8")
    if text.count(START) != 1 or text.count(END) != 1 or text.index(START) > text.index(END):
        raise InputError(f"{readme}: expected the markers {START} and {END} once each, in this order")
    before, rest = text.split(START)
    _, after = rest.split(END)
    changed = f"{before}{START}\n{section}\n{END}{after}"
    readme.write_bytes(changed.encode("utf-8"))
    return changed != text
