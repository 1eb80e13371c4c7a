"""`gristmill explain`: print the plan of a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, emit, json_option, say, table
from gristmill.cli.reasons import brief
from gristmill.cli.settings import parse_settings, setting_options
from gristmill.core.quantities import format_bytes, format_count, format_seconds

if TYPE_CHECKING:
    from gristmill.core.plan import Cost, Plan


@click.command("explain", context_settings=HELP)
@click.argument("pipeline", type=click.Path(path_type=Path), default=Path("pipeline.py"))
@click.option("--step", "targets", multiple=True, help="Only this step and what it needs.")
@click.option("--analyze", is_flag=True, help="Run it, then show actual figures beside estimates.")
@setting_options
@json_option
def command(
    pipeline: Path,
    targets: tuple[str, ...],
    analyze: bool,
    settings: tuple[str, ...],
    files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Print the plan of a pipeline: what would run, what is cached, and why.

    Nothing runs, unless you ask for --analyze. Rows, bytes and seconds are estimates: the figures
    of the last time that each step ran.

    \b
    gristmill explain                  the plan of pipeline.py
    gristmill explain --analyze        run it, then compare with the estimates
    """
    from gristmill.pipeline.load import load_pipeline
    from gristmill.pipeline.planning import explain, with_actual
    from gristmill.pipeline.running import run
    from gristmill.store.project import Project

    loaded = load_pipeline(pipeline)
    given = parse_settings(settings, files)
    with Project(loaded.path.parent if loaded.path else Path()) as project:
        plan = explain(
            loaded,
            project,
            targets=targets,
            settings=given.settings,
            parameters=given.parameters,
        )
        result = None
        if analyze:
            result = run(
                loaded,
                project,
                targets=targets,
                settings=given.settings,
                parameters=given.parameters,
            )
            plan = with_actual(plan, result)
    emit(plan, as_json, lambda: show_plan(plan, analyzed=analyze))
    if result is not None and result.error is not None:
        raise result.error


def show_plan(plan: Plan, *, analyzed: bool = False) -> None:
    """Print a plan, with actual figures where it was carried out."""
    columns = ["step", "plan", "rows", "size", "time", *(["actual"] if analyzed else []), "why"]
    rows = []
    for node in plan.children:
        actual = [_seconds(node.actual)] if analyzed else []
        rows.append([node.what, node.action, *_figures(node.estimated), *actual, brief(node.why)])
    table("", columns, rows)
    cost, verb = (plan.actual, "taken") if analyzed else (plan.estimated, "expected")
    say(f"{plan.what}: {plan.action}, {_seconds(cost) or '0 s'} {verb}")


def _figures(cost: Cost) -> list[str]:
    rows = "" if cost.rows is None else format_count(cost.rows)
    size = "" if cost.bytes_ is None else format_bytes(cost.bytes_)
    return [rows, size, _seconds(cost)]


def _seconds(cost: Cost | None) -> str:
    return "" if cost is None or cost.seconds is None else format_seconds(cost.seconds)
