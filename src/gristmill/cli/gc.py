"""`gristmill gc`: remove results that nothing refers to."""

from __future__ import annotations

import click

from gristmill.cli.output import HELP, emit, json_option, say


@click.command("gc", context_settings=HELP)
@click.option("--keep-runs", default=10, show_default=True, help="Newest runs of each pipeline.")
@click.option("--keep-days", default=30.0, show_default=True, help="All runs of so many days.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@json_option
def command(keep_runs: int, keep_days: float, dry_run: bool, as_json: bool) -> None:
    """Remove the results of old runs that nothing refers to any more.

    Kept are the inputs and results of the newest runs of each pipeline, of all runs of the last
    days and of those under way, every registered model, and what was stored by hand. The record
    stays whole: what is gone is still listed, and its step runs again when it is needed.

    \b
    gristmill gc --dry-run
    gristmill gc --keep-runs 3 --keep-days 7

    Exit codes: 0 done, 7 a run is going on.
    """
    from gristmill.core.quantities import format_bytes, format_count
    from gristmill.store.collecting import collect
    from gristmill.store.project import find_project

    with find_project() as project:
        found = collect(project, keep_runs=keep_runs, keep_days=keep_days, dry_run=dry_run)
    payload = {
        "removed": len(found.artifacts),
        "bytes": found.bytes_,
        "kept": found.kept,
        "leftovers": len(found.leftovers),
        "dry_run": dry_run,
        "artifacts": sorted(found.artifacts),
    }
    verb = "would go" if dry_run else "removed"
    emit(
        payload,
        as_json,
        lambda: say(
            f"{format_count(len(found.artifacts))} artifacts {verb}, "
            f"{format_bytes(found.bytes_)}; {format_count(found.kept)} kept"
        ),
    )
