"""`gristmill validate skew`: two tables, joined on identifiers and compared row by row."""

from __future__ import annotations

from pathlib import Path

import click

from gristmill.cli.output import HELP, emit, json_option, say
from gristmill.cli.places import Place
from gristmill.core.errors import FindingsError


@click.command("skew", context_settings=HELP)
@click.argument("left", type=Place(dir_okay=False))
@click.argument("right", type=Place(dir_okay=False))
@click.option("--on", "identifiers", multiple=True, required=True, help="Column that names a row.")
@click.option("--feature", "features", multiple=True, help="Compare only this. [default: all]")
@click.option("--digits", type=click.IntRange(0), help="Round floats to so many decimals first.")
@json_option
def command(
    left: Path | str,
    right: Path | str,
    identifiers: tuple[str, ...],
    features: tuple[str, ...],
    digits: int | None,
    as_json: bool,
) -> None:
    """Compare LEFT and RIGHT (training and serving data, say) row by row.

    Rows are joined on the columns named by --on; every feature is told with how many pairs agree,
    and the first that do not.

    \b
    Examples:
      gristmill validate skew train.parquet served.parquet --on trip_id
      gristmill validate skew a.csv b.csv --on user --on day --digits 6

    \b
    Exit codes:
      0  all joined rows agree
      2  wrong call
      3  some differ
      5  a table cannot be read
    """
    from gristmill.validate.drifts.skew import skew_by_join

    report = skew_by_join(left, right, identifiers, list(features) or None, digits)
    emit(report, as_json, lambda: say(str(report)))
    if not report.ok:
        raise FindingsError("the tables differ", where=f"{left} and {right}")
