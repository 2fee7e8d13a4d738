"""Scoring in several processes, since Python runs the small steps of one text on one core at a time."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

from detector.operating_point import OperatingPoint
from detector.results import SpinResult

if TYPE_CHECKING:
    from detector.detect import SpinDetector

CHUNK_TEXTS = 32
"""Texts sent to a process at a time: enough that sending costs little, few enough that results come soon."""

_detector: SpinDetector | None = None  # in a worker process only


def _start(model: str, operating_point: str | OperatingPoint) -> None:
    global _detector
    from detector.detect import SpinDetector

    _detector = SpinDetector.load(model, operating_point=operating_point)


def _score(texts: list[str]) -> list[SpinResult]:
    assert _detector is not None, "the worker was started without a model"
    return [_detector.score(text) for text in texts]


def score_in_processes(
    model: str, operating_point: str | OperatingPoint, texts: Iterable[str], workers: int
) -> Iterator[SpinResult]:
    """Yield the result of each text, in order; at most two chunks for each worker are read ahead.

    `model`: as `SpinDetector.load` finds it; every worker opens it once. Workers are spawned, not forked: forking a
    process with threads can deadlock. Like all users of spawn, a script needs `if __name__ == "__main__":`.

    Raises:
        concurrent.futures.process.BrokenProcessPool: a worker was killed, for want of memory say.
    """
    source = iter(texts)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (model, operating_point)) as pool:
        waiting: deque[Future[list[SpinResult]]] = deque()
        try:
            while True:
                while len(waiting) < 2 * workers and (chunk := list(islice(source, CHUNK_TEXTS))):
                    waiting.append(pool.submit(_score, chunk))
                if not waiting:
                    return
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
