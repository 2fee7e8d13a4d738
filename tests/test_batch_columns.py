from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.batch.columns import to_array, to_table
from detector.batch.writers import output_schema
from tests.tiny_model import tiny

SPAN = pa.struct([("start", pa.int32()), ("text", pa.string()), ("more", pa.list_(pa.string()))])
text = st.text(st.characters(exclude_categories=["Cs"]))
span = st.fixed_dictionaries(
    {"start": st.integers(-(2**31), 2**31 - 1)},
    optional={"text": st.none() | text, "more": st.none() | st.lists(st.none() | text)},
)
TYPES = {
    pa.string(): text,
    pa.int16(): st.integers(-(2**15), 2**15 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.list_(pa.float64()): st.lists(st.none() | st.floats(allow_nan=False)),
    pa.list_(SPAN): st.lists(st.none() | span),
    SPAN: span,
}


@pytest.mark.parametrize("of_type", TYPES, ids=str)
def test_arrays_are_those_that_pyarrow_makes(of_type: pa.DataType):
    @given(st.lists(st.none() | TYPES[of_type]))
    def check(values: list) -> None:
        made = to_array(values, of_type)
        made.validate(full=True)
        assert made.equals(pa.array(values, of_type)) and made.null_count == values.count(None)

    check()


def test_records_may_lack_fields():
    schema = output_schema(pa.schema([]), integer_ids=True)
    records = [{"id": 7, "error": "a"}, {"id": None, "kinds": {"spun": 0.5}, "warnings": []}]
    made = to_table(records, schema)
    made.validate(full=True)
    assert made.equals(pa.Table.from_pylist(records, schema=schema))


def test_what_does_not_fit_is_refused():
    with pytest.raises(UnicodeEncodeError):
        to_array(["\ud800"], pa.string())
    with pytest.raises(OverflowError):
        to_array([2**31], pa.int32())


@pytest.mark.skipif(pa.__version__.startswith("15."), reason="pyarrow 15 imports pandas in other places too")
def test_a_job_from_parquet_to_parquet_imports_no_pandas(tmp_path: Path):
    """Pandas would be a third of the memory of a worker, and of the time that it takes to start."""
    code = f"""
import sys
import pyarrow as pa, pyarrow.parquet as pq
from detector.batch.cli import run
table = pa.Table.from_arrays([pa.Array.from_buffers(pa.null(), 3, [None])], ["text"])
pq.write_table(table, "a.parquet")
options = ["--workers", "1", "-q", "--keep", "all", "--model", {str(tiny().folder)!r}]
assert run(["a.parquet", "-o", "b.parquet", *options]) == 0
assert pq.read_metadata("b.parquet").num_rows == 3
assert "pandas" not in sys.modules
"""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
