"""The whole job: in this process, killed at every step that makes something durable, and as a command."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.parquet as pq
import pytest

from detector import SpinDetector
from detector.batch import job, journal, pool, readers, writers
from detector.batch.inputs import find_inputs
from detector.batch.job import Counts, JobError, JobOptions, Summary, run_job
from detector.batch.readers import ColumnError, ReadOptions
from detector.cli import ExitCode
from tests.tiny_model import article, tiny

ROOT = Path(__file__).parent.parent
SCHEMA = json.loads((ROOT / "docs" / "result.schema.json").read_text(encoding="utf-8"))
POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
SECRET = "xylophonist"  # stands in every text, and may stand in no message


@pytest.fixture(scope="module")
def detector() -> SpinDetector:
    return SpinDetector.load(tiny().folder)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Texts of every kind: articles, spun and not, and what cannot be scored."""
    of_tables = {d.table: d.text for d in tiny().documents}
    assert {"spun/wild", "human/school"} <= set(of_tables)
    rows = [d.text for d in tiny().documents[::9]]
    return [
        *(f"{row} The {SECRET} left." for row in rows),
        "",
        f"Too short for the {SECRET}.",
        "Это не английский. " * 40,
    ]


class Watcher:
    """Remembers what it is told; `stop_after` rows it behaves like a person who presses Ctrl-C."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.complaints: list[str] = []
        self.rows: list[int] = []
        self.resumed = 0
        self.stop_after = stop_after

    def begin(self, total_bytes: int, resumed: Counts) -> None:
        self.resumed = resumed.rows

    def advance(self, counts: Counts, bytes_read: int) -> None:
        self.rows.append(counts.rows)
        if self.stop_after is not None and counts.rows >= self.stop_after:
            raise KeyboardInterrupt

    def complain(self, message: str) -> None:
        self.complaints.append(message)


def write_rows(path: Path, texts: list[Any], **columns: list[Any]) -> Path:
    rows = [{"id": f"r{i}", "text": t, **{k: v[i] for k, v in columns.items()}} for i, t in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().decode().split("\n")[:-1]]


def read_rows(path: Path) -> list[dict]:
    return read_lines(path) if path.suffix == ".jsonl" else pq.read_table(path).to_pylist()


def run(
    detector: SpinDetector, *inputs: object, output: Path, watcher: Watcher | None = None, **options: Any
) -> Summary:
    made = JobOptions(tuple(map(str, inputs)), output, **options)
    return run_job(made, watcher or Watcher(), detector)


# --- what comes out ---


def test_rows_are_what_the_library_says(tmp_path: Path, detector: SpinDetector, texts: list[str]):
    given = [*texts, None, 17, ["a"]]
    path = write_rows(tmp_path / "a.jsonl", given)
    summary = run(detector, path, output=tmp_path / "out.jsonl")
    rows = read_lines(tmp_path / "out.jsonl")
    assert rows == [detector.score(t, id=f"r{i}", source=str(path)).to_dict() for i, t in enumerate(given)]
    for row in rows:
        jsonschema.validate(row, SCHEMA)
    assert {r["verdict"] for r in rows} == {"spun", "clean", "not_scored"}
    run(detector, path, output=tmp_path / "out.parquet")
    assert [
        {k: v for k, v in r.items() if k != "error"} for r in pq.read_table(tmp_path / "out.parquet").to_pylist()
    ] == rows
    counts = summary.to_dict()
    assert counts["rows"] == counts["rows_written"] == len(given) and counts["failed"] == 0
    assert counts["reasons"] == {r: sum(row["reason"] == r for row in rows) for r in counts["reasons"]}
    assert counts["reasons"]["not_text"] == 3
    scored = [r for r in rows if r["probability"] is not None]
    assert sum(counts["probability_histogram"]["counts"]) == len(scored)
    assert counts["words"] == sum(r["words"] for r in scored)
    assert not list(tmp_path.glob("*.parts*"))


def test_failures_are_rows_and_the_others_go_on(tmp_path: Path, detector: SpinDetector, texts: list[str]):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text(texts[0])
    (folder / "b.txt").write_bytes(b"%PDF-1.7 ")
    (folder / "c.html").write_text("<html><body></body></html>")
    write_rows(folder / "d.jsonl", texts[1:2])
    with (folder / "d.jsonl").open("a") as stream:
        stream.write(f'{{"text": "{SECRET} unclosed\n')
    watcher = Watcher()
    summary = run(detector, tmp_path / "none.csv", folder, output=tmp_path / "out.jsonl", watcher=watcher)
    rows = read_lines(tmp_path / "out.jsonl")
    assert ["error" in r for r in rows] == [True, False, True, True, False, True]
    assert [r["source"] for r in rows] == [
        str(tmp_path / "none.csv"),
        *(str(folder / n) for n in ("a.txt", "b.txt", "c.html", "d.jsonl", "d.jsonl")),
    ]
    assert rows[1] == detector.score(texts[0], source=str(folder / "a.txt")).to_dict()
    for row in rows:
        jsonschema.validate(row, SCHEMA)
    assert summary.counts.failed == 4 and watcher.complaints == [r["error"] for r in rows if "error" in r]
    assert SECRET not in "".join(watcher.complaints)


def test_names_that_the_system_cannot_hold_are_failures_as_others(
    tmp_path: Path, detector: SpinDetector, texts: list[str]
):
    path = write_rows(tmp_path / "a.jsonl", texts[:1])
    longest = tmp_path / ("x" * 300)
    summary = run(detector, longest.with_suffix(".jsonl"), longest, path, output=tmp_path / "out.jsonl")
    assert ["error" in r for r in read_lines(tmp_path / "out.jsonl")] == [True, True, False]
    assert summary.counts.failed == 2
    with pytest.raises(JobError, match="cannot be written"):
        run(detector, path, output=longest.with_suffix(".jsonl"))
    with pytest.raises(JobError, match="no such folder for the output"):
        run(detector, path, output=longest / "out.jsonl")
    assert next(find_inputs([f"{longest}*"])).error


def test_a_bug_in_scoring_costs_one_row_and_tells_nothing_of_the_text(
    tmp_path: Path, detector: SpinDetector, texts: list[str]
):
    class Fragile:
        model_id, operating_point, threshold = detector.model_id, detector.operating_point, detector.threshold

        def score(self, text: str, **named: Any) -> Any:
            if text == texts[1]:
                raise RuntimeError(text)
            return detector.score(text, **named)

    path = write_rows(tmp_path / "a.jsonl", texts[:3])
    watcher = Watcher()
    run(Fragile(), path, output=tmp_path / "out.jsonl", watcher=watcher)
    rows = read_lines(tmp_path / "out.jsonl")
    message = f"{path}: row 2: could not be scored: RuntimeError; please report it"
    assert rows[1] == {"id": "r1", "source": str(path), "error": message}
    assert watcher.complaints == [message] and "verdict" in rows[0] and "verdict" in rows[2]


def test_html_in_a_column(tmp_path: Path, detector: SpinDetector, texts: list[str]):
    pages = [
        f"<html><body><article><p>{texts[0]}</p></article></body></html>",
        "<html><script>1</script></html>",
        "",
        None,
    ]
    path = write_rows(tmp_path / "a.jsonl", pages)
    run(detector, path, output=tmp_path / "out.jsonl", read=ReadOptions(html=True))
    first, second, third, fourth = read_lines(tmp_path / "out.jsonl")
    assert first["verdict"] in ("clean", "spun") and "no text found in this HTML page" in second["error"]
    assert (third["reason"], fourth["reason"]) == ("empty", "not_text")


def test_two_workers_write_the_same_as_none(tmp_path: Path, detector: SpinDetector, texts: list[str]):
    given_texts = [*texts, *["Too short to tell."] * 800, *texts]
    path = write_rows(tmp_path / "a.jsonl", given_texts, label=[i % 3 for i in range(len(given_texts))])
    given: dict[str, Any] = {"read": ReadOptions(keep=("label",)), "model": str(tiny().folder)}
    run(detector, path, output=tmp_path / "here.parquet", **given)
    summary = run_job(JobOptions((str(path),), tmp_path / "workers.parquet", workers=2, **given), Watcher())
    assert summary.model == detector.model_id and summary.threshold == detector.threshold
    assert (tmp_path / "here.parquet").read_bytes() == (tmp_path / "workers.parquet").read_bytes()


@POSIX
def test_a_worker_that_dies_costs_nothing(tmp_path: Path, detector: SpinDetector, texts: list[str]):
    """As the out-of-memory killer does it; the rows it had are scored again, one by one."""
    path = write_rows(tmp_path / "a.jsonl", [*texts, *["Too short to tell."] * 800, *texts])
    run(detector, path, output=tmp_path / "here.jsonl")
    watcher = Watcher()
    killed = []

    def kill_one(counts: Counts, bytes_read: int) -> None:
        if not killed:
            victim = next(iter(multiprocessing.active_children()))
            killed.append(victim.pid)
            os.kill(victim.pid, signal.SIGKILL)
            victim.join()

    watcher.advance = kill_one
    run_job(JobOptions((str(path),), tmp_path / "out.jsonl", workers=2, model=str(tiny().folder)), watcher)
    assert killed and not watcher.complaints
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "here.jsonl").read_bytes()


class Deadly:
    """A detector that takes its process with it when it meets a certain text."""

    def __init__(self, detector: Any) -> None:
        self.model_id, self.operating_point, self.threshold = (
            detector.model_id, detector.operating_point, detector.threshold
        )  # fmt: skip
        self.inner = detector

    def score(self, text: str, **named: Any) -> Any:
        if text == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        return self.inner.score(text, **named)


def start_deadly_worker(*arguments: Any) -> None:
    START_WORKER(*arguments)
    pool._detector = Deadly(pool._detector)


START_WORKER = pool._start_worker


@POSIX
def test_a_row_that_kills_its_worker_is_an_error_and_the_others_are_scored(
    tmp_path: Path, detector: SpinDetector, texts: list[str], monkeypatch
):
    monkeypatch.setattr(pool, "_start_worker", start_deadly_worker)
    path = write_rows(tmp_path / "a.jsonl", [*texts, "deadly", *texts])
    watcher = Watcher()
    run_job(JobOptions((str(path),), tmp_path / "out.jsonl", workers=2, model=str(tiny().folder)), watcher)
    rows = read_lines(tmp_path / "out.jsonl")
    at = len(texts)
    assert watcher.complaints == [rows[at]["error"]]
    assert rows[at]["error"].startswith(f"{path}: row {at + 1}: the process that scored it died")
    del rows[at]
    assert [r["id"] for r in rows] == [f"r{i}" for i in range(2 * at + 1) if i != at]
    given = [*texts, *texts]
    assert [r["verdict"] for r in rows] == [detector.score(t).verdict.value for t in given]


# --- interruptions ---


@pytest.fixture
def small_pieces(monkeypatch):
    """Chunks of 3 rows and row groups of 8, so that a few rows are many steps."""
    monkeypatch.setattr(job, "read_chunks", partial(readers.read_chunks, rows=3))
    monkeypatch.setattr(writers, "ROW_GROUP_ROWS", 8)


@pytest.fixture
def mixed(tmp_path: Path, texts: list[str]) -> Path:
    """A folder with all that can be in one, a broken file among it."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    write_rows(folder / "a.jsonl", texts[:10])
    (folder / "b.csv").write_text('text\nshort\n"open')
    for i in range(4):
        (folder / f"c{i}.txt").write_text(texts[i])
    write_rows(folder / "d.jsonl", texts[-4:])
    return folder


