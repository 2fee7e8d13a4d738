"""Safe by construction: no pickles, no network, nothing of a text in logs and errors, archives that never end."""

from __future__ import annotations

import ast
import gzip
import io
import json
import os
import re
import subprocess
import sys
import tracemalloc
from itertools import chain
from pathlib import Path

import pytest

from detector import store
from detector.batch import tables
from detector.batch.files import FileText, read_file_text
from detector.batch.inputs import find_inputs
from detector.batch.readers import ReadOptions, read_chunks
from detector.errors import InputError

ROOT = Path(__file__).parent.parent
SECRET = "xyzzyplugh"
needs_model = pytest.mark.skipif(store.DEFAULT_MODEL not in store.model_names(), reason="the model is not trained yet")

# A process in which no socket can be opened, not even a local one.
NO_SOCKETS = """
import socket, sys
def refuse(*args, **kwargs):
    raise RuntimeError("network access")
class Socket(socket.socket):
    __init__ = refuse
socket.socket = Socket
socket.create_connection = socket.getaddrinfo = socket.socketpair = refuse
"""


def run(code, cwd, *args):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code, *args], cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8"
    )


def article():
    return (ROOT / "examples" / "spun.txt").read_text(encoding="utf-8")


def test_nothing_that_is_installed_unpickles():
    """`pickle` and what is built on it run code that stands in a file; numpy's loader does so only when asked to."""
    bad = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    for path in sorted((ROOT / "detector").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                assert not bad & {name.split(".")[0] for name in names}, path
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant), path
                assert node.value.value is False, path


def test_no_model_holds_a_pickle():
    for path in store.models_root().rglob("*"):
        assert path.suffix not in {".pkl", ".pickle", ".pt", ".pth", ".joblib", ".py"}, path
        if path.suffix == ".npy":
            with path.open("rb") as stream:
                head = stream.read(200)
            assert head.startswith(b"\x93NUMPY")
            assert b"'|O" not in head


@needs_model
def test_detect_spin_needs_no_network(tmp_path):
    (tmp_path / "a.txt").write_text(article(), encoding="utf-8")
    page = "".join(f"<p>{p}</p>" for p in article().split("\n\n"))
    (tmp_path / "b.html").write_text(f"<html><body><article>{page}</article></body></html>", encoding="utf-8")
    code = NO_SOCKETS + "from detector.cli import run; sys.exit(run(sys.argv[1:]))"
    done = run(code, tmp_path, "--format", "jsonl", "a.txt", "b.html")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["verdict"] for line in done.stdout.splitlines()] == ["spun", "spun"]


@needs_model
def test_detect_spin_batch_needs_no_network(tmp_path):
    (tmp_path / "in.jsonl").write_text(json.dumps({"id": 1, "text": article()}) + "\n", encoding="utf-8")
    code = NO_SOCKETS + "from detector.batch.cli import run\nif __name__ == '__main__': sys.exit(run(sys.argv[1:]))"
    done = run(code, tmp_path, "in.jsonl", "-o", "out.jsonl")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))["verdict"] == "spun"


def test_the_block_of_these_tests_works(tmp_path):
    done = run(NO_SOCKETS + "socket.socket()", tmp_path)
    assert "network access" in done.stderr


@needs_model
def test_nothing_of_a_text_reaches_the_log_or_an_error(tmp_path):
    bad = {
        "broken.jsonl": f'{{"text": "{SECRET} }}\n["{SECRET}"]\n{{"other": "{SECRET}"}}\n',
        "binary.txt": "\x00\x01\x02" * 50 + SECRET,
        "short.txt": f"{SECRET} {SECRET}",
        "page.html": f"<html><!-- {SECRET} --></html>",
        "spun.txt": article() + f"\n\n{SECRET}",
    }
    for name, content in bad.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    code = "import sys\nfrom detector.{}cli import run\nif __name__ == '__main__': sys.exit(run(sys.argv[1:]))"
    texts = [name for name in bad if not name.endswith("jsonl")]
    one = run(code.format(""), tmp_path, "-vv", "--format", "jsonl", "-o", "out.jsonl", *texts)
    many = run(code.format("batch."), tmp_path, "-v", *bad, "-o", "out2.jsonl")
    for done in (one, many):
        assert done.stderr
        assert SECRET not in done.stderr


def bomb(path, piece, times):
    """Write a gzip file of a few kilobytes that unpacks to `times` copies of `piece`."""
    with gzip.open(path, "wb", compresslevel=9) as stream:
        for _ in range(times):
            stream.write(piece)


def test_a_packed_text_is_read_to_the_limit_only(tmp_path):
    bomb(tmp_path / "a.txt.gz", b"a" * 1_000_000, 30)
    assert (tmp_path / "a.txt.gz").stat().st_size < 60_000
    with pytest.raises(InputError, match="too large"):
        read_file_text(FileText(str(tmp_path / "a.txt.gz"), "text", None), 5_000_000)


@pytest.mark.parametrize(
    ("name", "head", "piece"),
    [
        ("a.jsonl.gz", b'{"text": "', b"word " * 200_000),
        ("one_line.csv.gz", b"id,text\n1,", b"word " * 200_000),
        ("one_field.csv.gz", b'id,text\n1,"', b"word \n" * 200_000),
        ("many_fields.csv.gz", b"id,text\n", b'"word\nword",' * 100_000),
    ],
)
def test_a_packed_table_with_an_endless_record_is_an_error_and_no_more_is_held(
    tmp_path, monkeypatch, name, head, piece
):
    monkeypatch.setattr(tables, "MAX_RECORD_BYTES", 3_000_000)
    path = tmp_path / name
    with gzip.open(path, "wb") as stream:
        for part in chain([head], [piece] * 12):
            stream.write(part)
    tracemalloc.start()
    try:
        chunks = list(read_chunks(find_inputs([str(path)]), ReadOptions()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    errors = [error for chunk in chunks for error in chunk.rows.errors]
    assert [bool(error) for error in errors] == [True]
    assert re.search("longer than|more than|larger than", errors[0])
    assert peak < 40_000_000


def test_a_zstd_bomb_is_read_to_the_limit_only(tmp_path):
    pa = pytest.importorskip("pyarrow")
    sink = io.BytesIO()
    with pa.CompressedOutputStream(pa.PythonFile(sink, "w"), "zstd") as out:
        for _ in range(30):
            out.write(b"a" * 1_000_000)
        out.flush()
        packed = sink.getvalue()
    (tmp_path / "a.txt.zst").write_bytes(packed)
    with pytest.raises(InputError, match=r"too large|cannot be read"):
        read_file_text(FileText(str(tmp_path / "a.txt.zst"), "text", None), 5_000_000)
