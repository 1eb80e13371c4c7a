"""`gristmill label`: apply labelling functions to data and combine their votes into labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from gristmill.cli.label_options import FILE, input_options, model_option, page_option
from gristmill.cli.output import HELP, emit, json_option, say, table, terminal_width
from gristmill.cli.subcommands import CommandWithSubcommands

if TYPE_CHECKING:
    from gristmill.cli.label_inputs import Inputs
    from gristmill.label.analysis.summary import Analysis
    from gristmill.label.labels import Labels

SUBCOMMANDS = {
    "review": "Answer the rows where an expert's word is worth most.",
    "diff": "Show which labels changed between two versions, and why.",
    "analyze": "Print what each labelling function does; write nothing.",
}
_DISPUTED = 5


@click.command("label", cls=CommandWithSubcommands, subcommands=SUBCOMMANDS, context_settings=HELP)
@click.argument("functions", type=FILE)
@click.argument("data", type=FILE)
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
    data: Path,
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

    \b
    Example:
      gristmill label rules.py messages.csv -o labels.parquet --classes ham,spam
      gristmill label rules.py messages.csv -o labels.parquet --gold experts.csv
      gristmill label rules.py messages.csv -o labels-2
      gristmill label rules.py /shared/messages.parquet -o labels --engine ray://head:10001
      gristmill label review rules.py messages.csv
      gristmill label diff labels-1 labels-2

    \b
    Exit codes:
      0  labels written
      2  wrong call, or a mistake in FUNCTIONS
      5  DATA, GOLD or votes that cannot be used
    """
    from gristmill.cli.label_inputs import fitted, read_inputs
    from gristmill.cli.label_output import check_output, write_labels, write_page
    from gristmill.label.analysis.summary import analyze
    from gristmill.label.models.label_model import LabelModel

    if not functions.is_file():
        raise click.UsageError(f"there is no file {functions}")
    check_output(output)
    inputs = read_inputs(
        functions, data, classes=classes, gold=gold, on_error=on_error, cache=cache, engine=engine
    )
    estimator, labels = fitted(inputs, model)
    learned = estimator if isinstance(estimator, LabelModel) else None
    analysis = analyze(inputs.votes, inputs.gold, learned)
    write_labels(inputs, estimator, labels, gold, output)
    if page is not None:
        write_page(inputs.votes, inputs.frame, page, labels=labels, gold=inputs.gold, model=learned)
    payload = {
        "labels": labels.describe(),
        "analysis": analysis.describe(),
        "model": _described(estimator),
        "output": str(output),
    }
    emit(payload, as_json, lambda: _show(inputs, analysis, labels, output, page))


def show_analysis(analysis: Analysis) -> None:
    """Print the table of the labelling functions, and what a person should look at."""
    from gristmill.label.analysis.printing import lined_up

    cells = analysis.cells(terminal_width())
    header, *lines = lined_up(cells)
    say(
        f"{analysis.rows:,} rows: {analysis.coverage:.1%} covered, {analysis.overlap:.1%} by two "
        f"or more, {analysis.conflict:.1%} in conflict"
    )
    for line in ("", header, "─" * max(map(len, [header, *lines])), *lines, ""):
        say(line)
    if hidden := [name for name in analysis.cells()[0] if name not in cells[0]]:
        say(f"no room for {', '.join(hidden)}: widen the terminal, or see --json")
    for warning in analysis.warnings():
        say(f"note: {warning}")


def _described(estimator: Any) -> dict[str, Any]:
    if hasattr(estimator, "describe"):
        described: dict[str, Any] = estimator.describe()
        return described
    return {"kind": "majority vote", "classes": list(estimator.classes)}


def _show(
    inputs: Inputs, analysis: Analysis, labels: Labels, output: Path, page: Path | None
) -> None:
    show_analysis(analysis)
    facts: dict[str, Any] = labels.describe()
    counted = [[name, rows, rows / max(len(labels), 1)] for name, rows in facts["classes"].items()]
    counted.append(["(no label)", facts["unlabelled"], facts["unlabelled"] / max(len(labels), 1)])
    table("labels", ["class", "rows", "share"], counted)
    if inputs.gold is not None:
        _show_gold(inputs, facts)
    say(f"wrote {output}" if page is None else f"wrote {output} and {page}")
    if inputs.gold is None:
        say(f"next: gristmill label review {inputs.functions} {inputs.data}")


def _show_gold(inputs: Inputs, facts: dict[str, Any]) -> None:
    from gristmill.label.gold import read_gold

    trust = facts["facts"].get("trust")
    rows = facts["sources"]["gold"]
    trusted = "" if trust is None or not rows else f", trust in weak labels {trust:.2f}"
    say(f"gold rows: {rows:,}{trusted}")
    found = read_gold(inputs.gold, inputs.votes)
    if not len(found.disputed):
        return
    shown = ", ".join(str(inputs.votes.row_ids[int(row)]) for row in found.disputed[:_DISPUTED])
    more = ", ..." if len(found.disputed) > _DISPUTED else ""
    settled = int((found.codes[found.disputed] >= 0).sum())
    say(
        f"note: gold rows on which annotators differ: {len(found.disputed):,} ({shown}{more}); "
        f"{settled:,} count as their likeliest class, {len(found.disputed) - settled:,} are a tie "
        "and do not count"
    )
