"""Entry point of `detect-spin`: whatever happens ends in an exit status.

Apart from command.py so that importing this module costs next to nothing: most of the time before the first result
goes into imports, and Ctrl-C must be quiet there too.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import IntEnum
from typing import NoReturn

PROGRAM = "detect-spin"


class ExitCode(IntEnum):
    """What the command's exit status says. A text that cannot be given a verdict is a result, not a failure."""

    OK = 0
    FLAGGED = 1  # only with --fail-on
    USAGE = 2  # also an output that cannot be written
    SOME_FAILED = 3  # beats FLAGGED: a partial scan proves nothing
    MODEL = 4
    INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def run(args: Sequence[str] | None = None) -> int:
    """Run `detect-spin` and return its exit status; never raises for what a user or an input did.

    `args`: the arguments without the program's name, None for those of this process.
    """
    return run_command(PROGRAM, "detector.command", args)


def run_command(program: str, module: str, args: Sequence[str] | None = None) -> int:
    """Run the click command `command` of `module`, importing it first, and return the exit status; see `run`."""
    try:
        import importlib

        import click

        command: click.Command = importlib.import_module(module).command
        if script := sys.modules.get("detector.script"):  # not where a program calls `run`
            script.begin()

        try:
            code = command.main(args=None if args is None else list(args), prog_name=program, standalone_mode=False)
        except click.Abort:  # click's name for KeyboardInterrupt
            return ExitCode.INTERRUPTED
        except click.ClickException as error:
            error.show()
            return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return int(code or 0)


def main() -> NoReturn:
    """Run `detect-spin` or `python -m detector` and exit."""
    sys.exit(run())
