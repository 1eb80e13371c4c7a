"""`gristmill why`: why did a step run, or why not?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gristmill.cli.output import HELP, emit, json_option, say
from gristmill.cli.reasons import split_reasons
from gristmill.core.moments import format_moment
from gristmill.core.quantities import format_seconds

if TYPE_CHECKING:
    from gristmill.store.runs import Execution, RunLog


@click.command("why", context_settings=HELP)
@click.argument("step")
@click.option("--run", "run", default="last", show_default=True, help="Which run.")
@json_option
def command(step: str, run: str, as_json: bool) -> None:
    """Say why STEP ran in a run, or why it was up to date; and what decides that.

    \b
    gristmill why train
    gristmill why train --run 20261121-0604
    """
    from gristmill.core.errors import UsageError
    from gristmill.store.project import find_project
    from gristmill.store.runs import RunLog

    with find_project() as project:
        log = RunLog(project)
        record = log.run(run)
        found = {each.step: each for each in log.of_run(record.id)}
        if step not in found:
            raise UsageError(
                f"run {record.id} has no step {step!r}", fix=f"its steps: {', '.join(found)}"
            )
        answer = _answer(log, found[step])
    emit(answer, as_json, lambda: _show(answer))


def _answer(log: RunLog, execution: Execution) -> dict[str, Any]:
    maker = log.find_result(execution.key) if execution.status == "cached" else execution
    reach = execution.reach
    return {
        "step": execution.step,
        "run": execution.run,
        "status": execution.status,
        "reasons": split_reasons(maker.why if maker else execution.why),
        "message": execution.message,
        "made_by": None if maker is None else maker.run,
        "made_at": None if maker is None else maker.started,
        "seconds": None if maker is None else maker.seconds,
        "settings": reach.get("shown", {}),
        "code": sorted(reach.get("parts", {})),
        "packages": reach.get("packages", {}),
        "inputs": execution.inputs,
        "not_seen": reach.get("blind_spots", []),
    }


def _show(answer: dict[str, Any]) -> None:
    say(f"{answer['step']}  {answer['status']} in run {answer['run']}")
    if answer["status"] == "cached":
        say("  up to date: code, packages, settings and inputs are those of an earlier run")
    if answer["made_by"] is not None and answer["status"] in ("cached", "done"):
        took = format_seconds(answer["seconds"])
        say(f"  made {format_moment(answer['made_at'])} by run {answer['made_by']}, in {took}")
    say("  it ran because" if answer["status"] in ("cached", "done") else "  because")
    for reason in answer["reasons"]:
        say(f"    - {reason}")
    if answer["message"]:
        say(f"    {answer['message']}")
    _show_key(answer)


def _show_key(answer: dict[str, Any]) -> None:
    """Print what decides whether the step is up to date."""
    say("  what decides")
    for name, value in answer["settings"].items():
        say(f"    setting {name} = {value}")
    for name, digest in answer["inputs"].items():
        say(f"    input {name} {digest[:12]}")
    for name in answer["code"]:
        say(f"    code {name}")
    for name, version in answer["packages"].items():
        say(f"    package {name} {version[:40]}")
    for place in answer["not_seen"]:
        say(f"    not seen: {place}")
