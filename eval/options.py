"""What the commands of `python -m eval` share."""

from __future__ import annotations

from pathlib import Path

import click

SEED = 20220119  # any fixed number; the day the SpinBot news set was made

data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Folder of the tables [default: DETECT_SPIN_DATA or ../shared/data beside the clone].",
)
report_out_option = click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the report."
)
seed_option = click.option("--seed", type=int, default=SEED)
model_option = click.option("--model", default=None, help="Model folder or name [default: the shipped model].")


def split_names(value: str) -> list[str]:
    """Return the names of a comma-separated list.

    >>> split_names("one, two,")
    ['one', 'two']
    """
    return [n.strip() for n in value.split(",") if n.strip()]
