"""The batch job: rows to workers and back in order, the journal that survives a power cut, the summary.

While it runs, a folder OUTPUT.parts beside the output holds `job.json` (what the job is: inputs, options, model), and
finished parts. Each part is written under another name, synced to the disk and renamed, after a small file that says
where reading goes on behind it; so a part that has its name is complete, and everything after the last one is scored
again. The output is put together from the parts and gets its name when it is complete.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import logging
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from detector.batch.readers import (
    START,
    Chunk,
    ColumnError,
    FileText,
    Input,
    Position,
    ReadOptions,
    Rows,
    find_inputs,
    kept_schema,
    read_chunks,
    read_file_text,
)
from detector.batch.writers import FORMATS, OutputForm, PartFile, assemble, encode, output_schema
from detector.errors import DetectorError, InputError, ModelError
from detector.operating_point import OperatingPoint, settle
from detector.reading import STDIN, display_name, extract_html
from detector.results import Failed, Reason, SpinResult, Verdict
from detector.store import open_model

logger = logging.getLogger(__name__)

CHECKPOINT_ROWS = 10_000
CHECKPOINT_SECONDS = 30.0
"""A part ends after so many rows or seconds: what a power cut can cost, and rare enough that syncing costs nothing."""

HISTOGRAM_BINS = 20
JOURNAL_FORMAT = 1
_COMPLAINTS_PER_CHUNK = 5


class JobError(DetectorError):
    """The job cannot be done as asked; the message says what to change."""


class Scorer(Protocol):
    """What scores a text; `detector.SpinDetector` is one."""

    model_id: str
    operating_point: str
    threshold: float

    def score(self, text: str, *, id: str | int | None = None, source: str | None = None) -> SpinResult:
        """Return the result for one text."""


@dataclass(frozen=True, slots=True)
class JobOptions:
    """One job. `inputs`: as on the command line; `output`: its ending decides the format.

    `workers`: processes that score; 1 scores in this process. `resume`: go on with an interrupted job where there is
    one. `restart`: throw away what an interrupted one left.
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


