from gristmill.train.workers.emulated import Emulated, emulated
from gristmill.train.workers.payload import dumps


def test_it_takes_the_seconds_of_its_first_argument(cradle):
    worker = cradle.start(5)
    worker.build(dumps(emulated()))
    worker.receive().get()
    worker.send(("run", 0.012, "forward"))
    reply = worker.receive()
    assert reply.get() == 5
    assert reply.end - reply.start >= 0.012
    worker.close()


def test_seconds_can_come_from_what_a_task_is(cradle):
    costs = {"forward": 0.001, "backward": 0.015}
    worker = cradle.start(0)
    worker.build(dumps(emulated(lambda kind, micro: costs[kind] * micro)))
    worker.receive().get()
    worker.send(("run", "backward", 2))
    reply = worker.receive()
    assert reply.end - reply.start >= 0.03
    worker.close()


def test_no_seconds_are_no_sleep():
    assert Emulated(3).run(0.0) == 3
    assert Emulated(3).run(-1.0) == 3
