"""`gristmill history`: who decided what of a model, when and why."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from gristmill.cli.model_options import in_place_of
from gristmill.cli.output import HELP, emit, json_option, say, say_folded
from gristmill.core.moments import format_moment

if TYPE_CHECKING:
    from gristmill.store.decision import Decision
    from gristmill.store.registry import Registry


@click.command("history", context_settings=HELP)
@click.argument("model")
@click.option("--at", "moment", help="What each alias named then: a date, or 'last tuesday'.")
@json_option
def command(model: str, moment: str | None, as_json: bool) -> None:
    """Print who decided what of MODEL, when, why and on what evidence; newest first.

    \b
    gristmill history spam
    gristmill history spam --at 'last tuesday'     what was live then
    gristmill history spam --at '2026-11-03 14:30'
    gristmill history spam --json                  with all the evidence

    A day without a time means the end of that day.
    """
    from gristmill.core.moments import parse_moment
    from gristmill.store.project import find_project
    from gristmill.store.registry import Registry

    with find_project() as project:
        registry = Registry(project)
        registry.version(model, 1)
        if moment is not None:
            _print_then(registry, model, parse_moment(moment), as_json)
            return
        log = list(reversed(registry.history(model)))
        emit([asdict(entry) for entry in log], as_json, lambda: _show(log))


def _print_then(registry: Registry, model: str, at: float, as_json: bool) -> None:
    named = registry.aliases(model, at=at)
    payload = {
        "model": model,
        "at": at,
        "aliases": {alias: asdict(entry) for alias, entry in sorted(named.items())},
    }
    emit(payload, as_json, lambda: _show_then(named, at))


def _show_then(named: dict[str, Decision], at: float) -> None:
    say(f"at {format_moment(at)}:")
    if not named:
        say("  no version had a name")
    for alias, entry in sorted(named.items()):
        say(
            f"  {alias}: version {entry.version}, since {format_moment(entry.at)} by {entry.author}"
        )
        _reasons(entry)


def _show(log: list[Decision]) -> None:
    if not log:
        say("nothing was decided yet")
    for entry in log:
        forced = "  FORCED" if entry.forced else ""
        say_folded(
            f"{format_moment(entry.at)}  {entry.verdict:<8}  version {entry.version} as "
            f"{entry.alias}{in_place_of(entry)}  by {entry.author}{forced}"
        )
        _reasons(entry)


def _reasons(entry: Decision) -> None:
    for reason in entry.reasons:
        say_folded(f"    - {reason}", indent=6)
