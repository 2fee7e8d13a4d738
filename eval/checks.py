"""The commands `attacks`, `gate` and `calibrate`; the work is in robustness.py, gate.py and calibrate.py."""

from __future__ import annotations

from pathlib import Path

import click

from eval.options import SEED, data_option, model_option, split_names
from train.corpora import default_data_dir

REPORTS = Path(__file__).parent / "reports"


@click.command()
@data_option
@model_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for report, JSON and picture.")
@click.option("--sample", type=click.IntRange(10), default=200, help="Spun texts; twice as many human ones.")
@click.option("--words", type=click.IntRange(100), default=300, help="Texts are cut after so many words.")
@click.option("--attacks", "names", default="", help="Names, such as homoglyphs,bidi [default: all].")
@click.option("--baselines", default="tortured,association,tfidf", help="Names; none for ours alone.")
@click.option("--tables", default="", help="Attack texts of these tables only [default: all].")
@click.option("--held-out", is_flag=True, help="The model was trained without the attacked tables: say so.")
@click.option("--workers", type=click.IntRange(1), default=1, help="Processes; the numbers do not depend on it.")
@click.option("--seed", type=int, default=SEED)
def attacks(
    data: Path | None,
    model: str | None,
    out: Path | None,
    sample: int,
    words: int,
    names: str,
    baselines: str,
    tables: str,
    held_out: bool,
    workers: int,
    seed: int,
) -> None:
    """Attack texts (eval/attacks.py) and report the recall kept and the false alarms raised, with baselines."""
    from eval import robustness

    sizes = robustness.Sizes(spun=sample, human=2 * sample, words=words, seed=seed)
    result = robustness.run(
        data or default_data_dir(),
        model,
        sizes,
        attacks=split_names(names),
        baselines=[] if baselines == "none" else split_names(baselines),
        tables=split_names(tables) or None,
        held_out=held_out,
        workers=workers,
    )
    folder = out or REPORTS / str(result["model"]).split("@")[0] / "robustness"
    for path in robustness.write(result, folder):
        click.echo(str(path))


@click.command()
@click.argument("labelled", metavar="LABELLED", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@model_option
@click.option("--target-fpr", type=float, help="Share of texts that are not spun that may be flagged, such as 0.001.")
@click.option("--target-precision", type=float, help="Share of the flagged that must be spun, such as 0.99.")
@click.option("--prevalence", type=float, help="Share of spun texts in your stream, for --target-precision.")
@click.option("--confidence", type=float, default=0.95, help="With which the target must be met.")
@click.option("--name", default="fitted", help="What results call this operating point.")
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="[default: NAME.json]")
@click.option("--text-column", default="text")
@click.option("--label-column", default="label")
@click.option("--workers", type=click.IntRange(1), default=1, help="Processes; the numbers do not depend on it.")
def calibrate(
    labelled: Path,
    model: str | None,
    target_fpr: float | None,
    target_precision: float | None,
    prevalence: float | None,
    confidence: float,
    name: str,
    out: Path | None,
    text_column: str,
    label_column: str,
    workers: int,
) -> None:
    """Fit an operating point to your own stream; refuses where the texts are too few, and says how many it takes.

    LABELLED is JSON lines, CSV or Parquet with a text and a label (spun or not; human texts alone need none, for
    --target-fpr). Use the file that this writes with --operating-point FILE. See docs/calibration.md.
    """
    from eval import calibrate as fitting

    point = fitting.calibrate(
        labelled,
        fitting.Target(target_fpr, target_precision, prevalence),
        name,
        model=model,
        confidence=confidence,
        text_column=text_column,
        label_column=label_column,
        workers=workers,
    )
    path = out or Path(f"{name}.json")
    fitting.write(point, path)
    click.echo(fitting.to_text(point))
    click.echo(str(path))


COMMANDS = (attacks, calibrate)
