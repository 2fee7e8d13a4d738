"""Two nodes on this machine: the rows are those of the local job, also when a worker or the driver dies on the way."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import detector
from detector.batch.arrow import SpinScorer
from detector.batch.job import JobOptions, run_job
from detector.batch.rows import ColumnError, ReadOptions
from detector.batch.summary import Counts, JobError, Summary
from tests.tiny_model import article, tiny

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'detect-spin[ray]'")
cluster_utils = pytest.importorskip("ray.cluster_utils")
from detector.batch.ray import score_files  # noqa: E402

SECRET = "xylophonist"  # stands in every text, and may stand in no message
ONE_ON_EACH_NODE = {"resources": {"scorer": 1}}


class Quiet:
    def begin(self, total_bytes: int, resumed: Counts) -> None: ...

    def advance(self, counts: Counts, bytes_read: int) -> None: ...

    def complain(self, message: str) -> None: ...


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Start two nodes, with room for one actor each, and connect; yields the address."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(detector.__file__).parent.parent))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
        # Its time limits are for idle machines, and its workers are nice to everybody by default.
        patch.setenv("RAY_agent_register_timeout_ms", "300000")
        patch.setenv("RAY_health_check_failure_threshold", "30")
        patch.setenv("RAY_worker_niceness", "0")
        # Two CPUs in name only: one for the actor, one for the tasks that read.
        node = {"num_cpus": 2, "object_store_memory": 100 * 2**20, "resources": {"scorer": 1}}
        head = {**node, **agent_ports(), "include_dashboard": False}
        made = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
        made.add_node(wait=False, **node, **agent_ports())
        made.wait_for_nodes(timeout=120)
        ray.init(address=made.address, log_to_driver=False, logging_level=logging.ERROR)
        assert len([n for n in ray.nodes() if n["Alive"]]) == 2
        yield made.address
        ray.shutdown()
        made.shutdown()


def agent_ports() -> dict[str, int]:
    """Return free ports for a node's agents; left to choose, they have 15 seconds until the node gives up."""
    agents = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in agents]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return {agent: one.getsockname()[1] for agent, one in zip(agents, sockets, strict=True)}


def make_texts(start: int) -> list[str | None]:
    texts = [f"{d.text} The {SECRET} left." for d in tiny().documents[start::11]]
    return [*texts, None, "", f"Too short for the {SECRET}.", "Это не английский. " * 40]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Return a folder with Parquet, JSON lines and texts; one table lacks the column, one breaks off."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number, name in enumerate(["a.parquet", "b.parquet"]):
        texts = make_texts(number)
        pq.write_table(pa.table({"id": list(range(len(texts))), "text": texts, "site": texts[::-1]}), folder / name)
    pq.write_table(pa.table({"body": make_texts(2)}), folder / "c.parquet")
    (folder / "d.parquet").write_bytes((folder / "a.parquet").read_bytes()[:2000])
    lines = [json.dumps({"id": f"r{i}", "text": text}) for i, text in enumerate(make_texts(3))]
    (folder / "e.jsonl").write_text("\n".join([*lines, "no json"]))
    for number in range(3):
        (folder / f"f{number}.txt").write_text(make_texts(number)[0] or "")
    return folder


def local(inputs: list[str], output: Path, **options: object) -> Summary:
    return run_job(JobOptions(tuple(inputs), output, model=str(tiny().folder), **options), Quiet())


def joined(folder: Path, ending: str = "jsonl") -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob(f"part-*.{ending}")))


def same_counts(made: Summary, expected: Summary) -> bool:
    ignored = ("output", "seconds", "rows_per_second", "workers", "resumed_rows")
    a, b = ({k: v for k, v in s.to_dict().items() if k not in ignored} for s in (made, expected))
    return a == b


def test_map_batches_on_two_nodes_gives_the_rows_of_the_local_job(cluster: str, tmp_path: Path, inputs: Path):
    class Telling(SpinScorer):
        def __call__(self, table: pa.Table) -> pa.Table:
            node = ray.get_runtime_context().get_node_id()
            made = super().__call__(table)
            time.sleep(0.3)  # else one actor could have done everything before the other has started
            return made.append_column("node", pa.array([node] * len(made), pa.string()))

    files = [str(inputs / "a.parquet"), str(inputs / "b.parquet")]
    local(files, tmp_path / "out.parquet", read=ReadOptions(keep=("site",)))
    expected = pq.read_table(tmp_path / "out.parquet")
    made = (
        ray.data.read_parquet(files, include_paths=True)
        .repartition(4)  # so small a file is one block, and a block is one actor's
        .map_batches(
            Telling,
            fn_constructor_kwargs={"model": str(tiny().folder), "source_column": "path", "keep": ["site"]},
            batch_format="pyarrow",
            batch_size=5,
            compute=ray.data.ActorPoolStrategy(size=2),
            **ONE_ON_EACH_NODE,
        )
        .to_arrow_refs()
    )
    table = pa.concat_tables(ray.get(made)).sort_by([("source", "ascending"), ("id", "ascending")])
    assert len(set(table.column("node").to_pylist())) == 2
    assert table.drop_columns("node").equals(expected)


