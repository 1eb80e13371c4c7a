"""`gristmill label analyze`: what each labelling function does."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from gristmill.cli.label_labelled import show_analysis
from gristmill.cli.label_options import input_options, page_option
from gristmill.cli.output import HELP, emit, json_option
from gristmill.cli.places import Place
from gristmill.core.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

_APPLYING = ("--classes", "--on-error", "--cache", "--engine")


@click.command("analyze", context_settings=HELP)
@click.argument("what", type=click.Path(path_type=Path))
@click.argument("data", type=Place(dir_okay=False), required=False)
@input_options
@page_option
@json_option
def command(
    what: Path,
    data: Path | str | None,
    classes: str | None,
    gold: Path | None,
    on_error: Literal["raise", "abstain"] | None,
    cache: Path | None,
    engine: str | None,
    page: Path | None,
    as_json: bool,
) -> None:
    """Print what each labelling function does; write nothing.

    WHAT is a Python file of labelling functions, applied to DATA, or a folder that `gristmill label
    -o FOLDER` wrote. For each function: the classes it votes for, on how many rows it votes, how
    often others vote too or say otherwise and, on gold rows, how often it is right.

    \b
    Example:
      gristmill label analyze rules.py messages.csv --gold answers.jsonl
      gristmill label analyze rules.py messages.csv --page labels.html
      gristmill label analyze labels-2

    \b
    Exit codes:
      0  done
      2  wrong call, or a mistake in the functions
      5  rows, gold or votes that cannot be used
    """
    from gristmill.cli.about import about
    from gristmill.cli.label_inputs import (
        of_ids,
        read_gold,
        read_inputs,
        stored_labels,
        stored_model,
    )
    from gristmill.cli.label_output import write_page
    from gristmill.data.formats import read_table
    from gristmill.data.table import with_row_id
    from gristmill.label.analysis.summary import analyze
    from gristmill.label.versions.version import labels_of

    stored = stored_labels(what)
    if stored is not None:
        options: list[object] = [classes, on_error, cache, engine]
        _refuse_options(what, dict(zip(_APPLYING, options, strict=True)))
    if data is None and (stored is None or page is not None):
        purpose = f"to apply {what} to" if stored is None else "to show on the page"
        raise UsageError(
            f"expected the rows {purpose}", fix=f"say gristmill label analyze {what} DATA"
        )
    frame: pl.DataFrame | None
    if stored is None and data is not None:
        inputs = read_inputs(
            what, data, classes=classes, gold=gold, on_error=on_error, cache=cache, engine=engine
        )
        votes, known, frame = inputs.votes, inputs.gold, inputs.frame
    elif stored is not None:
        votes = labels_of(stored).votes
        frame = None if data is None else with_row_id(read_table(data))
        judged = None if frame is None else partial(of_ids, frame)
        known = None if gold is None else read_gold(gold, judged)
    model = None if stored is None else stored_model(what)
    with about(gold or what):
        analysis = analyze(votes, known, model)
    if page is not None and frame is not None:
        labels = None if stored is None else labels_of(stored)
        with about(data or what):
            write_page(votes, frame, page, labels=labels, gold=known, model=model)
    emit(analysis.describe(), as_json, lambda: show_analysis(analysis))


def _refuse_options(what: Path, options: dict[str, object]) -> None:
    """Raise an error for options about applying functions, where the votes are stored."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise UsageError(
            f"{', '.join(given)} would be about applying functions; the votes here are stored",
            where=str(what),
            fix=f"leave {', '.join(given)} out, or name the file of functions",
        )
