"""Running a pipeline: what is up to date is kept, what is not runs, and everything is recorded."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.core.errors import UsageError
from gristmill.pipeline.environment import environment
from gristmill.pipeline.graph import AnyStep, Pipeline
from gristmill.pipeline.progression import Progression
from gristmill.pipeline.provenance.enclosing import provenance_kept
from gristmill.pipeline.run_engine import RunEngine
from gristmill.pipeline.run_record import Listener, RunRecord, RunResult
from gristmill.pipeline.selection import (
    Settings,
    check_forced,
    choose_settings,
    given_settings,
    select,
)
from gristmill.store.codecs import is_json
from gristmill.store.collecting import IN_USE
from gristmill.store.project import Project, using
from gristmill.store.runs import RunLog

if TYPE_CHECKING:
    from gristmill.engine.protocol import Engine


def run(
    pipeline: Pipeline,
    project: Project,
    *,
    targets: Sequence[str] = (),
    start: Sequence[str] = (),
    only: Sequence[str] = (),
    settings: Settings | None = None,
    parameters: Mapping[str, object] | None = None,
    force: Sequence[str] = (),
    jobs: int | None = None,
    engine: Engine | str | None = None,
    listener: Listener | None = None,
) -> RunResult:
    """Run a pipeline in a project.

    A failed step blocks what depends on it; everything else still runs, so that a second run has
    less to do.

    Args:
        targets: run only these steps and what they need; all by default.
        start: of those, run only these and what needs them; what they need is taken as it was
            stored last, up to date or not.
        only: run these steps alone, on what was stored last of all that they need.
        settings: other values for settings than their defaults.
        parameters: name -> value for every step that has a setting of this name; `settings` of a
            single step come before them.
        force: steps to run though they are up to date.
        jobs: how many steps may run at the same time, each in a process of its own if these are
            more than one. By default what `gristmill.toml` says, else 1. Results are the same.
        engine: what the steps run on: an engine, or a name as `open_engine` takes it. By default
            the one that `gristmill.toml` names, else the current one. Results are the same on all.
        listener: hears of every step.

    Raises:
        UsageError: a step or a setting does not exist, there is nothing stored to start from, or
            the engine or steps in processes of their own cannot be used.
        KeyboardInterrupt: after the steps under way were recorded as stopped.
    """
    chosen = choose_settings(pipeline, settings or {}, parameters)
    log = RunLog(project)
    selection = select(pipeline, log, targets=targets, start=start, only=only)
    forced = check_forced(pipeline, selection.steps, force)
    jobs = project.settings.jobs if jobs is None else jobs
    engine = engine or project.settings.engine or None
    _check_processes(pipeline, selection.steps, chosen, engine, jobs)
    run_engine = RunEngine(engine, pipeline.path.parent if pipeline.path else None)
    result = RunResult(log, log.start(pipeline.name, environment(project.root)))
    result.taken = selection.taken
    result.verdicts = log.verdicts()
    result.recent = log.recent_results(pipeline.name, limit=2 * len(pipeline.steps))
    record = RunRecord(result, pipeline, listener)
    with (
        project.lock(f"run-{result.run}"),
        project.lock(IN_USE, shared=True),
        using(project),
        record,
        provenance_kept(result, pipeline),
        run_engine,
        Progression(record, selection.steps, chosen, forced, run_engine, jobs) as work,
    ):
        work.go()
    project.drop_lock(f"run-{result.run}")
    return result


def _check_processes(
    pipeline: Pipeline,
    steps: Sequence[AnyStep],
    settings: Settings,
    engine: Engine | str | None,
    jobs: int,
) -> None:
    """Check that steps which are to run in processes of their own can.

    Raises:
        UsageError: they cannot: the file, the engine or a setting is not to be had there.
    """
    if jobs < 1:
        raise UsageError(f"expected at least 1 job, found {jobs}")
    apart = [step for step in steps if jobs > 1 or step.timeout is not None]
    if not apart:
        return
    where = f"step {apart[0].name!r}"
    if pipeline.path is None:
        raise UsageError(
            "a step with a time limit, or with others at the same time, runs in a process of its "
            "own, which reads the pipeline's file; this pipeline has none",
            where=where,
            fix="put the steps into a file and use load_pipeline",
        )
    if not isinstance(engine, str | None) or (engine is None and _has_engine()):
        raise UsageError(
            "it runs in a process of its own, which cannot use an engine that is open here",
            where=where,
            fix='name the engine: run(..., engine="local:4")',
        )
    for step in apart:
        for name, value in given_settings(step.settings, settings[step.name]).items():
            if not (is_json(value) or isinstance(value, Path)):
                raise UsageError(
                    f"it runs in a process of its own, and the setting {name!r} cannot be sent "
                    f"there: it is a {type(value).__qualname__}",
                    where=f"step {step.name!r}",
                    fix="use plain values and paths, or make it the default in the file",
                )


def _has_engine() -> bool:
    """Say whether an engine is current; without loading what nobody has used."""
    module = sys.modules.get("gristmill.engine.current")
    return module is not None and module.current_engine() is not None
