"""Commands of `python -m eval` that measure one thing each (see `COMMANDS`); the work is in modules of their own."""

from __future__ import annotations

from pathlib import Path

import click

from eval.options import data_option, model_option, report_out_option, seed_option, split_names
from train.corpora import Document, default_data_dir

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
@seed_option
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


@click.command()
@data_option
@model_option
@click.option("--floors", type=click.Path(dir_okay=False, path_type=Path), help="[default: eval/floors.json]")
@click.option("--sets", default="program,own,data", help="What to measure; data only where there are tables.")
@click.option("--raise", "raise_", is_flag=True, help="Write floors: what was measured, minus a margin.")
@click.option("--allow-lower", is_flag=True, help="With --raise: also where that lowers a floor.")
def gate(data: Path | None, model: str | None, floors: Path | None, sets: str, raise_: bool, allow_lower: bool) -> None:
    """Compare the model with the floors in eval/floors.json; exit with 1 if anything is worse. Two minutes."""
    from detector import SpinDetector
    from detector.store import open_model
    from eval import gate as gates
    from train.corpora import list_tables

    names = split_names(sets)
    if unknown := sorted(set(names) - set(gates.SETS)):
        raise click.BadParameter(f"{', '.join(unknown)}: expected {', '.join(gates.SETS)}", param_hint="--sets")
    if allow_lower and not raise_:
        raise click.UsageError("--allow-lower goes with --raise")
    folder = data or default_data_dir()
    has_tables = bool(list_tables(folder))
    if data and not has_tables:
        raise click.BadParameter(f"no tables (*/*.parquet) in {data}", param_hint="--data")
    if "data" in names and not has_tables:
        click.echo(f"no tables in {folder}: what needs them is left out")
    path = floors or gates.FLOORS
    known = gates.read_floors(path)
    opened = open_model(model)
    measured = gates.measure(SpinDetector(opened), opened.path, folder if has_tables else None, names)
    worse: list[str] = []
    click.echo(f"model {opened.model_id}, {path}")
    for name, found in measured.items():
        before = known.get(name, {})
        changed = before and before["digest"] != found.digest
        if changed and not (raise_ and allow_lower):
            click.echo(
                f"{name}: the texts are others than those of the floors ({found.digest}, not {before['digest']})"
            )
            worse.append(f"{name}: other texts; measure the floors anew with --raise --allow-lower")
            continue
        if raise_:
            before = known[name] = gates.new_floors(before, found, opened.model_id, allow_lower)
        rows = gates.compare(before, found)
        click.echo(gates.to_text(name, before, found, rows))
        worse += [f"{name} {r.name}: {r.note or f'worse by {r.worse_by:.4g}'}" for r in rows if r.worse_by]
        if not before:
            worse.append(f"{name}: no floors; --raise sets them")
    if raise_:
        gates.write_floors(path, known)
        click.echo(f"{path} written")
    if worse:
        click.echo("\n".join(["", f"{len(worse)} below the floor:", *(f"  {line}" for line in worse)]))
        raise SystemExit(1)


@click.command()
@data_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for report and JSON.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), required=True, help="Windows and scores.")
@click.option("--variants", type=click.Path(dir_okay=False, exists=True, path_type=Path), help="What varies.")
@click.option("--only", default="", help="Names of variants, or `shipped` [default: all that is not in the cache].")
@click.option("--model", default=None, help="The shipped model that judges the embedding swaps, folder or name.")
@click.option("--report-only", is_flag=True, help="Run nothing; report on what the cache holds.")
def experiments(
    data: Path | None,
    out: Path | None,
    cache: Path,
    variants: Path | None,
    only: str,
    model: str | None,
    report_only: bool,
) -> None:
    """Train variants of the examiner, minutes each, and compare them on tools that they were not trained on."""
    from eval import experiments_markdown as report

    if not report_only:
        from eval import experiments as runs
        from train.examiner import Settings

        runs.run(data or default_data_dir(), cache, variants, split_names(only), model, Settings.read())
    for path in report.write(cache, out or REPORTS / "spin-en-v2", variants):
        click.echo(str(path))


@click.command()
@data_option
@model_option
@report_out_option
@click.option("--most", type=click.IntRange(1), default=200, help="Passages of each package, chosen by the seed.")
@seed_option
def unfamiliar(data: Path | None, model: str | None, out: Path | None, most: int, seed: int) -> None:
    """Count false alarms on human prose that no model has: texts kept out of the tables, Bibles, law, documentation."""
    from eval import unfamiliar as prose

    tables = data or default_data_dir()
    if not tables.is_dir():
        click.echo(f"No tables at {tables}: only prose of packages is measured.", err=True)
    result = prose.measure(model, most, seed, tables=prose.kept_out(tables) if tables.is_dir() else None)
    _write_report(out, result["model"], "unfamiliar.md", prose.to_markdown(result))


@click.command("examiner-windows")
@click.argument("checkpoint", type=click.Path(exists=True, file_okay=False, path_type=Path))
@data_option
@model_option
@report_out_option
@click.option("--rows", type=click.IntRange(1), default=300, help="Texts of a table, chosen by the seed.")
@click.option("--windows", type=click.IntRange(1), default=3, help="Windows of a text, spread evenly.")
@seed_option
def examiner_windows(
    checkpoint: Path, data: Path | None, model: str | None, out: Path | None, rows: int, windows: int, seed: int
) -> None:
    """Measure the examiner alone on groups it held out, by window and by article, in float32 and as shipped."""
    from eval import examiner_windows as alone

    found = alone.measure(_training_documents(data), checkpoint, model, rows, windows, seed)
    _write_report(out, found["model"], "examiner-windows.md", alone.to_markdown(found))


@click.command()
@data_option
@model_option
@report_out_option
@click.option("--rows", type=click.IntRange(1), default=60, help="Texts of a table, chosen by the seed.")
@seed_option
def kinds(data: Path | None, model: str | None, out: Path | None, rows: int, seed: int) -> None:
    """Count how often the kind of a text is named right, on groups that the examiner held out."""
    from eval import kinds as naming

    found = naming.measure(_training_documents(data), model, rows, seed)
    _write_report(out, found["model"], "kinds.md", naming.to_markdown(found))


def _training_documents(data: Path | None) -> list[Document]:
    from train.recipe import read_documents
    from train.screen import Settings

    return read_documents(data or default_data_dir(), Settings.read().documents)


def _write_report(out: Path | None, model_id: str, name: str, text: str) -> None:
    """Write a report on a model into `out`, else into the model's folder of reports."""
    folder = out or REPORTS / model_id.split("@")[0]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8", newline="\n")
    click.echo(str(folder / name))


COMMANDS = (attacks, calibrate, examiner_windows, experiments, gate, kinds, unfamiliar)
