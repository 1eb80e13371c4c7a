"""One run, step after step or several at a time: blocked, cached or executed, and recorded."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from gristmill.core.closing import Closing
from gristmill.core.errors import GateError, StepError
from gristmill.core.fingerprint import fingerprint
from gristmill.core.quantities import format_seconds
from gristmill.pipeline.graph import AnyStep
from gristmill.pipeline.keys import StepKey
from gristmill.pipeline.run_engine import RunEngine
from gristmill.pipeline.run_record import RunRecord
from gristmill.pipeline.step_call import StepCall, StepResult
from gristmill.pipeline.step_output import keep_output, set_aside_output
from gristmill.pipeline.tries import Try, seconds_until_next
from gristmill.store.runs import Execution

if TYPE_CHECKING:
    from gristmill.pipeline.step_messages import Ended
    from gristmill.pipeline.step_process import Crew, StepProcess


@dataclass(slots=True, eq=False)
class _Visit:
    """A step that has to run, on its way through the run.

    Attributes:
        key: of the step.
        force: whether it runs though there is a result.
        why: the reason.
        started: when its last try began, seconds since 1970 UTC; None while it has not.
        deadline: when that try must have ended, by the monotonic clock.
        tries: those that failed before.
        call: its call, where that is in this process.
        process: the process that it is in.
    """

    key: StepKey
    force: bool
    why: str = ""
    started: float | None = None
    deadline: float | None = None
    tries: list[Try] = field(default_factory=list)
    call: StepCall | None = None
    process: StepProcess | None = None

    @property
    def step(self) -> AnyStep:
        return self.key.step


class Progression(Closing):
    """Brings the steps of a run up to date, each as soon as those that it needs are done.

    Args:
        record: of the run.
        steps: those of the run, in running order.
        settings: step name -> setting name -> value.
        forced: names of the steps that run though up to date.
        engine: of the run.
        jobs: how many steps may run at the same time. With one, steps run in this process, but for
            those with a time limit.
    """

    def __init__(
        self,
        record: RunRecord,
        steps: Sequence[AnyStep],
        settings: Mapping[str, Mapping[str, object]],
        forced: Collection[str],
        engine: RunEngine,
        jobs: int,
    ) -> None:
        self.record, self.result, self.log = record, record.result, record.result.log
        self.settings, self.forced, self.engine, self.jobs = settings, forced, engine, jobs
        self._waiting = {step.name: step for step in steps}
        self._ready: dict[str, _Visit] = {}
        self._busy: list[_Visit] = []
        self._resting: list[tuple[float, _Visit]] = []
        self._crew: Crew | None = None

    def go(self) -> None:
        """Bring all steps up to date.

        Raises:
            KeyboardInterrupt: after what was under way was recorded as stopped.
        """
        try:
            while self._waiting or self._busy or self._resting:
                self._start_what_can()
                if self._busy or self._resting:
                    self._listen()
        except BaseException:
            self.close()
            for visit in [*self._busy, *(visit for _, visit in self._resting)]:
                self._end(self._filled("stopped", self._reason(visit), visit.key, None), visit)
            raise

    def close(self) -> None:
        """End the processes of the run."""
        if self._crew is not None:
            self._crew.close()
            self._crew = None

    def _start_what_can(self) -> None:
        """Decide on every step whose needs are done, and start as many as may run."""
        now = time.monotonic()
        for due, visit in list(self._resting):
            if due <= now and len(self._busy) < self.jobs:
                self._resting.remove((due, visit))
                self._start(visit)
        for step in list(self._waiting.values()):
            if any(self.result.of(need) is None for need in step.needs):
                continue
            chosen = self._ready.get(step.name) or self._decide(step)
            if chosen is None:
                del self._waiting[step.name]
            elif len(self._busy) < self.jobs:
                del self._waiting[step.name]
                self._start(chosen)
            else:
                self._ready[step.name] = chosen

    def _decide(self, step: AnyStep) -> _Visit | None:
        """Return the visit of a step that has to run; record why one does not."""
        missing, gates = self._missing(step), self._shut_gates(step)
        if gates and missing is None and self.result.error is None:
            reasons = [reason for _, given in gates for reason in given]
            told = "; ".join([gates[0][0], *reasons])
            self.result.error = GateError(told, where=f"step {step.name!r}")
        reason = missing or (gates[0][0] if gates and step.gated else None)
        if reason is not None:
            self.record.add(self._blank(step, "blocked", reason))
            return None
        inputs = self._inputs(step)
        classes = self.log.classes(inputs.values())
        key = StepKey(step, self.settings[step.name], inputs, classes)
        visit = _Visit(key, force=step.name in self.forced)
        known = None if visit.force else self.result.recent.get(key.digest)
        if known is not None and not self.log.is_stored(known):
            known = None
        if known is None and not visit.force and self._is_apart(step):
            known = self.log.find_result(key.digest)  # else it is asked for under the lock
        if known is None:
            return visit
        self.record.add(self._filled("cached", "up to date", key, known.output))
        return None

    def _inputs(self, step: AnyStep) -> dict[str, str]:
        found = {need: self.result.of(need) for need in step.needs}
        return {need: execution.output or "" for need, execution in found.items() if execution}

    def _missing(self, step: AnyStep) -> str | None:
        """Name a need that has no result, or say what kept it from having one."""
        for need in step.needs:
            earlier = self.result.of(need)
            if earlier is None or earlier.output is None:
                status = earlier.status if earlier else "has not run"
                return earlier.why if earlier and status == "blocked" else f"{need} {status}"
        return None

    def _shut_gates(self, step: AnyStep) -> list[tuple[str, list[str]]]:
        """Say which gates among a step's needs are shut, each with its reasons."""
        found = []
        for need, output in self._inputs(step).items():
            verdict = self.result.verdicts.get(output, "promote")
            if verdict != "promote":
                gate = need if need.startswith("gate") else f"gate {need}"
                reasons = self.log.artifact(output).summary.get("reasons", [])
                found.append((f"{gate} said {verdict}", reasons))
        return found

    def _start(self, visit: _Visit) -> None:
        visit.started = visit.deadline = None
        self._busy.append(visit)
        if self._is_apart(visit.step):
            self._start_apart(visit)
        else:
            self._run_here(visit)

    def _is_apart(self, step: AnyStep) -> bool:
        """Say whether a step runs in a process of its own."""
        return self.jobs > 1 or step.timeout is not None

    def _run_here(self, visit: _Visit) -> None:
        """Run a step in this process, holding the lock of its key."""
        key = visit.key
        with self.log.project.lock(f"step-{key.digest}"):
            done = None if visit.force else self.log.find_result(key.digest)
            if done is not None:
                self._found(visit, done.output)
                return
            self.engine.open()
            self._begun(visit)
            visit.call = StepCall(self.log, self.result.run, self.record.pipeline, key)
            with self.engine.in_force():
                result = visit.call.go(force=visit.force)
            self._done(visit, result)

    def _start_apart(self, visit: _Visit) -> None:
        """Have a step run in a process of its own, which holds the lock of its key."""
        if self._crew is None:
            from gristmill.pipeline.step_process import Crew, Place

            file = self.record.pipeline.path or Path()  # `run` has checked that there is one
            root = self.log.project.root
            self._crew = Crew(Place(self.result.run, root, file, self.engine.name))
        visit.process = self._crew.take()
        visit.process.order(visit.key, force=visit.force)

    def _listen(self) -> None:
        """Wait for what processes tell, a time limit, or the end of a wait; act on it."""
        moments = [due for due, _ in self._resting if len(self._busy) < self.jobs]
        moments += [visit.deadline for visit in self._busy if visit.deadline is not None]
        seconds = min(moments) - time.monotonic() if moments else None
        if self._crew is None:
            time.sleep(max(seconds or 0.0, 0.0))
            return
        self._crew.wait(seconds)
        for visit in list(self._busy):
            self._hear(visit)

    def _hear(self, visit: _Visit) -> None:
        """Take in what the process of a step has told since."""
        from gristmill.pipeline.step_messages import Began

        process = visit.process
        if process is None or self._crew is None:
            return
        for told in process.replies(visit.step.name):
            if isinstance(told, StepError):
                self._crew.drop(process)
                self._done(visit, StepResult(_seconds(visit), error=told, passing=True))
                return
            if isinstance(told, Began):
                self._begun(visit)
                continue
            if told.found:
                self._found(visit, told.output)
            else:
                self._done(visit, _as_result(told))
            process.release()
            self._crew.give_back(process)
            return
        if visit.deadline is not None and time.monotonic() > visit.deadline:
            self._crew.drop(process)
            self._done(visit, StepResult(_seconds(visit), error=_too_long(visit), passing=True))

    def _begun(self, visit: _Visit) -> None:
        """A try begins now."""
        visit.started = time.time()
        if visit.step.timeout is not None:
            visit.deadline = time.monotonic() + visit.step.timeout
        again = f"try {len(visit.tries) + 1} of {visit.step.retries + 1}"
        self.record.running(visit.step, again if visit.tries else self._reason(visit))

    def _reason(self, visit: _Visit) -> str:
        """Say why a step runs, compared with the last time."""
        if not visit.why:
            last = self.log.last(self.record.pipeline.name, visit.step.name)
            visit.why = "forced" if visit.force else ", ".join(visit.key.reasons(last))
        return visit.why

    def _found(self, visit: _Visit, output: str | None) -> None:
        """Another run has done the step while this one waited for its lock."""
        self._busy.remove(visit)
        self._end(self._filled("cached", "up to date", visit.key, output), visit)

    def _done(self, visit: _Visit, result: StepResult) -> None:
        """A try has ended: well, for good, or until the next one."""
        self._busy.remove(visit)
        if result.error is not None and result.passing and len(visit.tries) < visit.step.retries:
            self._rest(visit, result)
            return
        draft = self._filled("done", self._reason(visit), visit.key, result.output)
        draft = replace(draft, seconds=result.seconds)
        if result.verdict is not None and result.output is not None:
            self.result.verdicts[result.output] = result.verdict
        if result.error is not None:
            self.result.error = self.result.error or result.error
            draft = replace(draft, status="failed", message=str(result.error))
        self._end(draft, visit, result.elements)

    def _rest(self, visit: _Visit, result: StepResult) -> None:
        """Leave a step that has failed until its next try."""
        failed = len(visit.tries) + 1
        wait = seconds_until_next(visit.step.backoff, failed, visit.key.digest)
        visit.tries.append(Try(str(result.error), result.seconds, wait))
        set_aside_output(self.log.project, self.result.run, visit.step.name, str(result.error))
        self._resting.append((time.monotonic() + wait, visit))
        self.record.failed(visit.step, visit.tries[-1])

    def _end(
        self, execution: Execution, visit: _Visit, elements: dict[str, Any] | None = None
    ) -> None:
        """Record how a step ended, with what it printed and what it is made of."""
        reach = dict(execution.reach)
        if visit.call is not None:
            elements = elements or visit.call.elements
        if elements is not None:
            reach["elements"] = elements
        if visit.tries:
            reach["tries"] = msgspec.to_builtins(visit.tries)
        if visit.started is not None:
            keep_output(self.log, self.result.run, visit.step.name)
            seconds = execution.seconds or _seconds(visit)
            execution = replace(execution, started=visit.started, seconds=seconds)
        self.record.add(replace(execution, reach=reach))

    def _blank(self, step: AnyStep, status: str, why: str) -> Execution:
        return Execution(
            id=0,
            run=self.result.run,
            step=step.name,
            key=fingerprint([step.name, status]),
            status=status,
            why=why,
            reach={},
            started=time.time(),
            seconds=0.0,
        )

    def _filled(self, status: str, why: str, key: StepKey, output: str | None) -> Execution:
        return replace(
            self._blank(key.step, status, why),
            key=key.digest,
            reach=key.as_record(),
            inputs=dict(key.inputs),
            output=output,
        )


def _seconds(visit: _Visit) -> float:
    """Return how long the try that is under way has taken."""
    return 0.0 if visit.started is None else max(time.time() - visit.started, 0.0)


def _as_result(told: Ended) -> StepResult:
    error = None
    if told.failure is not None:
        error = told.failure.to_error(StepError, "the process of the step")
    return StepResult(told.seconds, told.output, told.verdict, error, told.passing, told.elements)


def _too_long(visit: _Visit) -> StepError:
    limit = format_seconds(visit.step.timeout or 0.0)
    return StepError(
        f"took longer than its time limit, {limit}, and was ended",
        where=f"step {visit.step.name!r}",
        fix="raise `timeout` of @step, or have it do less at a time; what it left in its workdir() "
        "is there when it runs again",
    )
