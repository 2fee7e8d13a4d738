"""Operating-point files: what is accepted, in the library and in both commands, and what is refused and how."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from detector import DetectorError, InputError, SpinDetector
from detector.batch.command import command as batch_command
from detector.batch.job import JobError, JobOptions, run_job
from detector.cli import ExitCode
from detector.command import command
from detector.operating_point import OperatingPoint, OperatingPointError, as_operating_point, read_operating_point
from tests.tiny_model import article, tiny

ROOT = Path(__file__).resolve().parent.parent


def model_id() -> str:
    return SpinDetector.load(tiny().folder).model_id


def write(folder: Path, **changes) -> Path:
    content = {"schema": 1, "name": "my stream", "threshold": 0.25, "model": model_id(), **changes}
    path = folder / "point.json"
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not ...}), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", [Path, str, read_operating_point])
def test_the_library_takes_path_and_string_and_object(tmp_path, kind):
    detector = SpinDetector.load(tiny().folder, operating_point=kind(write(tmp_path)))
    assert (detector.operating_point, detector.threshold) == ("my stream", 0.25)
    assert set(detector.operating_points) == {"strict", "balanced", "sensitive"}  # the model's own stay as they are


@pytest.mark.parametrize("workers", [1, 2])
def test_results_carry_name_and_threshold_and_fit_the_schema(tmp_path, workers):
    spun = next(d.text for d in tiny().documents if d.label == "spun")
    path = write(tmp_path)
    detector = SpinDetector.load(tiny().folder, operating_point=path)
    path.write_text("{}", encoding="utf-8")  # read once, at load
    schema = json.loads((ROOT / "docs" / "result.schema.json").read_text(encoding="utf-8"))
    for result in detector.score_batch([spun, "too short"], workers=workers):
        record = result.to_dict()
        assert (record["operating_point"], record["threshold"]) == ("my stream", 0.25)
        Draft202012Validator(schema).validate(record)


def test_the_threshold_decides(tmp_path):
    text = next(d.text for d in tiny().documents if d.label == "spun")
    p = SpinDetector.load(tiny().folder).score(text).probability
    assert 0.0 < p < 1.0
    verdicts = []
    for threshold in (p, min(1.0, p + 1e-6)):
        point = OperatingPoint("mine", threshold, model_id())
        verdicts.append(str(SpinDetector.load(tiny().folder, operating_point=point).score(text).verdict))
    assert verdicts == ["spun", "clean"]


BROKEN = [
    ({"threshold": 0.0}, "above 0 and at most 1"),
    ({"threshold": 1.5}, "above 0 and at most 1"),
    ({"threshold": float("nan")}, "above 0 and at most 1"),
    ({"threshold": "0.5"}, "above 0 and at most 1"),
    ({"threshold": True}, "above 0 and at most 1"),
    ({"threshold": ...}, "lacks threshold"),
    ({"name": ..., "model": ...}, "lacks name, model"),
    ({"name": "strict"}, "rename"),
    ({"name": ""}, "1 to 64"),
    ({"name": "a\u001b[31m"}, "1 to 64"),
    ({"name": 3}, "1 to 64"),
    ({"schema": 2}, "schema 2"),
    ({"schema": True}, "schema True"),
    ({"model": "spin-en-v2"}, "name@digest"),
]


@pytest.mark.parametrize(("changes", "message"), BROKEN)
def test_a_file_that_says_nothing_usable_is_refused(tmp_path, changes, message):
    path = write(tmp_path, **changes)
    with pytest.raises(OperatingPointError, match=message) as caught:
        SpinDetector.load(tiny().folder, operating_point=path)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, InputError)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not valid JSON"), (b"{", "not valid JSON"), (b"\xff\xfe{}", "JSON"), (b"[1]", "no JSON object")],
)
def test_bad_json_is_refused(tmp_path, content, message):
    path = tmp_path / "point.json"
    path.write_bytes(content)
    with pytest.raises(OperatingPointError, match=message):
        read_operating_point(path)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
OBJECTS = st.dictionaries(st.sampled_from(["schema", "name", "threshold", "model"]), VALUES)


@given(st.binary(max_size=60) | OBJECTS.map(lambda d: json.dumps(d).encode()))
def test_whatever_a_file_holds_the_answer_is_a_point_or_our_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("point") / "point.json"
    path.write_bytes(content)
    try:
        point = read_operating_point(path)
    except DetectorError:
        return
    assert 0.0 < point.threshold <= 1.0


def test_missing_folder_and_huge_files_are_refused(tmp_path):
    with pytest.raises(OperatingPointError, match="no such operating-point file"):
        read_operating_point(tmp_path / "absent.json")
    with pytest.raises(OperatingPointError, match=r"cannot be read|too large"):
        read_operating_point(tmp_path)
    with pytest.raises(OperatingPointError):
        read_operating_point("a\0b.json")
    (tmp_path / "big.json").write_bytes(b" " * 1_000_001)
    with pytest.raises(OperatingPointError, match="too large"):
        read_operating_point(tmp_path / "big.json")


def test_another_model_is_refused_by_name(tmp_path):
    path = write(tmp_path, model="other@0123456789ab")
    with pytest.raises(OperatingPointError, match=r"other@0123456789ab.*calibrate again"):
        SpinDetector.load(tiny().folder, operating_point=path)


def test_names_are_not_taken_for_files():
    assert as_operating_point("balanced") == "balanced"
    with pytest.raises(ValueError, match="unknown operating point 'lenient'"):
        SpinDetector.load(tiny().folder, operating_point="lenient")


# --- the commands ---


def spin(*arguments: object):
    result = CliRunner().invoke(command, [str(a) for a in arguments], standalone_mode=False)
    return result


def usage(command_, *arguments: object):
    """Run a command as the program does and return (exit status, what it said)."""
    result = CliRunner().invoke(command_, [str(a) for a in arguments])
    return result.exit_code, result.output


@pytest.fixture
def text_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(next(d.text for d in tiny().documents if d.label == "spun"), encoding="utf-8")
    return path


def test_detect_spin_takes_a_file(tmp_path, text_file):
    result = spin("--model", tiny().folder, "--operating-point", write(tmp_path), "--format", "jsonl", text_file)
    assert result.return_value is ExitCode.OK
    record = json.loads(result.stdout)
    assert (record["operating_point"], record["threshold"]) == ("my stream", 0.25)
    shown = spin("--model", tiny().folder, "--operating-point", write(tmp_path), text_file).stdout
    assert "threshold 0.250 (my stream)" in shown


@pytest.mark.parametrize("which", [command, batch_command])
@pytest.mark.parametrize(
    ("changes", "message"),
    [({"threshold": 7}, "at most 1"), ({"model": "other@0123456789ab"}, "calibrate"), ({"name": "strict"}, "rename")],
)
def test_both_commands_refuse_a_bad_file_as_wrong_usage(tmp_path, text_file, which, changes, message):
    output = ["-o", tmp_path / "out.jsonl"] if which is batch_command else []
    for workers in (["--workers", 1], ["--workers", 2]) if output else ([],):
        status, said = usage(
            which, "--model", tiny().folder, "--operating-point", write(tmp_path, **changes), text_file, *output,
            *workers,
        )  # fmt: skip
        assert status == ExitCode.USAGE
        assert "--operating-point" in said
        assert message in " ".join(said.split())
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("which", [command, batch_command])
def test_both_commands_refuse_a_name_that_is_neither(text_file, which):
    status, said = usage(which, "--operating-point", "lenient", text_file, "-o", text_file.with_suffix(".jsonl"))
    assert status == ExitCode.USAGE
    assert "strict, balanced, sensitive" in " ".join(said.split())
    status, said = usage(which, "--operating-point", "absent.json", text_file, "-o", text_file.with_suffix(".jsonl"))
    assert status == ExitCode.USAGE
    assert "no such operating-point file" in " ".join(said.split())


class Watcher:
    def begin(self, total_bytes, resumed): ...

    def advance(self, counts, bytes_read): ...

    def complain(self, message): ...


class Interrupted(Watcher):
    def advance(self, counts, bytes_read):
        raise KeyboardInterrupt


@pytest.mark.parametrize("workers", [1, 2])
def test_batch_writes_the_point_and_resume_notices_another_threshold(tmp_path, workers):
    from random import Random

    rows = tmp_path / "rows.jsonl"
    rng = Random(3)
    rows.write_text("".join(json.dumps({"text": article(rng)}) + "\n" for _ in range(600)), encoding="utf-8")
    point = read_operating_point(write(tmp_path))
    options = {
        "inputs": (str(rows),),
        "output": tmp_path / "out.jsonl",
        "model": str(tiny().folder),
        "checkpoint_rows": 10,
    }
    with pytest.raises(KeyboardInterrupt):
        run_job(JobOptions(**options, operating_point=point), Interrupted())
    changed = read_operating_point(write(tmp_path, threshold=0.35))
    with pytest.raises(JobError, match=r"another threshold \(was 0.25, is 0.35\)"):
        run_job(JobOptions(**options, operating_point=changed, resume=True, workers=workers), Watcher())
    done = run_job(JobOptions(**options, operating_point=point, resume=True, workers=workers), Watcher())
    assert (done.operating_point, done.threshold) == ("my stream", 0.25)
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(records) == 600
    assert {(r["operating_point"], r["threshold"]) for r in records} == {("my stream", 0.25)}
