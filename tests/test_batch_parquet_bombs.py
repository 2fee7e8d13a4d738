"""Parquet files of a few kilobytes that stand for gigabytes: memory stays bounded, and what cannot be read is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detector.batch import parquet
from detector.batch.readers import ReadOptions, find_inputs, read_chunks

ROOT = Path(__file__).parent.parent
LONG = "word " * 400_000  # 2 MB

# Reads a table in a process of its own, and prints the rows, their characters, the errors and the peak in MB.
READ = """
import json, re, sys
from pathlib import Path
from detector.batch.pool import use_system_memory
use_system_memory()
from detector.batch.readers import ReadOptions, find_inputs, read_chunks
rows = characters = 0
errors = []
for chunk in read_chunks(find_inputs(sys.argv[1:2]), ReadOptions(keep=tuple(sys.argv[2:]))):
    rows += len(chunk.rows)
    characters += sum(len(t) for t in chunk.rows.texts if t)
    errors += [e for e in chunk.rows.errors if e]
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1000
print(json.dumps([rows, characters, errors, peak]))
"""


def read_apart(path: Path, *keep: str) -> tuple[int, int, list[str], float]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", READ, path, *keep], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows, characters, errors, peak = json.loads(done.stdout)
    return rows, characters, errors, peak


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads the peak from /proc")
@pytest.mark.parametrize("column", ["text", "kept"])
def test_a_dictionary_whose_rows_are_all_the_same_long_text(tmp_path: Path, column: str):
    """600 rows of 2 MB in a file of a kilobyte, as texts or carried through."""
    path = tmp_path / "bomb.parquet"
    indices = pa.array([0] * 3 + [1] * 600, pa.int32())
    columns = {
        "text": pa.array(["short"] * 603),
        column: pa.DictionaryArray.from_arrays(indices, pa.array(["a", LONG])),
    }
    pq.write_table(pa.table(columns), path, compression="zstd")
    assert path.stat().st_size < 4000
    rows, characters, errors, peak = read_apart(path, *([] if column == "text" else [column]))
    assert (rows, errors) == (603, [])
    assert characters == (3 + 600 * len(LONG) if column == "text" else 603 * 5)
    assert peak < 200  # of which 70 are pyarrow; 1,300 if every batch were of 256 rows


def read_errors(path: Path) -> list[str]:
    return [e for chunk in read_chunks(find_inputs([str(path)]), ReadOptions()) for e in chunk.rows.errors if e]


def test_a_row_group_that_unpacks_without_measure_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parquet, "_SMALL_GROUP", 1_000_000)
    path = tmp_path / "bomb.parquet"
    table = pa.table({"text": ["before", *([LONG] * 20)]})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    (error,) = read_errors(path)
    assert error.startswith(f"{path}: cannot be read: column 'text' of row group 1 unpacks from ")
    assert "write the file again without compression" in error
    pq.write_table(table, path, compression="none", use_dictionary=False)
    assert read_errors(path) == []


@pytest.mark.parametrize("dictionary", [True, False])
def test_a_value_that_no_text_may_have_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dictionary: bool):
    monkeypatch.setattr(parquet, "MAX_RECORD_BYTES", 1_500_000)
    path = tmp_path / "long.parquet"
    pq.write_table(pa.table({"text": [LONG]}), path, compression="none", use_dictionary=dictionary)
    (error,) = read_errors(path)
    assert f"{path}: cannot be read: column 'text' of row group 1 has a value of 2,000,0" in error
    assert "1,500,000 is the most; split its text; mend or leave out the file" in error


def test_rows_before_a_bad_row_group_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parquet, "_SMALL_GROUP", 1_000_000)
    path = tmp_path / "half.parquet"
    with pq.ParquetWriter(path, pa.schema([("text", pa.string())]), compression="zstd", use_dictionary=False) as out:
        out.write_table(pa.table({"text": ["one", "two"]}))
        out.write_table(pa.table({"text": [LONG] * 20}))
    chunks = list(read_chunks(find_inputs([str(path)]), ReadOptions()))
    assert [t for c in chunks for t in c.rows.texts] == ["one", "two", None]
    assert "cannot be read after row 2: column 'text' of row group 2 unpacks" in chunks[-1].rows.errors[-1]
