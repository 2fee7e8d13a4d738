"""`python -m eval COMMAND`: reports on suites of texts, robustness, speed. Runs from a clone."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import click

from detector.errors import DetectorError
from eval.checks import COMMANDS
from eval.options import SEED, data_option, model_option, seed_option, split_names
from train.corpora import ROOT, default_data_dir

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
    """Evaluate detectors of spun text.

    \b
    python -m eval run own
    python -m eval bench
    """  # noqa: D301  # click wants the character, not the letters
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, stream=sys.stderr, format="%(message)s")


path_option = click.Path(dir_okay=False, exists=True, path_type=Path)


@main.command()
@click.argument("suite", metavar="SUITE|FILE")
@data_option
@out_option
@click.option("--model", default=None, help="Model folder or name, of `ours` [default: the shipped model].")
@click.option(
    "--system", "systems", multiple=True, help="May be repeated; see docs/evaluation.md [default: the suite's]."
)
@click.option("--scores", multiple=True, type=path_option, help="Scores made elsewhere: id, system, score, round.")
@click.option("--spans", multiple=True, type=path_option, help="Spans made elsewhere: id, system, start, end.")
@click.option("--train-ids", type=path_option, help="What the models behind --scores were trained on: id, round.")
@click.option("--save-scores", type=click.Path(dir_okay=False, path_type=Path), help="Parquet to write all scores to.")
@click.option("--changed-data", is_flag=True, help="Go on where the data are not those that the suite pins.")
@click.option("--overlap/--no-overlap", default=True, help="Look for n-grams that test and training texts share.")
@click.option("--pictures/--no-pictures", default=True)
@click.option("--rows", type=click.IntRange(0), default=None, help="Texts per table, 0 = all [default: the suite's].")
@click.option("--quick", is_flag=True, help="Small samples, two folds: does it run? Wide intervals.")
@click.option("--seed", type=int, default=None, help="Of samples, folds and bootstrap [default: the suite's].")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Processes; the numbers do not depend on it.")
@click.option("--store", type=click.Path(file_okay=False, path_type=Path), help="Folder to keep scores of rounds in.")
@click.option("--reuse", default="", help="Systems whose scores in --store may be used instead of training again.")
def run(
    suite: str,
    data: Path | None,
    out: Path | None,
    systems: tuple[str, ...],
    seed: int | None,
    rows: int | None,
    quick: bool,
    reuse: str,
    **options: Any,
) -> None:
    """Judge systems on a suite and write report.md, report.html, metrics.json and pictures.

    \b
    python -m eval run own
    python -m eval run my.jsonl --system ours --system mine:score --out /tmp/report
    python -m eval run leave-one-tool-out --scores scores.parquet
    """  # noqa: D301  # click wants the character, not the letters
    from eval import run as harness
    from eval.suite import read_suite

    chosen = harness.adjusted(read_suite(suite), seed=seed, rows=rows, quick=quick)
    named = tuple(n for s in systems for n in split_names(s))
    wanted = harness.Options(systems=named, quick=quick, reuse=frozenset(split_names(reuse)), **options)
    _, files = harness.run(chosen, data or default_data_dir(), wanted, out)
    for path in files:
        click.echo(str(path))


@main.command()
@click.argument("suite")
@data_option
def pin(suite: str, data: Path | None) -> None:
    """Write the digests of the present data into a suite's TOML."""
    from eval import suite as suites

    changed = suites.pin(suites.read_suite(suite), data or default_data_dir())
    click.echo(f"{suite}: {changed} digests rewritten")


@main.command("machine-paraphrase")
@out_option
@data_option
@click.option("--model", default=None, help="Model folder or name, of `ours` [default: the shipped model].")
@click.option("--system", "systems", multiple=True, default=("ours",), help="May be repeated.")
@click.option("--file", type=path_option, help="A local copy (.parquet, .jsonl, .csv) [default: from the hub].")
@click.option("--split", default="test", help="Of the corpus on the hub.")
@click.option("--limit", type=click.IntRange(1), default=None, help="At most so many rows, the first ones.")
@seed_option
def machine_paraphrase(
    out: Path | None,
    data: Path | None,
    model: str | None,
    systems: tuple[str, ...],
    file: Path | None,
    split: str,
    limit: int | None,
    seed: int,
) -> None:
    """Macro F1 per spinner and domain on the corpus of Wahle et al. (2022), laid out as in their paper."""
    from eval import machine_paraphrase as adapter
    from eval.blocks import to_markdown
    from eval.systems import load_system

    folder = data or default_data_dir()
    chosen = [load_system(n, folder, trained=False, model=model) for s in systems for n in split_names(s)]
    result = adapter.run(chosen, seed, split, file, limit)
    click.echo(to_markdown(adapter.blocks(result)), nl=False)
    if out is not None:
        for path in adapter.write(result, out):
            click.echo(str(path), err=True)


@main.command("joined")
@data_option
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder, outside git.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Score file to write.")
@click.option(
    "--rounds", default="spinbot-0,wild-2,quillbot-1", help="Of these and all-tools-3 (eval/joined_rounds.py)."
)
@click.option(
    "--steps", type=click.IntRange(1), default=1200, show_default=True, help="Of the examiner's training in each round."
)
def joined(data: Path | None, cache: Path, out: Path, rounds: str, steps: int) -> None:
    """Train screen and examiner again without a tool and writers, for a score file; 45 minutes a round on two cores."""
    from eval import joined_rounds

    click.echo(joined_rounds.run(data or default_data_dir(), cache, out, steps, split_names(rounds)))


