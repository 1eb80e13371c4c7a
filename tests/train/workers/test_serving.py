import sys
import time
from itertools import pairwise

import pytest
import torch

from gristmill.core.errors import GristmillError, TrainError, UsageError
from gristmill.train.records.pool import Pool
from gristmill.train.workers.later import Later
from gristmill.train.workers.payload import dumps


def failure(worker, fn, *args):
    worker.send(("do", fn, *args))
    return worker.receive().failure


def test_a_reply_carries_the_value_and_when_it_was_made(worker):
    before = time.monotonic()
    worker.send(("do", lambda target, n: (time.sleep(0.01), target.rank + n)[1], 5))
    reply = worker.receive()
    assert reply.get() == 5
    assert before < reply.start
    assert reply.end - reply.start >= 0.01
    assert reply.end < time.monotonic()


def test_errors_come_back_as_text_and_end_nothing(worker):
    def boom(_, text):
        raise ValueError(text)

    found = failure(worker, boom, "expected this")
    assert (found.kind, found.text) == ("ValueError", "expected this")
    assert "raise ValueError(text)" in found.trace or "in boom" in found.trace
    with pytest.raises(TrainError) as caught:
        worker.ask(("do", boom, "again"))
    assert str(caught.value) == "worker 0: ValueError: again"
    assert caught.value.__notes__[0].startswith("in a worker process:\nTraceback")
    assert worker.ask(("do", lambda _: "still there")) == "still there"


def test_our_own_errors_come_back_as_themselves(worker):
    def boom(_):
        raise UsageError("too small", fix="give more")

    with pytest.raises(UsageError) as caught:
        worker.ask(("do", boom))
    assert str(caught.value) == "too small\n  fix: give more"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_nothing_that_is_raised_ends_a_worker(worker, error):
    def boom(_):
        raise error

    assert failure(worker, boom).kind == type(error).__name__
    assert worker.ask(("do", lambda _: 1)) == 1


def test_memory_of_an_error_is_let_go(worker):
    def boom(target):
        import weakref

        big = torch.zeros(1000)
        target.kept["big"] = weakref.ref(big)
        raise RuntimeError("with a big local variable")

    assert failure(worker, boom).kind == "RuntimeError"
    assert worker.ask(("do", lambda target: target.kept["big"]() is None))


def test_results_that_cannot_be_sent_are_errors(worker):
    def lock(_):
        import threading

        return threading.Lock()

    found = failure(worker, lock)
    assert found.text == (
        "the result, a lock, cannot be sent to another process: TypeError: cannot pickle "
        "'_thread.lock' object"
    )
    assert worker.ask(("do", lambda _: 1)) == 1


def test_messages_that_cannot_be_read_are_errors(worker):
    class Unreadable:
        def __reduce__(self):
            return (__import__, ("no_such_module_anywhere",))

    worker.send(("do", Unreadable()))
    assert worker.receive().failure.kind == "ModuleNotFoundError"
    with pytest.raises(TrainError) as caught:
        worker.ask(("do", lambda _, kind: kind(), Unreadable))
    assert str(caught.value).startswith("worker 0: ModuleNotFoundError: No module named")
    assert worker.ask(("do", lambda _: 1)) == 1


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (("nothing",), "a target of type Handyman has no public method 'nothing'"),
        (("_hidden",), "a target of type Handyman has no public method '_hidden'"),
        (("rank",), "a target of type Handyman has no public method 'rank'"),
        ((), "expected (method, arguments...), found ()"),
    ],
)
def test_wrong_messages_are_told(worker, message, text):
    with pytest.raises(UsageError) as caught:
        worker.ask(message)
    assert str(caught.value) == text


def test_a_call_before_a_target_is_built(cradle):
    worker = cradle.start(0)
    with pytest.raises(UsageError, match="'run' was called before a target was built"):
        worker.ask(("run",))
    worker.close()


def test_a_factory_that_fails_says_why_and_can_be_tried_again(cradle, handyman):
    worker = cradle.start(4)
    worker.build(dumps(lambda rank, pool, values: 1 / 0))
    with pytest.raises(TrainError, match="worker 4: ZeroDivisionError: division by zero"):
        worker.receive().get(worker.name)
    worker.build(dumps(handyman))
    assert worker.receive().get() is None
    assert worker.ask(("do", lambda target: target.rank)) == 4
    worker.close()


