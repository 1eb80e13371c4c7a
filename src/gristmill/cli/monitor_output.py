"""What `gristmill monitor` shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gristmill.cli.output import say, say_folded
from gristmill.cli.validate_output import show_report
from gristmill.core.moments import format_moment
from gristmill.core.quantities import format_count

if TYPE_CHECKING:
    from pathlib import Path

    from gristmill.pipeline.monitoring.monitored import Monitored
    from gristmill.store.monitorings import Monitoring

_ACTIONS = {"none": "nothing is done", "wait": "waiting", "retrain": "a retraining was begun"}
_LOOKS = ("none", "wait")
_OUTCOMES = {
    "promoted": "a new version answers",
    "kept": "the version that answers was kept",
    "failed": "the retraining failed",
}


def show_monitored(found: Monitored, *, dry_run: bool = False) -> None:
    """Print what was looked at, what was found and what is done."""
    say(f"{format_moment(found.at)}  {found.model} {_answering(found)}")
    say(f"  {_looked_at(found)}")
    say()
    show_report(found.report)
    say()
    for headline, reasons in _done(found, dry_run=dry_run):
        say(headline)
        for reason in reasons:
            say_folded(f"  - {reason}", indent=4)


def write_monitored(found: Monitored, page: Path, *, dry_run: bool = False) -> None:
    """Write the same as a page, with both distributions of every column."""
    from gristmill.web.validation.page import Steps, write_validation_page

    done = _done(found, dry_run=dry_run)
    write_validation_page(
        found.report,
        page,
        title=f"Monitoring of {found.model}",
        subtitle=f"{_answering(found)} · {_looked_at(found)} · {format_moment(found.at)}",
        steps=Steps("What is done", [": ".join([what, "; ".join(why)]) for what, why in done]),
    )


def _answering(found: Monitored) -> str:
    return f"version {found.version}, {found.alias} since {format_moment(found.since)}"


def _looked_at(found: Monitored) -> str:
    parts = [f"the last {found.hours} hours"]
    if found.predictions:
        parts.append(f"{format_count(found.predictions)} predictions kept")
        parts.append(f"{format_count(found.truths)} with their truth")
    return ", ".join(parts)


def _done(found: Monitored, *, dry_run: bool) -> list[tuple[str, Sequence[str]]]:
    """Say what is done about it, and how that ended: a headline and its reasons each."""
    action = _ACTIONS[found.action.kind]
    if found.action.kind == "retrain" and (dry_run or found.outcome is None):
        action = "would be retrained" if dry_run else "retraining was broken off, and will go on"
    done: list[tuple[str, Sequence[str]]] = [(action, found.action.reasons)]
    if found.outcome is not None:
        done.append((_OUTCOMES[found.outcome.action], found.outcome.reasons))
    return done


def show_log(log: Sequence[Monitoring]) -> None:
    """Print the log, newest first; looks alike in a row are one line."""
    if not log:
        say("nothing was monitored yet")
    for entry, times in _runs(log):
        version = "" if entry.version is None else f"  version {entry.version}"
        run = "" if entry.run is None else f"  run {entry.run}"
        again = f"  ({times} looks alike)" if times > 1 else ""
        say(f"{format_moment(entry.at)}  {entry.action:<8}{version}{run}{again}")
        for reason in entry.reasons:
            say_folded(f"    - {reason}", indent=6)


def _runs(log: Sequence[Monitoring]) -> list[tuple[Monitoring, int]]:
    """Return the newest of entries that say the same one after the other, and how many."""
    found: list[tuple[Monitoring, int]] = []
    for entry in reversed(log):
        last = found[-1] if found else None
        if last is not None and _said(last[0]) == _said(entry) and entry.action in _LOOKS:
            found[-1] = (last[0], last[1] + 1)
        else:
            found.append((entry, 1))
    return found


def _said(entry: Monitoring) -> tuple[object, ...]:
    return entry.action, entry.version, entry.reasons
