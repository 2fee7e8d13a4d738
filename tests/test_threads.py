"""One detector in many threads, in a forked and in a spawned process: the results are those of one thread."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest

from detector import Reason, SpinDetector
from detector.store import DEFAULT_MODEL, model_names
from tests.tiny_model import article, tiny

ROOT = Path(__file__).parent.parent
SECRET = "xylophonist"  # stands in every text, and may stand in no message
THREADS = 8
GERMAN = f"Der {SECRET} sagte gestern, dass die alte Brücke im Winter nicht befahren werden darf. " * 8


def make_texts() -> list:
    """Return articles, spun and not, and whatever cannot be scored; some ask the language identifier."""
    texts = [f"{d.text} The {SECRET} left." for d in tiny().documents[::12]]
    texts += [(ROOT / "examples" / name).read_text(encoding="utf-8") for name in ("spun.txt", "original.txt")]
    return [*texts, GERMAN, f"x = [{SECRET}[i] for i in range(9)];\n" * 40, "", f"Too short, {SECRET}.", None, b"x"]


@pytest.fixture(scope="module", params=["tiny", "shipped"])
def model(request: pytest.FixtureRequest) -> str | None:
    if request.param == "shipped" and DEFAULT_MODEL not in model_names():
        pytest.skip("the model is not trained yet")
    return str(tiny().folder) if request.param == "tiny" else None


@pytest.fixture(scope="module")
def detector(model: str | None) -> SpinDetector:
    return SpinDetector.load(model)


def in_threads(detector: SpinDetector, texts: list) -> list[list]:
    """Return what each of the threads gets for all texts, each in an order of its own."""
    start = threading.Barrier(THREADS)

    def work(seed: int) -> list:
        order = Random(seed).sample(range(len(texts)), len(texts))
        results = [None] * len(texts)
        start.wait()
        for i in order:
            results[i] = detector.score(texts[i])
        return results

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, range(THREADS)))


def test_threads_on_one_detector_give_the_results_of_one(model: str | None):
    texts = make_texts()
    # A detector of its own: what is loaded late is loaded by all threads at once.
    made = in_threads(SpinDetector.load(model), texts)
    expected = list(SpinDetector.load(model).score_batch(texts))
    assert {r.verdict.value for r in expected} == {"spun", "clean", "not_scored"}
    assert all(results == expected for results in made)


def test_one_batch_for_each_thread(detector: SpinDetector):
    texts = make_texts()
    expected = list(detector.score_batch(texts))
    with ThreadPoolExecutor(THREADS) as pool:
        made = list(pool.map(lambda _: list(detector.score_batch(iter(texts))), range(THREADS)))
    assert all(results == expected for results in made)


@pytest.mark.parametrize(
    "container",
    [
        list,
        tuple,
        iter,
        deque,
        dict.fromkeys,
        pd.Series,
        lambda texts: np.array(texts, object),
        lambda t: (x for x in t),
    ],
    ids=["list", "tuple", "iterator", "deque", "dict", "Series", "array", "generator"],
)
def test_any_iterable_of_texts_will_do(detector: SpinDetector, container):
    texts = make_texts()[-8:-1]
    assert list(detector.score_batch(container(texts))) == [detector.score(text) for text in texts]


def test_batch_reads_a_text_when_its_result_is_asked_for(detector: SpinDetector):
    taken: list[int] = []
    results = detector.score_batch(taken.append(n) or f"text {n}" for n in itertools.count())
    assert taken == []
    assert next(results).reason is Reason.TOO_SHORT and next(results).reason is Reason.TOO_SHORT
    assert taken == [0, 1]


def test_an_error_of_the_source_is_the_callers(detector: SpinDetector):
    def broken():
        yield "one"
        raise OSError("the connection broke")

    results = detector.score_batch(broken())
    assert next(results).reason is Reason.TOO_SHORT
    with pytest.raises(OSError, match="the connection broke"):
        next(results)


def test_no_text_is_logged_or_printed(
    detector: SpinDetector, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    caplog.set_level(logging.DEBUG)
    odd = [
        "\ud800" + SECRET,
        f"{SECRET}\0" * 500,
        f"<p>{SECRET}</p>" * 300,
        "\u200b".join(SECRET) * 200,
        f"{SECRET} " * 5000,
    ]
    assert len(list(detector.score_batch([*make_texts(), *odd]))) == len(make_texts()) + len(odd)
    told = capfd.readouterr()
    assert SECRET not in caplog.text + told.out + told.err


# --- processes ---


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of a fork beside threads, Python 3.12 and later
def test_processes_started_after_load_give_the_same(detector: SpinDetector, method: str):
    texts = [*make_texts()[-9:], article(Random(3))]
    expected = [detector.score(text) for text in texts]  # everything that is loaded late is loaded by now
    with multiprocessing.get_context(method).Pool(2) as pool:
        made = pool.map_async(detector.score, texts, chunksize=5).get(timeout=200)
    assert made == expected
