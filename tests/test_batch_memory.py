"""Memory of a job does not grow with the number of rows: measured in processes of their own."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parent.parent

# Everything of the job but scoring, whose memory is a text's: 50,000 texts would take the tests a quarter of a minute.
JOB = """
import re, sys
from pathlib import Path
from detector.batch.pool import use_one_thread, use_system_memory
use_one_thread(), use_system_memory()
from detector.batch.job import JobOptions, run_job
from detector.results import Reason, SpinResult, Verdict

class TooShort:
    model_id, operating_point, threshold = "none@0", "balanced", 0.5
    def score(self, text, *, id=None, source=None):
        assert len(text.split()) == 12
        words = {"words": 12, "model": self.model_id, "id": id, "source": source}
        return SpinResult(Verdict.NOT_SCORED, Reason.TOO_SHORT, None, "balanced", 0.5, None, None, **words)

class Watcher:
    def begin(self, *_): pass
    advance = complain = begin

run_job(JobOptions((sys.argv[1],), Path(sys.argv[2])), Watcher(), TooShort())
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads the peak from /proc")
@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_ten_times_the_rows_take_the_same_memory(tmp_path: Path, ending: str):
    rng = random.Random(4)
    peaks = []
    for rows in (5_000, 50_000):
        texts = [" ".join(rng.choices(["ship", "harbour", "storm", "price", "worker"], k=12)) for _ in range(rows)]
        source, output = tmp_path / f"{rows}.{ending}", tmp_path / f"out.{rows}.{ending}"
        if ending == "parquet":
            pq.write_table(pa.table({"id": list(range(rows)), "text": texts}), source, row_group_size=5_000)
        else:
            source.write_text("".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in enumerate(texts)))
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", JOB, source, output], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.1 * peaks[0], f"{peaks} kB"
