"""`python -m eval COMMAND`: held-out reports, speed, and the shipped detector over the tables. Runs from a clone."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path

import click

from detector.errors import DetectorError
from eval.checks import COMMANDS
from train.corpora import default_data_dir

SEED = 20220119  # any fixed number; the day the SpinBot news set was made

data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Folder of the tables [default: DETECT_SPIN_DATA or ../shared/data beside the clone].",
)
out_option = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Folder for the Markdown and the JSON.",
)


class _Group(click.Group):
    """Turns the errors that are raised on purpose into one line and exit code 2."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except DetectorError as error:
            raise click.UsageError(str(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("-v", "--verbose", is_flag=True, help="Say on stderr what runs and how long it takes.")
def main(verbose: bool) -> None:
    r"""Evaluate detectors of spun text.

    \b
    python -m eval first-report --quick --systems tortured,association,tfidf
    python -m eval bench
    """
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, stream=sys.stderr, format="%(message)s")


@main.command("first-report")
@data_option
@out_option
@click.option("--protocol", type=click.Choice(["leave-one-tool-out", "known-tool"]), default="leave-one-tool-out")
@click.option("--systems", default="ours,tortured,association,tfidf", help="Names, or module:attribute for your own.")
@click.option("--name", default="spin-en-v1", help="Title of the report.")
@click.option("--quick", is_flag=True, help="Small samples, two folds: does it run? Two minutes, wide intervals.")
@click.option("--pool-rows", type=click.IntRange(1), default=None, help="Human texts scored per table and round.")
@click.option("--train-rows", type=click.IntRange(1), default=None, help="Human texts trained on per table and round.")
@click.option("--folds", type=click.IntRange(2, 4), default=None, help="Human folds: models per left-out tool.")
@click.option("--seed", type=int, default=SEED)
@click.option("--jobs", type=click.IntRange(1), default=1, help="Processes; the numbers do not depend on it.")
@click.option(
    "--scores", type=click.Path(file_okay=False, path_type=Path), help="Folder to keep scores in, outside git."
)
@click.option("--reuse", default="", help="Systems whose scores in --scores may be used instead of training again.")
def first_report(
    data: Path | None,
    out: Path | None,
    protocol: str,
    systems: str,
    name: str,
    quick: bool,
    pool_rows: int | None,
    train_rows: int | None,
    folds: int | None,
    seed: int,
    jobs: int,
    scores: Path | None,
    reuse: str,
) -> None:
    """Train and judge systems on tools and writers that they have not seen; write or print the report."""
    from eval import protocols, report
    from eval.systems import load_system
    from train.corpora import load_documents, read_seeds, remove_duplicates

    folder = data or default_data_dir()
    names = _names(systems)
    entrants = [load_system(n, folder, quick) for n in names]
    settings = replace(protocols.QUICK if quick else protocols.Settings(), seed=seed)
    settings = replace(
        settings,
        pool_rows=pool_rows or settings.pool_rows,
        train_rows=train_rows or settings.train_rows,
        folds=folds or settings.folds,
    )
    documents = load_documents(folder)
    tables = sorted({d.table for d in documents})
    if settings.deduplicated:
        # A reprint in training and its twin among the scored would make a new writer out of a known one.
        documents, dropped = remove_duplicates(documents, exclude=read_seeds(folder))
        logging.getLogger(__name__).info("dropped %s", dropped)
    found_by = protocols.read_search_phrases(folder)
    documents += protocols.cut_search_phrases([d for d in documents if d.table == "spun/wild"], found_by)
    rounds = protocols.build_rounds(documents, protocol, settings)
    digest = report.digest_tables(folder, tables)
    store = None
    if scores:
        store = protocols.ScoreStore(scores, f"{digest}|{protocol}|{settings}", frozenset(_names(reuse)))
    found = protocols.run_rounds(entrants, rounds, documents, settings, jobs, store)
    by_name = {system.name: values for system, values in zip(entrants, found, strict=True)}
    summary = report.summarise(name, protocol, by_name, rounds, documents, settings, digest)
    if out is None:
        click.echo(report.to_markdown(summary), nl=False)
        return
    for path in report.write_report(summary, out):
        click.echo(str(path))


@main.command()
def readme() -> None:
    """Rewrite the accuracy table of the README from the committed reports."""
    from eval import readme_table

    path = readme_table.ROOT / "README.md"
    changed = readme_table.rewrite(path, readme_table.accuracy_section())
    click.echo(f"{path}: {'rewritten' if changed else 'up to date'}")


@main.command()
@data_option
@out_option
@click.option("--model", default=None, help="Model folder or name [default: the shipped model].")
@click.option("--articles", type=click.IntRange(1), default=2000)
@click.option("--words", type=click.IntRange(1), default=500, help="Words of each article.")
@click.option("--yardsticks/--no-yardsticks", default=True, help="Time two transformers of random weights too.")
def bench(data: Path | None, out: Path | None, model: str | None, articles: int, words: int, yardsticks: bool) -> None:
    """Measure articles and words per second, memory, and the cold start of the command."""
    from eval import bench as benchmark

    result = benchmark.run(data or default_data_dir(), model, articles, words, SEED, yardsticks)
    click.echo(benchmark.to_markdown(result), nl=False)
    if out is not None:
        for path in benchmark.write(result, out):
            click.echo(str(path), err=True)


@main.command()
@data_option
@out_option
@click.option("--model", default=None, help="Model folder or name [default: the shipped model].")
@click.option("--tables", default="", help="Tables to score, such as human/bbc_2004,spun/wild [default: all].")
@click.option("--rows", type=click.IntRange(1), default=300, help="Texts per table, chosen by a seeded hash.")
@click.option("--seed", type=int, default=SEED)
def score(data: Path | None, out: Path | None, model: str | None, tables: str, rows: int, seed: int) -> None:
    """Run the shipped detector, thresholds as shipped, over the tables. NOT held out: it was trained on many."""
    from eval import report, shipped
    from train.corpora import load_documents

    folder = data or default_data_dir()
    documents = load_documents(folder, _names(tables) or None)
    digest = report.digest_tables(folder, {d.table for d in documents})
    result = shipped.score_tables(documents, model, rows, seed, digest)
    click.echo(shipped.to_markdown(result), nl=False)
    if out is not None:
        for path in shipped.write(result, out):
            click.echo(str(path), err=True)


def _names(value: str) -> list[str]:
    return [n.strip() for n in value.split(",") if n.strip()]


for _command in COMMANDS:
    main.add_command(_command)


if __name__ == "__main__":
    main(prog_name="python -m eval")