@dataclass
class Counts:
    """What was seen so far. `histogram`: of the probabilities, HISTOGRAM_BINS equal bins from 0 to 1."""

    rows: int = 0
    written: int = 0
    words: int = 0
    failed: int = 0
    verdicts: dict[str, int] = field(default_factory=lambda: {v.value: 0 for v in Verdict})
    reasons: dict[str, int] = field(default_factory=lambda: {r.value: 0 for r in Reason})
    histogram: list[int] = field(default_factory=lambda: [0] * HISTOGRAM_BINS)

    def add_result(self, result: SpinResult) -> None:
        """Count a result."""
        self.rows += 1
        self.verdicts[result.verdict.value] += 1
        if result.reason is not None:
            self.reasons[result.reason.value] += 1
        if result.probability is not None:
            self.words += result.words
            self.histogram[min(int(result.probability * HISTOGRAM_BINS), HISTOGRAM_BINS - 1)] += 1

    def add_failed(self) -> None:
        """Count a row that could not be read or scored."""
        self.rows += 1
        self.failed += 1

    def add(self, other: Counts) -> None:
        """Count what `other` counted."""
        for name in ("rows", "written", "words", "failed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in ((self.verdicts, other.verdicts), (self.reasons, other.reasons)):
            for key, count in theirs.items():
                mine[key] = mine.get(key, 0) + count
        self.histogram = [a + b for a, b in zip(self.histogram, other.histogram, strict=True)]


@dataclass(frozen=True, slots=True)
class Summary:
    """How a job ended. `resumed_rows`: rows of `counts` that earlier runs had scored; `seconds`: of this run."""

    counts: Counts
    model: str
    operating_point: str
    threshold: float
    output: str
    inputs: int
    workers: int
    seconds: float
    resumed_rows: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; the shape is in docs/batch.md."""
        done = self.counts.rows - self.resumed_rows
        return {
            "schema": 1,
            "model": self.model,
            "operating_point": self.operating_point,
            "threshold": self.threshold,
            "output": self.output,
            "inputs": self.inputs,
            "rows": self.counts.rows,
            "rows_written": self.counts.written,
            "verdicts": self.counts.verdicts,
            "reasons": self.counts.reasons,
            "failed": self.counts.failed,
            "words": self.counts.words,
            "probability_histogram": {
                "edges": [i / HISTOGRAM_BINS for i in range(HISTOGRAM_BINS + 1)],
                "counts": self.counts.histogram,
            },
            "workers": self.workers,
            "seconds": round(self.seconds, 3),
            "resumed_rows": self.resumed_rows,
            "rows_per_second": round(done / self.seconds, 1) if self.seconds > 0 else None,
        }


class Watcher(Protocol):
    """Who is told how the job goes; called from the thread that runs it."""

    def begin(self, total_bytes: int, resumed: Counts) -> None:
        """The inputs have been found; scoring begins."""

    def advance(self, counts: Counts, bytes_read: int) -> None:
        """More rows are done: all counts so far, and an estimate of the input bytes read."""

    def complain(self, message: str) -> None:
        """A row or an input failed; no message holds a piece of a text."""


# --- scoring a chunk, in a worker or here ---


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """What became of a chunk: its piece of the output, its counts, and the first few complaints."""

    piece: bytes
    counts: Counts
    complaints: tuple[str, ...]


def score_rows(detector: Scorer, rows: Rows, form: OutputForm) -> ScoredRows:
    """Score the rows of a chunk; a row that fails is a record with its error."""
    return _finish([_score_row(detector, rows, i) for i in range(len(rows))], rows, form)


def _finish(outcomes: list[SpinResult | Failed], rows: Rows, form: OutputForm) -> ScoredRows:
    counts = Counts()
    complaints: list[str] = []
    for outcome in outcomes:
        if isinstance(outcome, Failed):
            counts.add_failed()
            if len(complaints) < _COMPLAINTS_PER_CHUNK:
                complaints.append(outcome.error)
        else:
            counts.add_result(outcome)
    counts.written = counts.verdicts[Verdict.SPUN.value] if form.spun_only else counts.rows
    piece = encode([outcome.to_dict() for outcome in outcomes], form, rows.kept, rows.table)
    return ScoredRows(piece, counts, tuple(complaints))


def _score_row(detector: Scorer, rows: Rows, i: int) -> SpinResult | Failed:
    source, row_id, error = rows.sources[i], rows.ids[i], rows.errors[i]
    if error is not None:
        return Failed(source, error, row_id)
    text = rows.texts[i]
    try:
        if isinstance(text, FileText):
            text = read_file_text(text)
        elif rows.html and isinstance(text, str) and text.strip():
            text = extract_html(text, _place(rows, i))
        return detector.score(text, id=row_id, source=source)
    except InputError as caught:
        return Failed(source, str(caught), row_id)
    except Exception as caught:  # a bug, or memory ran out: the other rows must still be scored
        logger.debug("%s", _place(rows, i), exc_info=True)
        what = "not enough memory" if isinstance(caught, MemoryError) else type(caught).__name__
        return Failed(source, f"{_place(rows, i)}: could not be scored: {what}; please report it", row_id)


def _place(rows: Rows, i: int) -> str:
    source, row = rows.sources[i], f"row {rows.numbers[i]:,}"
    if source is None:
        return row
    return source if isinstance(rows.texts[i], FileText) else f"{source}: {row}"


_detector: Scorer | None = None  # of this worker process
_form: OutputForm | None = None
_problem: Exception | None = None  # why it cannot score


def _start_worker(model: str | None, model_id: str, operating_point: str | OperatingPoint, form: OutputForm) -> None:
    global _detector, _form, _problem
    # Ctrl-C goes to the whole group of processes; the main one decides what happens then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    use_one_thread()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from detector import SpinDetector

    try:
        _detector, _form = SpinDetector.load(model, operating_point=operating_point), form
        if _detector.model_id != model_id:
            raise ModelError(f"the model changed while the job started: {_detector.model_id}, not {model_id}")
    except Exception as error:  # raised here it would only be printed
        _problem = error


def use_one_thread() -> None:
    """Keep numpy's linear algebra in this process to one thread; works until numpy is imported.

    There is a process for every core already, and sums do not depend on how many threads share them.
    """
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")


def _end_with_parent() -> None:
    # A pool's worker never notices that its parent was killed, and would wait for work for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _score_in_worker(rows: Rows) -> ScoredRows:
    detector = _of_this_worker()
    assert _form is not None
    return score_rows(detector, rows, _form)


def _score_one_in_worker(rows: Rows, i: int) -> SpinResult | Failed:
    return _score_row(_of_this_worker(), rows, i)


def _ready() -> bool:
    return _of_this_worker() is not None


def _of_this_worker() -> Scorer:
    if _problem is not None:
        raise _problem
    assert _detector is not None
    return _detector


def _submit(executor: ProcessPoolExecutor, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Submit with Ctrl-C held back: a worker started here inherits that, and so is quiet from its first moment."""
    if not hasattr(signal, "pthread_sigmask"):
        return executor.submit(function, *arguments)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return executor.submit(function, *arguments)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Pool:
    """Worker processes; results come in the order of the chunks, and a worker that dies takes one row with it."""

    def __init__(self, workers: int, start: tuple[Any, ...], form: OutputForm) -> None:
        self._workers = workers
        self._start = start
        self._form = form
        self._window = 2 * workers + 2  # chunks under way: enough to keep all busy behind a slow one
        self._others = set(multiprocessing.active_children())  # not ours to end
        self._executor = self._new(workers)

    def _new(self, workers: int) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")  # fork copies threads' locks, and Windows has only this
        return ProcessPoolExecutor(workers, context, _start_worker, self._start)

    def scored(self, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, ScoredRows]]:
        pending: deque[tuple[Chunk, Future[ScoredRows]]] = deque()
        for chunk in chunks:
            pending.append((chunk, self._submit(chunk)))
            if len(pending) >= self._window:
                yield self._take(pending)
        while pending:
            yield self._take(pending)

    def _submit(self, chunk: Chunk) -> Future[ScoredRows]:
        try:
            return _submit(self._executor, _score_in_worker, chunk.rows)
        except BrokenProcessPool as error:
            failed: Future[ScoredRows] = Future()
            failed.set_exception(error)
            return failed

    def _take(self, pending: deque[tuple[Chunk, Future[ScoredRows]]]) -> tuple[Chunk, ScoredRows]:
        chunk, future = pending.popleft()
        try:
            return chunk, future.result()
        except BrokenProcessPool:
            logger.warning("a worker process died; scoring %d rows one by one", len(chunk.rows))
        # Nobody knows which chunk it was, so the first one is done carefully and the others are tried again.
        self._executor.shutdown(wait=True, cancel_futures=True)
        scored = self._one_by_one(chunk.rows)
        self._executor = self._new(self._workers)
        waiting = [c for c, _ in pending]
        pending.clear()
        pending.extend((c, self._submit(c)) for c in waiting)
        return chunk, scored

    def _one_by_one(self, rows: Rows) -> ScoredRows:
        outcomes: list[SpinResult | Failed] = []
        executor: ProcessPoolExecutor | None = None
        try:
            for i in range(len(rows)):
                if executor is None:
                    executor = self._new(1)
                    try:
                        _submit(executor, _ready).result()
                    except BrokenProcessPool as error:
                        raise JobError(
                            "the worker processes die before they score anything; is there too little memory? "
                            "What was finished is kept: try again with --workers 1 --resume"
                        ) from error
                try:
                    outcomes.append(_submit(executor, _score_one_in_worker, rows, i).result())
                except BrokenProcessPool:
                    executor.shutdown(wait=True)
                    executor = None
                    place = _place(rows, i)
                    message = f"{place}: the process that scored it died (out of memory?); shorten the text"
                    outcomes.append(Failed(rows.sources[i], message, rows.ids[i]))
        finally:
            if executor is not None:
                executor.shutdown(wait=True, cancel_futures=True)
        return _finish(outcomes, rows, self._form)

    def close(self, *, at_once: bool) -> None:
        if at_once:
            for process in set(multiprocessing.active_children()) - self._others:
                process.terminate()
        self._executor.shutdown(wait=True, cancel_futures=True)


