"""The plan of a pipeline: what would run, what is up to date, why, and what it will cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gristmill.core.plan import Cost, Plan
from gristmill.pipeline.graph import AnyStep, Pipeline
from gristmill.pipeline.keys import StepKey
from gristmill.pipeline.run_record import RunResult
from gristmill.pipeline.selection import Settings, check_forced, choose_settings, select
from gristmill.store.project import Project
from gristmill.store.runs import Execution, RunLog


def explain(
    pipeline: Pipeline,
    project: Project,
    *,
    targets: Sequence[str] = (),
    start: Sequence[str] = (),
    only: Sequence[str] = (),
    settings: Settings | None = None,
    parameters: Mapping[str, object] | None = None,
    force: Sequence[str] = (),
) -> Plan:
    """Return the plan of a run without running or writing anything; arguments as of `run`.

    Rows, bytes and seconds are those of the last time that each step ran. A step behind one that
    will run is itself planned to run; if that one gives the same result as before, it will not.

    Raises:
        UsageError: as `run`.
    """
    log = RunLog(project) if project.has_runs else None
    chosen = choose_settings(pipeline, settings or {}, parameters)
    selection = select(pipeline, log, targets=targets, start=start, only=only)
    forced = check_forced(pipeline, selection.steps, force)
    planner = _Planner(log, pipeline.name)
    for name, execution in selection.taken.items():
        planner.take(name, execution)
    for step in selection.steps:
        planner.add(step, chosen[step.name], forced=step.name in forced)
    root = Plan(
        what=pipeline.name, action=f"{planner.to_run} of {len(selection.steps)} steps to run"
    )
    root.children = list(planner.nodes.values())
    root.estimated = _total(node.estimated for node in root.children if node.action == "run")
    return root


def with_actual(plan: Plan, result: RunResult) -> Plan:
    """Write beside the estimates of a plan what its run took."""
    for node in plan.children:
        execution = result.executions.get(node.what)
        if execution is not None:
            node.actual = _cost(result.log, execution)
            node.action = execution.status
            node.why = execution.why
    plan.actual = _total(node.actual for node in plan.children)
    plan.action = f"{result.count('done')} of {len(plan.children)} steps ran"
    return plan


class _Planner:
    """Decides for one step after the other, as far as that can be done without running.

    Args:
        log: the record of the project; None where nothing ever ran.
        pipeline: its name.
    """

    def __init__(self, log: RunLog | None, pipeline: str) -> None:
        self.log, self.pipeline = log, pipeline
        self.nodes: dict[str, Plan] = {}
        self.outputs: dict[str, str] = {}

    @property
    def to_run(self) -> int:
        return sum(node.action == "run" for node in self.nodes.values())

    def take(self, name: str, execution: Execution) -> None:
        """Plan to take the stored result of a step."""
        why = f"as stored by run {execution.run}"
        estimated = _cost(self.log, execution)
        self.outputs[name] = execution.output or ""
        self.nodes[name] = Plan(name, "taken", why, estimated=estimated)

    def add(self, step: AnyStep, settings: dict[str, object], *, forced: bool) -> None:
        """Plan a step whose needs are planned."""
        waiting = [need for need in step.needs if need not in self.outputs]
        if waiting:
            self._run(step, ", ".join(f"{need} runs first" for need in waiting))
            return
        inputs = {need: self.outputs[need] for need in step.needs}
        classes = self.log.classes(inputs.values()) if self.log else ()
        key = StepKey(step, settings, inputs, classes)
        done = self.log.find_result(key.digest) if self.log and not forced else None
        if done is None or done.output is None:
            last = self.log.last(self.pipeline, step.name) if self.log else None
            self._run(step, "forced" if forced else ", ".join(key.reasons(last)))
            return
        self.outputs[step.name] = done.output
        self.nodes[step.name] = Plan(
            step.name, "cached", "up to date", estimated=_cost(self.log, done)
        )

    def _run(self, step: AnyStep, why: str) -> None:
        """Plan to run a step, at the cost of the last time that it really ran."""
        last = self.log.last(self.pipeline, step.name, status="done") if self.log else None
        estimated = _cost(self.log, last) if last else Cost()
        self.nodes[step.name] = Plan(step.name, "run", why, estimated=estimated)


def _cost(log: RunLog | None, execution: Execution) -> Cost:
    if execution.output is None or log is None:
        return Cost(seconds=execution.seconds)
    artifact = log.artifact(execution.output)
    return Cost(artifact.rows, artifact.bytes_, execution.seconds)


def _total(costs: Iterable[Cost | None]) -> Cost:
    return Cost(seconds=sum(cost.seconds or 0.0 for cost in costs if cost))
