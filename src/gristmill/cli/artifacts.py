"""`gristmill artifacts`: what is in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, emit, json_option, say, table
from gristmill.core.moments import format_moment
from gristmill.core.quantities import format_bytes, format_count

if TYPE_CHECKING:
    from gristmill.store.inventory import StoredArtifact


@click.command("artifacts", context_settings=HELP)
@click.option("--kind", metavar="KIND", help="Only of this kind: table, bundle, json, ...")
@click.option("--step", metavar="STEP", help="Only results of this step.")
@click.option("--since", metavar="MOMENT", help="Only stored since: a date, or 'yesterday'.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many.")
@click.option("--skip", type=click.IntRange(0), default=0, help="Leave out so many of the newest.")
@json_option
def command(
    kind: str | None, step: str | None, since: str | None, limit: int, skip: int, as_json: bool
) -> None:
    """List what is stored, newest first; --json tells the runs that made it, too.

    \b
    gristmill artifacts                          the newest 50
    gristmill artifacts --kind bundle            bundles
    gristmill artifacts --step train --limit 5   the last five results of a step
    gristmill artifacts --skip 50                the next 50
    """
    from gristmill.core.moments import parse_moment
    from gristmill.store.inventory import list_artifacts
    from gristmill.store.project import find_project
    from gristmill.store.runs import RunLog

    moment = None if since is None else parse_moment(since)
    with find_project() as project:
        found = list_artifacts(
            RunLog(project), kind=kind, step=step, since=moment, limit=limit, skip=skip
        )
    emit(found, as_json, lambda: _list(found))


def _list(found: list[StoredArtifact]) -> None:
    if not found:
        say("nothing of that is stored")
        return
    rows = [
        [
            one.digest[:12],
            one.kind,
            format_bytes(one.bytes_),
            "" if one.rows is None else format_count(one.rows),
            format_moment(one.created),
            one.step or "",
        ]
        for one in found
    ]
    table("", ["artifact", "kind", "size", "rows", "stored", "step"], rows)
