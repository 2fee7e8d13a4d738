"""One detector in many threads, in a forked and in a spawned process: the results are those of one thread."""

from __future__ import annotations

import copy
import itertools
import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest

import detector as package
from detector import ModelError, Reason, SpinDetector, forks
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


FORKS = """
import os, signal, sys, threading, time, warnings
from detector import SpinDetector

warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 and later warn of forks beside threads
threads, text = int(sys.argv[1]), sys.stdin.buffer.read().decode()
detector = SpinDetector.load(*sys.argv[2:])
expected = detector.score(text) if not threads else None
stop = threading.Event()
results = []

def work():
    while not stop.is_set():
        results.append(detector.score(text))

started = [threading.Thread(target=work) for _ in range(threads)]
for thread in started:
    thread.start()
ends = []
for number in range(5):
    time.sleep(0.05 * number * bool(threads))  # the first ones while the threads open the examiner and build tables
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # not faulthandler: its own watching thread and lock do not survive a fork
        made = detector.score(text)
        os._exit(0 if made.probability is not None and made == detector.score(text) == (expected or made) else 3)
    ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
stop.set()
for thread in started:
    thread.join()
assert all(result == results[0] for result in results), "the threads of the parent"
print(ends, bool(results) == bool(threads))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("threads", [0, 3])
def test_a_forked_process_scores(model: str | None, threads: int):
    """After the parent has scored with everything that is loaded late, and while its threads score."""
    env = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parent.parent)}
    text = (ROOT / "examples" / "spun.txt").read_bytes()
    arguments = [sys.executable, "-c", FORKS, str(threads), *([model] if model else [])]
    done = subprocess.run(arguments, input=text, env=env, capture_output=True, timeout=200)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().strip() == f"{[0] * 5} True"


def test_a_fork_waits_for_the_texts_being_scored_and_not_for_ever(monkeypatch: pytest.MonkeyPatch):
    gate = forks.ForkGate()
    inside, leave, events = threading.Event(), threading.Event(), []

    def score():
        with gate, gate:  # a text within a text, as a signal's handler may have it
            inside.set()
            leave.wait(60)
            events.append("left")

    thread = threading.Thread(target=score)
    thread.start()
    assert inside.wait(60)
    threading.Timer(0.3, leave.set).start()
    with gate:  # its own thread is not waited for
        gate._before()
        events.append("forked")
        late = threading.Thread(target=lambda: [gate.__enter__(), events.append("late"), gate.__exit__()])
        late.start()
        time.sleep(0.1)
        gate._in_parent()
        late.join(60)
    thread.join(60)
    assert events == ["left", "forked", "late"]

    inside.clear(), leave.clear()
    monkeypatch.setattr(forks, "PATIENCE", 0.2)
    thread = threading.Thread(target=score)
    thread.start()
    assert inside.wait(60)
    began = time.monotonic()
    gate._before()
    assert 0.1 < time.monotonic() - began < 30
    leave.set()
    thread.join(60)
    gate._in_parent()
    gate._in_child()
    with gate:
        pass


# --- pickles ---


def test_a_pickle_holds_the_name_of_the_model_and_the_operating_point(detector: SpinDetector, model: str | None):
    strict = SpinDetector.load(model, operating_point="strict")
    for made in (detector, strict):
        pickled = pickle.dumps(made)
        assert len(pickled) < 1000
        again = pickle.loads(pickled)
        assert (again.model_id, again.operating_point, again.threshold) == (
            made.model_id,
            made.operating_point,
            made.threshold,
        )
        text = article(Random(5))
        assert again.score(text) == copy.deepcopy(made).score(text) == made.score(text)
        assert pickle.loads(pickled) is again, "opened once in a process"


def test_a_pickle_refuses_another_model(tmp_path: Path, detector: SpinDetector):
    make, (kind, name, model_id, point) = detector.__reduce__()
    with pytest.raises(ModelError, match="install the same"):
        make(kind, name, "other@000000000000", point)
    with pytest.raises(ModelError, match="not found"):
        make(kind, str(tmp_path / "gone"), model_id, point)


def test_datasets_maps_with_the_detector_itself(detector: SpinDetector):
    """Its fingerprint is that of a small pickle: the same for the same model and operating point."""
    datasets = pytest.importorskip("datasets")
    texts = ["Too short.", article(Random(6))]
    dataset = datasets.Dataset.from_dict({"text": texts})
    scored = [dataset.map(lambda row: {"p": detector.score(row["text"]).probability}) for _ in range(2)]
    assert scored[0]._fingerprint == scored[1]._fingerprint
    assert scored[0]["p"][:] == [detector.score(text).probability for text in texts]
