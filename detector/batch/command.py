"""The command `detect-spin-batch`: arguments, messages and progress. The work is in job.py."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detector.batch.cli import PROGRAM
from detector.cli import ExitCode
from detector.console import (
    OperatingPointType,
    OutputError,
    check_encoding,
    complain,
    is_terminal,
    open_output,
    set_up_logging,
    show_version,
)
from detector.errors import ModelError
from detector.operating_point import OperatingPoint, OperatingPointError

if TYPE_CHECKING:
    from detector.batch.job import Counts, Summary

_COMPLAINTS = 20
_LOG_SECONDS = 30.0

_HELP = """Score many articles: one row out for every row in, in the same order.

\b
Examples:
  detect-spin-batch articles.parquet -o scored.parquet
  detect-spin-batch 'crawl/*.jsonl.gz' pages/ --text-column body --keep url -o scored.jsonl

INPUT is a file, a glob or a folder: JSON lines, CSV and Parquet with a text a row, .txt, .md and .html with one text
each; also compressed (.gz, .zst). - is JSON lines from standard input. The output is JSON lines or Parquet by its
ending, and appears under its name when it is complete. After an interruption, the same command with --resume goes on.
Inputs and output can be URLs (s3://, gs://, https:// ...), given what detect-spin[remote] installs.
"""

_EPILOG = """\b
Exit status:
  0    every row was handled, whatever the verdicts
  1    with --fail-on spun: at least one row is spun
  2    wrong usage, or the output cannot be written
  3    some rows or inputs could not be read; the others were scored and written
  4    the model could not be opened
  130  interrupted; continue with --resume
"""


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _has_current_folder() -> bool:
    try:
        return bool(Path.cwd())
    except OSError:
        return False


def _check_delimiter(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    value = "\t" if value == "\\t" else value
    if value is not None and (len(value) != 1 or value in '\r\n"'):
        raise click.BadParameter("one character, and neither a quote nor a line end; \\t is a tab")
    return value


@click.command(
    name=PROGRAM,
    help=_HELP,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100},
)
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option(
    "-o", "--output", metavar="FILE", required=True, help="Where to: a name or URL ending in .jsonl or .parquet."
)
@click.option("--text-column", metavar="NAME", default="text", help="Column or field with the text.")
@click.option(
    "--id-column",
    metavar="NAME",
    default=None,
    help="Column or field with the row's id.  [default: id, where there is one]",
)
@click.option(
    "--keep",
    metavar="NAME",
    multiple=True,
    help="Column to carry through to the output, repeatable; all for every one.",
)
@click.option(
    "--operating-point",
    type=OperatingPointType(),
    default="balanced",
    help="False alarms accepted on human text: strict 0.1 %, balanced 1 %, sensitive 5 %; or a FILE that was fitted to "
    "your own texts, see docs/calibration.md.",
)
@click.option(
    "--model",
    metavar="NAME|DIR",
    default=None,
    is_eager=True,
    help="Another model.  [default: $DETECT_SPIN_MODEL_DIR, else the bundled one]",
)
@click.option("--html", is_flag=True, help="The texts of tables are HTML pages; .html files always are.")
@click.option("--spun-only", is_flag=True, help="Write only rows with the verdict spun; the summary counts the others.")
@click.option("--no-spans", is_flag=True, help="Leave the list of phrases empty, for a smaller output.")
@click.option(
    "--with-text", is_flag=True, help="Add the text that the offsets point into, as `text`: of a page the article."
)
@click.option(
    "--encoding",
    metavar="NAME",
    default=None,
    callback=check_encoding,
    help="Encoding of CSV, text and HTML.  [default: UTF-8 for CSV, detected for the others]",
)
@click.option(
    "--delimiter",
    metavar="CHAR",
    default=None,
    callback=_check_delimiter,
    help="Of CSV.  [default: comma; tab for .tsv]",
)
@click.option(
    "--workers", type=click.IntRange(1, 1024), default=None, help="Processes that score.  [default: one for each core]"
)
@click.option(
    "--checkpoint-rows",
    metavar="N",
    type=click.IntRange(min=1),
    default=10_000,
    help="Make progress durable after so many rows, and every 30 seconds.",
)
@click.option("--resume", is_flag=True, help="Continue an interrupted job; without one begin a new one.")
@click.option("--restart", is_flag=True, help="Throw away what an interrupted job left, and begin again.")
@click.option(
    "--work-dir",
    metavar="DIR",
    default=None,
    help="Where finished work is kept until it is uploaded, for an output at a URL.  [default: the current folder]",
)
@click.option(
    "--summary",
    metavar="FILE",
    default=None,
    help="Write counts, histogram, model and time as JSON; - is standard output.",
)
@click.option(
    "--fail-on", type=click.Choice(["spun"]), default=None, help="Exit with 1 if a row is spun.  [default: never]"
)
@click.option("--no-progress", is_flag=True, help="No progress bar, also on a terminal.")
@click.option("-q", "--quiet", is_flag=True, help="On standard error only say what failed.")
@click.option(
    "-v", "--verbose", count=True, show_default=False, help="Log to standard error; -vv logs more.  [default: off]"
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=show_version,
    help="Show the version of the program and of the model, and exit.",
)
def command(
    inputs: tuple[str, ...],
    output: str,
    text_column: str,
    id_column: str | None,
    keep: tuple[str, ...],
    operating_point: str | OperatingPoint,
    model: str | None,
    html: bool,
    spun_only: bool,
    no_spans: bool,
    with_text: bool,
    encoding: str | None,
    delimiter: str | None,
    workers: int | None,
    checkpoint_rows: int,
    resume: bool,
    restart: bool,
    work_dir: str | None,
    summary: str | None,
    fail_on: str | None,
    no_progress: bool,
    quiet: bool,
    verbose: int,
) -> ExitCode:
    """Run the job and return the exit status."""
    if inputs.count("-") > 1:
        raise click.UsageError("standard input (-) can be read only once")
    if resume and restart:
        raise click.UsageError("--resume keeps what an interrupted job finished, --restart throws it away; give one")
    if len(set(keep)) < len(keep) or ("all" in keep and len(keep) > 1):
        raise click.BadParameter("name each column once, or only all", param_hint="--keep")
    if with_text and {"text", "all"} & set(keep):
        raise click.BadParameter("--with-text writes the column text already; name other columns", param_hint="--keep")
    set_up_logging(PROGRAM, verbose, quiet)
    from detector.batch.pool import Pool, use_one_thread, use_system_memory

    use_one_thread()
    use_system_memory()
    workers = workers or _usable_cores()
    if workers > 1 and not _has_current_folder():  # multiprocessing starts processes in it
        workers = 1
        if not quiet:
            complain(PROGRAM, "the current folder has been removed; only one process scores, go to another for more")
    # A process takes as long to start as all that is imported and looked at here: they do it side by side.
    pool = click.get_current_context().with_resource(Pool(workers, model, operating_point)) if workers > 1 else None
    from detector.batch.job import JobError, JobOptions, run_job
    from detector.batch.remote import is_url, local_path
    from detector.batch.rows import ColumnError, ReadOptions

    output = local_path(output)
    if work_dir is not None and not is_url(output):
        raise click.BadParameter("only for an output at a URL; others keep it beside them", param_hint="--work-dir")
    options = JobOptions(
        inputs=inputs,
        output=Path(work_dir or "", output.rsplit("/", 1)[-1]) if is_url(output) else Path(output),
        read=ReadOptions(
            text_column=text_column,
            id_column=id_column or "id",
            id_given=id_column is not None,
            keep=keep,
            html=html,
            encoding=encoding,
            delimiter=delimiter,
        ),
        model=model,
        operating_point=operating_point,
        spun_only=spun_only,
        spans=not no_spans,
        workers=workers,
        checkpoint_rows=checkpoint_rows,
        resume=resume,
        restart=restart,
        upload_to=output if is_url(output) else None,
        with_text=with_text,
        summary=None if summary in (None, "-") else Path(summary),
    )
    bar = not (no_progress or quiet) and is_terminal(sys.stderr)
    watcher = _Bar() if bar else _Log(quiet)
    try:
        with watcher.showing():
            done = run_job(options, watcher, pool=pool)
    except ModelError as error:
        complain(PROGRAM, str(error))
        return ExitCode.MODEL
    except OperatingPointError as error:
        raise click.BadParameter(str(error), param_hint="--operating-point") from error
    except (JobError, ColumnError) as error:
        complain(PROGRAM, str(error))
        return ExitCode.USAGE
    except ValueError as error:  # a model of one's own need not have every operating point
        if "operating point" not in str(error):
            raise
        raise click.BadParameter(str(error), param_hint="--operating-point") from error
    except KeyboardInterrupt:
        complain(PROGRAM, _interrupted(options.output, watcher.rows, "-" in inputs))
        return ExitCode.INTERRUPTED
    if not quiet:
        complain(PROGRAM, _closing_line(done))
    try:
        if summary is not None:
            with open_output(summary) as stream:
                stream.write(json.dumps(done.to_dict(), indent=2) + "\n")
    except (OutputError, OSError) as error:
        complain(PROGRAM, f"the output is complete, but the summary is not written: {error}")
        return ExitCode.USAGE
    if done.counts.failed:
        return ExitCode.SOME_FAILED
    if fail_on is not None and done.counts.verdicts[fail_on]:
        return ExitCode.FLAGGED
    return ExitCode.OK


def _interrupted(output: Path, rows: int, from_stdin: bool) -> str:
    parts = output.with_name(output.name + ".parts")
    if from_stdin or not parts.is_dir():
        return "interrupted; nothing was kept"
    arguments = [a for a in sys.argv[1:] if a not in ("--resume", "--restart")]
    again = shlex.join([PROGRAM, *arguments, "--resume"])
    return f"interrupted after {rows:,} rows; what was finished is kept in {parts}; continue with: {again}"


def _closing_line(done: Summary) -> str:
    counts = done.counts
    shown = {**{v.replace("_", " "): n for v, n in counts.verdicts.items()}, "failed": counts.failed}
    parts = [f"{count:,} {name}" for name, count in shown.items() if count]
    new = counts.rows - done.resumed_rows
    rate = f", {new / done.seconds:,.0f} rows/s" if done.seconds > 0 and new else ""
    resumed = f" ({done.resumed_rows:,} of them before)" if done.resumed_rows else ""
    return (
        f"{counts.rows:,} row{'' if counts.rows == 1 else 's'}{resumed}: {', '.join(parts) or 'none'}; "
        f"{done.seconds:,.1f} s{rate}; {counts.written:,} written to {done.output}"
    )


class _Log:
    """Tells a log file how the job goes: a line every now and then."""

    def __init__(self, quiet: bool = False) -> None:
        self.rows = 0
        self._quiet = quiet
        self._complaints = 0
        self._begun = self._told = time.monotonic()
        self._before = (0, 0)
        self._total = 0

    @contextlib.contextmanager
    def showing(self) -> Iterator[None]:
        yield

    def begin(self, total_bytes: int, resumed: Counts) -> None:
        self._begun = self._told = time.monotonic()
        self._total = total_bytes
        self._before = (resumed.rows, resumed.words)
        self.rows = resumed.rows
        if resumed.rows and not self._quiet:
            self._say(f"resuming after {resumed.rows:,} rows")

    def advance(self, counts: Counts, bytes_read: int) -> None:
        self.rows = counts.rows
        self._show(counts, bytes_read)

    def complain(self, message: str) -> None:
        self._complaints += 1
        if self._complaints <= _COMPLAINTS:
            self._say(message)
        elif self._complaints == _COMPLAINTS + 1:
            self._say("further failures are only counted; each has its reason in the output")

    def _say(self, message: str) -> None:
        complain(PROGRAM, message)

    def _show(self, counts: Counts, bytes_read: int) -> None:
        now = time.monotonic()
        if not self._quiet and now - self._told >= _LOG_SECONDS:
            self._told = now
            share = f"{bytes_read / self._total:.0%}, " if self._total else ""
            self._say(share + self._state(counts))

    def _state(self, counts: Counts) -> str:
        seconds = max(time.monotonic() - self._begun, 1e-3)
        rows, words = ((a - b) / seconds for a, b in zip((counts.rows, counts.words), self._before, strict=True))
        failed = f", {counts.failed:,} failed" if counts.failed else ""
        spun = counts.verdicts["spun"]
        return f"{counts.rows:,} rows, {rows:,.0f} rows/s, {words:,.0f} words/s, {spun:,} spun{failed}"


class _Bar(_Log):
    """Shows a person at a terminal how the job goes."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            BarColumn(24),
            TaskProgressColumn(),
            TextColumn("{task.description}", markup=False),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=Console(stderr=True, highlight=False),
            transient=True,
            refresh_per_second=4,
        )
        self._task: Any = None

    @contextlib.contextmanager
    def showing(self) -> Iterator[None]:
        with self._progress:
            yield

    def begin(self, total_bytes: int, resumed: Counts) -> None:
        super().begin(total_bytes, resumed)
        self._task = self._progress.add_task("starting", total=total_bytes or None)

    def _say(self, message: str) -> None:
        from detector.render import one_line

        self._progress.console.print(f"{PROGRAM}: {one_line(message)}", markup=False, soft_wrap=True)

    def _show(self, counts: Counts, bytes_read: int) -> None:
        self._progress.update(self._task, completed=bytes_read, description=self._state(counts))
