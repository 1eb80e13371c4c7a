"""Copies of records in a device's memory: what moves, what stays, and whose room is taken."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from gristmill.core.errors import TrainError
from gristmill.train.feeds.batch import Batch
from gristmill.train.graphs.tensor_spec import TensorSpec
from gristmill.train.jobs.device_memory import ALIGNMENT, DeviceMemory, room_bytes
from gristmill.train.jobs.order import Done, Order
from gristmill.train.jobs.trial_plan import BUFFERS, STATE, WEIGHTS
from gristmill.train.records.layout import RecordLayout
from gristmill.train.tasks.task import Task
from gristmill.train.workers.late_streams import LateStreams

BLOCK = 4096
LAYOUTS = {
    WEIGHTS: RecordLayout.of(
        [TensorSpec("a", (5,), "float32", True), TensorSpec("b", (3,), "float32", True)]
    ),
    BUFFERS: RecordLayout.of([TensorSpec("mean", (2,), "float32", False)]),
    STATE: RecordLayout.of(
        [
            TensorSpec("a/exp_avg", (5,), "float32", False),
            TensorSpec("a/step", (), "float32", False),
            TensorSpec("a/gristmill.present", (1,), "uint8", False),
        ]
    ),
}


class Records:
    """A pool of six places, each with a record of numbers of its own, and a memory above it."""

    def __init__(self, blocks):
        self.pool = torch.zeros(6 * BLOCK, dtype=torch.uint8)
        self.memory = DeviceMemory(LateStreams(), self.pool, blocks * BLOCK)
        self.memory.open(0, SimpleNamespace(optimizer=partial(torch.optim.Adam, lr=0.1)))
        self.marks = []

    def host(self, at, section=WEIGHTS):
        return LAYOUTS[section].views(self.pool[at * BLOCK : (at + 1) * BLOCK])

    def order(self, kind, places, step=0, **more):
        return Order(Task(0, step, kind, 0, -1), (0, 1), dict(places), **more)

    def bring(self, order):
        layouts = {place: LAYOUTS[place[1]] for place in order.offsets}
        return self.memory.bring(order, layouts)

    def views(self, order, place):
        return self.memory.views(order, place, LAYOUTS[place[1]])

    def finish(self, order, **changed):
        names = {place: changed[place[1]] for place in order.offsets if place[1] in changed}
        return self.memory.finish(order, lambda: names, Done())

    def used(self, shard, step=0):
        """Compute with a shard's weights; return the bytes that were copied up for it."""
        order = self.order("forward", {(shard, WEIGHTS): shard * BLOCK}, step)
        self.bring(order)
        later = self.finish(order)
        later.wait()
        return later.value.moved[0]


@pytest.fixture
def records():
    return Records


def test_a_record_goes_up_once_and_what_was_changed_comes_down(records):
    few = records(4)
    few.host(1)["a"].fill_(7)
    order = few.order("update", {(0, WEIGHTS): BLOCK}, step=3)
    few.bring(order)
    own = few.views(order, (0, WEIGHTS))
    assert own["a"].tolist() == [7] * 5
    assert all(view.data_ptr() % ALIGNMENT == 0 for view in own.values())
    own["a"] += 1
    own["b"] -= 1
    later = few.finish(order, weights=["a"])
    assert few.host(1)["a"].tolist() == [7] * 5  # it is on its way
    later.wait()
    assert few.host(1)["a"].tolist() == [8] * 5
    assert few.host(1)["b"].tolist() == [0] * 3  # nobody said it had changed
    assert later.value.moved == (32, 20)
    few.host(1)["a"].fill_(-1)  # of the version after the update the device has a copy
    following = few.order("forward", {(0, WEIGHTS): BLOCK}, step=4)
    few.bring(following)
    assert few.views(following, (0, WEIGHTS))["a"].tolist() == [8] * 5


def test_what_changes_between_versions_is_always_copied(records):
    few = records(4)
    for number in range(3):
        few.host(2, BUFFERS)["mean"].fill_(number)
        order = few.order("forward", {(0, BUFFERS): 2 * BLOCK})
        few.bring(order)
        own = few.views(order, (0, BUFFERS))["mean"]
        assert own.tolist() == [number] * 2
        own += 0.5
        few.finish(order, buffers=["mean"]).wait()
        assert few.host(2, BUFFERS)["mean"].tolist() == [number + 0.5] * 2


def test_numbers_that_the_optimiser_keeps_on_the_host_stay_there(records):
    few = records(4)
    order = few.order("update", {(0, STATE): 0})
    few.bring(order)
    views = few.views(order, (0, STATE))
    views["a/step"] += 1
    views["a/gristmill.present"].fill_(1)
    views["a/exp_avg"].fill_(2)
    few.finish(order, state=list(views)).wait()
    assert [each.sum().item() for each in few.host(0, STATE).values()] == [10, 1, 1]
    assert room_bytes(list(LAYOUTS.values())) == 3 * BLOCK


