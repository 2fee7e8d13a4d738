"""What the commands share at the console: messages, logging, complete-or-absent output files, common options."""

from __future__ import annotations

import codecs
import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import click

from detector.cli import ExitCode
from detector.errors import ModelError
from detector.operating_point import OperatingPoint, OperatingPointError, read_operating_point
from detector.reading import display_name

OPERATING_POINTS = ("strict", "balanced", "sensitive")


class OperatingPointType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on only
    """One of the names, or the path of an operating-point file, whose content the command then gets."""

    name = "|".join((*OPERATING_POINTS, "FILE"))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | OperatingPoint:
        """Return the name or what the file holds."""
        if isinstance(value, OperatingPoint) or value in OPERATING_POINTS:
            return value  # type: ignore[no-any-return]
        if not os.path.exists(value) and not str(value).endswith(".json"):  # noqa: PTH110 - never raises
            self.fail(
                f"{value!r} is none of {', '.join(OPERATING_POINTS)}, and no file of that name exists", param, ctx
            )
        try:
            return read_operating_point(value)
        except OperatingPointError as error:
            self.fail(str(error), param, ctx)


class OutputError(Exception):
    """The output cannot be written; the message names it and the next step."""


def check_encoding(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Return Python's name of the encoding; a click callback."""
    if value is None:
        return None
    try:
        found = codecs.lookup(value)
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        found = None
    if found is None or not getattr(found, "_is_text_encoding", True):
        raise click.BadParameter(f"{value!r} is no text encoding that Python knows; examples: utf-8, cp1252, utf-16")
    return found.name


def show_version(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    """Show the versions of program and model, and exit; a click callback that needs an eager --model."""
    if not value or context.resilient_parsing:
        return
    program = str(context.info_name)
    from detector import __version__
    from detector.store import open_model

    try:
        model = open_model(context.params.get("model"))
    except ModelError as error:
        click.echo(f"{program} {__version__}")
        complain(program, str(error))
        context.exit(ExitCode.MODEL)
    click.echo(f"{program} {__version__} (model {model.model_id})")
    context.exit(ExitCode.OK)


@contextlib.contextmanager
def open_output(output: str) -> Iterator[TextIO]:
    """Give a stream to write to. A file is replaced only when the block ends without an exception.

    Raises:
        OutputError: the file cannot be created or replaced, or standard output is closed.
    """
    if output == "-":
        if sys.stdout is None:
            raise OutputError("standard output is closed; use -o FILE")
        yield sys.stdout
        return
    name = display_name(output)
    try:
        target = Path(output).resolve()  # through a symbolic link, so that the link stays
        if target.is_dir():
            raise OutputError(f"{name}: is a folder; give a file name to -o")
        # /dev/null and named pipes are written as they are: there is nothing to replace.
        in_place = target.exists() and not target.is_file()
        # In the same folder, because renaming is atomic only within a file system. Opened by name and not with
        # tempfile, whose files only the owner could read.
        written = target if in_place else target.with_name(f".{target.name[:40]}.{os.urandom(6).hex()}.tmp")
        stream = written.open("w" if in_place else "x", encoding="utf-8", newline="\n")
    except (
        OSError,
        ValueError,
        RuntimeError,
    ) as error:  # a NUL in the name: ValueError; a circle of links: RuntimeError
        raise unwritable(name, error) from error
    try:
        with stream:
            yield stream
            if not in_place:
                stream.flush()
                os.fsync(stream.fileno())
        if not in_place:
            if target.exists():
                shutil.copymode(target, written)
            written.replace(target)
    except BaseException as error:
        if not in_place:
            written.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            raise unwritable(name, error) from error
        raise


def unwritable(name: str, error: Exception) -> OutputError:
    """Return the error to raise for an output file that cannot be written."""
    return OutputError(f"{name}: cannot be written: {getattr(error, 'strerror', None) or error}; choose another -o")


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is an open terminal."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def complain(program: str, message: str, *, over_bar: bool = False) -> None:
    """Write one line to standard error, whatever `message` holds."""
    from detector.render import visible

    # One line each, and safe for a terminal: file names can hold anything. The carriage return and the clearing
    # sequence take the place of the progress bar, which draws itself again.
    start = "\r\x1b[K" if over_bar else ""
    click.echo(f"{start}{program}: {' '.join(visible(message).splitlines())}", err=True)


class _SafeFormatter(logging.Formatter):
    """Names of files and the like reach the terminal without their control characters and line ends."""

    def format(self, record: logging.LogRecord) -> str:
        from detector.render import one_line, visible

        text = visible(super().format(record))  # tracebacks keep their lines
        return text if record.exc_info or record.stack_info else one_line(text)


def set_up_logging(program: str, verbose: int, quiet: bool) -> None:
    """Send the package's log to standard error; `verbose`: 0 warnings, 1 more, 2 all."""
    root = logging.getLogger()
    if not verbose:
        # Keeps Python's last-resort handler from printing the warnings of the libraries that we call.
        root.addHandler(logging.NullHandler())
        if quiet:
            return
    handler = logging.StreamHandler()
    handler.setFormatter(_SafeFormatter(f"{program}: %(levelname)s %(name)s: %(message)s"))
    ours = logging.getLogger("detector")
    ours.setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)])
    ours.addHandler(handler)
