"""`gristmill run`: run a pipeline."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from gristmill.cli.output import HELP, emit, json_option, say
from gristmill.cli.reasons import brief
from gristmill.cli.settings import parse_settings, setting_options
from gristmill.core.errors import StepError
from gristmill.core.quantities import format_count, format_seconds

if TYPE_CHECKING:
    from gristmill.pipeline.graph import AnyStep, Pipeline
    from gristmill.pipeline.run_record import RunResult
    from gristmill.pipeline.selection import Settings
    from gristmill.pipeline.tries import Try
    from gristmill.store.project import Project
    from gristmill.store.runs import Execution

_TOLD = ("elements", "tries")
_MARKS = {"done": "+", "cached": "=", "failed": "x", "blocked": "-", "stopped": "x"}


@click.command("run", context_settings=HELP)
@click.argument("pipeline", type=click.Path(path_type=Path), default=Path("pipeline.py"))
@click.option("--step", "targets", multiple=True, help="Only this step and what it needs.")
@click.option("--from", "start", multiple=True, metavar="STEP", help="This step and what follows.")
@click.option("--only", multiple=True, metavar="STEP", help="This step alone, on stored inputs.")
@click.option("--force", multiple=True, metavar="STEP", help="Run this step though up to date.")
@click.option("--dry-run", is_flag=True, help="Print what would run, and why; write nothing.")
@click.option("--jobs", "-j", type=int, metavar="N", help="Run up to N steps at the same time.")
@click.option("--engine", metavar="ENGINE", help="Where steps run: local, local:4, ray, spark, ...")
@setting_options
@json_option
def command(
    pipeline: Path,
    targets: tuple[str, ...],
    start: tuple[str, ...],
    only: tuple[str, ...],
    force: tuple[str, ...],
    dry_run: bool,
    jobs: int | None,
    engine: str | None,
    settings: tuple[str, ...],
    files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Run a pipeline file; steps that are up to date are not run again.

    A step is up to date when nothing that decides its result has changed: its code and all of your
    code that it can reach, the versions of the packages it uses, its settings, its inputs. What
    runs says why.

    \b
    gristmill run                                pipeline.py in this folder
    gristmill run --dry-run                      what would run, and why
    gristmill run --step train                   only train and what it needs
    gristmill run --from train                   only train and what follows
    gristmill run --only report --force report   it alone, and in any case
    gristmill run --jobs 4                       up to 4 steps at the same time
    gristmill run --set train.epochs=5           another value for a setting
    gristmill run --set seed=7                   the same, of all steps with it
    gristmill run --engine ray://head:10001      stages and elements on a cluster

    --from and --only take what lies before as it was stored last, up to date or not. Results are
    the same on every engine (`gristmill engines` lists them), and with any number of jobs.

    \b
    Marks:  + ran   = cached   ~ taken as stored   ! failed, tried again
            x failed   - blocked
    Exit codes: 0 done, 4 a gate said no, 6 a step failed, 130 stopped by Ctrl-C.
    """
    from gristmill.pipeline.load import load_pipeline
    from gristmill.pipeline.running import run
    from gristmill.store.project import HOME, Project

    began = time.perf_counter()
    loaded = load_pipeline(pipeline)
    folder = loaded.path.parent if loaded.path else Path()
    given = parse_settings(settings, files)
    chosen: Choice = {
        "targets": targets,
        "start": start,
        "only": only,
        "force": force,
        "settings": given.settings,
        "parameters": given.parameters,
    }
    if dry_run:
        with Project(folder, read_only=(folder / HOME).is_dir()) as project:
            _show_plan(loaded, project, chosen, as_json)
        return
    with Project(folder) as project:
        printer = None if as_json else Printer(loaded)
        result = run(loaded, project, **chosen, jobs=jobs, engine=engine, listener=printer)
        seconds = time.perf_counter() - began
        emit(as_payload(result), as_json, lambda: say(summary(result, seconds)))
    if result.error is not None:
        if isinstance(result.error, StepError) and result.error.fix is None:
            result.error.fix = "`gristmill logs` prints all that failed steps said"
        raise result.error