def interrupt_at_every_step(detector: SpinDetector, folder: Path, output: Path, function: str) -> int:
    """Run a job in a child that kills itself at the n-th call of `function`, then resume; for every n. Return n."""
    whole = output.with_stem("whole")
    run(detector, folder, output=whole)
    for n in range(1, 200):
        finished = False
        starts = 0
        while not finished:  # the resumed job is killed as well, after n calls of its own
            starts += 1
            assert starts < 100
            pid = os.fork()
            if pid == 0:
                _killed_job(detector, folder, output, function, n)
            _, status = os.waitpid(pid, 0)
            finished = os.waitstatus_to_exitcode(status) == 0
            if not finished:
                assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
                # The output is there at once and whole, or not at all.
                assert not output.exists() or output.read_bytes() == whole.read_bytes()
                if n < 7 and not output.exists():  # with few steps a run a job never ends: one whole run instead
                    run(detector, folder, output=output, resume=True, checkpoint_rows=5)
                    finished = True
        assert output.read_bytes() == whole.read_bytes()
        assert not list(output.parent.glob("*.parts*"))
        output.unlink()
        if starts == 1 and n >= 7:
            return n
    raise AssertionError("the job never ended by itself")


def _killed_job(detector: SpinDetector, folder: Path, output: Path, function: str, n: int) -> None:
    calls = 0
    owner: Any = os if function == "fsync" else Path
    original = getattr(owner, function)

    def counted(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == n:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args)

    setattr(owner, function, counted)
    code = 1
    try:
        run(detector, folder, output=output, resume=True, checkpoint_rows=5)
        code = 0
    finally:
        os._exit(code)