@main.command()
def readme() -> None:
    """Rewrite the accuracy table of the README from the committed reports."""
    from eval import readme_table

    path = ROOT / "README.md"
    changed = readme_table.rewrite(path, readme_table.accuracy_section())
    click.echo(f"{path}: {'rewritten' if changed else 'up to date'}")


@main.group(invoke_without_command=True)
@data_option
@out_option
@model_option
@click.option("--articles", type=click.IntRange(1), default=2000)
@click.option("--words", type=click.IntRange(1), default=500, help="Words of each article.")
@click.option("--yardsticks/--no-yardsticks", default=True, help="Time two transformers of random weights too.")
@click.pass_context
def bench(
    context: click.Context,
    data: Path | None,
    out: Path | None,
    model: str | None,
    articles: int,
    words: int,
    yardsticks: bool,
) -> None:
    """Measure articles and words per second, memory, and the cold start of the command."""
    if context.invoked_subcommand is not None:
        return
    from eval import bench as benchmark

    result = benchmark.run(data or default_data_dir(), model, articles, words, SEED, yardsticks)
    click.echo(benchmark.to_markdown(result), nl=False)
    if out is not None:
        for path in benchmark.write(result, out):
            click.echo(str(path), err=True)


@bench.command("batch")
@data_option
@out_option
@model_option
@click.option("--articles", type=click.IntRange(1), default=2000)
@click.option("--words", type=click.IntRange(1), default=500, help="Words of each article.")
@click.option("--rows", default="1000,10000,100000", help="Sizes of tables of short rows; 1000000 is six minutes more.")
@click.option("--workers", default="1,2", help="Numbers of worker processes.")
@click.option("--only", default=None, help="Of start,articles,steps,rows: measure these, the rest stays as in --out.")
def bench_batch(
    data: Path | None,
    out: Path | None,
    model: str | None,
    articles: int,
    words: int,
    rows: str,
    workers: str,
    only: str | None,
) -> None:
    """Measure detect-spin-batch: end to end, step by step, and by the number of rows. Four minutes on quiet cores."""
    from eval import bench_batch as benchmark
    from eval import bench_batch_report as report

    sizes, counts = ([int(n) for n in split_names(value)] for value in (rows, workers))
    parts = benchmark.PARTS if only is None else split_names(only)
    if unknown := set(parts) - set(benchmark.PARTS):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: none of {', '.join(benchmark.PARTS)}")
    before = None if only is None or out is None else benchmark.read_before(out)
    result = benchmark.run(
        data or default_data_dir(), model, articles, words, sizes, counts, SEED, parts=parts, before=before
    )
    click.echo(report.to_markdown(result), nl=False)
    if out is not None:
        for path in report.write(result, out):
            click.echo(str(path), err=True)


@main.command()
@click.argument("what", type=click.Choice(["language", "length", "cost", "bad"]))
@data_option
@out_option
@model_option
@click.option("--rows", type=click.IntRange(1), default=300, help="Texts per table, chosen by a seeded hash.")
@click.option("--largest", type=click.IntRange(1), default=10_000_000, help="Characters of the longest text (cost).")
@click.option("--hostile", type=click.IntRange(1), default=1_000_000, help="Characters of hostile texts (cost).")
@click.option("--cases", default="", help="Hostile texts [default: all] (cost); part of the names of files (bad).")
@seed_option
def inputs(
    what: str,
    data: Path | None,
    out: Path | None,
    model: str | None,
    rows: int,
    largest: int,
    hostile: int,
    cases: str,
    seed: int,
) -> None:
    """Report on languages and kinds of text, on short texts, on what long and hostile ones cost, or on bad files."""
    from eval.inputs import bad, cost, language, length
    from train.corpora import load_documents

    name = what
    if what == "cost":
        sizes = [size for size in (*cost.SIZES, 100_000_000) if size <= largest]
        report = cost.to_markdown(cost.measure(sizes, hostile, split_names(cases) or None))
    elif what == "bad":
        report, name = bad.to_markdown(bad.measure(cases)), "bad_input"
    else:
        documents = load_documents(data or default_data_dir())
        module = language if what == "language" else length
        report = module.to_markdown(module.measure(documents, model, rows, seed))
    folder = out or Path(__file__).parent / "reports" / "robustness"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.md"
    path.write_text(report, encoding="utf-8", newline="\n")
    click.echo(str(path))


@main.command("robustness-input")
@data_option
@out_option
@model_option
@click.option("--human", type=click.IntRange(1), default=60, help="Human texts, equally many of each table.")
@click.option("--spun", type=click.IntRange(1), default=40, help="Spun texts, equally many of each table.")
@seed_option
@click.option("--reports", "wanted", default="furniture,unicode,mojibake", help="Which of the three to make.")
def robustness_input(
    data: Path | None, out: Path | None, model: str | None, human: int, spun: int, seed: int, wanted: str
) -> None:
    """Measure what page furniture, tricks with characters and wrong encodings do, before and after."""
    from eval import robustness_input as inputs

    names = [n for n in split_names(wanted) if n in inputs.REPORTS]
    if not names:
        raise click.BadParameter(f"none of {', '.join(inputs.REPORTS)}", param_hint="--reports")
    for name, text in inputs.run(data or default_data_dir(), model, human, spun, seed, names, out):
        click.echo(text if out is None else str(out / f"{name}.md"), nl=out is not None)


for _command in COMMANDS:
    main.add_command(_command)


if __name__ == "__main__":
    main(prog_name="python -m eval")
