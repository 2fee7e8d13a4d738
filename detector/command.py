"""The command `detect-spin`: arguments, files in, results out. No scoring and no formatting here.

Standard output carries results and nothing else; messages and progress go to standard error.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from detector.cli import PROGRAM, ExitCode
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
from detector.errors import DetectorError, ModelError
from detector.operating_point import OperatingPoint, OperatingPointError
from detector.reading import DEFAULT_MAX_BYTES, STDIN, display_name, read_article
from detector.render import Entry, Scored
from detector.results import Failed, Verdict

if TYPE_CHECKING:
    from detector.detect import SpinDetector

logger = logging.getLogger(__name__)

FORMATS = ("text", "json", "jsonl", "html")


_HELP = """Tell whether English articles were put through an article spinner, and show the phrases that give it away.

\b
Examples:
  detect-spin article.txt
  detect-spin --format html -o report.html *.txt page.html

Each FILE is one article: plain text, Markdown, or HTML by its ending (.html, .htm) or with --html; - is standard
input. Of a page the article is scored, and all offsets are into its text, which --with-text adds to the result.
"""

_EPILOG = """\b
Exit status:
  0    every input was scored, whatever the verdicts
  1    with --fail-on spun: at least one input is spun
  2    wrong usage, or the output cannot be written
  3    some inputs could not be read; the others were scored
  4    the model could not be opened
  130  interrupted
