"""The process that steps run in: it reads the pipeline's file itself, and stores results itself.

It holds the lock of a step's key from before the step until the run has written down what came of
it, so that a run which waits for the lock finds the result. What travels between the two is said in
`step_messages`; no value does.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import msgspec

from gristmill.core.errors import StepError
from gristmill.core.processes.failure import Failure
from gristmill.core.progress import Task, reporting
from gristmill.core.redaction import redacted
from gristmill.pipeline import step_messages as messages
from gristmill.pipeline.graph import Pipeline
from gristmill.pipeline.keys import StepKey
from gristmill.pipeline.load import load_pipeline
from gristmill.pipeline.run_engine import RunEngine
from gristmill.pipeline.step_call import StepCall, StepResult
from gristmill.store.project import Project, using
from gristmill.store.runs import RunLog

_SECONDS_BETWEEN_MESSAGES = 0.1
_request = msgspec.msgpack.Decoder(messages.Request)


def main(run: str, root: str, file: str, engine: str | None, orders: int, lifeline: int) -> None:
    """Do what is ordered until the other end closes.

    Args:
        run: the run's id.
        root: the project's folder.
        file: the pipeline's.
        engine: name of the run's engine.
        orders: descriptor of a connection.
        lifeline: descriptor of a pipe that nothing comes from: it ends with the run.
    """
    for fd in (orders, lifeline):
        os.set_inheritable(fd, False)
    _end_with(lifeline)
    # The run itself writes compiled files. One that is a second old may be taken for a newer one.
    sys.dont_write_bytecode = True
    # Steps beside it print, too: lines stay whole, even where Python was told not to buffer.
    for stream in (sys.stdout, sys.stderr):
        cast("TextIOWrapper", stream).reconfigure(line_buffering=True, write_through=False)
    with Connection(orders) as connection, Project(root) as project:
        worker = _Worker(connection, project, run, file, engine)
        with using(project), reporting(_Relay(worker)):
            worker.serve()


def _end_with(lifeline: int) -> None:
    """Have this process and all that it has started killed as soon as the run is gone.

    Linux does it (fcntl(2), F_SETSIG), whatever the process is busy with; elsewhere a thread, as
    soon as native code lets it.
    """
    if not hasattr(fcntl, "F_SETSIG"):
        threading.Thread(target=_wait_for_end, args=(lifeline,), daemon=True).start()
        return
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:  # it went before the kernel was told
        _wait_for_end(lifeline)


def _wait_for_end(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)


class _Worker:
    def __init__(
        self, connection: Connection, project: Project, run: str, file: str, engine: str | None
    ) -> None:
        self.connection, self.log, self.run = connection, RunLog(project), run
        self.file, self.engine = file, RunEngine(engine, Path(file).parent)
        self._pipeline: Pipeline | None = None
        self._telling = threading.Lock()  # a step's threads may report, too

    def tell(self, message: messages.Reply) -> None:
        """Send a message to the run."""
        with self._telling:
            self.connection.send_bytes(msgspec.msgpack.encode(message))

    def serve(self) -> None:
        """Do steps until there are no more."""
        with self.engine:
            while (order := self._next()) is not None:
                if isinstance(order, messages.Order):
                    self._do(order)

    def _next(self) -> messages.Request | None:
        try:
            request: messages.Request = _request.decode(self.connection.recv_bytes())
        except (EOFError, OSError):
            return None
        return request

    def _do(self, order: messages.Order) -> None:
        """Do a step, under the lock of its key until the run says that it is written down."""
        try:
            call = self._call(order)
        except Exception as error:  # of the user's file, which may have changed
            self.tell(messages.Ended(failure=_told(error)))
            self._next()
            return
        with self.log.project.lock(f"step-{order.key}"):
            done = None if order.force else self.log.find_result(order.key)
            if done is not None:
                self.tell(messages.Ended(output=done.output, found=True))
            else:
                self.tell(messages.Began())
                with self.engine.in_force():
                    self.tell(_ended(call.go(force=order.force)))
            self._next()

    def _call(self, order: messages.Order) -> StepCall:
        """Prepare the call, if the code here is still that of the run."""
        pipeline = self._pipeline = self._pipeline or load_pipeline(self.file)
        step = pipeline[order.step]
        given = {k: Path(v) if k in order.paths else v for k, v in order.settings.items()}
        classes = self.log.classes(order.inputs.values())
        key = StepKey(step, {**step.settings, **given}, order.inputs, classes)
        if key.digest != order.key:
            changed = ", ".join(key.differences(order.record, order.inputs)) or "Python changed"
            raise StepError(
                f"it is not what it was when the run began: {changed}",
                where=f"step {step.name!r}",
                fix="run again: finished steps are kept",
            )
        self.engine.open()
        return StepCall(self.log, self.run, pipeline, key)


def _ended(done: StepResult) -> messages.Ended:
    failure = None if done.error is None else _told(done.error)
    return messages.Ended(
        done.seconds, done.output, done.verdict, failure, done.passing, done.elements
    )


def _told(error: Exception) -> Failure:
    failure = Failure.of(error)
    return msgspec.structs.replace(
        failure, text=redacted(failure.text), trace=redacted(failure.trace)
    )


class _RelayedTask:
    """A piece of work that the run shows; what advances fast is told ten times a second."""

    def __init__(self, tell: Callable[[messages.Reply], None], number: int) -> None:
        self.number, self._tell = number, tell
        self._amount, self._told = 0, 0.0

    def advance(self, amount: int = 1) -> None:
        self._amount += amount
        if time.monotonic() - self._told > _SECONDS_BETWEEN_MESSAGES:
            self.flush()

    def flush(self) -> None:
        """Tell what has not been told."""
        amount, self._amount, self._told = self._amount, 0, time.monotonic()
        if amount:
            self._tell(messages.Advanced(self.number, amount))

    def note(self, text: str) -> None:
        self._tell(messages.Noted(self.number, redacted(text)))

    def show(self, lines: Sequence[str]) -> None:
        self._tell(messages.Shown(self.number, [redacted(line) for line in lines]))


class _Relay:
    """A reporter that hands everything on to the run."""

    def __init__(self, worker: _Worker) -> None:
        self._tell = worker.tell
        self._opened = 0

    def start(self, title: str, total: int | None, unit: str) -> Task:
        self._opened += 1
        self._tell(messages.Opened(self._opened, title, total, unit))
        return _RelayedTask(self._tell, self._opened)

    def finish(self, task: Task) -> None:
        if isinstance(task, _RelayedTask):
            task.flush()
            self._tell(messages.Closed(task.number))

    def say(self, text: str) -> None:
        self._tell(messages.Said(redacted(text)))
