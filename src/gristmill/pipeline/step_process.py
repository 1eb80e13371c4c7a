"""The processes that steps run in, as the run holds them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path

import msgspec

from gristmill.core.closing import Closing
from gristmill.core.errors import StepError
from gristmill.core.processes.death import KillCounts, died
from gristmill.core.processes.interpreter import start_interpreter
from gristmill.core.progress import Task, current
from gristmill.pipeline import step_messages as messages
from gristmill.pipeline.keys import StepKey
from gristmill.pipeline.selection import given_settings

_SECONDS_TO_LEAVE = 5.0
_SECONDS_BETWEEN_LOOKS = 0.5
"""How soon the death of a process is seen whose own children hold its connection open."""
_reply = msgspec.msgpack.Decoder(messages.Reply)


@dataclass(frozen=True, slots=True)
class Place:
    """What a process needs to know to take part in a run.

    Attributes:
        run: the run's id.
        root: the project's folder.
        file: the pipeline's file.
        engine: name of the run's engine, None for none.
    """

    run: str
    root: Path
    file: Path
    engine: str | None


class StepProcess(Closing):
    """A process that does one step at a time. Its numeric libraries have all threads.

    It leads a process group of its own: Ctrl-C goes to the run alone, and ends it with all that it
    has started. Where the run dies, it ends itself.

    Raises:
        OSError: the machine allows no further process.
    """

    def __init__(self, place: Place) -> None:
        self.connection, theirs = Pipe()
        reading, self._lifeline = os.pipe()
        self._kills_before = KillCounts.now()
        self._progress = _Progress()
        arguments = (place.run, str(place.root), str(place.file), place.engine)
        fds = (theirs.fileno(), reading)
        try:
            self._process = start_interpreter(
                "gristmill.pipeline.step_worker", [*arguments, *fds], fds, threads=None
            )
        finally:
            theirs.close()
            os.close(reading)

    def order(self, key: StepKey, *, force: bool) -> None:
        """Have a step done."""
        given = given_settings(key.step.settings, key.settings)
        paths = [name for name, value in given.items() if isinstance(value, Path)]
        plain = {name: str(value) if name in paths else value for name, value in given.items()}
        inputs, record = dict(key.inputs), key.as_record()
        self._send(messages.Order(key.step.name, plain, paths, inputs, key.digest, record, force))

    def release(self) -> None:
        """Say that what the process told last is written down."""
        self._send(messages.Recorded())

    def replies(self, step: str) -> Iterator[messages.Began | messages.Ended | StepError]:
        """Yield what the process has told since; the error is that it has died.

        Progress goes to the reporter in force, lines under the name of the step.
        """
        try:
            while self.connection.poll():
                message = _reply.decode(self.connection.recv_bytes())
                if isinstance(message, messages.Began | messages.Ended):
                    yield message
                else:
                    self._progress.show(message, step)
        except (EOFError, OSError):
            yield self._death(step)
            return
        if self._process.poll() is not None and not self.connection.poll():
            yield self._death(step)

    def kill(self) -> None:
        """End the process and what it has started now."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.close()

    def dismiss(self) -> None:
        """Have the process leave as soon as it has nothing to do; `close` waits for that."""
        self.connection.close()

    def close(self) -> None:
        """Let the process leave; end it if it does not."""
        self.dismiss()
        try:
            self._process.wait(_SECONDS_TO_LEAVE)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._lifeline)
        self._progress.close()

    def _send(self, message: messages.Request) -> None:
        with suppress(OSError):  # it has died: `replies` finds out how
            self.connection.send_bytes(msgspec.msgpack.encode(message))

    def _death(self, step: str) -> StepError:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # what it has started
        reason = died(self._process.wait(), self._kills_before, "").reason
        return StepError(
            f"its process {reason}",
            where=f"step {step!r}",
            fix="if memory ran out, use fewer --jobs or smaller partitions; "
            "with --jobs 1 the step runs in the main process",
        )


class Crew(Closing):
    """All processes of a run: those that do a step, and those that have done one.

    Args:
        place: what they are to know.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._idle: list[StepProcess] = []
        self._busy: list[StepProcess] = []

    def take(self) -> StepProcess:
        """Return a process that has nothing to do, a new one if there is none."""
        process = self._idle.pop() if self._idle else StepProcess(self._place)
        self._busy.append(process)
        return process

    def give_back(self, process: StepProcess) -> None:
        """Say that a process is done."""
        self._busy.remove(process)
        self._idle.append(process)

    def drop(self, process: StepProcess) -> None:
        """End a process: what it does takes too long, or it is dead already."""
        self._busy.remove(process)
        process.kill()

    def wait(self, seconds: float | None) -> None:
        """Wait until a busy process tells something, or for so long at most."""
        most = _SECONDS_BETWEEN_LOOKS if seconds is None else min(seconds, _SECONDS_BETWEEN_LOOKS)
        wait([process.connection for process in self._busy], max(most, 0.0))

    def close(self) -> None:
        """End all of them."""
        for process in self._busy:
            process.kill()
        for process in self._idle:
            process.dismiss()
        for process in self._idle:
            process.close()
        self._busy, self._idle = [], []


class _Progress:
    """Shows what a process tells of its progress, in the reporter in force."""

    def __init__(self) -> None:
        self._tasks: dict[int, Task] = {}

    def show(self, message: messages.Progress, step: str) -> None:
        """Hand one message on."""
        match message:
            case messages.Said(text):
                current().say(f"    {step}: {text.strip()}")
            case messages.Opened(number, title, total, unit):
                named = title if title == step else f"{step}: {title}"
                self._tasks[number] = current().start(named, total, unit)
            case messages.Closed(number):
                current().finish(self._tasks.pop(number))
            case messages.Advanced(number, amount):
                self._tasks[number].advance(amount)
            case messages.Noted(number, text):
                self._tasks[number].note(text)
            case messages.Shown(number, lines):
                self._tasks[number].show(lines)

    def close(self) -> None:
        """End what the process has left open."""
        for task in self._tasks.values():
            current().finish(task)
        self._tasks = {}
