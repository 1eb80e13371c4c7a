"""`gristmill validate`: profile data; its commands infer a schema, check data, and more."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, emit, json_option, plain_terminal, say, terminal_width
from gristmill.cli.subcommands import CommandWithSubcommands
from gristmill.cli.validate_options import (
    PLACE,
    PLACE_OR_URL,
    data_argument,
    engine_option,
    known_statistics,
    new_folder,
    page_option,
    refuse_filled,
    refuse_overwriting,
    skip_option,
)
from gristmill.cli.validate_output import reading_notes, say_notes

if TYPE_CHECKING:
    from gristmill.engine.protocol import Engine
    from gristmill.validate.skipped import OnError
    from gristmill.validate.statistics.statistics import Statistics

SUBCOMMANDS = {
    "infer": "Infer a schema from a clean sample.",
    "check": "Check data against a schema, and against a baseline.",
    "report": "Show a report that was kept: terminal, page, JSON, JUnit.",
    "accept": "Take proposed changes of the schema from a report.",
    "diff": "Show how two schemas differ.",
    "versions": "Keep versions of a schema in a project; list them, show one.",
    "rows": "Part good rows from bad ones.",
    "skew": "Join two tables on identifiers, and compare them row by row.",
    "history": "Check statistics against those of earlier days.",
    "fuzz": "Feed code rows drawn from a schema; report what breaks it.",
    "import": "Take over a schema or statistics of TensorFlow Data Validation.",
    "export": "Write a schema, statistics or a report in its formats.",
}


@click.command(
    "validate", cls=CommandWithSubcommands, subcommands=SUBCOMMANDS, context_settings=HELP
)
@data_argument
@click.option("-o", "--output", type=PLACE, metavar="FOLDER", help="Keep the statistics here.")
@click.option(
    "--baseline", type=PLACE_OR_URL, help="Lay this table, or kept statistics, beside it."
)
@click.option(
    "--slice",
    "slices",
    multiple=True,
    help="Also by slice: a column, an expression such as 'fare > 20', or a query.",
)
@click.option("--weight", help="The column that weighs the rows.")
@click.option("--cross-features", is_flag=True, help="Also covariances and correlations.")
@engine_option
@skip_option
@page_option
@json_option
def command(
    data: tuple[Path | str, ...],
    output: Path | None,
    baseline: Path | str | None,
    slices: tuple[str, ...],
    weight: str | None,
    cross_features: bool,
    engine: str | None,
    skip_failed: bool,
    page: Path | None,
    as_json: bool,
) -> None:
    """Profile DATA: what is in each column. Several files are read as one table.

    With -o the statistics are kept: a baseline for later checks. Those of two days add up: name two
    folders of kept statistics as DATA.

    \b
    Examples:
      gristmill validate train.csv
      gristmill validate 2024-*.parquet -o year --page year.html
      gristmill validate train.csv --slice payment_type --slice 'fare > 20'
      gristmill validate 2024-*.parquet --engine local:4
      gristmill validate infer train.csv
      gristmill validate check later.csv --baseline train.csv

    \b
    Exit codes:
      0  profiled
      2  wrong call
      5  the data cannot be read at all, or parts of it are left out
    """
    from gristmill.data.stream import found_files
    from gristmill.engine.current import chosen_engine

    refuse_filled(output)
    refuse_overwriting(data, page)
    places = data if baseline is None else (*data, baseline)
    # Before an engine opens, which takes a while. Folders hold statistics.
    found_files([each for each in places if not (isinstance(each, Path) and each.is_dir())])
    with chosen_engine(engine) as where:
        on_error: OnError = "skip" if skip_failed else "raise"
        profiled = partial(_statistics, engine=where, on_error=on_error)
        statistics, notes = profiled(data, slices, weight, cross_features)
        beside = None if baseline is None else profiled((baseline,))[0]
    payload = statistics.describe() | {"notes": notes}
    emit(payload, as_json, lambda: _show(statistics, beside, notes))
    if output is not None:
        with new_folder(output) as folder:
            statistics.save(folder)
    if page is not None:
        from gristmill.web.validation.page import write_profile_page

        write_profile_page(statistics, page, beside)
    if not as_json:
        for place in (output, page):
            if place is not None:
                say(f"written: {place}")
    if statistics.skipped:
        from gristmill.core.errors import DataError

        count = len(statistics.skipped)
        raise DataError(
            f"the statistics are those of the other parts: {count} could not be worked on",
            where=", ".join(str(place) for place in data[:3]),
            fix="mend what the notes name, and profile it again",
        )


def _statistics(
    data: tuple[Path | str, ...],
    slices: tuple[str, ...] = (),
    weight: str | None = None,
    cross_features: bool = False,
    *,
    engine: Engine | None,
    on_error: OnError,
) -> tuple[Statistics, list[str]]:
    """Profile files, or add up kept statistics; with notes on what had to be mended."""
    from gristmill.data.stream import open_stream
    from gristmill.validate.checks.reading import check_skipped
    from gristmill.validate.statistics.profiler import profile_stream
    from gristmill.validate.statistics.statistics import Statistics

    kept = [known_statistics(place) for place in data]
    parts = [part for part in kept if isinstance(part, Statistics)]
    files = [known for known in kept if not isinstance(known, Statistics)]
    notes: list[str] = []
    if files:
        name = str(files[0]).rstrip("/").rpartition("/")[2]
        if len(files) > 1:
            name = f"{name} and {len(files) - 1} more"
        stream = open_stream(files)
        parts.append(profile_stream(stream, name=name, slices=list(slices) or None, weight=weight,
                                    cross_features=cross_features, engine=engine,
                                    on_error=on_error))  # fmt: skip
        notes = reading_notes(stream, parts[-1].rows)
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total, notes + [draft.message for draft in check_skipped(total)]


def _show(statistics: Statistics, baseline: Statistics | None, notes: list[str]) -> None:
    from gristmill.core.quantities import many
    from gristmill.validate.checks.tables import comparison_table, feature_table

    duplicates = statistics.duplicates
    word = "duplicate" if str(duplicates) == "1" else "duplicates"
    say(f"{statistics.name}: {many(statistics.rows, 'row')}, {duplicates} {word}")
    say_notes(notes)
    say()
    width, plain = terminal_width(), plain_terminal()
    if baseline is None:
        say(feature_table(statistics, width, ascii_only=plain))
    else:
        say(comparison_table(statistics, baseline, width=width, ascii_only=plain))
    for name, part in statistics.slices.items():
        say(f"slice {name}: {many(part.rows, 'row')}")
