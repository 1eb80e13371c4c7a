"""`gristmill monitor`: what is served against what was learned, and what is done about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, emit, json_option, print_error, say

if TYPE_CHECKING:
    from gristmill.pipeline.monitoring.monitor_plan import MonitorPlan
    from gristmill.pipeline.monitoring.monitored import Monitored
    from gristmill.store.project import Project

_FILE = click.Path(dir_okay=False, path_type=Path)
_NAP = 0.2


@click.command("monitor", context_settings=HELP)
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@click.option("--every", metavar="TIME", help="Go on looking, as every 10m, until stopped.")
@click.option("--dry-run", is_flag=True, help="Only say what is found and would be done.")
@click.option("--log", "show", is_flag=True, help="Print what was found and done before.")
@click.option("--model", help="The registered model; else that of gristmill.toml.")
@click.option(
    "--served", type=click.Path(path_type=Path), help="The folder of what was served; else its."
)
@click.option("--page", type=_FILE, metavar="FILE.html", help="Also write a page.")
@click.option("--junit", type=_FILE, metavar="FILE.xml", help="Also write JUnit XML, for CI.")
@json_option
def command(
    folder: Path,
    every: str | None,
    dry_run: bool,
    show: bool,
    model: str | None,
    served: Path | None,
    page: Path | None,
    junit: Path | None,
    as_json: bool,
) -> None:
    """Compare what a model of the project in FOLDER is served with what it learned from.

    Looks at inputs and answers of the last hours, at quality and calibration as far as
    the truth has come in, and at the age of things. Prints what it finds as `gristmill
    validate check` does. Where gristmill.toml says on_drift = "retrain", a finding runs
    the pipeline, whose gate decides whether a new version answers; a cool-down and a
    budget see to it that this does not happen too often. All of it is logged.

    \b
    gristmill.toml:
      [monitor]
      model = "spam"
      served = "serving/served"
      on_drift = "retrain"
      pipeline = "pipeline.py"
      cool_down = "1d"
      budget = "4 per 30d"

    \b
    gristmill monitor                once, for cron
    gristmill monitor --every 10m    until Ctrl-C or SIGTERM
    gristmill monitor --dry-run      say what would be done
    gristmill monitor --log          what was found and done before

    \b
    Exit codes of one look:
      0  no finding is an error, or a new version answers
      2  wrong call or settings
      3  a finding is an error
      4  retrained, and the gate kept the new version out
      6  the retraining failed
      7, 8  what was served, or the version, cannot be read
    With --every: 0 when stopped; an error of one look is printed, the next made.
    """
    from gristmill.store.project import find_project

    def once(stopped: Callable[[], bool] = lambda: False) -> Monitored:
        # Opened anew for each look, so that what is edited in gristmill.toml holds for the next.
        with find_project(folder) as project:
            plan = _plan(project, model)
            return _look(project, plan, served, dry_run, page, junit, as_json, stopped)

    if show or every is not None:
        with find_project(folder) as project:
            plan = _plan(project, model)
            if show:
                _print_log(project, plan, as_json)
                return
            last = _last_look(project, plan)
    if every is None:
        click.get_current_context().exit(once().exit_code)
    _go_on(last, every, once)


def _plan(project: Project, model: str | None) -> MonitorPlan:
    from gristmill.pipeline.monitoring.monitor_plan import MonitorPlan

    named = {} if model is None else {"model": model}
    return MonitorPlan.parse({**project.settings.monitor, **named})


def _last_look(project: Project, plan: MonitorPlan) -> float:
    from gristmill.pipeline.monitoring.looking import last_look

    return last_look(project, plan)


def _look(
    project: Project,
    plan: MonitorPlan,
    served: Path | None,
    dry_run: bool,
    page: Path | None,
    junit: Path | None,
    as_json: bool,
    stopped: Callable[[], bool],
) -> Monitored:
    from gristmill.cli.monitor_output import show_monitored, write_monitored
    from gristmill.cli.validate_output import write_report_files
    from gristmill.pipeline.monitoring.looking import monitor

    found = monitor(project, plan, served=served, dry_run=dry_run, stopped=stopped)
    emit(found.describe(), as_json, lambda: show_monitored(found, dry_run=dry_run))
    write_report_files(found.report, None, junit)
    if page is not None:
        write_monitored(found, page, dry_run=dry_run)
    return found


def _go_on(last: float, every: str, once: Callable[[Callable[[], bool]], Monitored]) -> None:
    """Look again and again until Ctrl-C or SIGTERM; the first time when it is due."""
    from gristmill.cli.failures import as_gristmill_error
    from gristmill.cli.stopping import stopping_well
    from gristmill.core.errors import GristmillError, UsageError
    from gristmill.core.quantities import parse_seconds

    pause = parse_seconds(every, "--every")
    if not pause > 0:
        raise UsageError(f"expected a time above 0, found {every!r}", where="--every")
    due = last + pause
    with stopping_well() as stopped:
        while not stopped():
            now = time.time()
            # A clock that was ahead, or is put back, must not put off the next look for longer.
            due = min(due, now + pause)
            if now < due:
                time.sleep(min(_NAP, due - now))
                continue
            due = time.time() + pause
            try:
                once(stopped)
            except (GristmillError, OSError) as error:
                # A disk that is full or a version that is just being written is no reason to stop.
                known = error if isinstance(error, GristmillError) else as_gristmill_error(error)
                print_error(known)
            say()


def _print_log(project: Project, plan: MonitorPlan, as_json: bool) -> None:
    from gristmill.cli.monitor_output import show_log
    from gristmill.pipeline.monitoring.looking import monitored_model
    from gristmill.store.monitorings import Monitorings

    log = Monitorings(project).history(monitored_model(project, plan))
    emit([asdict(entry) for entry in reversed(log)], as_json, lambda: show_log(log))
