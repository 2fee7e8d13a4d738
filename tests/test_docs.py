"""The Python in docs/pipelines.md runs as it stands there."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import detector
from detector.store import DEFAULT_MODEL, model_names

PAGE = Path(__file__).parent.parent / "docs" / "pipelines.md"
BLOCKS = re.findall(r"^## (.*?)$|^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def examples() -> list:
    found, title = [], ""
    for heading, code in BLOCKS:
        title = heading or title
        if code:
            found.append(pytest.param(code, id=f"{len(found)}: {title}"))
    return found


def test_the_page_has_examples_for_every_way():
    imported = {name for p in examples() for name in re.findall(r"^(?:from|import) (\w+)", p.values[0], re.MULTILINE)}
    assert {"detector", "datasets", "sklearn", "ray", "asyncio"} <= imported


@pytest.mark.skipif(DEFAULT_MODEL not in model_names(), reason="the model is not trained yet")
@pytest.mark.parametrize("code", examples())
def test_example_runs(code: str, tmp_path: Path):
    if "ray" in code and importlib.util.find_spec("ray") is None:
        pytest.skip("needs Ray: pip install 'detect-spin[ray]'")
    (tmp_path / "articles").mkdir()
    rows = {"text": ["Too short to tell.", None], "site": ["a", "b"]}
    pq.write_table(pa.table(rows), tmp_path / "articles" / "a.parquet")
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    env = {
        **os.environ,
        "PYTHONPATH": str(Path(detector.__file__).parent.parent),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
        "HF_HUB_OFFLINE": "1",
    }
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if "score_files" in code:
        assert len(list((tmp_path / "scored-shards").glob("part-*.parquet"))) == 1
