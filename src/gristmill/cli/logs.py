"""`gristmill logs`: what the steps of a run printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gristmill.cli.output import HELP, emit, json_option, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gristmill.store.runs import Execution, RunLog


@click.command("logs", context_settings=HELP)
@click.argument("run", default="last")
@click.argument("step", required=False)
@json_option
def command(run: str, step: str | None, as_json: bool) -> None:
    """Print what the steps of a run printed, and the whole traceback of one that failed.

    \b
    gristmill logs                 all steps of the newest run
    gristmill logs last train      one of them
    gristmill logs 2026 train      the same of the run whose id begins so

    Of a step that was up to date it is what it printed when it ran. Of very long output the
    beginning and the end are kept.
    """
    from gristmill.core.errors import UsageError
    from gristmill.store.project import find_project
    from gristmill.store.runs import RunLog

    with find_project() as project:
        log = RunLog(project)
        record = log.run(run)
        executions = log.of_run(record.id)
        known = list(dict.fromkeys(each.step for each in executions))
        if step is not None and step not in known:
            steps = f"its steps: {', '.join(known)}"
            raise UsageError(f"run {record.id} has no step {step!r}", fix=steps)
        answers = [_answer(log, each) for each in executions if step in (None, each.step)]
    emit({"run": record.id, "steps": answers}, as_json, lambda: _show(answers, step is None))


def _answer(log: RunLog, execution: Execution) -> dict[str, Any]:
    from gristmill.core.errors import StoreError
    from gristmill.pipeline.step_output import maker_of, printed_by

    run = maker_of(log, execution).run
    text, note = "", ""
    try:
        text = printed_by(log, execution)
    except StoreError as error:
        note = f"it is no longer here: {error.message}"
    status = execution.status
    return {"step": execution.step, "status": status, "run": run, "text": text, "note": note}


def _show(answers: list[dict[str, Any]], headed: bool) -> None:
    for line in _lines(answers, headed):
        say(line)


def _lines(answers: list[dict[str, Any]], headed: bool) -> Iterator[str]:
    for answer in answers:
        text = answer["note"] or answer["text"].rstrip("\n")
        if headed and (text or answer["status"] != "cached"):
            of = f", printed in run {answer['run']}" if answer["status"] == "cached" else ""
            yield f"== {answer['step']}  {answer['status']}{of}"
        if text:
            yield text
        elif not headed:
            yield f"{answer['step']} printed nothing"
