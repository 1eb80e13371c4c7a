from collections import deque

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.serve.refusal import Refusal
from gristmill.serve.replicas.dispatcher import Dispatcher
from gristmill.serve.replicas.process_replica import ProcessReplica
from gristmill.serve.runners.rows import Rows


class FakeProcess:
    """Takes batches; answers, dies and is given up when told to."""

    born = 0.0

    def __init__(self, pid=1, depth=1):
        self.pid, self.depth = pid, depth
        self.inside = deque()
        self.on_free = self.on_lost = None

    @property
    def has_room(self):
        return len(self.inside) < self.depth

    def run(self, task):
        assert self.has_room
        self.inside.append(task)

    def answer(self):
        task = self.inside.popleft()
        task.finish(Rows({"y": 2 * task.rows["x"]}), 0.1, "model")
        self.on_free()

    def die(self, began=True):
        tasks = list(self.inside)
        self.inside.clear()
        self.on_lost("died", tasks, began and bool(tasks))


async def never(place):
    raise AssertionError("not closed here")


def world(count, depth=1):
    dispatcher = Dispatcher(5.0)
    places = [ProcessReplica(rank, depth, dispatcher.submit, never) for rank in range(count)]
    dispatcher.places = places
    return dispatcher, places


def start(place, told, *values):
    place.start(Rows({"x": np.array(values, float)}), lambda outcome, _: told.append(outcome))


def test_a_batch_runs_where_it_was_started():
    dispatcher, (first, second) = world(2)
    processes = [FakeProcess(), FakeProcess()]
    for place, process in zip((first, second), processes, strict=True):
        assert dispatcher.adopt(place, process) is None
    told = []
    start(second, told, 1.0)
    assert [len(process.inside) for process in processes] == [0, 1]
    assert not second.idle.is_set()
    processes[1].answer()
    assert told[0]["y"].tolist() == [2.0]
    assert second.idle.is_set()
    assert second.answered_by == "model"


def test_no_more_than_depth_batches_are_inside():
    dispatcher, (place,) = world(1, depth=2)
    process = FakeProcess(depth=2)
    dispatcher.adopt(place, process)
    told = []
    for value in range(4):
        start(place, told, value)
    assert len(process.inside) == 2
    for _ in range(4):
        process.answer()
    assert [answer["y"].tolist() for answer in told] == [[0], [2], [4], [6]]


def test_a_batch_of_a_dead_place_runs_in_another_row_by_row():
    dispatcher, (first, second) = world(2)
    processes = [FakeProcess(), FakeProcess()]
    for place, process in zip((first, second), processes, strict=True):
        dispatcher.adopt(place, process)
    told = []
    start(first, told, 1.0, 2.0)
    processes[0].die()
    assert not first.available
    assert first.vacant.is_set()
    for _ in range(2):
        processes[1].answer()
    assert told[0]["y"].tolist() == [2.0, 4.0]
    assert (dispatcher.counts.lost, dispatcher.counts.retried) == (1, 2)


def test_what_had_not_begun_is_not_to_blame():
    dispatcher, (first, second) = world(2, depth=2)
    processes = [FakeProcess(depth=2), FakeProcess(depth=2)]
    for place, process in zip((first, second), processes, strict=True):
        dispatcher.adopt(place, process)
    told = []
    start(first, told, 1.0)
    start(first, told, 2.0, 3.0)
    processes[0].die()
    assert [(task.losses, task.rows.count) for task in processes[1].inside] == [(1, 1), (0, 2)]


def test_what_waits_for_a_process_is_taken_by_the_next_one_in_order():
    dispatcher, (place,) = world(1)
    told = []
    for value in range(3):
        start(place, told, value)
    process = FakeProcess()
    dispatcher.adopt(place, process)
    for _ in range(3):
        process.answer()
    assert [answer["y"].tolist() for answer in told] == [[0], [2], [4]]


def test_the_process_before_gets_nothing_new():
    dispatcher, (place,) = world(1)
    old, new = FakeProcess(), FakeProcess()
    dispatcher.adopt(place, old)
    told = []
    start(place, told, 1.0)
    start(place, told, 2.0)
    assert dispatcher.adopt(place, new) is old
    assert len(new.inside) == 1
    old.answer()
    assert not old.inside
    assert place.available
    new.answer()
    assert len(told) == 2


