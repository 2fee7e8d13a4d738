"""Entry point of `detect-spin-batch`; light for the same reason as detector/cli.py."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from detector.cli import run_command

PROGRAM = "detect-spin-batch"


def run(args: Sequence[str] | None = None) -> int:
    """Run `detect-spin-batch` and return its exit status; never raises for what a user or an input did.

    `args`: the arguments without the program's name, None for those of this process.
    """
    return run_command(PROGRAM, "detector.batch.command", args)


def main() -> NoReturn:
    """Run `detect-spin-batch` and exit."""
    sys.exit(run())


if __name__ == "__main__":
    main()