@POSIX
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize(("function", "ending"), [("fsync", "jsonl"), ("replace", "parquet"), ("unlink", "parquet")])
def test_killed_at_any_step_and_resumed_is_byte_for_byte_the_same(
    tmp_path: Path, detector: SpinDetector, mixed: Path, small_pieces: None, ending: str, function: str
):
    steps = interrupt_at_every_step(detector, mixed, tmp_path / f"out.{ending}", function)
    assert steps >= 7


def test_resuming_scores_only_what_is_missing(tmp_path: Path, detector: SpinDetector, mixed: Path, small_pieces: None):
    class Counting:
        model_id, operating_point, threshold = detector.model_id, detector.operating_point, detector.threshold
        scored = 0

        def score(self, text: str, **named: Any) -> Any:
            self.scored += 1
            return detector.score(text, **named)

    whole = Counting()
    first = run(whole, mixed, output=tmp_path / "whole.jsonl")
    parts = Counting()
    for stop_after in (4, 10, 15):
        with pytest.raises(KeyboardInterrupt):
            run(parts, mixed, output=tmp_path / "out.jsonl", watcher=Watcher(stop_after), resume=True)
        assert not (tmp_path / "out.jsonl").exists()
    watcher = Watcher()
    last = run(parts, mixed, output=tmp_path / "out.jsonl", resume=True, watcher=watcher)
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert parts.scored == whole.scored
    assert last.counts == first.counts and last.resumed_rows == watcher.resumed >= 15


