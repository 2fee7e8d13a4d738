"""`python -m eval.make_own`: spins the human texts of the suite `own` by its phrase list and writes own/spun.jsonl.

Every text in eval/suites/own was written for this project. The phrase list is the suite's own, not one that the shipped
model was trained with; the glue phrases are those of `train/spinners`, which it was. Each replacement is kept, so that
spans can be judged as well.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from random import Random

from eval.suite import SUITES, read_rows
from train.spinners.filters import Compose, Protect
from train.spinners.phrases import PhraseSpinner, PhraseTable, read_connectives

FOLDER = SUITES / "own"
# Shares of the listed phrases replaced, which the real tools span (eval/reports/spinners): SpinBot, QuillBot, lighter.
RATES = {"own spinner, heavy": 0.95, "own spinner, medium": 0.7, "own spinner, light": 0.45}
GLUE = ("A2", "A3")


def spin_all(folder: Path = FOLDER, seed: int = 1) -> list[dict[str, object]]:
    """Return the rows of spun.jsonl: each human text spun once, the rates in turn. Same files, same rows."""
    lines = (folder / "phrases.tsv").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines if line and not line.startswith("#")]
    table = PhraseTable.from_rows((old, new, 1.0) for old, new in pairs)
    rows: list[dict[str, object]] = []
    for number, row in enumerate(read_rows(folder / "human.jsonl")):
        tool = list(RATES)[number % len(RATES)]
        parts = [PhraseSpinner(t, RATES[tool], RATES[tool], tool=tool) for t in (table, read_connectives(GLUE))]
        spun = Protect(Compose(parts, 0.7)).spin(str(row["text"]), Random(f"{seed}:{row['id']}"))
        changed = {
            "id": f"{row['id']}-spun",
            "text": spun.text,
            "label": "spun",
            "tool": tool,
            "domain": row["domain"],
            "original": row["text"],
            "spun_share": 1.0,
            "replacements": [asdict(r) for r in spun.replacements],
        }
        rows.append(changed)
    return rows


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> None:
    """Write one JSON object a line."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    write_jsonl(FOLDER / "spun.jsonl", spin_all())
