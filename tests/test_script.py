"""Ctrl-C in the first moments of the installed commands: no traceback, whatever is being imported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import detector

ROOT = Path(detector.__file__).parent.parent
EXAMPLE = Path(__file__).parent.parent / "examples" / "spun.txt"
pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")

# What pip writes for a command of [project.scripts], started as a terminal starts it: not with SIGINT ignored. Says
# when it has imported the script, a few milliseconds after Python's own start: before, nobody can be quiet.
SCRIPT = """
import os, sys, _signal
_signal.signal(_signal.SIGINT, _signal.default_int_handler)  # what the tests were started with may ignore it
from detector.script import {name}
os.write(3, b".")
sys.exit({name}())
"""


def interrupt(name: str, seconds: float, folder: Path, *arguments: object) -> tuple[int, bytes]:
    """Run a command, interrupt it so many seconds after its first line, and return its status and what it said."""
    read, write = os.pipe()
    code = f"import os; os.dup2({write}, 3)" + SCRIPT.format(name=name)
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        pass_fds=[write],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(write)
        assert os.read(read, 1) == b"."
        os.close(read)
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    return process.returncode, told


@pytest.mark.parametrize("name", ["detect_spin", "detect_spin_batch"])
def test_no_traceback_however_early(name: str, tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(EXAMPLE.read_bytes())
    arguments = ["a.txt"] if name == "detect_spin" else ["a.txt", "-o", "out.jsonl", "--workers", 1, "-q"]
    ends = [interrupt(name, 0.04 * step, tmp_path, *arguments) for step in range(9)]
    assert all(b"Traceback" not in told and b"KeyboardInterrupt" not in told for _, told in ends), ends
    assert {status for status, _ in ends} <= {0, 130} and ends[1][0] == 130
    assert {p.name for p in tmp_path.iterdir()} <= {"a.txt", "out.jsonl", "out.jsonl.parts"}


@pytest.mark.parametrize("name", ["detect_spin", "detect_spin_batch"])
def test_an_ignored_interrupt_stays_ignored(name: str, tmp_path: Path):
    """As `nohup` and a shell's `&` have it."""
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nfrom detector import script\n"
    code += "assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN\nscript.begin()\n"
    code += f"assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN\nscript.{name}()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True
    )
    assert done.returncode == 0 and b"Usage" in done.stdout, done.stderr


def test_a_program_that_calls_the_command_keeps_its_own_handling(tmp_path: Path):
    code = """
import signal
from detector.cli import run
before = signal.getsignal(signal.SIGINT)
assert run(["--help"]) == 0
assert signal.getsignal(signal.SIGINT) is before is signal.default_int_handler
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
