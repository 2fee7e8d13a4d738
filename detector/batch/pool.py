"""Worker processes: chunks of rows go out, pieces of the output come back in order, and a death costs one row."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from detector.errors import ModelError

if TYPE_CHECKING:  # importing them takes longer than starting a process, which can import them meanwhile
    from detector.batch.rows import Chunk, Rows
    from detector.batch.scoring import ScoredRows, Scorer
    from detector.batch.writers import OutputForm
    from detector.operating_point import OperatingPoint
    from detector.render import Entry

logger = logging.getLogger(__name__)


_detector: Scorer | None = None  # of this worker process
_problem: Exception | None = None  # why it cannot score
_PATIENCE_S = 3.0  # for a broken executor to end by itself: it takes hundredths of a second unless it hangs


def _start_worker(model: str | None, operating_point: str | OperatingPoint) -> None:
    global _detector, _problem
    # Ctrl-C goes to the whole group of processes; the main one decides what happens then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    use_one_thread()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        import detector.batch.scoring  # noqa: F401 - here rather than with the first rows
        from detector import SpinDetector

        _detector = SpinDetector.load(model, operating_point=operating_point)
    except Exception as error:  # raised here it would only be printed
        _problem = error


def use_one_thread() -> None:
    """Keep numpy's linear algebra in this process to one thread; works until numpy is imported.

    There is a process for every core already, and sums do not depend on how many threads share them.
    """
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")


def use_system_memory() -> None:
    """Let Arrow take its memory from the C library; works until pyarrow is imported, here and in the workers.

    Its own pool keeps what pages of 64 KiB and up leave behind: 15 to 25 MB more at the peak, growing by 12 % from
    10,000 rows to 100,000 where this grows by 3 %.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def _end_with_parent() -> None:
    # A pool's worker never notices that its parent was killed, and would wait for work for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _score_in_worker(rows: Rows, form: OutputForm, model_id: str) -> ScoredRows:
    from detector.batch.scoring import score_rows

    return score_rows(_of_this_worker(model_id), rows, form)


def _score_one_in_worker(rows: Rows, i: int, model_id: str) -> Entry:
    from detector.batch.scoring import score_row

    return score_row(_of_this_worker(model_id), rows, i)


def _ready() -> bool:
    return _detector is not None


def _of_this_worker(model_id: str) -> Scorer:
    if _problem is not None:
        raise _problem
    assert _detector is not None
    if _detector.model_id != model_id:
        raise ModelError(f"the model changed while the job started: {_detector.model_id}, not {model_id}")
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


def _end_dead(executor: ProcessPoolExecutor) -> None:
    """Shut down an executor whose workers are dead or dying.

    Up to Python 3.11.4 the thread that feeds the workers can wait for ever on a pipe that nobody reads (CPython
    gh-94777). Closing the reading end lets it fail instead, which is what newer versions do themselves; but only once
    the executor's own thread, which closes it too, has had time to end: two closings could hit another file.
    """
    manager = getattr(executor, "_executor_manager_thread", None)
    reader = getattr(getattr(executor, "_call_queue", None), "_reader", None)
    executor.shutdown(wait=False, cancel_futures=True)
    if manager is not None:
        manager.join(_PATIENCE_S)
        if manager.is_alive() and reader is not None:
            reader.close()
        manager.join()


class Pool:
    """Worker processes; results come in the order of the chunks, and a worker that dies takes one row with it."""

    def __init__(self, workers: int, model: str | None, operating_point: str | OperatingPoint) -> None:
        """Start the first process; it opens the model while the caller looks at its inputs."""
        self._workers = workers
        self._start = (model, operating_point)
        self._window = 2 * workers + 2  # chunks under way: enough to keep all busy behind a slow one
        self._others = set(multiprocessing.active_children())  # not ours to end
        self._executor = self._new(workers)
        self._first = _submit(self._executor, _ready)

    def _new(self, workers: int) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")  # fork copies threads' locks, and Windows has only this
        return ProcessPoolExecutor(workers, context, _start_worker, self._start)

    def scored(self, chunks: Iterable[Chunk], form: OutputForm, model_id: str) -> Iterator[tuple[Chunk, ScoredRows]]:
        """Yield each chunk with what became of it, in order; a few are read ahead for each worker.

        Raises:
            ModelError: the processes have opened another model than `model_id`.
            JobError: the processes die before they score anything.
        """
        self._job = (form, model_id)
        chunks = iter(chunks)
        begin = list(islice(chunks, 2))
        if len(begin) == 1:  # what one process can do is not worth starting a second one, which is what submitting does
            wait([self._first])
        pending: deque[tuple[Chunk, Future[ScoredRows]]] = deque()
        for chunk in chain(begin, chunks):
            pending.append((chunk, self._submit(chunk)))
            if len(pending) >= self._window:
                yield self._take(pending)
        while pending:
            yield self._take(pending)

    def _submit(self, chunk: Chunk) -> Future[ScoredRows]:
        try:
            return _submit(self._executor, _score_in_worker, chunk.rows, *self._job)
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
        _end_dead(self._executor)
        scored = self._one_by_one(chunk.rows)
        self._executor = self._new(self._workers)
        waiting = [c for c, _ in pending]
        pending.clear()
        pending.extend((c, self._submit(c)) for c in waiting)
        return chunk, scored

    def _one_by_one(self, rows: Rows) -> ScoredRows:
        from detector.batch.scoring import finish, place
        from detector.batch.summary import JobError
        from detector.results import Failed

        form, model_id = self._job
        outcomes: list[Entry] = []
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
                    outcomes.append(_submit(executor, _score_one_in_worker, rows, i, model_id).result())
                except BrokenProcessPool:
                    _end_dead(executor)
                    executor = None
                    message = f"{place(rows, i)}: the process that scored it died (out of memory?); shorten the text"
                    outcomes.append(Failed(rows.sources[i], message, rows.ids[i]))
        finally:
            if executor is not None:
                executor.shutdown(wait=True, cancel_futures=True)
        return finish(outcomes, rows, form)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close(at_once=True)

    def close(self, *, at_once: bool) -> None:
        """End the processes; `at_once`, without waiting for what they are doing. May be called again."""
        if at_once:
            for process in set(multiprocessing.active_children()) - self._others:
                process.terminate()
            _end_dead(self._executor)
        else:
            self._executor.shutdown(wait=True, cancel_futures=True)
