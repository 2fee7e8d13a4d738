"""`python -m train COMMAND`: one module per command, imported when it is called."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any

import click

from detector.errors import DetectorError

COMMANDS: Mapping[str, str] = {
    "pairs": "train.pairs:command",
    "spinner-report": "train.spinner_report:command",
    "screen": "train.screen:command",
    "examiner": "train.examiner:command",
    "suggestions": "train.suggestions:command",
    "suggestion-report": "train.suggestion_report:command",
}


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own, imported when called: each pays for its own imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands whose module is there."""
        return [name for name, place in COMMANDS.items() if importlib.util.find_spec(place.split(":")[0])]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command, or return None if there is none of that name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command), f"{COMMANDS[cmd_name]} is not a click command"
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors raised on purpose become a message and exit code 1, without a traceback."""
        try:
            return super().invoke(ctx)
        except DetectorError as error:
            raise click.ClickException(str(error)) from error


@click.command(cls=LazyGroup)
def main() -> None:
    """Make training pairs, simulate spinners, train models. Runs from a clone."""


if __name__ == "__main__":
    main(prog_name="python -m train")
