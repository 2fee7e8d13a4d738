"""Importing and using the package must not change the caller's process, load heavy libraries or touch the network.

Each check runs in a process of its own, started in an empty folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import detector
from detector import store

pytestmark = pytest.mark.installed

HEAVY = ["torch", "sklearn", "scipy", "transformers", "datasets", "pandas", "pyarrow", "onnxruntime"]
needs_model = pytest.mark.skipif(store.DEFAULT_MODEL not in store.model_names(), reason="the model is not trained yet")

# Plain human prose, long enough to be scored.
TEXT = (
    "The council met on Tuesday evening to talk about the old bridge. Two engineers explained that the northern pier "
    "had sunk by four centimetres since the spring floods, and that the road surface above it would crack again next "
    "winter unless the ground beneath was strengthened. Most people in the room had come because of the bus. If the "
    "bridge closes for repairs, the number nine will have to go round by the mill, which adds twenty minutes to every "
    "school run. A farmer asked whether the work could wait until after the harvest. The mayor said that she would "
    "rather close it for six weeks now than for six months later, and nobody argued with her. In the end the council "
    "voted to ask for three quotes and to run a shuttle from the station while the work goes on. "
) * 3

SNAPSHOT = """
import json, locale, logging, os, random, signal, socket, sys, threading, warnings
def snapshot():
    return {
        "root handlers": repr(logging.root.handlers),
        "root level": logging.root.level,
        "logger class": repr(logging.getLoggerClass()),
        "warning filters": repr(warnings.filters),
        "showwarning": repr(warnings.showwarning),
        "environ": dict(os.environ),
        "random state": repr(random.getstate()),
        "cwd": os.getcwd(),
        "files": sorted(os.listdir()),
        "sys.path": list(sys.path),
        "excepthook": repr(sys.excepthook),
        "streams": repr((sys.stdout, sys.stderr, sys.stdin)),
        "sigint": repr(signal.getsignal(signal.SIGINT)),
        "locale": locale.setlocale(locale.LC_ALL),
        "socket timeout": socket.getdefaulttimeout(),
        "threads": threading.active_count(),
        "recursion limit": sys.getrecursionlimit(),
    }
"""

NO_NETWORK = """
import socket
def refuse(*args, **kwargs):
    raise RuntimeError("network access")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = refuse
"""


def python(code: str, cwd: Path, *options: str) -> str:
    """Run code against the same package as this process, in `cwd`, and return what it prints."""
    env = {**os.environ, "PYTHONPATH": str(Path(detector.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, *options, "-c", code], cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_import_changes_nothing(tmp_path):
    code = SNAPSHOT + "before = snapshot(); import detector; print(json.dumps([before, snapshot()]))"
    before, after = json.loads(python(code, tmp_path))
    assert after == before


def test_import_loads_no_heavy_library(tmp_path):
    code = f"import sys, detector; print([m for m in {[*HEAVY, 'numpy', 'rich', 'click']} if m in sys.modules])"
    assert python(code, tmp_path).strip() == "[]"


def test_import_is_quick(tmp_path):
    """At most 0.1 s of CPU; the best of three, because other work on the machine only ever adds time."""
    code = "import time; t = time.process_time(); import detector; print(time.process_time() - t)"
    assert min(float(python(code, tmp_path)) for _ in range(3)) <= 0.1


def test_public_names_exist_and_are_all_there_is(tmp_path):
    code = "import detector; print([n for n in detector.__all__ if not hasattr(detector, n)])"
    assert python(code, tmp_path).strip() == "[]"
    code = "from detector import *; print(SpinDetector.__module__, SpinDetector is __import__('detector').SpinDetector)"
    assert python(code, tmp_path).split() == ["detector.detect", "True"]
    assert set(detector.__all__) <= set(dir(detector))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'SpinDetektor'"):
        detector.SpinDetektor  # noqa: B018  # the access is the test


def test_library_is_silent_without_logging_set_up(tmp_path):
    code = "import logging, detector; logging.getLogger('detector.store').warning('should not be seen')"
    assert python(code, tmp_path) == ""


@needs_model
def test_scoring_changes_nothing_and_loads_no_heavy_library(tmp_path):
    code = (
        SNAPSHOT
        + f"""
import numpy  # adds a warning filter of its own; whoever scores has it
before = snapshot()
from detector import SpinDetector
result = SpinDetector.load().score({TEXT!r})
print(json.dumps([before, snapshot(), result.verdict.value, [m for m in {HEAVY} if m in sys.modules]]))
"""
    )
    before, after, verdict, heavy = json.loads(python(code, tmp_path))
    assert after == before
    assert verdict == "clean"
    assert heavy == []


@needs_model
def test_loading_and_scoring_need_no_network(tmp_path):
    code = NO_NETWORK + f"from detector import SpinDetector; print(SpinDetector.load().score({TEXT!r}).verdict)"
    assert python(code, tmp_path).strip() == "clean"


def test_network_block_of_this_test_works(tmp_path):
    code = NO_NETWORK + (
        "try:\n    socket.create_connection(('127.0.0.1', 9))\nexcept RuntimeError as error:\n    print(error)\n"
    )
    assert python(code, tmp_path).strip() == "network access"


@needs_model
def test_command_loads_no_heavy_library(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    code = f"""
import atexit, sys
atexit.register(lambda: print("HEAVY", [m for m in {HEAVY} if m in sys.modules]))
sys.argv = ["detect-spin", "--format", "jsonl", "a.txt"]
from detector.cli import main
main()
"""
    assert python(code, tmp_path).splitlines()[-1] == "HEAVY []"


@needs_model
def test_no_warning_is_raised_on_the_way(tmp_path):
    code = f"from detector import SpinDetector; print(SpinDetector.load().score({TEXT!r}).words)"
    assert int(python(code, tmp_path, "-W", "error")) > 0
