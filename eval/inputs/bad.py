# The sentences of the report stand on one line each.
# ruff: noqa: E501
"""What bad inputs do: to a program that reads a file as everybody does, and to the commands.

"Before" is `open(path, encoding="utf-8").read()` (for archives and tables the reader of their kind, without limits) and the same model on the text as
it stands, without normal form and without leaving anything out. Both run in processes of their own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from eval.inputs.bad_cases import Case, cases

ROOT = Path(__file__).parent.parent.parent
Json = dict[str, Any]
TIMEOUT = 120  # seconds; the slowest takes a tenth of it
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_NO_END = [-1, "", "no end", 0]
_LIMIT_MB = 2000  # of memory for the naive reading, so that an endless input ends

_RUN = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, capture_output=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"), used.ru_maxrss / 1000]))
"""


_BATCH = "import sys\nfrom detector.batch.cli import run\nif __name__ == '__main__':\n    sys.exit(run(sys.argv[1:]))"


def _process(*arguments: str, otherwise: list[Any]) -> Any:
    """Return what a process prints, as JSON; `otherwise` where it prints nothing or does not end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return otherwise
    return json.loads(done.stdout) if done.stdout else otherwise


def _now(case: Case, path: Path) -> tuple[str, float]:
    """Return what the command says: a verdict with its warnings, or how it refused; and its peak memory in MB."""
    if case.batch:
        return _now_batch(path)
    command = [sys.executable, "-m", "detector", "--format", "jsonl", *case.options, str(path)]
    code, out, err, mb = _process("-c", _RUN, *command, otherwise=_NO_END)
    if "Traceback" in err or code not in (0, 2, 3):
        return f"CRASH: {code} {err[-200:]}", mb
    if code == 2:
        return "usage: " + err.strip().splitlines()[-1], mb
    shown = out + err
    if case.shown:
        for form in ("text", "html"):
            _, page, err, _ = _process(
                "-c", _RUN, *(form if part == "jsonl" else part for part in command), otherwise=_NO_END
            )
            shown += page + err
            if form == "html" and "<script>alert" in page:
                return "CRASH: a script of the text reaches the page", mb
    if _OBEYED.search(shown):
        return "CRASH: the output has characters that a terminal or a browser obeys", mb
    found = json.loads(out)
    if "error" in found:
        return "refused: " + found["error"].replace(str(path.parent) + os.sep, ""), mb
    said = found["reason"] or f"{found['verdict']} {found['probability']:.3f}"
    return said + "".join(f", `{w}`" for w in found["warnings"]), mb


def _now_batch(path: Path) -> tuple[str, float]:
    out = path.with_suffix(".scored.jsonl")
    command = [sys.executable, "-c", _BATCH, str(path), "-o", str(out), "--workers", "1"]
    code, _, err, mb = _process("-c", _RUN, *command, otherwise=_NO_END)
    if "Traceback" in err or code not in (0, 2, 3):
        return f"CRASH: {code} {err[-200:]}", mb
    if code == 2:
        return "usage: " + err.strip().splitlines()[-1].replace(str(path.parent) + os.sep, ""), mb
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    errors = [r["error"].replace(str(path.parent) + os.sep, "") for r in rows if r.get("error")]
    said = [r.get("reason") or r["verdict"] for r in rows if not r.get("error")]
    parts = [f"{len(rows)} row{'' if len(rows) == 1 else 's'}"]
    parts += [f"{len(errors)} failed"] if errors else []
    parts += [", ".join(said)] if said else []
    return ", ".join(parts) + (f": {errors[0]}" if errors else ""), mb


def measure(only: str = "") -> Json:
    """Return for each group its cases: what it is, what was said before and now, whether that is as it should be.

    `only`: a regular expression that the names of the files must match.
    """
    result: Json = {}
    with tempfile.TemporaryDirectory() as folder:
        for group, members in cases():
            for case in members:
                if not re.search(only, case.name):
                    continue
                path = Path(folder) / case.name
                case.make(path)
                before, before_mb = _process(
                    "-m", "eval.inputs.naive", str(path), str(_LIMIT_MB), otherwise=["No end", 0]
                )
                now, mb = _now(case, path)
                result.setdefault(group, []).append(
                    {
                        "about": case.about,
                        "before": before,
                        "before_mb": before_mb,
                        "now": now,
                        "mb": mb,
                        "right": re.search(case.should, now, re.DOTALL) is not None,
                    }
                )
    return result


def _cell(text: str) -> str:
    text = text.replace(str(Path.cwd()), "(here)")  # the report is the same wherever it is made
    short = text if len(text) <= 150 else text[:147] + "..."
    return re.sub(r"\s+", " ", short).replace("|", "\\|")


def to_markdown(result: Json) -> str:
    """Return the report."""
    rows = [row for members in result.values() for row in members]
    wrong = [row["about"] for row in rows if not row["right"]]
    lines = [
        "# Bad inputs, before and now",
        "",
        '`python -m eval inputs bad`. *Before*: `open(path, encoding="utf-8").read()`, for archives and tables the reader of their kind, then the same '
        f"model on the text as it stands; in a process of at most {_LIMIT_MB / 1000:g} GB; the name of an exception is a crash. *Now*: `detect-spin --format jsonl`, for "
        "records and archives `detect-spin-batch`. MB: peak memory.",
        "",
        f"{len(rows)} inputs: {sum(r['now'].startswith('CRASH') for r in rows)} crashes, {len(wrong)} answers other than the one that was written down beforehand"
        f"{': ' + ', '.join(wrong) if wrong else ''}. Before: {sum(bool(re.match('[A-Z]', r['before'])) for r in rows)} crashes.",
        "",
    ]
    for group, members in result.items():
        lines += [f"## {group}", "", "| input | before | MB | now | MB |", "| --- | --- | ---: | --- | ---: |"]
        lines += [
            f"| {_cell(r['about'])} | {_cell(r['before'])} | {r['before_mb']:.0f} | {_cell(r['now'])} | {r['mb']:.0f} |"
            for r in members
        ]
        lines.append("")
    return "\n".join(lines)