@pytest.mark.parametrize("size", [0, 40_000, 30_000_000])
def test_messages_and_results_of_any_size(worker, size):
    assert worker.ask(("do", lambda _, data: data + b"!", b"x" * size)) == b"x" * size + b"!"


def test_much_may_be_sent_ahead_and_is_answered_in_order(worker):
    count = 2000
    for number in range(count):
        worker.send(("do", lambda _, number: (number, bytes(1000)), number))
    assert [worker.receive().get()[0] for _ in range(count)] == list(range(count))


def test_the_pool_of_records_is_shared_memory(cradle, handyman):
    worker = cradle.start(0)
    with Pool.create(1 << 16) as pool:
        worker.build(dumps(handyman), pool)
        worker.receive().get()
        pool.tensor[100:104] = torch.tensor([1, 2, 3, 4])

        def add(target):
            target.pool[100:104] += 10
            return target.pool.numel(), str(target.pool.dtype)

        assert worker.ask(("do", add)) == (1 << 16, "torch.uint8")
        assert pool.tensor[99:105].tolist() == [0, 11, 12, 13, 14, 0]
    worker.close()


def test_values_are_put_read_and_freed(worker):
    def put(target):
        return target.values.pack((torch.arange(6.0).reshape(2, 3), None))

    packed = worker.ask(("do", put))
    assert packed[0].owner == worker.number
    same = worker.ask(
        ("do", lambda target, packed: target.values.unpack(packed)[0].sum().item(), packed)
    )
    assert same == 15.0
    worker.free([packed[0]])
    assert worker.ask(("do", lambda target: target.values.used_bytes)) == 0


def test_a_failed_order_without_a_reply_is_not_taken_for_one(worker):
    handle = worker.ask(("do", lambda target: target.values.put(torch.zeros(2))))
    worker.free([handle])
    worker.free([handle])
    worker.send(("do", lambda _: "mine"))
    with pytest.raises(GristmillError, match="nothing was taken at"):
        worker.receive()
    assert worker.receive().get() == "mine"


def test_a_worker_has_its_own_main_and_the_importing_paths_of_its_owner(worker, tmp_path):
    (tmp_path / "only_here_module.py").write_text("WORD = 'found'")

    def look(_, path):
        import sys

        sys.path.append(path)
        import only_here_module

        return only_here_module.WORD, sys.path

    word, paths = worker.ask(("do", look, str(tmp_path)))
    assert word == "found"
    assert set(sys.path) - {""} <= set(paths)


class Gate:
    """A mark that is reached when a later message says so."""

    def __init__(self, kept, name):
        self.kept, self.name = kept, name

    def reached(self):
        return self.name in self.kept

    def wait(self):
        if self.name not in self.kept:
            raise RuntimeError(f"{self.name} is not there")


def promise(target, name):
    return Later(name, [Gate(target.kept, name)])


def opening(target, *names):
    target.kept.update(dict.fromkeys(names))
    return Later("opened", [])


def test_replies_that_wait_for_a_device_let_the_worker_go_on_and_stay_in_order(worker):
    for name in ("first", "second"):
        worker.send(("do", promise, name))
    worker.send(("do", opening, "second"))
    worker.send(("do", opening, "first"))
    replies = [worker.receive() for _ in range(4)]
    assert [each.get() for each in replies] == ["first", "second", "opened", "opened"]
    # The device did one after the other, whenever the worker was told of them.
    assert all(one.end <= other.start for one, other in pairwise(replies))
    assert all(each.start <= each.end for each in replies)


def test_a_reply_that_cannot_wait_is_sent_after_those_that_do(worker):
    worker.send(("do", promise, "never"))
    worker.send(("do", lambda _: "at once"))
    failure = worker.receive().failure
    assert (failure.kind, failure.text) == ("RuntimeError", "never is not there")
    assert worker.receive().get() == "at once"


def test_a_worker_waits_for_its_device_without_messages(worker):
    def in_a_moment(target):
        import threading

        threading.Timer(0.05, lambda: target.kept.update(timer=None)).start()
        return promise(target, "timer")

    assert worker.ask(("do", in_a_moment)) == "timer"
