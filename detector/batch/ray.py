"""Scoring on a Ray cluster. Ray Data does the scheduling: placing, retrying and scaling are its business, not ours.

`SpinScorer` is for the user's own pipeline, `ray.data.read_parquet(...).map_batches(SpinScorer, ...)`. `score_files` is
the batch job spread over a cluster: an output shard for each input file, and what is finished is not done again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from detector.batch.arrow import SpinScorer
from detector.batch.carried import kept_schema
from detector.batch.inputs import Input, find_inputs
from detector.batch.readers import read_chunks
from detector.batch.remote import is_url, local_path, name_of
from detector.batch.rows import ReadOptions
from detector.batch.shards import SUMMARY, ShardFolder, ShardJob, ShardScorer, fingerprint, split_inputs
from detector.batch.summary import JobError, Summary
from detector.batch.writers import Format, OutputForm, output_schema
from detector.errors import MissingExtraError
from detector.operating_point import OperatingPoint, as_operating_point
from detector.reading import STDIN
from detector.store import open_model

__all__ = ["SpinScorer", "score_files"]


def score_files(
    inputs: Sequence[str],
    output: str,
    *,
    workers: int,
    read: ReadOptions | None = None,
    output_format: Format = "parquet",
    model: str | Path | None = None,
    operating_point: str | Path | OperatingPoint = "balanced",
    spun_only: bool = False,
    spans: bool = True,
    with_text: bool = False,
    resume: bool = False,
    restart: bool = False,
    ray_remote_args: Mapping[str, Any] | None = None,
) -> Summary:
    """Score files on the Ray cluster that this process is connected to; connects where it is not, as Ray does.

    `inputs`: as for `detect-spin-batch`; every node must see them under the same absolute names. `output`: a folder, or
    a URL that fsspec knows, that every node can write to. Each table, and each thousand of text files, becomes a shard
    `part-000000.parquet`, ...; read in order of their names they hold the rows that `detect-spin-batch` would write. A
    shard gets its name when it is complete. `_summary.json` is written last.

    `workers`: actors that score, each on one CPU with the model opened once. The other options are those of
    `detect-spin-batch`. `resume`: keep the shards that an interrupted job finished; `restart`: throw them away.
    `ray_remote_args`: given to Ray for each actor, such as `{"memory": 1_000_000_000}`.

    Raises:
        JobError: the output is of another job, or cannot be written, or the cluster gave up.
        RemoteError: a URL cannot be used.
        ColumnError: the first table has no such column.
        ModelError, ValueError, InputError: as `SpinDetector.load`.
        MissingExtraError: Ray is not installed.
    """
    begun = monotonic()
    output = local_path(output)
    if workers < 1:
        raise ValueError(f"workers: expected 1 or more, got {workers}")
    if STDIN in inputs:
        raise JobError("standard input cannot be read by a cluster; put the records into a file")
    _check_ray()
    from detector import SpinDetector

    point = as_operating_point(operating_point)  # a file is read here, the actors get what it held
    folder_of_model = open_model(model)
    detector = SpinDetector(folder_of_model, point)
    options = read or ReadOptions()
    found = list(find_inputs([i if is_url(i) else os.path.abspath(i) for i in inputs]))  # noqa: PTH100 - keeps links
    first_table = next((item for item in found if item.is_table), None)
    if first_table is not None:
        for _ in read_chunks([first_table], options):  # a wrong column is found here, before any actor starts
            break
    shards = split_inputs(found)
    schema = None
    if output_format == "parquet":
        schema = output_schema(*kept_schema(found, options), with_text)
        if len(set(schema.names)) < len(schema.names):
            raise JobError("two columns would have the same name in the output; keep fewer columns")
    job = ShardJob(
        output=output if is_url(output) else str(Path(output).resolve()),
        form=OutputForm(output_format, spun_only, spans, schema, with_text),
        read=options,
        model=None if model is None else folder_of_model.reference,
        model_id=detector.model_id,
        operating_point=point,
        first_table=first_table,
    )
    folder = ShardFolder(job)
    folder.open(fingerprint(job, detector.threshold, detector.operating_point, found), resume=resume, restart=restart)
    done = folder.finished()
    resumed = folder.counts(done)
    pending = [number for number in range(len(shards)) if number not in done]
    if pending:
        _run(job, [(number, shards[number]) for number in pending], workers, ray_remote_args or {})
    counts = folder.counts(range(len(shards)))
    summary = Summary(
        counts=counts,
        model=detector.model_id,
        operating_point=detector.operating_point,
        threshold=detector.threshold,
        output=name_of(output),
        inputs=len(found),
        workers=workers,
        seconds=monotonic() - begun,
        resumed_rows=resumed.rows,
    )
    folder.write(SUMMARY, json.dumps(summary.to_dict(), indent=2).encode())
    folder.remove_temporary()
    return summary


def _check_ray() -> None:
    try:
        import ray.data  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingExtraError("scoring on a cluster needs Ray: pip install 'detect-spin[ray]'") from error


def _run(
    job: ShardJob, shards: Sequence[tuple[int, list[Input]]], workers: int, ray_remote_args: Mapping[str, Any]
) -> None:
    import ray.data
    from ray.exceptions import RayError

    # Inputs travel as JSON: Arrow would make a column of each field.
    items = [{"number": number, "inputs": json.dumps(inputs)} for number, inputs in shards]
    dataset = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        ShardScorer,
        fn_constructor_kwargs={"job": job},
        batch_size=1,
        # One at a time: a shard that waits behind a long one could be another actor's.
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(items)), max_tasks_in_flight_per_actor=1),
        **{"num_cpus": 1, **ray_remote_args},
    )
    try:
        for _ in dataset.iter_rows():
            pass
    except RayError as error:
        raise JobError(
            f"{name_of(job.output)}: the cluster could not finish the job; the shards that it finished are kept, "
            f"continue with resume: {type(error).__name__}: {error}"
        ) from error