def test_ctrl_c_while_the_first_part_gets_its_name_throws_nothing_away(
    tmp_path: Path, detector: SpinDetector, mixed: Path, small_pieces: None, monkeypatch
):
    output, folder = tmp_path / "out.jsonl", tmp_path / "out.jsonl.parts"

    def interrupted(synced: Path) -> None:
        if list(synced.glob("part-*.jsonl")):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_sync_folder", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(detector, mixed, output=output, checkpoint_rows=5)
    assert [p.name for p in folder.glob("part-*.jsonl")] == ["part-00000000.jsonl"]
    watcher = Watcher()
    run(detector, mixed, output=output, resume=True, watcher=watcher)
    run(detector, mixed, output=tmp_path / "whole.jsonl")
    assert watcher.resumed >= 5 and output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_another_job_is_not_resumed(tmp_path: Path, detector: SpinDetector, mixed: Path, small_pieces: None):
    output = tmp_path / "out.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(detector, mixed, output=output, watcher=Watcher(6))
    with pytest.raises(JobError, match="an interrupted job for this output is there; continue it with --resume"):
        run(detector, mixed, output=output)
    with pytest.raises(JobError, match=r"had another spun_only \(was False, is True\)"):
        run(detector, mixed, output=output, resume=True, spun_only=True)
    with pytest.raises(JobError, match="had another reading; give the same inputs"):
        run(detector, mixed, output=output, resume=True, read=ReadOptions(html=True))
    strict = SpinDetector.load(tiny().folder, operating_point="strict")
    with pytest.raises(JobError, match=r"another operating_point \(was 'balanced', is 'strict'\)"):
        run(strict, mixed, output=output, resume=True, operating_point="strict")
    os.utime(mixed / "d.jsonl", (1, 1))
    with pytest.raises(JobError, match="had another inputs; give"):
        run(detector, mixed, output=output, resume=True)
    assert output.with_name("out.jsonl.parts").is_dir()
    run(detector, mixed, output=output, restart=True)
    run(detector, mixed, output=tmp_path / "whole.jsonl")
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@POSIX
def test_two_jobs_never_write_to_one_output(tmp_path: Path, detector: SpinDetector, mixed: Path, small_pieces: None):
    class Second(Watcher):
        def advance(self, counts: Counts, bytes_read: int) -> None:
            with pytest.raises(JobError, match="another job is writing to this output"):
                run(detector, mixed, output=tmp_path / "out.jsonl", resume=True)
            super().advance(counts, bytes_read)

    watcher = Second()
    run(detector, mixed, output=tmp_path / "out.jsonl", watcher=watcher)
    assert len(watcher.rows) > 3