# --- the journal ---


class _Journal:
    """The parts folder: what is finished, and for which job."""

    def __init__(self, folder: Path, form: OutputForm) -> None:
        self.folder = folder
        self.form = form
        self.counts = Counts()
        self.position = START
        self.bytes_read = 0
        self.parts: list[Path] = []
        self._ending = ".jsonl" if form.format == "jsonl" else ".arrow"
        self._lock: Any = None
        self._stream: Any = None
        self._part: PartFile | None = None
        self._rows = 0
        self._since = time.monotonic()
        self._whole = True

    def open(self, fingerprint: dict[str, Any], *, resume: bool, restart: bool) -> None:
        """Begin a new job, or go on with the one that the folder holds.

        Raises:
            JobError: there is an interrupted job and neither `resume` nor `restart`, it is another job, or it runs.
        """
        name = display_name(str(self.folder))
        started = (self.folder / "job.json").is_file()
        ours = {"lock", "job.json.tmp"}  # all there is before job.json
        if self.folder.is_dir() and not started and any(p.name not in ours for p in self.folder.iterdir()):
            raise JobError(f"{name}: is there and holds no batch job; remove it or choose another --output")
        for old in self.folder.parent.glob(f"{glob.escape(self.folder.name)}.*.old"):  # of a job killed at its very end
            shutil.rmtree(old, ignore_errors=True)
        self.folder.mkdir(exist_ok=True)
        self._take_lock(name)
        if started and restart:
            self.remove()
            self.folder.mkdir()
            self._take_lock(name)
            started = False
        if started:
            self._check(fingerprint, name, resume)
            self._find_parts()
        else:
            _write_durably(self.folder / "job.json", json.dumps(fingerprint, indent=2).encode())
        for path in self.folder.glob("*.tmp"):
            path.unlink()

    def _take_lock(self, name: str) -> None:
        try:
            import fcntl
        except ImportError:  # Windows: there an open file cannot be renamed or removed, which stops a second job too
            return
        self._lock = (self.folder / "lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise JobError(f"{name}: another job is writing to this output; wait for it or choose another") from error

    def _check(self, fingerprint: dict[str, Any], name: str, resume: bool) -> None:
        if not resume:
            raise JobError(
                f"{name}: an interrupted job for this output is there; continue it with --resume, or throw away what "
                "it finished with --restart"
            )
        try:
            before = json.loads((self.folder / "job.json").read_bytes())
        except ValueError as error:
            raise JobError(f"{name}: job.json is damaged; begin again with --restart") from error
        if not isinstance(before, dict) or before.get("format") != JOURNAL_FORMAT:
            raise JobError(f"{name}: was written by another version of detect-spin; begin again with --restart")
        if changed := [key for key in fingerprint if before.get(key) != fingerprint[key]]:
            shown = ", ".join(
                f"{key} (was {before.get(key)!r}, is {fingerprint[key]!r})" if key in _SHOWN else key for key in changed
            )
            raise JobError(
                f"{name}: cannot resume, because the interrupted job had another {shown}; give the same inputs and "
                "options, or begin again with --restart"
            )

    def _find_parts(self) -> None:
        while (part := self._path(len(self.parts))).is_file():
            self.parts.append(part)
        for path in self.folder.glob("part-*"):
            if path not in self.parts and path.with_suffix(self._ending) not in self.parts:
                path.unlink()
        if self.parts:
            state = json.loads(self.parts[-1].with_suffix(".json").read_bytes())
            self.position = Position(*state["position"])
            self.bytes_read = state["bytes_read"]
            self.counts = Counts(**state["counts"])

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:08d}{self._ending}"

    def add(self, chunk: Chunk, scored: ScoredRows, checkpoint_rows: int) -> None:
        """Append a scored chunk; end the part where it is time."""
        if self._part is None:
            self._stream = self._path(len(self.parts)).with_suffix(".tmp").open("wb")
            self._part = PartFile(self._stream, self.form)
            self._rows, self._since = 0, time.monotonic()
        self._whole = False
        self._part.add(scored.piece)
        self._rows += scored.counts.rows
        self.counts.add(scored.counts)
        self.position, self.bytes_read = chunk.end, chunk.bytes_read
        self._whole = True
        if self._rows >= checkpoint_rows or time.monotonic() - self._since >= CHECKPOINT_SECONDS:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Make everything added so far survive a power cut.

        A part in which a chunk was interrupted half-way (Ctrl-C can come anywhere) is left to be scored again.
        """
        if self._part is None or not self._whole:
            return
        self._part.finish()
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._part = None
        part = self._path(len(self.parts))
        state = {"position": self.position, "bytes_read": self.bytes_read, "counts": asdict(self.counts)}
        _write_durably(part.with_suffix(".json"), json.dumps(state).encode())
        part.with_suffix(".tmp").replace(part)
        _sync_folder(self.folder)
        self.parts.append(part)

    def finish(self, target: Path) -> None:
        """Put the output together under its name and remove the folder."""
        self.checkpoint()
        made = self.folder / "output.tmp"
        assemble(self.parts, made, self.form)
        with made.open("rb+") as stream:
            os.fsync(stream.fileno())
        if target.exists():
            shutil.copymode(target, made)
        made.replace(target)
        _sync_folder(target.parent)
        self.remove()

    def remove(self) -> None:
        """Remove the folder; it gets another name first, so that no half of it can be taken for a job."""
        self.release()
        old = self.folder.with_name(f"{self.folder.name}.{os.urandom(4).hex()}.old")
        self.folder.rename(old)
        shutil.rmtree(old, ignore_errors=True)

    def release(self) -> None:
        """Let go of the folder without changing it."""
        if self._stream is not None:
            self._stream.close()
        if self._lock is not None:
            self._lock.close()


_SHOWN = frozenset({"version", "model", "operating_point", "threshold", "output", "spun_only", "spans"})


def _write_durably(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    # A new name is safe when its folder is; Windows has no such thing.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# --- the job ---


def run_job(options: JobOptions, watcher: Watcher, detector: Scorer | None = None) -> Summary:
    """Score all inputs into the output and return the summary.

    `detector`: scores in this process instead of the model that the options name (which then must be one worker).

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
        raise JobError(f"{display_name(str(options.output))}: end the output's name in .jsonl or .parquet")
    if detector is None and options.workers == 1:
        from detector import SpinDetector

        detector = SpinDetector.load(options.model, operating_point=options.operating_point)
    if detector is None:
        model_id, operating_point, threshold = _model(options)
    else:
        model_id, operating_point, threshold = detector.model_id, detector.operating_point, detector.threshold
    target = options.output.resolve()
    folder = target.with_name(target.name + ".parts")
    if target.is_dir():
        raise JobError(f"{display_name(str(options.output))}: is a folder; give a file name")
    if not target.parent.is_dir():
        raise JobError(f"{display_name(str(target.parent))}: no such folder for the output; make it first")
    schema = None
    if output_format == "parquet":
        schema = output_schema(*kept_schema(find_inputs(options.inputs), options.read))
        if len(set(schema.names)) < len(schema.names):
            raise JobError("two columns would have the same name in the output; keep fewer columns")
    form = OutputForm(output_format, options.spun_only, options.spans, schema)
    inputs, total_bytes, digest = _survey(find_inputs(options.inputs), target)
    journal = _Journal(folder, form)
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
        with _scoring(options, detector, model_id, form) as scored_of:
            for chunk, scored in scored_of(chunks):
                journal.add(chunk, scored, options.checkpoint_rows)
                for complaint in scored.complaints:
                    watcher.complain(complaint)
                watcher.advance(journal.counts, journal.bytes_read)
        done = True
        journal.finish(target)
    except ColumnError:
        wrong_usage = True
        raise
    except OSError as error:
        raise JobError(
            f"{display_name(str(options.output))}: cannot be written: {error.strerror or error}; what was finished is "
            "kept, continue with --resume"
        ) from error
    finally:
        if not done:
            with contextlib.suppress(OSError):
                journal.checkpoint()
        journal.release()
        # Nothing that could be continued should make the next try complain about an interrupted job.
        useful = journal.parts and STDIN not in options.inputs and not (wrong_usage and not resumed)
        if not (done or useful):
            shutil.rmtree(folder, ignore_errors=True)
    return Summary(
        counts=journal.counts,
        model=model_id,
        operating_point=operating_point,
        threshold=threshold,
        output=display_name(str(options.output)),
        inputs=inputs,
        workers=options.workers,
        seconds=time.monotonic() - begun,
        resumed_rows=resumed,
    )


