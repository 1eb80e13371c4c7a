"""Running a pipeline: what is up to date is kept, what is not runs, and everything is recorded."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import msgspec

from gristmill.core.errors import GateError, GristmillError, StepError, StoreError, UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.pipeline.context import working_in
from gristmill.pipeline.environment import environment
from gristmill.pipeline.graph import AnyStep, Pipeline
from gristmill.pipeline.keys import StepKey
from gristmill.pipeline.load import user_place
from gristmill.pipeline.run_engine import RunEngine
from gristmill.pipeline.step_output import kept_output
from gristmill.store.collecting import IN_USE
from gristmill.store.project import Project, using
from gristmill.store.runs import Execution, RunLog

if TYPE_CHECKING:
    from gristmill.engine.protocol import Engine
    from gristmill.pipeline.element_run import Tally

Settings = Mapping[str, Mapping[str, object]]
"""step name -> setting name -> value"""


class Listener(Protocol):
    """Who wants to hear how a run goes."""

    def started(self, run: str, pipeline: Pipeline) -> None:
        """A run begins."""

    def running(self, step: AnyStep, why: str) -> None:
        """A step is about to run, for this reason."""

    def ended(self, execution: Execution) -> None:
        """A step is done, cached, failed, blocked or stopped."""


@dataclass(slots=True)
class RunResult:
    """What came of a run.

    Attributes:
        run: its id.
        executions: step name -> what happened, in running order.
        verdicts: digest of every gate's verdict -> what it says.
        recent: key -> execution with a result, of the runs before this one.
        error: the first failure, None if all went well.
    """

    log: RunLog
    run: str
    executions: dict[str, Execution] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    recent: dict[str, Execution] = field(default_factory=dict)
    error: GristmillError | None = None

    def load(self, step: str) -> object:
        """Read the result of a step.

        Raises:
            UsageError: the step gave none in this run.
        """
        execution = self.executions.get(step)
        if execution is None or execution.output is None:
            raise UsageError(f"step {step!r} has no result in run {self.run}")
        return self.log.load(execution.output)

    def count(self, status: str) -> int:
        """Return how many steps ended with this status."""
        return sum(execution.status == status for execution in self.executions.values())


def run(
    pipeline: Pipeline,
    project: Project,
    *,
    targets: Sequence[str] = (),
    settings: Settings | None = None,
    force: Sequence[str] = (),
    engine: Engine | str | None = None,
    listener: Listener | None = None,
) -> RunResult:
    """Run a pipeline in a project.

    A failed step blocks what depends on it; everything else still runs, so that a second run has
    less to do.

    Args:
        targets: run only these steps and what they need; all by default.
        settings: other values for settings than their defaults.
        force: steps to run though they are up to date.
        engine: what the steps run on: an engine, or a name as `open_engine` takes it. By default
            the one that `gristmill.toml` names, else the current one. Results are the same on all.
        listener: hears of every step.

    Raises:
        UsageError: a target, a forced step or a setting does not exist, or the engine cannot be
            used.
        KeyboardInterrupt: after the step under way was recorded as stopped.
    """
    wanted = pipeline.upstream(targets or pipeline.names)
    chosen = check_settings(pipeline, settings or {})
    forced = {pipeline[name].name for name in force}
    folder = pipeline.path.parent if pipeline.path else None
    run_engine = RunEngine(engine or project.settings.engine or None, folder)
    log = RunLog(project)
    result = RunResult(log, log.start(pipeline.name, environment(project.root)))
    result.verdicts = log.verdicts()
    result.recent = log.recent_results(pipeline.name, limit=2 * len(pipeline.steps))
    if listener:
        listener.started(result.run, pipeline)
    record = _Record(result, pipeline.name, listener)
    with (
        project.lock(f"run-{result.run}"),
        project.lock(IN_USE, shared=True),
        using(project),
        _finishing(result, record),
        run_engine,
    ):
        for step in pipeline.steps:
            if step.name in wanted:
                work = _StepRun(result, pipeline, step, chosen[step.name], record, run_engine)
                result.executions[step.name] = work.go(force=step.name in forced)
    project.drop_lock(f"run-{result.run}")
    return result


def check_settings(pipeline: Pipeline, settings: Settings) -> dict[str, dict[str, object]]:
    """Return the settings of every step: the defaults with `settings` laid over them.

    Raises:
        UsageError: a step or a setting in `settings` does not exist.
    """
    for name, values in settings.items():
        unknown = sorted(set(values) - set(pipeline[name].settings))
        if unknown:
            known = ", ".join(pipeline[name].settings) or "none"
            raise UsageError(
                f"step {name!r} has no setting {unknown[0]!r}", fix=f"its settings: {known}"
            )
    return {step.name: {**step.settings, **settings.get(step.name, {})} for step in pipeline.steps}


class _Record:
    """Writes executions down and tells the listener.

    That a step was up to date is written together with the next thing that happens: a run in which
    nothing happens makes one transaction instead of one per step.
    """

    def __init__(self, result: RunResult, pipeline: str, listener: Listener | None) -> None:
        self.result, self.pipeline, self.listener = result, pipeline, listener
        self._waiting: list[Execution] = []

    def add(self, execution: Execution) -> None:
        """Note an execution; what is not just up to date is written at once."""
        self._waiting.append(execution)
        if execution.status != "cached":
            self.write()
        if self.listener:
            self.listener.ended(execution)

    def write(self) -> None:
        """Write down what has been noted."""
        self.result.log.record_all(self._waiting, self.pipeline)
        self._waiting = []


@contextmanager
def _finishing(result: RunResult, record: _Record) -> Iterator[None]:
    """Close the record of the run, whatever ends it."""
    try:
        yield
        record.write()
    except BaseException:
        result.log.finish(result.run, "stopped")
        raise
    result.log.finish(result.run, "failed" if result.error else "done")


class _StepRun:
    """One step of one run."""

    def __init__(
        self,
        result: RunResult,
        pipeline: Pipeline,
        step: AnyStep,
        settings: Mapping[str, object],
        record: _Record,
        engine: RunEngine,
    ) -> None:
        self.result, self.log = result, result.log
        self.pipeline, self.step, self.settings = pipeline, step, settings
        self.record, self.engine = record, engine
        self.elements: Tally | None = None

    def go(self, *, force: bool) -> Execution:
        """Bring the step up to date and return what happened."""
        reason = self._obstacle()
        if reason is not None:
            return self._end(self._blank("blocked", reason))
        executions = self.result.executions
        inputs = {need: executions[need].output or "" for need in self.step.needs}
        key = StepKey(self.step, self.settings, inputs)
        with self.log.project.lock(f"step-{key.digest}"):
            done = None if force else self._find(key.digest)
            if done is not None:
                return self._end(self._filled("cached", "up to date", key, done.output))
            return self._execute(key, ["forced"] if force else None)

    def _find(self, key: str) -> Execution | None:
        known = self.result.recent.get(key)
        if known is not None and self.log.is_stored(known):
            return known
        return self.log.find_result(key)

    def _obstacle(self) -> str | None:
        """Say why the step may not run: a need without a result, or a gate that is shut."""
        for need in self.step.needs:
            earlier = self.result.executions[need]
            if earlier.output is None:
                return earlier.why if earlier.status == "blocked" else f"{need} {earlier.status}"
            verdict = self.result.verdicts.get(earlier.output, "promote")
            if verdict != "promote":
                gate = need if need.startswith("gate") else f"gate {need}"
                return f"{gate} said {verdict}"
        return None

    def _execute(self, key: StepKey, reasons: list[str] | None) -> Execution:
        last = self.log.last(self.pipeline.name, self.step.name)
        why = ", ".join(reasons or key.reasons(last))
        if self.record.listener:
            self.record.listener.running(self.step, why)
        self.engine.open()
        draft = self._filled("stopped", why, key, None)
        began = time.perf_counter()
        try:
            with self.engine.in_force(), kept_output(self.log, self.result.run, self.step.name):
                output = self._call(key, force=reasons is not None)
        except (Exception, SystemExit) as error:
            failure = as_step_error(error, self.step, self.pipeline)
            self.result.error = self.result.error or failure
            seconds = time.perf_counter() - began
            return self._end(replace(draft, status="failed", seconds=seconds, message=str(failure)))
        except BaseException:
            self._end(replace(draft, seconds=time.perf_counter() - began))
            raise
        seconds = time.perf_counter() - began
        return self._end(replace(draft, status="done", seconds=seconds, output=output))

    def _call(self, key: StepKey, *, force: bool) -> str:
        """Call the function on its stored inputs, store what it returns, return the digest."""
        if self.step.each:
            from gristmill.pipeline.element_run import ElementRun

            work = ElementRun(self.log, self.result.run, key)
            self.elements = work.tally
            return work.go(force=force).digest
        values = {name: self._input(name, digest) for name, digest in key.inputs.items()}
        folder = self.log.project.work_folder(key.digest)
        with working_in(lambda: folder):
            value = self.step.function(**values, **key.settings)
        artifact = self.log.keep(value)
        if artifact.kind == "verdict":
            self.result.verdicts[artifact.digest] = artifact.summary["verdict"]
        shutil.rmtree(folder, ignore_errors=True)
        return artifact.digest

    def _input(self, name: str, digest: str) -> object:
        try:
            return self.log.load(digest)
        except StoreError as error:
            inner = f"{error.where}: {error.message}" if error.where else error.message
            raise StoreError(f"its input {name!r}: {inner}", fix=error.fix) from error

    def _blank(self, status: str, why: str) -> Execution:
        return Execution(
            id=0,
            run=self.result.run,
            step=self.step.name,
            key=fingerprint([self.step.name, status]),
            status=status,
            why=why,
            reach={},
            started=time.time(),
            seconds=0.0,
        )

    def _filled(self, status: str, why: str, key: StepKey, output: str | None) -> Execution:
        return replace(
            self._blank(status, why),
            key=key.digest,
            reach=key.as_record(),
            inputs=dict(key.inputs),
            output=output,
        )

    def _end(self, execution: Execution) -> Execution:
        if self.elements is not None:
            told = {"elements": msgspec.to_builtins(self.elements)}
            execution = replace(execution, reach={**execution.reach, **told})
        self.record.add(execution)
        if execution.status == "blocked" and execution.why.startswith("gate"):
            shut = GateError(execution.why, where=f"step {self.step.name!r}")
            self.result.error = self.result.error or shut
        return execution


def as_step_error(
    error: Exception | SystemExit, step: AnyStep, pipeline: Pipeline
) -> GristmillError:
    """Put a step's exception into words: which step, where in the user's code, what to do."""
    folder = pipeline.path.parent if pipeline.path else None
    place = user_place(error, folder) if folder else None
    where = f"step {step.name!r}" + (f" ({place})" if place else "")
    if isinstance(error, GristmillError):
        inner = f"{error.where}: {error.message}" if error.where else error.message
        failure = type(error)(inner, where=where, fix=error.fix)
    elif isinstance(error, OSError):
        failure = StepError(
            f"{error.strerror or error} ({error.filename})" if error.filename else str(error),
            where=where,
            fix="free some space on the disk and run again" if error.errno == 28 else None,
        )
    else:
        failure = StepError(f"{type(error).__name__}: {error}", where=where)
    failure.__cause__ = error
    return failure
