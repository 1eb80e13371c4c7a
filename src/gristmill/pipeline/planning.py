"""The plan of a pipeline: what would run, what is up to date, why, and what it will cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gristmill.core.plan import Cost, Plan
from gristmill.pipeline.graph import AnyStep, Pipeline
from gristmill.pipeline.keys import StepKey
from gristmill.pipeline.running import RunResult, Settings, check_settings
from gristmill.store.project import Project
from gristmill.store.runs import Execution, RunLog


def explain(
    pipeline: Pipeline,
    project: Project,
    *,
    targets: Sequence[str] = (),
    settings: Settings | None = None,
) -> Plan:
    """Return the plan of a run without running anything.

    Rows, bytes and seconds are those of the last time that each step ran. A step behind one that
    will run is itself planned to run; if that one gives the same result as before, it will not.
    """
    log = RunLog(project)
    chosen = check_settings(pipeline, settings or {})
    wanted = pipeline.upstream(targets or pipeline.names)
    planner = _Planner(log, pipeline.name)
    for step in pipeline.steps:
        if step.name in wanted:
            planner.add(step, chosen[step.name])
    root = Plan(what=pipeline.name, action=f"{planner.to_run} of {len(planner.nodes)} steps to run")
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
    """Decides for one step after the other, as far as that can be done without running."""

    def __init__(self, log: RunLog, pipeline: str) -> None:
        self.log, self.pipeline = log, pipeline
        self.nodes: dict[str, Plan] = {}
        self.outputs: dict[str, str] = {}

    @property
    def to_run(self) -> int:
        return sum(node.action == "run" for node in self.nodes.values())

    def add(self, step: AnyStep, settings: dict[str, object]) -> None:
        """Plan a step whose needs are planned."""
        waiting = [need for need in step.needs if need not in self.outputs]
        last = self.log.last(self.pipeline, step.name)
        if waiting:
            reason = ", ".join(f"{need} runs first" for need in waiting)
            self.nodes[step.name] = Plan(step.name, "run", reason, estimated=self._estimate(step))
            return
        key = StepKey(step, settings, {need: self.outputs[need] for need in step.needs})
        done = self.log.find_result(key.digest)
        if done is None or done.output is None:
            why = ", ".join(key.reasons(last))
            self.nodes[step.name] = Plan(step.name, "run", why, estimated=self._estimate(step))
            return
        self.outputs[step.name] = done.output
        self.nodes[step.name] = Plan(
            step.name, "cached", "up to date", estimated=_cost(self.log, done)
        )

    def _estimate(self, step: AnyStep) -> Cost:
        """Take the figures of the last time that the step really ran."""
        last = self.log.last(self.pipeline, step.name, status="done")
        return _cost(self.log, last) if last else Cost()


def _cost(log: RunLog, execution: Execution) -> Cost:
    if execution.output is None:
        return Cost(seconds=execution.seconds)
    artifact = log.artifact(execution.output)
    return Cost(artifact.rows, artifact.bytes_, execution.seconds)


def _total(costs: Iterable[Cost | None]) -> Cost:
    return Cost(seconds=sum(cost.seconds or 0.0 for cost in costs if cost))
