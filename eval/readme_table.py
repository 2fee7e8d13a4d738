"""The accuracy table of the README, made from the committed reports, so that it says what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from detector.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "eval" / "reports" / "spin-en-v1"
START, END = "<!-- accuracy:start -->", "<!-- accuracy:end -->"
_RATES = ("0.001", "0.01", "0.05")


def _percent(cell: dict[str, Any] | None) -> str:
    return "–" if cell is None else f"{100 * cell['value']:.0f} ({100 * cell['low']:.0f}–{100 * cell['high']:.0f})"


def _recall_table(report: dict[str, Any]) -> list[str]:
    lines = ["| set | texts | 0.1 % | 1 % | 5 % |", "| --- | ---: | ---: | ---: | ---: |"]
    for row in report["systems"]["ours"]["spun"]:
        name = row["set"] + (" †" if row["small"] else "")
        cells = [_percent(row["recall"].get(rate)) for rate in _RATES]
        lines.append(f"| {name} | {row['texts']} | {' | '.join(cells)} |")
    return lines


def _sentence(report: dict[str, Any]) -> str:
    ours = report["systems"]["ours"]
    pooled = ours["human_pooled"]["flagged"]["0.01"]
    worst = ours["worst_human_set"]["0.01"]
    row = next(r for r in ours["human"] if r["set"] == worst)
    return (
        f"False positives measured at the 1 % threshold: {100 * pooled['value']:.2f} % "
        f"({100 * pooled['low']:.2f}–{100 * pooled['high']:.2f}) of {ours['human_pooled']['texts']:,} human texts; "
        f"worst set `{worst}`, {_percent(row['flagged']['0.01'])} % of {row['texts']}."
    )


def accuracy_section(reports: Path = REPORTS) -> str:
    """Return the Markdown that stands between the README's accuracy markers.

    Raises:
        InputError: a report is missing.
    """
    parts = []
    for folder, title in (
        ("leave-one-tool-out", "**A tool that was not in training** (every output of its family left out)."),
        ("known-tool", "**New articles, put through tools that were in training.**"),
    ):
        path = reports / folder / "report.json"
        if not path.exists():
            raise InputError(f"{path}: not found; make it with python -m eval first-report --out {path.parent}")
        report = json.loads(path.read_text(encoding="utf-8"))
        link = path.parent.relative_to(ROOT).as_posix() + "/report.md"
        lines = [
            f"{title} Recall in % at thresholds with so many false positives on human writers and outlets that were "
            f"not in training either, 95 % interval ([report]({link})). † fewer than 100 texts.",
            "",
            *_recall_table(report),
            "",
            _sentence(report),
            "",
            f"`{report['systems']['ours']['signature']}`",
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


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