def test_an_old_process_that_dies_while_it_drains_does_not_empty_the_place():
    dispatcher, (place,) = world(1)
    old, new = FakeProcess(), FakeProcess()
    dispatcher.adopt(place, old)
    told = []
    start(place, told, 1.0)
    dispatcher.adopt(place, new)
    old.die()
    assert place.process is new
    new.answer()
    assert told[0]["y"].tolist() == [2.0]


def test_waiting_in_vain_ends_in_a_refusal():
    dispatcher, (place,) = world(1)
    told = []
    start(place, told, 1.0)
    since = dispatcher._homeless_since
    dispatcher.tick(since + 4.9)
    assert told == []
    dispatcher.tick(since + 5.1)
    assert told[0].status == 503
    assert str(told[0]) == "no replica of the model is left: none came back within 5.10 s"
    assert told[0].headers == (("Retry-After", "1"),)


def test_without_hope_nothing_waits():
    dispatcher, (place,) = world(1)
    place.problem = ValueError("the bundle is gone")
    told = []
    start(place, told, 1.0)
    dispatcher.tick(dispatcher._homeless_since)
    assert str(told[0]) == "no replica of the model is left: the bundle is gone"


def test_nothing_is_taken_while_stopping():
    dispatcher, (place,) = world(1)
    dispatcher.adopt(place, FakeProcess())
    dispatcher.stopping = True
    told = []
    start(place, told, 1.0)
    assert str(told[0]) == "the server is stopping"
    assert place.idle.is_set()


def test_a_batch_started_from_an_answer_is_not_lost():
    dispatcher, (place,) = world(1)
    process = FakeProcess()
    dispatcher.adopt(place, process)
    told = []
    rows = Rows({"x": np.ones(1)})
    place.start(rows, lambda *_: start(place, told, 5.0))
    process.answer()
    process.answer()
    assert told[0]["y"].tolist() == [10.0]


class Ordeal:
    """A set under random events: every batch is answered or refused exactly once."""

    def __init__(self, count, depth):
        self.dispatcher, self.places = world(count, depth)
        self.depth, self.told, self.asked = depth, {}, 0
        self.processes = []

    def step(self, event, which):
        place = self.places[which % len(self.places)]
        living = [each for each in self.processes if each.on_lost and not each.dead]
        process = living[which % len(living)] if living else None
        if event == "ask":
            self.ask(place, 1 + which % 3)
        elif event == "adopt":
            fresh = FakeProcess(depth=self.depth)
            fresh.dead = False
            self.processes.append(fresh)
            self.dispatcher.adopt(place, fresh)
        elif event == "answer" and process and process.inside:
            process.answer()
        elif event == "die" and process:
            process.dead = True
            process.die(began=which % 2 == 0)

    def ask(self, place, count):
        number, self.asked = self.asked, self.asked + 1
        rows = Rows({"x": np.full(count, float(number))})

        def done(outcome, _):
            assert number not in self.told
            self.told[number] = outcome

        place.start(rows, done)

    def finish(self):
        for place in self.places:
            if not place.available:
                fresh = FakeProcess(depth=self.depth)
                fresh.dead = False
                self.processes.append(fresh)
                self.dispatcher.adopt(place, fresh)
        while busy := [each for each in self.processes if each.inside]:
            busy[0].answer()


@settings(deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 2),
    st.lists(
        st.tuples(
            st.sampled_from(["ask", "ask", "ask", "answer", "answer", "adopt", "die"]),
            st.integers(0, 11),
        ),
        max_size=60,
    ),
)
def test_every_batch_has_exactly_one_outcome(count, depth, events):
    ordeal = Ordeal(count, depth)
    for event in events:
        ordeal.step(*event)
    ordeal.finish()
    assert sorted(ordeal.told) == list(range(ordeal.asked))
    for number, outcome in ordeal.told.items():
        if isinstance(outcome, Rows):
            assert set(outcome["y"]) == {2.0 * number}
        else:
            assert isinstance(outcome, Refusal) or outcome.outcomes
    assert all(place.idle.is_set() for place in ordeal.places)
