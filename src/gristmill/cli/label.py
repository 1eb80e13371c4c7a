"""`gristmill label`: apply labelling functions to data and combine their votes into labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from gristmill.cli.label_options import FILE, input_options, model_option, page_option
from gristmill.cli.output import HELP, emit, json_option, say
from gristmill.cli.places import Place
from gristmill.cli.subcommands import CommandWithSubcommands

if TYPE_CHECKING:
    from gristmill.cli.label_inputs import Inputs
    from gristmill.cli.label_labelled import Labelled

SUBCOMMANDS = {
    "review": "Answer the rows where an expert's word is worth most.",
    "diff": "Show which labels changed between two versions, and why.",
    "analyze": "Print what each labelling function does; write nothing.",
}


@click.command("label", cls=CommandWithSubcommands, subcommands=SUBCOMMANDS, context_settings=HELP)
@click.argument("functions", type=FILE)
@click.argument("data", type=Place(dir_okay=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="Write here: a table (.parquet, .csv), or a folder: votes, model, provenance too.",
)
@input_options
@model_option
@page_option
@json_option
def command(
    functions: Path,
    data: Path | str,
    output: Path,
    classes: str | None,
    gold: Path | None,
    model: str,
    on_error: Literal["raise", "abstain"] | None,
    cache: Path | None,
    engine: str | None,
    page: Path | None,
    as_json: bool,
) -> None:
    """Label DATA with the labelling functions in the Python file FUNCTIONS.

    Applies every labelling function of the file, prints how often each votes and how often others
    agree, weighs them by a label model, and writes a row per row of DATA: row_id, label (class
    index, -1 where nothing is known), label_name, probs, weight, source.

    Classes are named by --classes, or by a list CLASSES in the file.

    With --engine, and where DATA is a URL, a quoted pattern or larger than memory, rows are
    labelled part by part, with the same labels. Only --page then takes all of them at once.

    \b
    Example:
      gristmill label rules.py messages.csv -o labels.parquet --classes ham,spam
      gristmill label rules.py messages.csv -o labels.parquet --gold experts.csv
      gristmill label rules.py messages.csv -o labels-2
      gristmill label rules.py /shared/messages.parquet -o labels \\
        --engine ray://head:10001
      gristmill label review rules.py messages.csv
      gristmill label diff labels-1 labels-2

    \b
    Exit codes:
      0  labels written
      2  wrong call, or a mistake in FUNCTIONS
      5  DATA, GOLD or votes that cannot be used
    """
    from gristmill.cli.label_inputs import read_inputs
    from gristmill.cli.label_output import check_output
    from gristmill.cli.label_parts import is_for_parts, label_in_parts

    if not functions.is_file():
        raise click.UsageError(f"there is no file {functions}")
    check_output(output)
    if page is None and is_for_parts(data, engine):
        labelled = label_in_parts(
            functions, data, output, classes=classes, gold=gold, model=model, on_error=on_error,
            cache=cache, engine=engine,
        )  # fmt: skip
    else:
        inputs = read_inputs(
            functions, data, classes=classes, gold=gold, on_error=on_error, cache=cache,
            engine=engine,
        )  # fmt: skip
        labelled = _labelled(inputs, model, gold, output, page)
    emit(labelled.payload(output), as_json, lambda: _show(labelled, functions, data, output, page))


def _labelled(
    inputs: Inputs, model: str, gold: Path | None, output: Path, page: Path | None
) -> Labelled:
    """Label rows that are in memory, and write the labels."""
    from gristmill.cli.label_inputs import fitted
    from gristmill.cli.label_labelled import Labelled, described
    from gristmill.cli.label_output import write_labels, write_page
    from gristmill.label.analysis.summary import analyze
    from gristmill.label.gold import read_gold
    from gristmill.label.models.label_model import LabelModel

    estimator, labels = fitted(inputs, model)
    learned = estimator if isinstance(estimator, LabelModel) else None
    analysis = analyze(inputs.votes, inputs.gold, learned)
    write_labels(inputs, estimator, labels, gold, output)
    if page is not None:
        write_page(inputs.votes, inputs.frame, page, labels=labels, gold=inputs.gold, model=learned)
    disputes = None
    if inputs.gold is not None:
        disputes = read_gold(inputs.gold, inputs.votes), inputs.votes.row_ids
    return Labelled(analysis, labels.describe(), described(estimator), disputes)


def _show(
    labelled: Labelled, functions: Path, data: Path | str, output: Path, page: Path | None
) -> None:
    labelled.show()
    say(f"wrote {output}" if page is None else f"wrote {output} and {page}")
    if labelled.gold is None:
        say(f"next: gristmill label review {functions} {data}")
