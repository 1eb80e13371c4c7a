"""`gristmill history`: who decided what of a model, when and why."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from gristmill.cli.model_options import in_place_of
from gristmill.cli.output import HELP, emit, json_option, say, say_folded
from gristmill.core.moments import format_moment

if TYPE_CHECKING:
    from gristmill.store.decision import Decision
    from gristmill.store.registry import Registry
    from gristmill.store.seals import SealedLog

_SEAL = re.compile(r"[0-9a-f]{8,32}")


@click.command("history", context_settings=HELP)
@click.argument("model")
@click.option("--at", "moment", help="What each alias named then: a date, or 'last tuesday'.")
@click.option("--seal", "noted", help="A seal noted earlier: fail if no decision has it.")
@json_option
def command(model: str, moment: str | None, noted: str | None, as_json: bool) -> None:
    """Print who decided what of MODEL, when, why and on what evidence; newest first.

    \b
    gristmill history spam
    gristmill history spam --at 'last tuesday'     what was live then
    gristmill history spam --at '2026-11-03 14:30'
    gristmill history spam --json                  with all the evidence
    gristmill history spam --seal 3f2ab81c         is all there that was then?

    A day without a time means the end of that day. Each decision is sealed with
    the one before it: a log that was changed by hand is an error (exit code 7).
    """
    from gristmill.core.moments import parse_moment
    from gristmill.store.project import find_project
    from gristmill.store.registry import Registry

    with find_project() as project:
        registry = Registry(project)
        registry.version(model, 1)
        log = registry.history(model)
        sealed = registry.seals(model, first=len(log))
        if moment is not None:
            _print_then(registry, model, parse_moment(moment), as_json)
        else:
            _print_all(log, sealed, as_json)
        _check(model, log, sealed, noted)


def _print_all(log: list[Decision], sealed: SealedLog, as_json: bool) -> None:
    seals = sealed.seals or [""] * len(log)  # an older project that cannot be written has none
    payload = [asdict(entry) | {"seal": seal} for entry, seal in zip(log, seals, strict=True)]
    emit(payload[::-1], as_json, lambda: _show(log[::-1], seals[-1:]))


def _check(model: str, log: list[Decision], sealed: SealedLog, noted: str | None) -> None:
    """Raise if the log is not what was written, as far as its seals can say."""
    from gristmill.core.errors import StoreError, UsageError

    if sealed.broken:
        place = sealed.broken[0]
        entry = log[place]
        raise StoreError(
            f"the log of {model!r} was changed by other means than Gristmill's: "
            f"{len(sealed.broken)} of {len(log)} decisions do not fit their seals, first number "
            f"{place + 1} ({entry.verdict} of version {entry.version}, {format_moment(entry.at)}): "
            "it is not what was written, or the one before it is gone",
            fix="a copy of the database from before tells what it was; what an alias names goes by "
            "the log as it is, and `gristmill promote` sets it anew",
        )
    if noted is None:
        return
    if not _SEAL.fullmatch(noted):
        raise UsageError(f"expected 8 to 32 digits of a seal, found {noted!r}")
    if not any(seal.startswith(noted) for seal in sealed.seals):
        raise StoreError(
            f"no decision of {model!r} has the seal {noted}",
            fix="if it was noted from this log, decisions are gone from its end: a copy of the "
            "database from before tells which",
        )


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


def _show(log: list[Decision], newest: list[str]) -> None:
    if not log:
        say("nothing was decided yet")
    for entry in log:
        forced = "  FORCED" if entry.forced else ""
        say_folded(
            f"{format_moment(entry.at)}  {entry.verdict:<8}  version {entry.version} as "
            f"{entry.alias}{in_place_of(entry)}  by {entry.author}{forced}"
        )
        _reasons(entry)
    if any(newest):
        say(f"newest seal: {newest[0]}")


def _reasons(entry: Decision) -> None:
    for reason in entry.reasons:
        say_folded(f"    - {reason}", indent=6)