"""


@click.command(
    name=PROGRAM,
    help=_HELP,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100},
)
@click.argument("sources", metavar="FILE...", nargs=-1, required=True)
@click.option("--format", "output_format", type=click.Choice(FORMATS), default="text", help="What to write.")
@click.option(
    "--operating-point",
    type=OperatingPointType(),
    default="balanced",
    help="False alarms accepted on human text: strict 0.1 %, balanced 1 %, sensitive 5 %; or a FILE that was fitted to "
    "your own texts, see docs/calibration.md.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    default="-",
    help="Write here; the file appears under its name only when it is complete. - is standard output.",
)
@click.option(
    "--fail-on", type=click.Choice(["spun"]), default=None, help="Exit with 1 if an input is spun.  [default: never]"
)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="Colour in text output; auto: on a terminal, unless NO_COLOR is set or TERM is dumb.",
)
@click.option(
    "--encoding",
    metavar="NAME",
    default=None,
    callback=check_encoding,
    help="Encoding of all inputs, such as cp1252.  [default: detected for each]",
)
@click.option("--html", is_flag=True, help="Inputs are HTML pages, whatever their endings.")
@click.option("--with-text", is_flag=True, help="In JSON add the text that the offsets point into, as `text`.")
@click.option(
    "--max-bytes",
    type=click.IntRange(min=1),
    default=DEFAULT_MAX_BYTES,
    help="Refuse larger inputs.",
)
@click.option(
    "--model",
    metavar="NAME|DIR",
    default=None,
    is_eager=True,  # --version needs it
    help="Another model.  [default: $DETECT_SPIN_MODEL_DIR, else the bundled one]",
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
    sources: tuple[str, ...],
    output_format: str,
    operating_point: str | OperatingPoint,
    output: str,
    fail_on: str | None,
    color: str,
    encoding: str | None,
    html: bool,
    with_text: bool,
    max_bytes: int,
    model: str | None,
    no_progress: bool,
    quiet: bool,
    verbose: int,
) -> ExitCode:
    """Score the inputs and return the exit status."""
    if sources.count(STDIN) > 1:
        raise click.UsageError("standard input (-) can be read only once")
    if with_text and output_format not in ("json", "jsonl"):
        raise click.UsageError("--with-text is for --format json and jsonl; the other formats show the text anyway")
    if (same := _input_that_is(output, sources)) is not None:
        raise click.UsageError(f"{display_name(same)}: is both an input and the output; choose another --output")
    set_up_logging(PROGRAM, verbose, quiet)
    from detector import SpinDetector

    try:
        detector = SpinDetector.load(model, operating_point=operating_point)
    except ModelError as error:
        complain(PROGRAM, str(error))
        return ExitCode.MODEL
    except (ValueError, OperatingPointError) as error:  # a model of one's own need not have every operating point
        raise click.BadParameter(str(error), param_hint="--operating-point") from error

    if STDIN in sources and is_terminal(sys.stdin) and not quiet:
        complain(PROGRAM, "type or paste the text, then Ctrl-D on a line of its own (Windows: Ctrl-Z and Enter)")
    tally = _Tally()
    to_terminal = output == "-" and is_terminal(sys.stdout)
    show_progress = len(sources) > 1 and not (no_progress or quiet or to_terminal) and is_terminal(sys.stderr)
    with _progress(sources, show_progress) as walked:
        entries = _score_all(walked, detector, encoding, max_bytes, html)
        entries = tally.watch(entries, report=output_format == "text", bar=show_progress)
        try:
            with open_output(output) as stream:
                _write(entries, stream, output_format, _use_color(color, to_terminal), to_terminal, with_text)
        except BrokenPipeError:
            # Whoever read our output has seen enough. The status tells of what was scored until then.
            _forget_stdout()
            return tally.exit_code(fail_on)
        except OutputError as error:
            if output == "-":
                _forget_stdout()
            complain(PROGRAM, str(error))
            return ExitCode.USAGE
    # In these formats the errors are in the output, and the status alone would puzzle whoever sees the terminal.
    if (tally.failed and output_format != "text") or (len(sources) > 1 and not quiet):
        complain(PROGRAM, str(tally))
    return tally.exit_code(fail_on)


class _Tally:
    """Counts what passes through, for the closing line and the exit status."""

    def __init__(self) -> None:
        self.verdicts = dict.fromkeys(Verdict, 0)
        self.failed = 0

    def watch(self, entries: Iterable[Entry], *, report: bool, bar: bool) -> Iterator[Entry]:
        for entry in entries:
            if isinstance(entry, Failed):
                self.failed += 1
                if report:
                    complain(PROGRAM, entry.error, over_bar=bar)
            else:
                self.verdicts[entry.result.verdict] += 1
            yield entry

    def exit_code(self, fail_on: str | None) -> ExitCode:
        if self.failed:
            return ExitCode.SOME_FAILED
        if fail_on is not None and self.verdicts[Verdict(fail_on)]:
            return ExitCode.FLAGGED
        return ExitCode.OK

    def __str__(self) -> str:
        parts = [f"{count} {verdict.value.replace('_', ' ')}" for verdict, count in self.verdicts.items() if count]
        parts += [f"{self.failed} failed"] if self.failed else []
        total = sum(self.verdicts.values()) + self.failed
        return f"{total} input{'' if total == 1 else 's'}: {', '.join(parts) or 'none read'}"


def _score_all(
    sources: Iterable[str], detector: SpinDetector, encoding: str | None, max_bytes: int, html: bool
) -> Iterator[Entry]:
    for source in sources:
        name = display_name(source)
        entry: Entry
        try:
            text = read_article(source, encoding=encoding, max_bytes=max_bytes, html=html).text
            entry = Scored(detector.score(text, source=name), text)
        except DetectorError as error:
            entry = Failed(name, str(error))
        except Exception as error:
            # A bug, or memory ran out: the other inputs must still be scored.
            logger.debug("%s", name, exc_info=True)
            what = "not enough memory" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"
            entry = Failed(name, f"{name}: could not be scored: {what}; run with -vv for details, and please report it")
        yield entry


def _write(
    entries: Iterable[Entry], stream: TextIO, output_format: str, color: bool, to_terminal: bool, with_text: bool
) -> None:
    if output_format == "text":
        from detector.render.text import Marks, render_text

        # Wrapped only for a person's eyes; programs get the article's own lines.
        width = shutil.get_terminal_size().columns if to_terminal else None
        chunks = render_text(entries, color=color, width=width, marks=Marks.for_encoding(stream.encoding or "ascii"))
    elif output_format == "html":
        from detector.render.html import render_html

        chunks = render_html(entries)
    else:
        from detector.render.json import render_json, render_jsonl

        chunks = (render_json if output_format == "json" else render_jsonl)(entries, with_text=with_text)
    if output_format != "text" and stream is sys.stdout:
        # These formats are UTF-8 by definition, whatever the locale; a text is for a person with that locale.
        _reconfigure(stream, encoding="utf-8", newline="\n")
    elif stream is sys.stdout:
        _reconfigure(stream, errors="replace")
    for chunk in chunks:
        try:
            stream.write(chunk)
            stream.flush()
        except OSError as error:
            if isinstance(error, BrokenPipeError) or error.errno == errno.EPIPE:
                raise BrokenPipeError from error
            raise OutputError(
                f"the output cannot be written: {error.strerror or error}; nothing more was scored"
            ) from error


def _reconfigure(stream: TextIO, **settings: Any) -> None:
    # Not every replacement of sys.stdout (a test's, an IDE's) has it.
    if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
        reconfigure(**settings)


def _forget_stdout() -> None:
    """Let the interpreter's last flush go nowhere: it would fail again, with a message of its own."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # AttributeError: there is no stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _input_that_is(output: str, sources: tuple[str, ...]) -> str | None:
    """Return the input that the output would replace; a terminal, a pipe or /dev/null may be both."""
    if output == STDIN:  # a hyphen: standard output
        return None
    for source in sources:
        with contextlib.suppress(OSError, ValueError):  # missing, or no name of a file: others say so
            if source != STDIN and Path(output).is_file() and Path(output).samefile(source):
                return source
    return None


def _use_color(color: str, to_terminal: bool) -> bool:
    if color != "auto":
        return color == "always"
    return to_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


@contextlib.contextmanager
def _progress(sources: Sequence[str], show: bool) -> Iterator[Iterable[str]]:
    if not show:
        yield sources
        return
    with click.progressbar(sources, label="Scoring", file=sys.stderr, show_pos=True) as bar:
        yield bar