@pytest.mark.parametrize("output_format", ["jsonl", "parquet"])
def test_shards_together_are_the_output_of_the_local_job(
    cluster: str,
    tmp_path: Path,
    inputs: Path,
    output_format: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
):
    expected = local([str(inputs)], tmp_path / f"out.{output_format}", read=ReadOptions(keep=("site",)))
    output = tmp_path / "shards"
    made = score_files(
        [str(inputs)],
        output.as_uri(),
        workers=2,
        read=ReadOptions(keep=("site",)),
        output_format=output_format,
        model=tiny().folder,
        ray_remote_args=ONE_ON_EACH_NODE,
    )
    assert expected.counts.failed > 0 and expected.counts.verdicts["spun"] > 0
    assert same_counts(made, expected)
    assert json.loads((output / "_summary.json").read_bytes()) == made.to_dict()
    shards = [f"part-{i:06d}.{output_format}" for i in range(6)]  # five tables, and the texts together
    assert sorted(p.name for p in output.glob("[!_]*")) == shards
    if output_format == "jsonl":
        assert joined(output) == (tmp_path / "out.jsonl").read_bytes()
    else:
        assert pq.read_table(output).equals(pq.read_table(tmp_path / "out.parquet"))
        local([str(inputs / "a.parquet")], tmp_path / "a.parquet")
        score_files([str(inputs / "a.parquet")], str(tmp_path / "one"), workers=1, model=tiny().folder)
        assert joined(tmp_path / "one", "parquet") == (tmp_path / "a.parquet").read_bytes()
    told = capfd.readouterr()
    logs = Path(ray._private.worker._global_node.get_logs_dir_path())
    logged = "".join(path.read_text(errors="replace") for path in logs.rglob("*") if path.is_file())
    assert logged
    assert SECRET not in told.out + told.err + caplog.text + logged


DRIVER = """
import sys, ray
from detector.batch.ray import score_files
ray.init(address=sys.argv[1], log_to_driver=False)
score_files([sys.argv[2]], sys.argv[3], workers=1, output_format="jsonl", model=sys.argv[4])
"""


def test_a_killed_job_goes_on_with_the_shards_that_are_missing(cluster: str, tmp_path: Path):
    source, output = tmp_path / "in", tmp_path / "shards"
    source.mkdir()
    for number in range(8):
        rows = [json.dumps({"text": d.text}) for d in tiny().documents[number::2]]
        (source / f"{number}.jsonl").write_text("\n".join(rows))
    expected = local([str(source)], tmp_path / "out.jsonl")
    arguments = [sys.executable, "-c", DRIVER, cluster, str(source), str(output), str(tiny().folder)]
    driver = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(list(output.glob("part-*"))) >= 2 or driver.poll() is not None)
    driver.kill()
    driver.wait()
    time.sleep(2)  # Ray ends a dead driver's actors
    before = {path: path.stat().st_mtime_ns for path in output.glob("part-*")}
    assert 2 <= len(before) < 8
    assert not (output / "_summary.json").exists()

    options = {"workers": 2, "output_format": "jsonl", "model": tiny().folder, "ray_remote_args": ONE_ON_EACH_NODE}
    with pytest.raises(JobError, match="holds a job"):
        score_files([str(source)], str(output), **options)
    with pytest.raises(JobError, match="another operating_point, threshold"):
        score_files([str(source)], str(output), resume=True, operating_point="sensitive", **options)
    made = score_files([str(source)], str(output), resume=True, **options)
    assert joined(output) == (tmp_path / "out.jsonl").read_bytes()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert 0 < made.resumed_rows < made.counts.rows
    assert same_counts(made, expected)
    assert not list(output.glob(".*"))
    again = score_files([str(source)], str(output), resume=True, **options)
    assert again.resumed_rows == again.counts.rows == expected.counts.rows
    fresh = score_files([str(source)], str(output), restart=True, **options)
    assert fresh.resumed_rows == 0 and joined(output) == (tmp_path / "out.jsonl").read_bytes()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the actor through /proc")
def test_a_killed_worker_costs_no_rows(cluster: str, tmp_path: Path):
    from threading import Thread

    source, output = tmp_path / "in", tmp_path / "shards"
    source.mkdir()
    for number in range(6):
        rows = [json.dumps({"text": d.text}) for d in tiny().documents[number::2]]
        (source / f"{number}.jsonl").write_text("\n".join(rows))
    expected = local([str(source)], tmp_path / "out.jsonl")
    killed: list[int] = []

    def kill_one() -> None:
        wait_for(lambda: list(output.glob("part-*")))
        [victim, *_] = actors()
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)

    killer = Thread(target=kill_one)
    killer.start()
    made = score_files(
        [str(source)],
        str(output),
        workers=2,
        output_format="jsonl",
        model=tiny().folder,
        ray_remote_args=ONE_ON_EACH_NODE,
    )
    killer.join()
    assert killed
    assert same_counts(made, expected)
    assert joined(output) == (tmp_path / "out.jsonl").read_bytes()


def actors() -> list[int]:
    """Return the processes of our actors; Ray titles them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            title = (process / "cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
        if title.startswith(b"ray::") and b"ShardScorer" in title:
            found.append(int(process.name))
    return found


def wait_for(condition, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.02)


def test_wrong_usage_is_told_before_anything_starts(cluster: str, tmp_path: Path, inputs: Path):
    source, options = [str(inputs)], {"workers": 1, "model": tiny().folder}
    with pytest.raises(ColumnError, match="no column 'body'"):
        score_files(source, str(tmp_path / "out"), read=ReadOptions(text_column="body"), **options)
    assert not (tmp_path / "out").exists()
    with pytest.raises(JobError, match="not empty and holds no job"):
        score_files(source, str(inputs), **options)
    with pytest.raises(JobError, match="standard input"):
        score_files(["-"], str(tmp_path / "out"), **options)
    with pytest.raises(ValueError, match="workers"):
        score_files(source, str(tmp_path / "out"), workers=0)
    (tmp_path / "file").write_text(article.__doc__ or "")
    with pytest.raises(JobError, match="cannot be written"):
        score_files(source, str(tmp_path / "file"), **options)
