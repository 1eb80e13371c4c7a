"""`gristmill runs`: what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gristmill.cli.output import HELP, emit, json_option, say, table
from gristmill.cli.reasons import brief
from gristmill.core.moments import format_moment
from gristmill.core.quantities import format_seconds

if TYPE_CHECKING:
    from gristmill.store.runs import Execution, RunLog, RunRecord


@click.command("runs", context_settings=HELP)
@click.argument("run", required=False)
@click.option("--limit", default=20, show_default=True, help="How many of the newest runs.")
@click.option("--project", "place", default=".", metavar="FOLDER", help="Another than this one's.")
@json_option
def command(run: str | None, limit: int, place: str, as_json: bool) -> None:
    """List the runs of a project, or show the steps of one.

    \b
    gristmill runs            the newest runs
    gristmill runs last       the steps of the newest run
    gristmill runs 2026       the steps of the run whose id begins so
    """
    from gristmill.store.project import find_project
    from gristmill.store.runs import RunLog

    with find_project(place) as project:
        log = RunLog(project)
        if run is None:
            records = [_with_state(log, record) for record in log.runs(limit)]
            emit(records, as_json, lambda: _list(records))
        else:
            record = log.run(run)
            executions = log.of_run(record.id)
            payload = {"run": _with_state(log, record), "steps": executions}
            emit(payload, as_json, lambda: _show(log, record, executions))


def _with_state(log: RunLog, record: RunRecord) -> dict[str, Any]:
    """Tell a run that is going on from one whose process is gone."""
    status = record.status
    if status == "running" and not log.project.is_locked(f"run-{record.id}"):
        status = "killed"
    seconds = record.ended - record.started if record.ended else None
    return {
        "id": record.id,
        "pipeline": record.pipeline,
        "status": status,
        "started": format_moment(record.started),
        "seconds": seconds,
        "environment": record.environment,
    }


def _list(records: list[dict[str, Any]]) -> None:
    if not records:
        say("no runs yet: start one with `gristmill run`")
        return
    rows = [
        [item["id"], item["pipeline"], item["status"], item["started"], _time(item["seconds"])]
        for item in records
    ]
    table("", ["run", "pipeline", "status", "started", "took"], rows)


def _show(log: RunLog, record: RunRecord, executions: list[Execution]) -> None:
    state = _with_state(log, record)
    commit = (record.environment.get("commit") or "none")[:12]
    say(f"run {record.id}  {record.pipeline}  {state['status']}  {state['started']}")
    say(f"python {record.environment.get('python')}, commit {commit}")
    rows = [
        [
            item.step,
            item.status,
            _time(item.seconds),
            (item.output or "")[:12],
            item.message or brief(item.why),
        ]
        for item in executions
    ]
    table("", ["step", "status", "took", "artifact", "why"], rows)


def _time(seconds: float | None) -> str:
    return "" if not seconds else format_seconds(seconds)