class Choice(TypedDict):
    """What `run` and `explain` take in the same way."""

    targets: Sequence[str]
    start: Sequence[str]
    only: Sequence[str]
    force: Sequence[str]
    settings: Settings
    parameters: dict[str, object]


def _show_plan(pipeline: Pipeline, project: Project, chosen: Choice, as_json: bool) -> None:
    from gristmill.cli.explain import show_plan
    from gristmill.pipeline.planning import explain

    plan = explain(pipeline, project, **chosen)
    emit(plan, as_json, lambda: show_plan(plan))


class Printer:
    """Prints a line per step as a run goes on."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.width = max(len(name) for name in pipeline.names)

    def started(self, run: str, pipeline: Pipeline) -> None:
        """Print the run's id."""
        _print(f"run {run}  {pipeline.name}")

    def taken(self, execution: Execution) -> None:
        """Print whose stored result is taken as it is."""
        _print(f"  ~ {execution.step:<{self.width}}  as stored by run {execution.run}")

    def failed(self, step: AnyStep, failed: Try) -> None:
        """Print that a try has failed, and when the next one comes."""
        text = failed.error.partition("\n")[0].removeprefix(f"step {step.name!r} ")
        _print(f"  ! {step.name:<{self.width}}  {text}; again in {format_seconds(failed.waited)}")

    def running(self, step: AnyStep, why: str) -> None:
        """Print what is about to run, and the first reasons why."""
        _print(f"  > {step.name:<{self.width}}  {brief(why)}")

    def ended(self, execution: Execution) -> None:
        """Print how a step ended."""
        figures = ", ".join([format_seconds(execution.seconds), *elements_told(execution)])
        text = {"done": figures, "cached": "cached"}.get(execution.status, "")
        if execution.status in ("failed", "blocked", "stopped"):
            text = f"{execution.status}: {execution.message or execution.why}"
        _print(f"  {_MARKS[execution.status]} {execution.step:<{self.width}}  {text}".rstrip())


def _print(line: str) -> None:
    """Print a line to where standard output leads now: above the bars of other steps, if any."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def elements_told(execution: Execution) -> list[str]:
    """Say how many elements of a step were called, where it has elements."""
    told = execution.reach.get("elements")
    if told is None:
        return []
    return [f"{format_count(told['ran'])} of {format_count(told['all'])} elements ran"]


def summary(result: RunResult, seconds: float) -> str:
    """Say in a line how a run went; then what the cache could not see, if anything ran."""
    counts = [
        f"{format_count(result.count(status))} {word}"
        for status, word in (
            ("done", "ran"), ("cached", "cached"), ("failed", "failed"), ("blocked", "blocked"),
        )
        if result.count(status)
    ]  # fmt: skip
    counts += [f"{format_count(len(result.taken))} taken"] if result.taken else []
    total = len(result.executions)
    noun = "step" if total == 1 else "steps"
    lines = [f"{total} {noun}: {', '.join(counts)} in {format_seconds(seconds)}"]
    blind = {
        spot
        for execution in result.executions.values()
        if execution.status == "done"
        for spot in execution.reach.get("blind_spots", [])
    }
    if blind:
        lines.append("not seen by the cache (decided at run time):")
        lines += [f"  {spot}" for spot in sorted(blind)]
    return "\n".join(lines)


def as_payload(result: RunResult) -> dict[str, object]:
    """Return a run as plain data for `--json`."""
    steps = [
        {
            "step": execution.step,
            "status": execution.status,
            "why": execution.why,
            "seconds": execution.seconds,
            "artifact": execution.output,
            "message": execution.message,
            **{name: told for name, told in execution.reach.items() if name in _TOLD},
        }
        for execution in result.executions.values()
    ]
    error = str(result.error) if result.error else None
    taken = {name: execution.run for name, execution in result.taken.items()}
    return {"run": result.run, "taken": taken, "steps": steps, "error": error}
