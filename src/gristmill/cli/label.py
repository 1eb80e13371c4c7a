"""`gristmill label`: apply labelling functions to data and combine their votes into labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from gristmill.cli.about import about
from gristmill.cli.output import HELP, emit, json_option, say, table
from gristmill.core.errors import LabelError

if TYPE_CHECKING:
    from types import ModuleType

    import polars as pl

    from gristmill.label.analysis.summary import Analysis
    from gristmill.label.functions.function import LabelingFunction
    from gristmill.label.labels import Labels

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("label", context_settings=HELP)
@click.argument("functions", type=_FILE)
@click.argument("data", type=_FILE)
@click.option("-o", "--output", type=_FILE, required=True, help="Write the labels here (Parquet).")
@click.option("--classes", help="Class names in order, such as ham,spam; default: CLASSES.")
@click.option("--gold", type=_FILE, help="Table with row_id and label: what experts said.")
@click.option(
    "--on-error",
    type=click.Choice(["raise", "abstain"]),
    help="When a function raises on a row: stop, or count it and go on. [default: as it says]",
)
@click.option("--cache", type=click.Path(path_type=Path), help="Folder to keep votes in.")
@json_option
def command(
    functions: Path,
    data: Path,
    output: Path,
    classes: str | None,
    gold: Path | None,
    on_error: Literal["raise", "abstain"] | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Label DATA with the labelling functions in the Python file FUNCTIONS.

    Applies every labelling function of the file, prints how often each votes and how often others
    agree, weighs them by a label model, and writes a row per row of DATA: row_id, label (class
    index, -1 where nothing is known), label_name, probs, weight, source.

    Classes are named by --classes, or by a list CLASSES in the file.

    \b
    Example:
      gristmill label rules.py messages.csv -o labels.parquet --classes ham,spam
      gristmill label rules.py messages.csv -o labels.parquet --gold experts.csv

    \b
    Exit codes:
      0  labels written
      2  wrong call, or a mistake in FUNCTIONS
      5  DATA, GOLD or votes that cannot be used
    """
    from gristmill.data.formats import format_of, read_table, require_rows, write_table
    from gristmill.label.analysis.summary import analyze
    from gristmill.label.functions.application import apply
    from gristmill.label.functions.vote_cache import VoteCache
    from gristmill.label.gold import gold_codes
    from gristmill.label.models.label_model import LabelModel
    from gristmill.pipeline.load import import_file

    if not functions.is_file():
        raise click.UsageError(f"there is no file {functions}")
    format_of(output)
    module = import_file(functions.resolve())
    votes = apply(
        _functions_in(module, functions),
        require_rows(read_table(data), str(data)),
        classes=_classes(classes, module, functions),
        on_error=on_error,
        cache=None if cache is None else VoteCache(cache),
    )
    known = None if gold is None else require_rows(read_table(gold), str(gold))
    with about(gold or data):
        gold_codes(known, votes)
    analysis = analyze(votes, known)
    with about(data):
        model = LabelModel(votes.classes).fit(votes, gold=known)
    labels = model.predict(votes)
    write_table(_named(labels), output)
    payload: dict[str, Any] = {
        "labels": labels.describe(),
        "analysis": analysis.describe(),
        "model": model.describe(),
        "output": str(output),
    }
    emit(payload, as_json, lambda: _show(analysis, labels, output))


def _functions_in(module: ModuleType, file: Path) -> list[LabelingFunction]:
    """Return the labelling functions of a module, also those in its lists, each once."""
    from gristmill.label.functions.function import LabelingFunction

    found: dict[int, LabelingFunction] = {}
    for value in vars(module).values():
        for each in value if isinstance(value, list | tuple) else (value,):
            if isinstance(each, LabelingFunction):
                found[id(each)] = each
    if not found:
        raise LabelError(
            "there are no labelling functions in this file",
            where=str(file),
            fix="decorate some with @labeling_function, or make some with keywords(...)",
        )
    return list(found.values())


def _classes(given: str | None, module: ModuleType, file: Path) -> list[str]:
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip()]
    named = getattr(module, "CLASSES", None)
    if not isinstance(named, list | tuple):
        raise LabelError(
            "the classes are not named",
            where=str(file),
            fix="say --classes ham,spam, or write CLASSES = ['ham', 'spam'] in the file",
        )
    return [str(name) for name in named]


def _named(labels: Labels) -> pl.DataFrame:
    """Return the labels with the name of each beside its index."""
    import polars as pl

    names = dict(enumerate(labels.classes))
    name = pl.col("label").replace_strict(names, default=None, return_dtype=pl.String)
    frame = labels.table.with_columns(name.alias("label_name"))
    return frame.select("row_id", "label", "label_name", "probs", "weight", "source")


def _show(analysis: Analysis, labels: Labels, output: Path) -> None:
    header, *lines = analysis.cells()
    say(
        f"{analysis.rows:,} rows: {analysis.coverage:.1%} covered, {analysis.overlap:.1%} by two "
        f"or more, {analysis.conflict:.1%} in conflict"
    )
    table("labelling functions", header, lines)
    for warning in analysis.warnings():
        say(f"note: {warning}")
    facts: dict[str, Any] = labels.describe()
    counted = [[name, rows, rows / max(len(labels), 1)] for name, rows in facts["classes"].items()]
    counted.append(["(no label)", facts["unlabelled"], facts["unlabelled"] / max(len(labels), 1)])
    table("labels", ["class", "rows", "share"], counted)
    if facts["sources"]["gold"]:
        trust = facts["facts"]["trust"]
        say(f"gold rows: {facts['sources']['gold']:,}, trust in weak labels {trust:.2f}")
    say(f"wrote {output}")
