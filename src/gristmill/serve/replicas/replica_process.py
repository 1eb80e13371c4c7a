"""The loop inside a replica: open the model, then take a batch, compute it, answer."""

from __future__ import annotations

import resource
import time

import msgspec

from gristmill.core.errors import ServeError, chain_of
from gristmill.core.processes.failure import Failure
from gristmill.serve.replicas.channel import Channel, Message, Note
from gristmill.serve.replicas.codec import Packed, pack, unpack
from gristmill.serve.replicas.mark import Mark
from gristmill.serve.replicas.messages import OUT_OF_MEMORY, Kind, Opened, Opening
from gristmill.serve.replicas.opening import find_opener
from gristmill.serve.replicas.shared_weights import SharedWeights
from gristmill.serve.replicas.slot import Slot, slots_of
from gristmill.serve.runners.runner import Runner

_SAID_OF_NO_MEMORY = ("allocate memory", "bad_alloc", "out of memory")


def serve(channel: Channel) -> int:
    """Answer messages until the other end closes; return the exit code.

    Args:
        channel: to the process that this replica works for.
    """
    replica = _Replica(channel)
    try:
        while True:
            replica.obey(channel.wait())
    except (EOFError, BrokenPipeError, ConnectionResetError):  # nobody is left to work for
        return 0
    except MemoryError:
        # Whoever has used up what it may have had rather be replaced: a leak would not go away.
        return OUT_OF_MEMORY


class _Replica:
    """What a replica holds between messages: its model and the slots for batches."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._runner: Runner | None = None
        self._slots: list[Slot] = []
        self._mark: Mark | None = None

    def obey(self, message: Message) -> None:
        note = message.note
        if note.kind == Kind.RUN:
            self._run(message)
        elif note.kind == Kind.OPEN:
            self._open(message)
        else:
            for slot in self._slots:
                slot.trim()
            self._channel.send(Note(Kind.PONG))

    def _open(self, message: Message) -> None:
        order = msgspec.msgpack.decode(message.body.data, type=Opening)
        self._slots = slots_of(message.fds[: 2 * order.slots])
        self._mark = Mark(message.fds[2 * order.slots])
        weights = SharedWeights(message.fds[-1] if order.weights else None)
        began = time.perf_counter()
        try:
            runner = find_opener(order.opener)(order.source, order.threads, weights)
            _check_same(order, runner)
        except Exception as error:
            self._fail(message.note, error)
            return
        self._runner = runner
        if order.memory:
            _limit_memory(order.memory)
        opened = Opened(
            runner.name,
            runner.fingerprint,
            tuple(runner.inputs),
            tuple(runner.outputs),
            tuple(runner.classes),
            time.perf_counter() - began,
        )
        new = [weights.fd] if weights.fd is not None and not order.weights else []
        self._send(Kind.OPENED, message.note, msgspec.msgpack.encode(opened), new)
        weights.close()

    def _run(self, message: Message) -> None:
        slot = self._slots[message.note.slot]
        if self._mark is not None:
            self._mark.number = message.note.number
        began = time.perf_counter()
        try:
            packed = self._answer(slot, message)
        except Exception as error:
            self._fail(message.note, error)
            return
        seconds = time.perf_counter() - began
        body = slot.put(packed.nbytes, packed.write)
        note = message.note._replace(
            kind=Kind.ANSWER, head=len(packed.head), nbytes=packed.nbytes, seconds=seconds
        )
        self._channel.send(note, body)

    def _answer(self, slot: Slot, message: Message) -> Packed:
        if self._runner is None:
            raise ServeError("a batch came before there was a model")
        rows = unpack(slot.get(message), message.note.head)
        answer = self._runner(rows)
        if answer.count != rows.count:
            raise ServeError(f"the model gave {answer.count} answers to {rows.count} rows")
        return pack(answer)

    def _fail(self, note: Note, error: Exception) -> None:
        if _is_for_want_of_memory(error):
            raise MemoryError from error
        self._send(Kind.FAILED, note, msgspec.msgpack.encode(Failure.of(error)))

    def _send(self, kind: Kind, note: Note, data: bytes, fds: list[int] | None = None) -> None:
        body = self._slots[note.slot].put_bytes(data)
        self._channel.send(Note(kind, note.slot, 0, note.number, len(data)), body, fds or [])


def _limit_memory(nbytes: int) -> None:
    """Allow this process so much more private memory than it has now, with its model open."""
    with open("/proc/self/status", encoding="ascii") as file:  # noqa: PTH123
        words = next(line.split() for line in file if line.startswith("VmData:"))
    limit = int(words[1]) * 1024 + nbytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _check_same(order: Opening, runner: Runner) -> None:
    if order.fingerprint and runner.fingerprint != order.fingerprint:
        raise ServeError(
            f"expected model {order.fingerprint}, found {runner.fingerprint}",
            where=order.source,
            fix="swap to the new bundle, or put the old one back",
        )


def _is_for_want_of_memory(error: BaseException) -> bool:
    return any(
        isinstance(each, MemoryError) or any(said in str(each) for said in _SAID_OF_NO_MEMORY)
        for each in chain_of(error)
    )