def _model(options: JobOptions) -> tuple[str, str, float]:
    """Return id, operating point and threshold of the model without loading it; the workers do that."""
    folder = open_model(options.model)
    return folder.model_id, *settle(options.operating_point, folder.config.get("operating_points", {}), folder.model_id)


def _survey(inputs: Iterable[Input], target: Path) -> tuple[int, int, str]:
    """Return number and bytes of the inputs, and a digest of what they are: names, sizes, times."""
    digest = hashlib.sha256()
    count = total = 0
    for item in inputs:
        if item.kind is not None and item.path != STDIN and Path(item.path).resolve() == target:
            raise JobError(f"{display_name(item.path)}: is both an input and the output; choose another --output")
        count, total = count + 1, total + item.size
        digest.update(repr(tuple(item)).encode("utf-8", "surrogatepass"))
    return count, total, digest.hexdigest()


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
        "output": output_format,
        "spun_only": options.spun_only,
        "spans": options.spans,
    }


@contextlib.contextmanager
def _scoring(
    options: JobOptions, detector: Scorer | None, model_id: str, form: OutputForm
) -> Iterator[Callable[[Iterable[Chunk]], Iterator[tuple[Chunk, ScoredRows]]]]:
    """Give a function that scores chunks, in order, here or in worker processes."""
    if detector is not None:
        loaded = detector
        yield lambda chunks: ((chunk, score_rows(loaded, chunk.rows, form)) for chunk in chunks)
        return
    pool = _Pool(options.workers, (options.model, model_id, options.operating_point, form), form)
    at_once = True
    try:
        yield pool.scored
        at_once = False
    finally:
        pool.close(at_once=at_once)
