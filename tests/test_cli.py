"""The real command, run as a process of its own on the model of the repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from detector import SpinDetector, __version__
from detector.cli import ExitCode, run
from detector.store import DEFAULT_MODEL, MANIFEST

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "models" / DEFAULT_MODEL
SPUN = ROOT / "examples" / "spun.txt"
ORIGINAL = ROOT / "examples" / "original.txt"
SCHEMA = json.loads((ROOT / "docs" / "result.schema.json").read_text(encoding="utf-8"))
POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX signals, terminals and modes")

pytestmark = pytest.mark.skipif(
    not (MODEL / MANIFEST).is_file(), reason=f"{MODEL} is not there: train it, or fetch the repository's LFS files"
)


def environment(**changes: str) -> dict[str, str]:
    kept = {
        k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "DETECT_SPIN_MODEL_DIR"}
    }
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "TERM": "xterm", **changes}


def detect_spin(
    *args: object, stdin: bytes = b"", cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "detector", *map(str, args)]
    done = subprocess.run(command, input=stdin, capture_output=True, cwd=cwd, env=environment(**env), timeout=120)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def array(done: subprocess.CompletedProcess[bytes]) -> list[dict]:
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def detector() -> SpinDetector:
    return SpinDetector.load()


def test_the_examples_get_their_verdicts_and_the_exit_status_stays_0():
    done = detect_spin(SPUN, ORIGINAL)
    assert done.returncode == ExitCode.OK
    shown = done.stdout.decode()
    assert re.search(rf"^{re.escape(str(SPUN))}\nSPUN  probability ", shown, re.M)
    assert re.search(rf"^{re.escape(str(ORIGINAL))}\nCLEAN  probability ", shown, re.M)
    assert "top state leader" in shown and "\x1b" not in shown
    assert done.stderr.decode() == "detect-spin: 2 inputs: 1 spun, 1 clean\n"


def test_library_file_and_standard_input_agree(detector: SpinDetector):
    text = SPUN.read_bytes().decode()
    from_file = array(detect_spin("--format", "json", SPUN))[0]
    from_stdin = array(detect_spin("--format", "json", "-", stdin=SPUN.read_bytes()))[0]
    with_bom = array(detect_spin("--format", "json", "-", stdin=b"\xef\xbb\xbf" + SPUN.read_bytes()))[0]
    from_library = detector.score(text).to_dict()
    assert from_file["source"] == str(SPUN) and from_stdin["source"] == with_bom["source"] == "-"
    for record in (from_file, from_stdin, with_bom):
        assert {**record, "source": None} == from_library


def test_offsets_survive_emoji_line_ends_and_combining_marks(tmp_path: Path):
    text = "👩‍👩‍👧 Cafe\u0301 🌊\r\n\r\n" + SPUN.read_text(encoding="utf-8").replace("\n", "\r\n")
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    (record,) = array(detect_spin("--format", "json", path))
    assert record["verdict"] == "spun" and record["spans"]
    for span in record["spans"]:
        assert text[span["start"] : span["end"]] == span["text"]


def bad_inputs(folder: Path) -> list[Path]:
    binary, pdf, wrong = folder / "program.txt", folder / "report.pdf", folder / "cyrillic.txt"
    binary.write_bytes(bytes(range(256)) * 20)
    pdf.write_bytes(b"%PDF-1.7 ...")
    wrong.write_bytes("Привет, мир! Это обычный текст на русском языке. ".encode("koi8-r") * 20)
    (folder / "folder").mkdir()
    return [folder / "missing.txt", folder / "folder", binary, pdf, wrong]


@pytest.mark.parametrize("output_format", ["json", "jsonl", "html", "text"])
def test_bad_inputs_are_named_and_the_others_scored(tmp_path: Path, output_format: str):
    bad = bad_inputs(tmp_path)
    sources = [bad[0], SPUN, *bad[1:], ORIGINAL]
    done = detect_spin("--format", output_format, *sources)
    assert done.returncode == ExitCode.SOME_FAILED
    out, err = done.stdout.decode(), done.stderr.decode()
    assert err.endswith(f"detect-spin: 7 inputs: 1 spun, 1 clean, {len(bad)} failed\n")
    if output_format in ("json", "jsonl"):
        records = json.loads(out) if output_format == "json" else [json.loads(line) for line in out.splitlines()]
        assert [r["source"] for r in records] == list(map(str, sources))
        for record in records:
            jsonschema.validate(record, SCHEMA)
            if Path(record["source"]) in bad:
                assert set(record) == {"source", "error"}
                assert record["error"].startswith(record["source"] + ": ") and "; " in record["error"]
    elif output_format == "html":
        assert out.startswith("<!DOCTYPE html>") and out.count("<section id=") == len(sources)
        assert "PDF document" in out
    else:
        assert "SPUN" in out and "CLEAN" in out
        for path in bad:
            assert f"detect-spin: {path}: " in err


def test_an_empty_and_a_short_text_are_results(tmp_path: Path):
    empty, short = tmp_path / "empty.txt", tmp_path / "short.txt"
    empty.touch()
    short.write_text("Too short to tell.")
    done = detect_spin("--format", "json", empty, short)
    assert done.returncode == ExitCode.OK
    assert [(r["verdict"], r["reason"]) for r in array(done)] == [("not_scored", "empty"), ("not_scored", "too_short")]


@pytest.mark.parametrize(
    ("args", "status"),
    [
        ((), ExitCode.USAGE),
        (("--format", "xml", SPUN), ExitCode.USAGE),
        (("--no-such-option", SPUN), ExitCode.USAGE),
        (("--encoding", "no-such", SPUN), ExitCode.USAGE),
        (("--encoding", "base64", SPUN), ExitCode.USAGE),
        (("--operating-point", "lenient", SPUN), ExitCode.USAGE),
        (("--operating-point", "x" * 300, SPUN), ExitCode.USAGE),
        (("--max-bytes", "0", SPUN), ExitCode.USAGE),
        (("-", "-"), ExitCode.USAGE),
        (("-o", ROOT, SPUN), ExitCode.USAGE),
        (("-o", ROOT / "no" / "such" / "folder.txt", SPUN), ExitCode.USAGE),
        (("--fail-on", "spun", ORIGINAL), ExitCode.OK),
        (("--fail-on", "spun", ORIGINAL, SPUN), ExitCode.FLAGGED),
        (("--fail-on", "spun", SPUN, ROOT / "missing.txt"), ExitCode.SOME_FAILED),
        (("--encoding", "ascii", SPUN), ExitCode.SOME_FAILED),
        (("--max-bytes", "100", SPUN), ExitCode.SOME_FAILED),
        (("--model", "no-such-model", SPUN), ExitCode.MODEL),
        (("--help",), ExitCode.OK),
    ],
)
def test_exit_status(args: tuple[object, ...], status: ExitCode, capfd: pytest.CaptureFixture[str]):
    assert run([str(a) for a in args]) == status
    out, err = capfd.readouterr()
    assert status in (ExitCode.OK, ExitCode.FLAGGED) or err.strip()
    if status in (ExitCode.USAGE, ExitCode.MODEL):
        assert not out


@pytest.mark.parametrize("damage", ["altered", "missing file", "no manifest", "not there"])
def test_a_broken_model_is_status_4(tmp_path: Path, damage: str):
    folder = tmp_path / "model"
    if damage != "not there":
        shutil.copytree(MODEL, folder)
    if damage == "no manifest":
        (folder / MANIFEST).unlink()
    elif damage != "not there":
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        weights = max((folder / name for name in listed), key=lambda p: p.stat().st_size)
        if damage == "missing file":
            weights.unlink()
        else:
            data = bytearray(weights.read_bytes())
            data[len(data) // 2] ^= 1
            weights.write_bytes(data)
    for args in (("--model", folder), ("--model", folder, "--version")):
        done = detect_spin(*args, SPUN)
        assert done.returncode == ExitCode.MODEL
        assert str(folder) in done.stderr.decode() and len(done.stderr.splitlines()) == 1
    assert detect_spin(SPUN, DETECT_SPIN_MODEL_DIR=str(folder)).returncode == ExitCode.MODEL


def test_version_names_program_and_model(detector: SpinDetector):
    done = detect_spin("--version")
    assert done.returncode == 0
    assert done.stdout.decode() == f"detect-spin {__version__} (model {detector.model_id})\n"


def test_help_starts_with_two_examples_and_shows_every_default(capsys: pytest.CaptureFixture[str]):
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    options = shown.index("Options:")
    assert shown[:options].count("\n    detect-spin ") == 2
    entries = re.split(r"\n  (?=-)", shown[options : shown.index("Exit status:")])[1:]
    for entry in entries:
        is_flag = re.match(r"(--html|--with-text|--no-progress|-q, --quiet|--version|-h, --help)\b", entry)
        assert is_flag or "[default:" in entry, entry


def test_output_file_is_complete_or_not_there(tmp_path: Path):
    target = tmp_path / "out.jsonl"
    target.write_text("old")
    target.chmod(0o640)
    done = detect_spin("--format", "jsonl", "-o", target, SPUN, ORIGINAL)
    assert done.returncode == 0 and not done.stdout
    assert [json.loads(line)["verdict"] for line in target.read_text(encoding="utf-8").splitlines()] == [
        "spun",
        "clean",
    ]
    assert os.name != "posix" or target.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["out.jsonl"]
    before = target.read_bytes()
    assert detect_spin("--model", tmp_path / "none", "-o", target, SPUN).returncode == ExitCode.MODEL
    assert target.read_bytes() == before


@POSIX
def test_output_through_a_link_to_a_device_and_with_the_usual_mode(tmp_path: Path):
    (tmp_path / "real.json").touch()
    (tmp_path / "link.json").symlink_to("real.json")
    assert detect_spin("--format", "json", "-o", "link.json", SPUN, cwd=tmp_path).returncode == 0
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text(encoding="utf-8"))[0]["verdict"] == "spun"
    assert detect_spin("-o", "/dev/null", SPUN).returncode == 0
    mask = os.umask(0)
    os.umask(mask)
    assert detect_spin("-o", tmp_path / "new.txt", SPUN).returncode == 0
    assert (tmp_path / "new.txt").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_said_once():
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "detector", "--format", "jsonl", str(SPUN)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment(), timeout=60)
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.decode().count("\n") == 1 and "cannot be written" in done.stderr.decode()


@pytest.mark.parametrize(
    ("args", "env", "colored"),
    [
        ((), {}, False),
        (("--color", "always"), {}, True),
        (("--color", "always"), {"NO_COLOR": "1", "TERM": "dumb"}, True),
    ],
)
def test_colour_into_a_pipe(args: tuple[str, ...], env: dict[str, str], colored: bool):
    assert (b"\x1b[" in detect_spin(*args, SPUN, **env).stdout) == colored


@POSIX
@pytest.mark.parametrize(
    ("args", "env", "colored"),
    [
        ((), {}, True),
        ((), {"NO_COLOR": ""}, True),
        ((), {"NO_COLOR": "1"}, False),
        ((), {"TERM": "dumb"}, False),
        (("--color", "never"), {}, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
    ],
)
def test_colour_on_a_terminal(args: tuple[str, ...], env: dict[str, str], colored: bool):
    import pty

    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "detector", *args, str(SPUN)]
    with subprocess.Popen(command, stdout=follower, stderr=follower, env=environment(**env)) as process:
        os.close(follower)
        shown = b""
        try:
            while chunk := os.read(leader, 65536):
                shown += chunk
        except OSError:  # how Linux says that the other side was closed
            pass
        assert process.wait(timeout=60) == 0
    os.close(leader)
    assert b"SPUN" in shown
    assert (b"\x1b[" in shown) == colored


@POSIX
def test_progress_only_on_a_terminal_and_for_several_inputs():
    import pty

    for args, expected in (((SPUN, ORIGINAL), True), ((SPUN,), False), (("--no-progress", SPUN, ORIGINAL), False)):
        leader, follower = pty.openpty()
        command = [sys.executable, "-m", "detector", "--format", "jsonl", *map(str, args)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=follower, env=environment()) as process:
            os.close(follower)
            out, _ = process.communicate(timeout=60)
            shown = b""
            try:
                while chunk := os.read(leader, 65536):
                    shown += chunk
            except OSError:
                pass
        os.close(leader)
        assert len(out.splitlines()) == len([a for a in args if a != "--no-progress"])
        assert (b"Scoring" in shown) == expected


def test_quiet_says_only_what_failed():
    assert detect_spin("-q", SPUN, ORIGINAL).stderr == b""
    done = detect_spin("-q", SPUN, "missing.txt")
    assert done.stderr.decode().splitlines()[0].startswith("detect-spin: missing.txt: no such file")
    assert len(done.stderr.splitlines()) == 1


def test_verbose_logs_sizes_but_not_the_text():
    done = detect_spin("-v", SPUN)
    assert b"bytes" in done.stderr and b"state leader" not in done.stderr


@POSIX
def test_a_closed_pipe_ends_quietly(tmp_path: Path):
    long = tmp_path / "long.txt"
    long.write_text(SPUN.read_text(encoding="utf-8") * 100, encoding="utf-8")
    command = f"{sys.executable} -m detector --format jsonl '{long}' '{long}' '{long}' | head -c 10"
    done = subprocess.run(
        ["bash", "-c", f"{command}; echo ${{PIPESTATUS[0]}} >&2"], capture_output=True, env=environment(), timeout=120
    )
    assert done.stdout == b'{"schema":'
    assert done.stderr == b"0\n"


@POSIX
@pytest.mark.parametrize("output", ["-", "out.txt"])
def test_ctrl_c_is_130_without_traceback_or_leftovers(tmp_path: Path, output: str):
    command = [sys.executable, "-m", "detector", "-v", "-o", output, str(SPUN), "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=environment()
    ) as process:
        # The log line says that the first input was read; then it soon waits for standard input.
        assert process.stderr is not None
        assert b"bytes" in process.stderr.readline()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED
    assert b"Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_one_line_of_5_mb_is_scored_to_its_end(tmp_path: Path):
    text = " ".join(ORIGINAL.read_text(encoding="utf-8").split())
    spun = " ".join(SPUN.read_text(encoding="utf-8").split())
    path = tmp_path / "line.txt"
    # Each repetition differs: repeated passages do not count as the article.
    lines = [re.sub(r"\b(the|and|of)\b", rf"\1 {i}", text) for i in range(1 + 5_000_000 // len(text))]
    path.write_text(" ".join([*lines, spun]), encoding="utf-8")
    (record,) = array(detect_spin("--format", "json", path))
    jsonschema.validate(record, SCHEMA)
    assert record["reason"] == "too_long" or record["segments"][-1]["end"] > path.stat().st_size * 0.95


def test_a_100_mb_file_is_refused_and_the_rest_scored(tmp_path: Path):
    huge = tmp_path / "huge.txt"
    with huge.open("wb") as stream:
        stream.truncate(100_000_000)
    done = detect_spin("--format", "jsonl", huge, SPUN)
    assert done.returncode == ExitCode.SOME_FAILED
    first, second = map(json.loads, done.stdout.splitlines())
    assert "too large: 100,000,000 bytes" in first["error"]
    assert second["verdict"] == "spun"


def test_html_and_markdown_files(tmp_path: Path):
    text = SPUN.read_text(encoding="utf-8")
    page, note = tmp_path / "page.html", tmp_path / "note.md"
    paragraphs = "".join(f"<p>{p}</p>" for p in text.split("\n\n"))
    page.write_text(f"<html><body><nav>Home</nav><article>{paragraphs}</article></body></html>", encoding="utf-8")
    note.write_text("# Flood news\n\n" + text, encoding="utf-8")
    done = detect_spin("--format", "json", page, note)
    assert [r["verdict"] for r in array(done)] == ["spun", "spun"]


@pytest.mark.parametrize("point", ["strict", "balanced", "sensitive"])
def test_operating_point_reaches_the_result(point: str):
    (record,) = array(detect_spin("--format", "json", "--operating-point", point, SPUN))
    assert record["operating_point"] == point
    assert (record["verdict"] == "spun") == (record["probability"] >= record["threshold"])


def test_any_input_can_be_read_as_html_and_its_text_comes_with_the_result():
    page = (
        f"<html><body><nav><a href='/'>Home</a></nav><article><p>{ORIGINAL.read_text(encoding='utf-8')}</p></article>"
    )
    done = detect_spin("--html", "--with-text", "--format", "json", "-", stdin=page.encode())
    (result,) = array(done)
    jsonschema.validate(result, SCHEMA)
    assert "<p>" not in result["text"]
    assert result["segments"][-1]["end"] <= len(result["text"])
    for span in result["spans"]:
        assert result["text"][span["start"] : span["end"]] == span["text"]
    assert "text" not in array(detect_spin("--format", "json", ORIGINAL))[0]
    assert detect_spin("--with-text", ORIGINAL).returncode == ExitCode.USAGE
