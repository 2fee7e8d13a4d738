# The sentences of the report stand on one line each.
# ruff: noqa: E501
"""What long and hostile inputs cost: seconds of CPU and megabytes, each case in a process of its own.

CPU time of the process and not the clock, so that other work on the machine matters little. Linear means that four
times the text takes about four times as long; the start of the program is measured and taken off.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
Json = dict[str, Any]

_SPUN = (ROOT / "examples" / "spun.txt").read_text(encoding="utf-8").replace("\n", " ")
_CLEAN = (ROOT / "examples" / "original.txt").read_text(encoding="utf-8").replace("\n", " ")


def _repeat(piece: str) -> Callable[[int], str]:
    return lambda size: (piece * (size // len(piece) + 1))[:size]


def _nested(size: int) -> str:
    depth = min(size // 20, 10_000)
    body = _repeat("<p>The council met on Tuesday to talk about the old bridge over the river.</p>\n")(
        size - 11 * depth
    )
    return "<html><body>" + "<div>" * depth + body + "</div>" * depth + "</body></html>"


CASES: dict[str, tuple[Callable[[int], str], str]] = {
    "spun text in one line": (_repeat(_SPUN), "txt"),
    "clean text in one line": (_repeat(_CLEAN), "txt"),
    "spun text in lines of 70": (_repeat("\n".join(_SPUN[i : i + 70] for i in range(0, len(_SPUN), 70))), "txt"),
    "one word": (_repeat("a"), "txt"),
    "one word of accents": (_repeat("e\u0301\u0301"), "txt"),
    "line ends": (_repeat("\n"), "txt"),
    "lines of one word": (_repeat("word\n"), "txt"),
    "spaces and a letter": (_repeat(" " * 500 + "a"), "txt"),
    "spaced letters": (_repeat("a b c d e "), "txt"),
    "zero-width characters": (_repeat("\u200b"), "txt"),
    "zero-width in words": (_repeat("wo\u200brd "), "txt"),
    "homoglyphs": (_repeat("p\u0430yp\u0430l "), "txt"),
    "mojibake": (_repeat("it\u00e2\u20ac\u2122s caf\u00c3\u00a9 "), "txt"),
    "dots": (_repeat("."), "txt"),
    "brackets": (_repeat("(([[{{<<"), "txt"),
    "keys without values": (_repeat("Key: \n"), "txt"),
    "almost addresses": (_repeat("name.name.name.name.name.name.name.name.name.name.name.name \n"), "txt"),
    "almost a record": (_repeat("Updated: 2020-01-x1 of the first of the many days that were not one\n"), "txt"),
    "quotes never closed": (_repeat("\"'\u201c(["), "txt"),
    "marks of code": (_repeat("a=(b[c{d;\n"), "txt"),
    "almost furniture": (_repeat("share this on via to with by on via to with by on via x. y\n"), "txt"),
    "sentences in turns of two languages": (
        _repeat("Der Hund lief schnell weg. The dog ran off to the river. "),
        "txt",
    ),
    "emoji": (_repeat("\U0001f600\U0001f3fd"), "txt"),
    "nested HTML, 10,000 deep": (_nested, "html"),
    "HTML of open tags": (_repeat("<div><b><i>text "), "html"),
    "HTML of entities": (_repeat("&amp;&lt;&#x41;"), "html"),
}
SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
NAMED = {
    "one word": (10_000_000,),
    "line ends": (1_000_000,),
    "nested HTML, 10,000 deep": (1_000_000,),
    "spun text in one line": (100_000_000,),
}
"""Sizes that are asked about by name. The last is above the limit of bytes, which is the answer."""


def run_one(text: str, ending: str, max_bytes: int | None = 400_000_000) -> Json:
    """Return seconds of CPU, peak megabytes and the exit status of `detect-spin` on a text; None: its own limit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{ending}"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        command = [sys.executable, "-m", "detector", "--format", "jsonl"]
        command += ["--max-bytes", str(max_bytes)] if max_bytes else []
        code = (
            "import json, resource, subprocess, sys\n"
            "done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)\n"
            "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
            "out = done.stdout[:2_000_000].decode('utf-8', 'replace')\n"
            "try:\n    one = json.loads(done.stdout) if len(done.stdout) < 2_000_000 else {'verdict': 'spun'}\n"
            "except ValueError:\n    one = {}\n"
            "said = one.get('reason') or one.get('verdict') or ('refused' if 'error' in one else 'none')\n"
            "print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss, done.returncode, said]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *command, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
        )
    seconds, peak, status, said = json.loads(done.stdout)
    if status not in (0, 3):  # 3: refused, which is an answer
        raise RuntimeError(f"detect-spin ended with {status}; run it on a text to see why")
    unit = 1_000_000 if sys.platform == "darwin" else 1_000
    return {
        "bytes": len(text.encode("utf-8", "surrogatepass")),
        "seconds": seconds,
        "mb": peak / unit,
        "rc": status,
        "said": said,
    }


