"""`gristmill validate history`: statistics against those of earlier days."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, emit, json_option, say, say_folded
from gristmill.cli.validate_options import PLACE
from gristmill.core.errors import FindingsError, UsageError

if TYPE_CHECKING:
    from gristmill.validate.drifts.history import Dated
    from gristmill.validate.drifts.shift import Shift

_DAY = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T_](\d\d)(?:-?(\d\d))?)?")


@click.command("history", context_settings=HELP)
@click.argument("folders", type=PLACE, nargs=-1, required=True)
@json_option
def command(folders: tuple[Path, ...], as_json: bool) -> None:
    """Check the newest of FOLDERS of kept statistics against the others.

    Each folder's name says its day (2024-05-31, or 2024-05-31T06 for an hour). Rows, missing
    shares, means, quantiles and top values are forecast from the history, with weekly seasons and
    trends where it is long enough, and what lies outside is told.

    \b
    Examples:
      gristmill validate day.csv -o stats/2024-05-31
      gristmill validate history stats/*

    \b
    Exit codes:
      0  as was to be expected
      2  wrong call: fewer than two folders, or a name without a day
      3  something lies outside
      5  a folder holds no statistics
    """
    from gristmill.validate.drifts.history import check_history

    dated = sorted((_dated(folder) for folder in folders), key=lambda each: each.time)
    if len(dated) < 2:
        raise UsageError(
            "expected statistics of two days or more, found one",
            fix="keep statistics with `gristmill validate DATA -o stats/2024-05-31`",
        )
    shifts = check_history(dated[:-1], dated[-1])
    payload = [
        {"code": shift.code, "feature": shift.feature, "message": shift.message} for shift in shifts
    ]
    emit({"shifts": payload}, as_json, lambda: _show(shifts))
    if shifts:
        raise FindingsError("the newest statistics lie outside their history")


def _show(shifts: Sequence[Shift]) -> None:
    for shift in shifts:
        say_folded(f"{shift.code} {shift.feature or '(table)'}: {shift.message}")
    if not shifts:
        say("as was to be expected")


def _dated(folder: Path) -> Dated:
    from gristmill.validate.drifts.history import Dated
    from gristmill.validate.statistics.statistics import Statistics

    found = _DAY.search(folder.name)
    if found is None:
        raise UsageError(
            "expected a folder named by its day, such as 2024-05-31", where=str(folder)
        )
    day, hour, minute = found.groups()
    time = dt.datetime.fromisoformat(f"{day}T{hour or '00'}:{minute or '00'}")
    return Dated(time, Statistics.load(folder))
