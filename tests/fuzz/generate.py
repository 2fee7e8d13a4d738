"""Makes inputs at random and runs them through all targets: python tests/fuzz/generate.py --inputs 100000

Unlike the coverage-guided fuzzer it needs nothing but the package, and the same seed gives the same inputs everywhere.
"""

# The pieces stand in lines by kind.
# ruff: noqa: E501

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from tests.fuzz.targets import CORPUS, TARGETS

# Pieces that programs stumble over, put together at random.
PIECES = [
    *"\0\x07\x08\x0b\x0c\x0e\x1a\x1b\x7f\x80\x85\x90\x9b\x9d\u00ad\u0300\u0301\u034f\u0489\u200b\u200d\u200e\u202d\u202e\u2028",
    *"\u2029\u2060\u2066\u2069\ufe0f\ufeff\uff21\ufb01\ufffd\U0001f600\U000e0041\U0010ffff\u0430\u0435\u03bf\u0131\u0130\u00df\u1e9e",
    *"\t\n\r .,;:!?'\"<>&%@#{}[]()|/\\`~^_-=+*0123456789aAzZ\u00e9\u4e2d\u05d0\u0639\u0e01",
    "\x1b[2J", "\x1b]8;;https://e.example\x1b\\x\x1b]8;;\x1b\\", "\x9b31m", "\r\n", "\n\n", "<script>alert(1)</script>",
    "</style><img src=x onerror=y>", "<!--", "]]>", "<![CDATA[", "&#x202e;", "&amp;&lt;", "[bold red]", "{% raw %}", "$css",
    "<html><body><p>", "</p>", "<table><tr><td>", "<meta charset=utf-7>", "\u00c3\u00a9", "\u00e2\u20ac\u2122", "\u00e2\u20ac\u0153",
    "Leave a Reply", "Related Articles", "Advertisement", "Share this", "Read more: ", "Tags: ", "URL: https://e.example",
    "00:00:01,000 --> 00:00:02,000", "| a | b |", "def f(x): return x", "import os;", "1. ", "- ", "> ", "**", "[Chorus]",
    "the ", "and ", "of the ", "prime minister ", "top state leader ", "was concurred ", "p\u0430yp\u0430l ", "p a y p a l ",
    "in that frame of mind ", "man-made reasoning ", "a b c d e f g h ", "A.B.C.", "@xmath12 ", "3.14 ", "1,000,000 ", "don't ",
    "Der Hund lief sehr schnell. ", "Le chat est parti. ", "The council met on Tuesday to talk about the old bridge. ",
]  # fmt: skip
MAX_LENGTH = 300  # bytes taken of a file of the corpus
MAX_REPEATS = 100  # of one piece
EVERY = {"render": 4, "report": 10}
"""Of how many inputs one goes through a target that takes so many times as long as the others."""


def inputs(count: int, seed: int) -> Iterator[bytes]:
    """Yield inputs: pieces glued together, files of the corpus changed in places, single pieces repeated."""
    rng = Random(seed)
    corpus = [path.read_bytes() for path in sorted(CORPUS.iterdir())]
    pieces = [piece.encode("utf-8", "surrogatepass") for piece in PIECES]
    for _ in range(count):
        way = rng.random()
        if way < 0.5:  # half of them: what the pieces do to each other is what we know least about
            data = b"".join(rng.choices(pieces, k=rng.randint(0, 30)))
        elif way < 0.9:
            changed = bytearray(rng.choice(corpus)[:MAX_LENGTH])
            for _ in range(rng.randint(1, 8)):
                at = rng.randrange(len(changed) + 1)
                change = rng.random()
                if change < 0.4:
                    changed[at:at] = rng.choice(pieces)
                elif change < 0.7:
                    changed[at : at + 1] = bytes([rng.randrange(256)])
                else:
                    del changed[at : at + rng.randint(1, 30)]
            data = bytes(changed)
        elif way < 0.97:
            data = rng.randbytes(rng.randint(0, 300))
        else:
            data = rng.choice(pieces) * rng.randint(1, MAX_REPEATS)
        yield bytes([rng.randrange(256)]) + data


def run(count: int, seed: int, names: list[str]) -> int:
    """Run the inputs through the targets; print the first finding and return 1, else 0."""
    begun, cpu = time.monotonic(), time.process_time()
    slowest = 0.0
    for number, data in enumerate(inputs(count, seed), 1):
        for name in names:
            if number % EVERY.get(name, 1):
                continue
            before = time.process_time()
            try:
                TARGETS[name](data)
            except BaseException:
                sys.stderr.write(f"finding: input {number} of seed {seed}, target {name}: {data!r}\n")
                raise
            slowest = max(slowest, time.process_time() - before)
        if number % 10_000 == 0:
            sys.stderr.write(f"{number:,} inputs, {time.process_time() - cpu:,.0f} s of CPU\n")
    sys.stdout.write(
        f"{count:,} inputs (seed {seed}) through {', '.join(names)} "
        f"(every 4th through render, every 10th through report): no finding; "
        f"{time.process_time() - cpu:,.0f} s of CPU, {time.monotonic() - begun:,.0f} s; slowest {slowest:.2f} s\n"
    )
    return 0


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--targets", default=",".join(TARGETS))
    given = parser.parse_args()
    return run(given.inputs, given.seed, given.targets.split(","))


if __name__ == "__main__":
    sys.exit(main())