def test_an_older_output_stays_until_the_new_one_is_complete(
    tmp_path: Path, detector: SpinDetector, mixed: Path, small_pieces: None
):
    output = tmp_path / "out.jsonl"
    output.write_text("yesterday\n")
    with pytest.raises(KeyboardInterrupt):
        run(detector, mixed, output=output, watcher=Watcher(6))
    assert output.read_text() == "yesterday\n"
    run(detector, mixed, output=output, resume=True)
    assert len(read_lines(output)) == 20


def test_wrong_usage_changes_nothing(tmp_path: Path, detector: SpinDetector, texts: list[str]):
    path = write_rows(tmp_path / "a.jsonl", texts[:2])
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "b.jsonl.parts").mkdir()
    (tmp_path / "b.jsonl.parts" / "mine").write_text("")
    for output, message in [
        ("a.txt", r"end the output's name in \.jsonl or \.parquet"),
        ("a.jsonl", "is both an input and the output"),
        ("folder.jsonl", "is a folder"),
        ("none/a.jsonl", "no such folder for the output"),
        ("b.jsonl", "holds no batch job"),
    ]:
        with pytest.raises(JobError, match=message):
            run(detector, path, output=tmp_path / output)
    with pytest.raises(ColumnError):
        run(detector, path, output=tmp_path / "c.jsonl", read=ReadOptions(text_column="body"))
    with pytest.raises(JobError, match="standard input cannot be resumed"):
        run(detector, "-", output=tmp_path / "c.jsonl", resume=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl.parts", "folder.jsonl"]


# --- the command ---


def start(*args: object, cwd: Path | None = None, **popen: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "detector.batch.cli", *map(str, args), "--model", str(tiny().folder)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    return subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen)


def batch(*args: object, stdin: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    with start(*args, cwd=cwd, stdin=subprocess.PIPE) as process:
        out, err = process.communicate(stdin, timeout=120)
    assert b"Traceback" not in err, err.decode()
    return subprocess.CompletedProcess(args, process.returncode, out, err)


def test_command_from_standard_input(tmp_path: Path, detector: SpinDetector, texts: list[str]):
    given = "".join(json.dumps({"key": i, "body": t, "site": "x"}) + "\n" for i, t in enumerate(texts))
    options = ("--text-column", "body", "--id-column", "key", "--keep", "site", "--workers", 1, "-vv")
    done = batch("-", "-o", "out.jsonl", *options, "--summary", "-", stdin=given.encode(), cwd=tmp_path)
    assert done.returncode == ExitCode.OK
    rows = read_lines(tmp_path / "out.jsonl")
    assert rows == [{**detector.score(t, id=i, source="-").to_dict(), "site": "x"} for i, t in enumerate(texts)]
    summary = json.loads(done.stdout)
    assert summary["rows"] == len(texts) and summary["model"] == detector.model_id and summary["workers"] == 1
    assert re.search(rf"detect-spin-batch: {len(texts)} rows: .* written to out\.jsonl\n$", done.stderr.decode())
    assert SECRET.encode() not in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
@pytest.mark.parametrize("workers", [1, 2])
def test_with_text_the_offsets_point_into_the_text_of_the_row(tmp_path: Path, ending: str, workers: int):
    """Of a page that is the article, which nobody else could cut out the same way."""
    spun = next(d.text for d in tiny().documents if d.table == "spun/wild")
    paragraphs = "".join(f"<p>{p}</p>" for p in spun.split("\n\n"))
    page = f"<html><body><nav>Home</nav><article>{paragraphs}</article></body></html>"
    write_rows(tmp_path / "a.jsonl", [page, None, "<p>Short.</p>"])
    arguments = ("a.jsonl", "missing.jsonl", "-o", f"o.{ending}", "--html", "--workers", workers)
    assert batch(*arguments, cwd=tmp_path).returncode == ExitCode.SOME_FAILED
    without = read_rows(tmp_path / f"o.{ending}")
    batch(*arguments, "--with-text", "--keep", "id", cwd=tmp_path)
    rows = read_rows(tmp_path / f"o.{ending}")
    assert [{k: v for k, v in row.items() if k not in ("text", "input_id")} for row in rows] == without
    assert rows[0]["text"].startswith(spun[:40]) and "<p>" not in rows[0]["text"]
    spans = [part for key in ("spans", "segments") for part in rows[0][key]]
    assert spans and all(s["text"] == rows[0]["text"][s["start"] : s["end"]] for s in rows[0]["spans"])
    assert [row.get("text") for row in rows[1:]] == ["", "Short.", None]
    done = batch(*arguments, "--with-text", "--keep", "text", cwd=tmp_path)
    assert done.returncode == ExitCode.USAGE and b"writes the column text already" in done.stderr


def test_exit_statuses(tmp_path: Path, texts: list[str]):
    spun = next(d.text for d in tiny().documents if d.table == "spun/wild")
    write_rows(tmp_path / "spun.jsonl", [spun, texts[0]])
    call = partial(batch, "--workers", 1, cwd=tmp_path)
    done = call("spun.jsonl", "-o", "o.parquet", "--fail-on", "spun", "-q", "--spun-only")
    assert (done.returncode, done.stderr) == (ExitCode.FLAGGED, b"")
    assert pq.read_table(tmp_path / "o.parquet").column("verdict").to_pylist() == ["spun"]
    done = call("spun.jsonl", "none.jsonl", "-o", "o.jsonl", "--fail-on", "spun")
    assert done.returncode == ExitCode.SOME_FAILED and b"none.jsonl: no such file" in done.stderr
    assert len(read_lines(tmp_path / "o.jsonl")) == 3
    done = call("spun.jsonl", "-o", "p.jsonl", "--text-column", "body")
    assert done.returncode == ExitCode.USAGE and b"'id', 'text'" in done.stderr
    assert call("spun.jsonl", "-o", "p.jsonl", "--resume", "--restart").returncode == ExitCode.USAGE
    done = call("spun.jsonl", "-o", "p.jsonl", "--model", "nowhere")  # the test's own --model comes later and wins
    assert done.returncode == ExitCode.OK


def test_no_model_is_its_own_exit_status(tmp_path: Path, texts: list[str]):
    write_rows(tmp_path / "a.jsonl", texts[:1])
    for workers in (1, 2):
        command = [sys.executable, "-m", "detector.batch.cli", "a.jsonl", "-o", "o.jsonl", f"--workers={workers}"]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "DETECT_SPIN_MODEL_DIR": str(tmp_path / "none")}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, timeout=60)
        assert done.returncode == ExitCode.MODEL and b"DETECT_SPIN_MODEL_DIR points to it" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]


