"""The batch job: inputs to chunks, chunks to workers, their pieces to the journal, and at the end the output.

See journal.py for what survives an interruption, pool.py for the worker processes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from detector.batch.carried import kept_schema
from detector.batch.inputs import Input, find_inputs
from detector.batch.journal import CHECKPOINT_ROWS, JOURNAL_FORMAT, Journal
from detector.batch.pool import Pool, use_one_thread
from detector.batch.readers import read_chunks
from detector.batch.remote import DriverError, RemoteError, check_output, is_url, name_of
from detector.batch.rows import Chunk, ColumnError, ReadOptions
from detector.batch.scoring import ScoredRows, Scorer, score_rows
from detector.batch.summary import Counts, JobError, Summary, Watcher
from detector.batch.writers import FORMATS, OutputForm, output_schema
from detector.operating_point import OperatingPoint, settle
from detector.reading import STDIN, display_name
from detector.store import open_model

__all__ = [
    "Counts",
    "JobError",
    "JobOptions",
    "Scorer",
    "Summary",
    "Watcher",
    "run_job",
    "score_rows",
    "use_one_thread",
]


@dataclass(frozen=True, slots=True)
class JobOptions:
    """One job. `inputs`: as on the command line; `output`: its ending decides the format.

    `workers`: processes that score; 1 scores in this process. `resume`: go on with an interrupted job where there is
    one. `restart`: throw away what an interrupted one left. `upload_to`: a URL for the finished output, which then
    never appears as the file `output`; what is finished is kept beside where that would be. `summary`: a file that the
    caller writes afterwards, so that it can be refused before where it would replace an input or the output.
    """

    inputs: tuple[str, ...]
    output: Path
    read: ReadOptions = field(default_factory=ReadOptions)
    model: str | None = None
    operating_point: str | OperatingPoint = "balanced"
    spun_only: bool = False
    spans: bool = True
    workers: int = 1
    checkpoint_rows: int = CHECKPOINT_ROWS
    resume: bool = False
    restart: bool = False
    upload_to: str | None = None
    with_text: bool = False
    summary: Path | None = None

    @property
    def output_name(self) -> str:
        """The name of the output for messages."""
        return name_of(str(self.output) if self.upload_to is None else self.upload_to)


def run_job(options: JobOptions, watcher: Watcher, detector: Scorer | None = None, pool: Pool | None = None) -> Summary:
    """Score all inputs into the output and return the summary.

    `detector`: scores in this process instead of the model that the options name (which then must be one worker).
    `pool`: processes that were started with the options' model, operating point and number of workers; closed here.

    Raises:
        JobError: the output cannot be written, or there is an interrupted job that does not fit; nothing was changed.
        ColumnError: the first table has no such column.
        ModelError: the model cannot be opened.
        ValueError: the model has no such operating point.
        KeyboardInterrupt: interrupted; what was scored is in the parts folder.
    """
    begun = time.monotonic()
    if options.resume and STDIN in options.inputs:
        raise JobError("a job that reads standard input cannot be resumed; put the records into a file")
    output_format = FORMATS.get(options.output.suffix.lower())
    if output_format is None:
        raise JobError(f"{options.output_name}: end the output's name in .jsonl or .parquet")
    if detector is None and options.workers == 1:
        from detector import SpinDetector

        detector = SpinDetector.load(options.model, operating_point=options.operating_point)
    if detector is None:
        model_id, operating_point, threshold = _model(options)
    else:
        model_id, operating_point, threshold = detector.model_id, detector.operating_point, detector.threshold
    target = _resolved(options.output)
    folder = target.with_name(target.name + ".parts")
    if options.upload_to is not None:
        try:
            check_output(options.upload_to)
        except RemoteError as error:
            raise JobError(str(error)) from error
    elif os.path.isdir(target):  # noqa: PTH112 - never raises
        raise JobError(f"{options.output_name}: is a folder; give a file name")
    if not os.path.isdir(target.parent):  # noqa: PTH112 - never raises
        name = display_name(str(target.parent))
        raise JobError(f"{name}: no such folder for the output, or none that may be entered; make it first")
    summary = None if options.summary is None else _resolved(options.summary)
    if summary == target and options.upload_to is None:
        raise JobError(f"{options.output_name}: is both the output and the summary; choose another --summary")
    schema = None
    if output_format == "parquet":
        schema = output_schema(*kept_schema(_find(options.inputs), options.read), options.with_text)
        if len(set(schema.names)) < len(schema.names):
            raise JobError("two columns would have the same name in the output; keep fewer columns")
    form = OutputForm(output_format, options.spun_only, options.spans, schema, options.with_text)
    inputs, total_bytes, digest = _survey(_find(options.inputs), options.upload_to or target, summary)
    journal = Journal(folder, form)
    try:
        journal.open(
            _fingerprint(options, (model_id, operating_point, threshold), digest, output_format),
            resume=options.resume,
            restart=options.restart,
        )
    except OSError as error:
        raise JobError(f"{display_name(str(folder))}: cannot be written: {error.strerror or error}") from error
    resumed = journal.counts.rows
    watcher.begin(total_bytes, journal.counts)
    chunks = read_chunks(find_inputs(options.inputs), options.read, journal.position)
    done, wrong_usage = False, False
    try:
        with _scoring(options, detector, pool) as scored_of:
            for chunk, scored in scored_of(chunks, form, model_id):
                journal.add(chunk, scored, options.checkpoint_rows)
                for complaint in scored.complaints:
                    watcher.complain(complaint)
                watcher.advance(journal.counts, journal.bytes_read)
        done = True
        journal.finish(target, options.upload_to)
    except ColumnError:
        wrong_usage = True
        raise
    except OSError as error:
        raise JobError(
            f"{options.output_name}: cannot be written: {error.strerror or error}; what was finished is kept, "
            "continue with --resume"
        ) from error
    except RemoteError as error:
        raise JobError(f"{error}; what was finished is kept, continue with --resume") from error
    finally:
        if not done:
            with contextlib.suppress(OSError):
                journal.checkpoint()
        journal.release()
        # Nothing that could be continued should make the next try complain about an interrupted job.
        useful = journal.holds_work() and STDIN not in options.inputs and not (wrong_usage and not resumed)
        if not (done or useful):
            shutil.rmtree(folder, ignore_errors=True)
    return Summary(
        counts=journal.counts,
        model=model_id,
        operating_point=operating_point,
        threshold=threshold,
        output=options.output_name,
        inputs=inputs,
        workers=options.workers,
        seconds=time.monotonic() - begun,
        resumed_rows=resumed,
    )


def _model(options: JobOptions) -> tuple[str, str, float]:
    """Return id, operating point and threshold of the model without loading it; the workers do that."""
    folder = open_model(options.model)
    return folder.model_id, *settle(options.operating_point, folder.config.get("operating_points", {}), folder.model_id)


def _find(arguments: Iterable[str]) -> Iterator[Input]:
    try:
        yield from find_inputs(arguments)
    except DriverError as error:
        raise JobError(str(error)) from error


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # the current folder is gone, links in a circle, a NUL
        why = getattr(error, "strerror", None) or error
        raise JobError(f"{display_name(str(path))}: cannot be written: {why}; choose another file") from error


def _survey(inputs: Iterable[Input], target: Path | str, summary: Path | None) -> tuple[int, int, str]:
    """Return number and bytes of the inputs, and a digest of what they are: names, sizes, times."""
    digest = hashlib.sha256()
    count = total = 0
    for item in inputs:
        if item.kind is not None and item.path != STDIN and _same(item.path, target):
            raise JobError(f"{name_of(item.path)}: is both an input and the output; choose another --output")
        # A summary may have any name, so also that of a file of no known kind.
        there = item.path != STDIN and (item.kind is not None or os.path.exists(item.path))  # noqa: PTH110 - never raises
        if there and summary is not None and _same(item.path, summary):
            raise JobError(f"{name_of(item.path)}: is both an input and the summary; choose another --summary")
        count, total = count + 1, total + item.size
        digest.update(repr(tuple(item)).encode("utf-8", "surrogatepass"))
    return count, total, digest.hexdigest()


def _same(path: str, target: Path | str) -> bool:
    return path == target if is_url(path) else Path(path).resolve() == target


def _fingerprint(
    options: JobOptions, scorer: tuple[str, str, float], inputs: str, output_format: str
) -> dict[str, Any]:
    from detector import __version__

    model_id, operating_point, threshold = scorer
    read = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(options.read).items()}
    return {
        "format": JOURNAL_FORMAT,
        "version": __version__,
        "model": model_id,
        "operating_point": operating_point,
        "threshold": threshold,
        "inputs": inputs,
        "reading": read,
        "output": output_format if options.upload_to is None else f"{output_format} at {options.output_name}",
        "spun_only": options.spun_only,
        "spans": options.spans,
        "with_text": options.with_text,
    }


@contextlib.contextmanager
def _scoring(
    options: JobOptions, detector: Scorer | None, pool: Pool | None
) -> Iterator[Callable[[Iterable[Chunk], OutputForm, str], Iterator[tuple[Chunk, ScoredRows]]]]:
    """Give a function that scores chunks, in order, here or in worker processes."""
    if detector is not None:
        loaded = detector
        yield lambda chunks, form, _: ((chunk, score_rows(loaded, chunk.rows, form)) for chunk in chunks)
        return
    pool = pool or Pool(options.workers, options.model, options.operating_point)
    at_once = True
    try:
        yield pool.scored
        at_once = False
    finally:
        pool.close(at_once=at_once)