def measure(sizes: Iterable[int], hostile: int, names: Iterable[str] | None = None) -> Json:
    """Return the growth of two texts over `sizes` characters, and each case at `hostile` and four times as many."""
    start = run_one("A text.", "txt")
    growth = {}
    for name in list(CASES)[:2]:
        growth[name] = [run_one(CASES[name][0](size), "txt") for size in sizes]
    named = [
        {"about": name, **run_one(CASES[name][0](size), CASES[name][1], None)}
        for name, chosen in NAMED.items()
        for size in chosen
    ]
    cases = {}
    for name, (make, ending) in CASES.items():
        if names is None or name in set(names):
            cases[name] = [run_one(make(size), ending) for size in (hostile, 4 * hostile)]
    return {"start": start, "growth": growth, "named": named, "cases": cases}


def to_markdown(result: Json) -> str:
    """Return the report."""
    start = result["start"]["seconds"]
    lines = [
        "# What long and hostile inputs cost",
        "",
        "`python -m eval inputs cost`. Seconds of CPU of `detect-spin --format jsonl`, its start of "
        f"{start:.2f} s taken off, and the peak of its memory ({result['start']['mb']:.0f} MB for a line). The machine was "
        "busy with other work, which makes CPU times up to twice as long; the ratios within a row are what counts.",
        "",
        "| text | size | s | s per MB | MB | answer |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, rows in result["growth"].items():
        for row in rows:
            used = max(row["seconds"] - start, 0.0)
            size = row["bytes"] / 1e6
            lines.append(f"| {name} | {size:g} MB | {used:.2f} | {used / size:.2f} | {row['mb']:.0f} | {row['said']} |")
    lines += [
        "",
        "With the limits as they are:",
        "",
        "| text | size | s | MB | answer |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    lines += [
        f"| {row['about']} | {row['bytes'] / 1e6:.2g} MB | {max(row['seconds'] - start, 0.0):.2f} | {row['mb']:.0f} | {row['said']} |"
        for row in result["named"]
    ]
    lines += [
        "",
        "Hostile inputs at two sizes; linear time means that the second takes about four times as long (a little more or "
        "less where the first takes hardly any).",
        "",
        "| input | size | s | MB | size | s | MB | times | answer |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, (small, large) in result["cases"].items():
        a, b = (max(row["seconds"] - start, 0.0) for row in (small, large))
        ratio = f"{b / a:.1f}" if a >= 0.1 else "\u2013"
        lines.append(
            f"| {name} | {small['bytes'] / 1e6:.2g} MB | {a:.2f} | {small['mb']:.0f} | {large['bytes'] / 1e6:.2g} MB | "
            f"{b:.2f} | {large['mb']:.0f} | {ratio} | {large['said']} |"
        )
    return "\n".join([*lines, ""])
