import threading

import msgspec
import numpy as np
import pytest

from gristmill.core.errors import ServeError
from gristmill.core.processes.failure import Failure
from gristmill.serve.replicas.channel import BODY_BYTES, Note, pair
from gristmill.serve.replicas.codec import pack, unpack
from gristmill.serve.replicas.mark import Mark
from gristmill.serve.replicas.messages import OUT_OF_MEMORY, Kind, Opened, Opening
from gristmill.serve.replicas.replica_process import serve
from gristmill.serve.replicas.slot import new_slots
from gristmill.serve.runners.rows import Rows


class Host:
    """The other side of a replica that runs in a thread of this process."""

    def __init__(self):
        from gristmill.serve.replicas.channel import Channel

        self.channel, far = pair(waits=True)
        self.slots, self.fds = new_slots(1)
        self.mark = Mark.create()
        self.codes = []
        replica = Channel(far, waits=True)

        def work():
            self.codes.append(serve(replica))
            replica.close()

        self.thread = threading.Thread(target=work)
        self.thread.start()

    def open(self, source, opener="odd_models:doubler", fingerprint=""):
        order = Opening(opener, str(source), 1, slots=1, fingerprint=fingerprint)
        fds = [*self.fds, self.mark.fd]
        self.channel.send(Note(Kind.OPEN), msgspec.msgpack.encode(order), fds)
        return self.channel.wait()

    def run(self, rows, number=1):
        packed = pack(rows)
        body = self.slots[0].put(packed.nbytes, packed.write)
        note = Note(Kind.RUN, 0, len(packed.head), number, packed.nbytes)
        self.channel.send(note, body)
        return self.channel.wait()

    def failure(self, message):
        assert message.note.kind == Kind.FAILED
        data = self.slots[0].get(message).data
        return msgspec.msgpack.decode(data, type=Failure).to_error(ServeError, "a replica process")

    def end(self):
        self.channel.close()
        self.thread.join()
        for slot in self.slots:
            slot.close()
        self.mark.close()


@pytest.fixture
def host(models_path):
    host = Host()
    yield host
    host.end()


def test_it_opens_answers_and_ends(host, model):
    message = host.open(model())
    assert message.note.kind == Kind.OPENED
    opened = msgspec.msgpack.decode(message.body.data, type=Opened)
    assert (opened.name, opened.fingerprint, opened.classes) == ("doubler", "d" * 32, ())
    for number, size in ((7, 3), (8, BODY_BYTES)):
        message = host.run(Rows({"x": np.arange(float(size))}), number)
        assert (message.note.kind, message.note.number) == (Kind.ANSWER, number)
        answer = unpack(host.slots[0].get(message), message.note.head)
        assert (answer["y"] == 2 * np.arange(size)).all()
        assert host.mark.number == number
    host.channel.close()
    host.thread.join()
    assert host.codes == [0]


def test_a_ping_is_answered_before_there_is_a_model(host):
    host.channel.send(Note(Kind.PING))
    assert host.channel.wait().note.kind == Kind.PONG


def test_a_batch_without_a_model_fails(host, model):
    host.open(model(), opener="nowhere:nothing")
    error = host.failure(host.run(Rows({"x": np.ones(1)})))
    assert str(error) == "a batch came before there was a model"


def test_another_model_than_was_expected_fails(host, model):
    error = host.failure(host.open(model(), fingerprint="e" * 32))
    assert isinstance(error, ServeError)
    assert error.message == f"expected model {'e' * 32}, found {'d' * 32}"
    assert error.where == str(model())


def test_a_message_longer_than_a_socket_holds_is_told_whole(host, model):
    host.open(model())
    message = host.run(Rows({"é" * BODY_BYTES: np.ones(1)}))
    assert str(host.failure(message)).startswith("KeyError: 'x'")


def test_want_of_memory_ends_it(host, model):
    host.open(model("hungry"))
    packed = pack(Rows({"x": np.array([-8.0])}))
    note = Note(Kind.RUN, 0, len(packed.head), 1, packed.nbytes)
    host.channel.send(note, host.slots[0].put(packed.nbytes, packed.write))
    with pytest.raises(EOFError):
        host.channel.wait()
    host.thread.join()
    assert host.codes == [OUT_OF_MEMORY]