def test_the_record_used_longest_ago_gives_way(records):
    few = records(2)
    assert [few.used(shard) for shard in (0, 1, 0, 2, 0, 1)] == [32, 32, 0, 32, 0, 32]


def test_a_later_version_is_copied_anew(records):
    few = records(2)
    assert [few.used(0, step) for step in (0, 0, 1, 1)] == [32, 0, 32, 0]


def test_room_is_taken_over_only_after_what_it_held_is_down(records):
    few = records(1)
    order = few.order("update", {(0, WEIGHTS): 0})
    few.bring(order)
    few.views(order, (0, WEIGHTS))["a"].fill_(5)
    later = few.finish(order, weights=["a", "b"])
    few.host(1)["a"].fill_(6)
    few.used(1)  # takes its place
    later.wait()
    assert few.host(0)["a"].tolist() == [5] * 5


def test_a_task_larger_than_the_room_is_an_error(records):
    few = records(1)
    with pytest.raises(TrainError, match=r"need 8.19 KB .* 4.10 KB are for records\n  fix: raise"):
        few.bring(few.order("forward", {(0, WEIGHTS): 0, (1, WEIGHTS): BLOCK}))


def test_what_is_lifted_is_there_when_its_task_comes(records):
    few = records(3)
    few.used(0)
    wanted = [((1, WEIGHTS), 0, BLOCK), ((2, WEIGHTS), 0, 2 * BLOCK)]
    layouts = {place: LAYOUTS[WEIGHTS] for place, _, _ in wanted}
    few.host(1)["a"].fill_(3)
    later = few.memory.lift(0, wanted, layouts)
    later.wait()
    few.host(1)["a"].fill_(4)  # whoever has the reply may put something else there
    order = few.order("forward", {(1, WEIGHTS): BLOCK})
    few.bring(order)
    assert few.views(order, (1, WEIGHTS))["a"].tolist() == [3] * 5
    assert few.finish(order).value.moved == (64, 0)


def test_lifting_takes_no_room_from_what_was_just_used_or_lifted(records):
    few = records(2)
    few.used(0)
    layouts = {(shard, WEIGHTS): LAYOUTS[WEIGHTS] for shard in range(4)}
    few.memory.lift(0, [((shard, WEIGHTS), 0, shard * BLOCK) for shard in (1, 2)], layouts).wait()
    assert [few.used(0), few.used(1)] == [32, 0]  # the 32 bytes are those that were lifted
    few.used(1)
    few.memory.lift(0, [((3, WEIGHTS), 0, 3 * BLOCK)], layouts).wait()
    assert few.used(3) == 32
    assert few.used(1) == 0
    assert few.used(0) == 32  # it had to go


def test_holes_in_the_wrong_places_are_cleared(records):
    few = records(4)
    wide = RecordLayout.of([TensorSpec("w", (2 * BLOCK // 4,), "float32", True)])
    for shard in range(4):
        few.used(shard)
    order = few.order("forward", {(1, WEIGHTS): BLOCK, (3, WEIGHTS): 3 * BLOCK, (5, "wide"): 0})
    layouts = {(1, WEIGHTS): LAYOUTS[WEIGHTS], (3, WEIGHTS): LAYOUTS[WEIGHTS], (5, "wide"): wide}
    offsets = few.memory.bring(order, layouts)
    assert len(set(offsets)) == 3


def test_a_forgotten_trial_has_no_copies(records):
    few = records(2)
    few.used(0)
    few.host(0)["a"].fill_(9)
    few.memory.forget(0)
    assert few.used(0) == 32


def test_replicas_drop_what_others_have_changed_too(records):
    few = records(2)
    order = few.order("update", {(0, WEIGHTS): 0}, replicas=2)
    few.bring(order)
    few.finish(order, weights=["a"]).wait()
    assert few.used(0, step=1) == 32


def test_values_keep_strides_and_alignment(records):
    few = records(1)
    base = torch.arange(24.0)
    for value in (base[3:15].view(3, 4).t(), base[1:2].expand(5), base[:0]):
        found = few.memory.receive(value)
        assert torch.equal(found, value)
        assert found.stride() == value.stride()
        assert found.data_ptr() % 64 == value.data_ptr() % 64 or not value.numel()
        assert not value.numel() or found.data_ptr() != value.data_ptr()
    rows = Batch((base.view(6, 4),), None, torch.ones(6))
    assert few.memory.receive(rows) is rows  # its device is the CPU
    assert few.memory.receive(3) == 3
