"""One replica process, from its birth to its end: batches go in, answers come out in order."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import msgspec

from gristmill.core.errors import GristmillError, ServeError
from gristmill.core.processes.death import Death
from gristmill.core.processes.failure import Failure
from gristmill.core.processes.packets import close_all
from gristmill.core.quantities import format_seconds
from gristmill.serve.replicas.channel import Message, Note
from gristmill.serve.replicas.codec import pack, unpack
from gristmill.serve.replicas.mark import Mark
from gristmill.serve.replicas.messages import OUT_OF_MEMORY, Kind, Opened, Opening
from gristmill.serve.replicas.nursery import Newborn
from gristmill.serve.replicas.patience import Care, Patience
from gristmill.serve.replicas.slot import new_slots
from gristmill.serve.replicas.task import Task
from gristmill.serve.runners.rows import Rows

_REASON_SECONDS = 1.0
_END_SECONDS = 2.0

T = TypeVar("T")
OnLost: TypeAlias = Callable[[str, list[Task], bool], None]
"""Told why the process is gone, the batches without an answer in their order, and whether it had
begun the first of them."""


@dataclass(slots=True)
class _Running:
    """A batch inside the process: its number and slot, its bytes, and since when it runs."""

    task: Task
    number: int
    slot: int
    nbytes: int
    since: float


class RemoteReplica:
    """The handle of one process; belongs to one event loop.

    Args:
        newborn: the process.
        slots: most batches inside it at once.
        care: how long it may take, to open and to say that it lives.
        patience: how long a batch may take.

    Attributes:
        pid: number of the process.
        born: when it was born, by `time.monotonic`.
        opened: what its model is, once it is open.
        on_free: called when it has answered a batch, and so has room for another.
        on_lost: called once when the process is gone or was given up.
    """

    def __init__(self, newborn: Newborn, slots: int, care: Care, patience: Patience) -> None:
        self.pid, self.born = newborn.pid, time.monotonic()
        self.opened: Opened | None = None
        self.on_free: Callable[[], None] = _nothing
        self.on_lost: OnLost = _fail_all
        self._newborn, self._channel, self._care = newborn, newborn.channel, care
        self._patience = patience
        self._slots, self._slot_fds = new_slots(slots)
        self._mark = Mark.create()
        self._free = list(range(slots))
        self._running: deque[_Running] = deque()
        self._numbers = 0
        self._heard, self._pinged = self.born, False
        self._opening: asyncio.Future[list[int]] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._reading, self._gone = True, False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._channel.fileno(), self._read)

    @property
    def has_room(self) -> bool:
        """Whether another batch can be handed over now."""
        return bool(self._free) and self._reading

    async def open(self, order: Opening, weights: int | None = None) -> int | None:
        """Have it open its model.

        Args:
            order: what to open.
            weights: descriptor of the shared weights; this process keeps its own.

        Returns:
            a descriptor of shared weights, if it made some; the caller's to close.

        Raises:
            GristmillError: what opening raised there, or the process has ended.
        """
        self._opening = self._loop.create_future()
        order = msgspec.structs.replace(order, slots=len(self._slots), weights=weights is not None)
        fds = [*self._slot_fds, self._mark.fd, *([] if weights is None else [weights])]
        self._send(Note(Kind.OPEN), msgspec.msgpack.encode(order), fds)
        made = await self._in_time(self._opening)
        return made[0] if made else None

    def run(self, task: Task) -> None:
        """Hand a batch over; only where there is room. What comes of it, its task is told."""
        try:
            packed = pack(task.rows)
        except ServeError as error:
            task.finish(error)
            return
        slot = self._free.pop()
        self._numbers += 1
        entry = _Running(task, self._numbers, slot, packed.nbytes, time.monotonic())
        self._running.append(entry)
        body = self._slots[slot].put(packed.nbytes, packed.write)
        note = Note(Kind.RUN, slot, len(packed.head), entry.number, packed.nbytes)
        self._send(note, body)

    async def check(self, rows: Rows) -> None:
        """Run rows and drop the answer: the first batch is slow, and may show what is wrong.

        Raises:
            Exception: what came of them instead of an answer.
        """
        answered: asyncio.Future[Rows] = self._loop.create_future()

        def done(outcome: Rows | Exception, _: float) -> None:
            if answered.done():  # nobody waits for it any more
                return
            if isinstance(outcome, Rows):
                answered.set_result(outcome)
            else:
                answered.set_exception(outcome)

        self.run(Task(rows, done))
        await self._in_time(answered)

    async def _in_time(self, future: asyncio.Future[T]) -> T:
        try:
            async with asyncio.timeout(self._care.opening):
                return await future
        except TimeoutError:
            limit = format_seconds(self._care.opening)
            raise ServeError(f"a replica was not ready after {limit}") from None

    def tick(self, now: float) -> None:
        """Give it up if it hangs; ask whether it lives if it was silent for long."""
        if self._gone or self._opening is not None:
            return
        if self._running:
            took, limit = now - self._running[0].since, self._limit()
            if took > limit:
                self.give_up(f"gave no answer in {format_seconds(limit)} and was killed")
        elif now - self._heard > self._care.ping + self._care.pong and self._pinged:
            self.give_up(
                f"gave no sign of life in {format_seconds(self._care.pong)} and was killed"
            )
        elif now - self._heard > self._care.ping and not self._pinged:
            self._pinged = True
            for slot in self._slots:
                slot.trim()
            self._send(Note(Kind.PING))

    def give_up(self, reason: str) -> None:
        """Kill it now, whatever it is doing; no answer of it will be taken any more."""
        if not self._gone:
            self._kill()
            self._let_go(reason)

    async def end(self, seconds: float) -> None:
        """Let it answer what it has, then end it; wait until it is gone.

        What has no answer after `seconds` is lost.
        """
        if self._running and not self._gone:
            self._drained = self._loop.create_future()
            await asyncio.wait([self._drained], timeout=seconds)
        if self._gone:
            return
        if self._running:
            self.give_up("was ended while it ran")
            return
        self._stop_reading()
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await self._exit()
        self._kill()
        self.on_lost = _forget
        self._let_go("was ended")

    def _limit(self) -> float:
        return self._patience.limit(self._running[0].nbytes)

    def _send(self, note: Note, body: bytes | memoryview = b"", fds: Sequence[int] = ()) -> None:
        """Send; a dead process takes anything: that it is gone, `_read` finds out."""
        try:
            self._channel.send(note, body, fds)
        except BlockingIOError:
            self._loop.call_soon(self.give_up, "does not read what it is sent")
        except OSError:
            return

    def _read(self) -> None:
        """Take one message: the loop calls again while there are more."""
        try:
            message = self._channel.receive()
        except (EOFError, OSError, ServeError):
            self._stop_reading()
            self._newborn.ended.add_done_callback(lambda ended: self._died(ended))
            self._loop.call_later(_REASON_SECONDS, self.give_up, "closed its connection")
            return
        if message is None:
            return
        self._heard, self._pinged = time.monotonic(), False
        kind = message.note.kind
        if kind == Kind.OPENED:
            self._opened(message)
        elif kind == Kind.ANSWER or message.note.number:
            self._answered(message)
        elif kind == Kind.FAILED:
            self._end_opening(self._failure(message))

    def _opened(self, message: Message) -> None:
        data = self._slots[message.note.slot].get(message).data
        self.opened = msgspec.msgpack.decode(data, type=Opened)
        if not self._end_opening(message.fds):
            close_all(message.fds)

    def _end_opening(self, outcome: list[int] | Exception) -> bool:
        """Tell `open` what came of it; return whether it still waits."""
        opening, self._opening = self._opening, None
        if opening is None or opening.done():
            return False
        if isinstance(outcome, Exception):
            opening.set_exception(outcome)
        else:
            opening.set_result(outcome)
        return True

    def _answered(self, message: Message) -> None:
        note, entry = message.note, self._running[0]
        if note.number != entry.number:
            self.give_up(f"answered batch {note.number} instead of {entry.number}")
            return
        outcome: Rows | Exception
        if note.kind == Kind.ANSWER:
            outcome = unpack(self._slots[note.slot].get(message).copy(), note.head)
            self._patience.observe(entry.nbytes, note.seconds)
        else:
            outcome = self._failure(message)
        self._running.popleft()
        self._free.append(entry.slot)
        if self._running:
            self._running[0].since = self._heard
        else:
            _settle(self._drained)
        by = self.opened.fingerprint if self.opened else ""
        entry.task.finish(outcome, note.seconds, by)
        self.on_free()

    def _failure(self, message: Message) -> GristmillError:
        data = self._slots[message.note.slot].get(message).data
        return msgspec.msgpack.decode(data, type=Failure).to_error(ServeError, "a replica process")

    def _died(self, ended: asyncio.Future[Death | None]) -> None:
        self.give_up(_reason(ended.result()))

    def _let_go(self, reason: str) -> None:
        """Close all that is held for it, and tell what it has left undone."""
        self._gone = True
        self._stop_reading()
        self._channel.close()
        for slot in self._slots:
            slot.close()
        self._mark.close()
        os.close(self._newborn.pidfd)
        tasks = [entry.task for entry in self._running]
        began = bool(self._running) and self._running[0].number == self._mark.number
        self._running.clear()
        self._end_opening(ServeError(f"a replica process {reason} while it opened its model"))
        _settle(self._drained)
        self.on_lost(reason, tasks, began)

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._channel.fileno())

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._newborn.pidfd, signal.SIGKILL)

    async def _exit(self) -> None:
        """Close the connection, which ends it, and wait for that."""
        exited = self._loop.create_future()
        pidfd = self._newborn.pidfd
        self._loop.add_reader(pidfd, _settle, exited)
        self._channel.close()
        try:
            await exited
        finally:
            self._loop.remove_reader(pidfd)


def _reason(death: Death | None) -> str:
    if death is None:
        return "ended together with the nursery process"
    if death.exit_code == OUT_OF_MEMORY:
        return "reached its memory limit"
    return death.reason


def _nothing() -> None:
    """Nobody has anything for it to do."""


def _forget(reason: str, tasks: list[Task], began: bool) -> None:
    """It was ended on purpose, with nothing left to do."""


def _settle(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


def _fail_all(reason: str, tasks: list[Task], _: bool) -> None:
    for task in tasks:
        task.finish(ServeError(f"the replica process {reason}"))
