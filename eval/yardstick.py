"""Speed as a ratio: articles scored in the CPU time that a fixed piece of work takes in the same process.

Seconds differ between machines and on a busy one; the ratio much less so. CPU time of the process is taken (all its
threads), and of several rounds the least, since whatever disturbs a round can only make it longer.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable

import numpy as np

_WORDS = re.compile(r"[^\W\d_]+")
_TEXT = " ".join(f"The {a} of the {b} was seen in {n} places." for n in range(60) for a, b in (("roof", "mill"),) * 5)


def work() -> int:
    """Do the fixed work, about 60 ms of CPU: what screening a text takes, and nothing of the detector's code.

    Regular expressions and dictionaries, sorting, look-ups in a large table, and float32 products. Never change it: the
    floors of the speed would mean something else.
    """
    words = Counter(word.lower() for word in _WORDS.findall(_TEXT * 8))
    keys = (np.arange(400_000, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(44)
    table = np.arange(1 << 20, dtype=np.float32)
    looked_up = table[keys.astype(np.int64)]
    square = looked_up[: 128 * 128].reshape(128, 128) / np.float32(1 << 20)
    product = np.einsum("ij,jk->ik", square, square)
    return len(words) + int(np.unique(keys[:100_000]).size) + int(product.shape[0])


def cpu_seconds(function: Callable[[], object], rounds: int) -> float:
    """Return the least CPU time of this process over the rounds."""
    times = []
    for _ in range(rounds):
        started = time.process_time()
        function()
        times.append(time.process_time() - started)
    return min(times)


def articles_per_unit(score_all: Callable[[], object], articles: int, rounds: int) -> float:
    """Return how many articles are scored in the CPU time of one `work`; `score_all` scores `articles` of them."""
    score_all()  # loads what is loaded late
    work()
    # In turns, so that a machine that grows slow meanwhile slows both.
    units, totals = [], []
    for _ in range(rounds):
        units.append(cpu_seconds(work, 3))
        totals.append(cpu_seconds(score_all, 1))
    return articles * min(units) / max(min(totals), 1e-9)
