"""`gristmill diff`: what is different between two runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from gristmill.cli.output import HELP, emit, json_option, say

if TYPE_CHECKING:
    from gristmill.pipeline.run_diff import Change, RunDiff

_DIGEST = re.compile(r"[0-9a-f]{32,64}")
_SHOWN = 12


@click.command("diff", context_settings=HELP)
@click.argument("first")
@click.argument("second", default="last")
@json_option
def command(first: str, second: str, as_json: bool) -> None:
    """Say what is different between two runs: settings, code, packages, data, results, figures.

    A run is named by its id, the first characters of it, or `last`; the second is `last` unless
    another is named. Code is told by the function, class or constant that differs.

    \b
    gristmill diff 20261121-0604
    gristmill diff 20261121-0604 20261121-0931 --json
    """
    from gristmill.pipeline.run_diff import diff_runs
    from gristmill.store.project import find_project
    from gristmill.store.runs import RunLog

    with find_project() as project:
        log = RunLog(project)
        found = diff_runs(log, log.run(first), log.run(second))
    emit(found, as_json, lambda: _show(found))


def _show(found: RunDiff) -> None:
    say(f"{found.first} -> {found.second}")
    for change in found.environment:
        say(f"  {_line(change)}")
    for each in found.steps:
        say(each.step)
        for change in each.changes:
            say(f"  {_line(change)}")
    if found.same:
        noun = "step" if len(found.same) == 1 else "steps"
        say(f"the same: {len(found.same)} {noun}")
    if not found.steps and not found.environment:
        say("nothing is different")


def _line(change: Change) -> str:
    if change.what in ("code", "input", "data") and "(absent)" not in (change.before, change.after):
        return f"{change.what:<8} {change.name} changed"
    return f"{change.what:<8} {change.name}: {_brief(change.before)} -> {_brief(change.after)}"


def _brief(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return text[:_SHOWN] if _DIGEST.fullmatch(text) else text
