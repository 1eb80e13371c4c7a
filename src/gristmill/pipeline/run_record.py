"""What comes of a run: who hears of it, what is kept of it, and what its caller gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from gristmill.core.errors import GristmillError, UsageError
from gristmill.pipeline.graph import AnyStep, Pipeline
from gristmill.pipeline.tries import Try
from gristmill.store.runs import Execution, RunLog


class Listener(Protocol):
    """Who wants to hear how a run goes."""

    def started(self, run: str, pipeline: Pipeline) -> None:
        """A run begins."""

    def taken(self, execution: Execution) -> None:
        """The result of this earlier execution is taken as it is."""

    def running(self, step: AnyStep, why: str) -> None:
        """A step is about to run, for this reason."""

    def failed(self, step: AnyStep, failed: Try) -> None:
        """A try of a step has failed; another one follows."""

    def ended(self, execution: Execution) -> None:
        """A step is done, cached, failed, blocked or stopped."""


@dataclass(slots=True)
class RunResult:
    """What came of a run.

    Attributes:
        run: its id.
        executions: step name -> what happened, in the order of the pipeline.
        taken: step name -> the earlier execution whose result was taken as it is.
        verdicts: digest of every gate's verdict -> what it says.
        recent: key -> execution with a result, of the runs before this one.
        error: the first failure, None if all went well.
    """

    log: RunLog
    run: str
    executions: dict[str, Execution] = field(default_factory=dict)
    taken: dict[str, Execution] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    recent: dict[str, Execution] = field(default_factory=dict)
    error: GristmillError | None = None

    def of(self, step: str) -> Execution | None:
        """Return what happened to a step, or the execution whose result was taken."""
        return self.executions.get(step) or self.taken.get(step)

    def load(self, step: str) -> object:
        """Read the result of a step.

        Raises:
            UsageError: the step gave none in this run.
        """
        execution = self.of(step)
        if execution is None or execution.output is None:
            raise UsageError(f"step {step!r} has no result in run {self.run}")
        return self.log.load(execution.output)

    def count(self, status: str) -> int:
        """Return how many steps ended with this status."""
        return sum(execution.status == status for execution in self.executions.values())


class RunRecord:
    """Writes executions down and tells the listener, from the beginning of a run to its end.

    That a step was up to date is written together with the next thing that happens: a run in which
    nothing happens makes one transaction instead of one per step.
    """

    def __init__(self, result: RunResult, pipeline: Pipeline, listener: Listener | None) -> None:
        self.result, self.pipeline, self.listener = result, pipeline, listener
        self._waiting: list[Execution] = []

    def __enter__(self) -> RunRecord:
        if self.listener:
            self.listener.started(self.result.run, self.pipeline)
            for execution in self.result.taken.values():
                self.listener.taken(execution)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the record of the run, whatever ended it."""
        result = self.result
        if kind is not None:
            result.log.finish(result.run, "stopped")
            return
        self.write()
        done = result.executions
        result.executions = {name: done[name] for name in self.pipeline.names if name in done}
        result.log.finish(result.run, "failed" if result.error else "done")

    def running(self, step: AnyStep, why: str) -> None:
        """Tell that a step is about to run."""
        if self.listener:
            self.listener.running(step, why)

    def failed(self, step: AnyStep, failed: Try) -> None:
        """Tell that a try of a step has failed, and that another one follows."""
        if self.listener:
            self.listener.failed(step, failed)

    def add(self, execution: Execution) -> None:
        """Note how a step ended; what is not just up to date is written at once."""
        self.result.executions[execution.step] = execution
        self._waiting.append(execution)
        if execution.status != "cached":
            self.write()
        if self.listener:
            self.listener.ended(execution)

    def write(self) -> None:
        """Write down what has been noted."""
        self.result.log.record_all(self._waiting, self.pipeline.name)
        self._waiting = []