@pytest.fixture(scope="module")
def long_job(tmp_path_factory, detector: SpinDetector) -> tuple[Path, Path]:
    """Input for some seconds of work, and what comes of it."""
    folder = tmp_path_factory.mktemp("long")
    rng = random.Random(5)
    articles = [article(rng, sentences=5) for _ in range(20)]
    path = write_rows(folder / "a.jsonl", [rng.choice(articles) for _ in range(1800)])
    run(detector, path, output=folder / "whole.jsonl")
    return path, folder / "whole.jsonl"


def descendants(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout.split()
    return [int(p) for p in found]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@POSIX
def test_command_killed_with_its_workers_at_random_moments(tmp_path: Path, long_job: tuple[Path, Path]):
    """SIGKILL leaves no process behind, and the job ends in the same bytes."""
    path, whole = long_job
    rng = random.Random(11)
    output = tmp_path / "out.jsonl"
    parts = tmp_path / "out.jsonl.parts"
    kills = 0
    for at_parts in (1, 3):
        with start(
            path, "-o", output, "--workers", 2, "--checkpoint-rows", 256, "--resume", stdin=subprocess.DEVNULL
        ) as process:
            wait_for(lambda n=at_parts, p=process: p.poll() is not None or len(list(parts.glob("part-*.jsonl"))) >= n)
            time.sleep(rng.random() * 0.3)
            workers = descendants(process.pid)
            process.kill()
            process.wait()
        kills += process.returncode == -signal.SIGKILL
        wait_for(lambda w=workers: not any(map(is_alive, w)))
    assert kills == 2 and not output.exists()
    done = batch(path, "-o", output, "--workers", 2, "--resume")
    assert done.returncode == ExitCode.OK, done.stderr
    assert re.search(rb"resuming after [\d,]+ rows", done.stderr)
    assert output.read_bytes() == whole.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["out.jsonl"]


@POSIX
def test_interrupt_says_how_to_go_on(tmp_path: Path, long_job: tuple[Path, Path]):
    path, whole = long_job
    arguments = (path, "-o", "out.jsonl", "--workers", "2", "--checkpoint-rows", "256")
    with start(*arguments, cwd=tmp_path, stdin=subprocess.DEVNULL, start_new_session=True) as process:
        wait_for(lambda: list((tmp_path / "out.jsonl.parts").glob("part-*.jsonl")))
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: to all processes of the group
        _, err = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED and b"Traceback" not in err
    told = re.search(
        r"interrupted after ([\d,]+) rows; what was finished is kept in out\.jsonl\.parts; continue with: (.*)\n",
        err.decode(),
    )
    assert told and told[2].startswith("detect-spin-batch ") and told[2].endswith(" --resume")
    rows = int(told[1].replace(",", ""))
    done = batch(*arguments, "--resume", "--summary", "-", cwd=tmp_path)
    assert done.returncode == ExitCode.OK
    assert json.loads(done.stdout)["resumed_rows"] >= max(rows - 256, 256)
    assert (tmp_path / "out.jsonl").read_bytes() == whole.read_bytes()
