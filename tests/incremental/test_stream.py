"""Streams end to end: pictures in, answers out, those of the whole network on what it saw."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from gristmill.core.errors import UsageError
from gristmill.incremental import Model, Pixels
from gristmill.incremental.changes.noise import DECODED, NONE
from gristmill.incremental.execution import unit
from gristmill.incremental.execution.step import Step
from gristmill.incremental.execution.whole import Whole
from gristmill.incremental.planning.allowance import Allowance
from gristmill.incremental.planning.prospect import Prospect
from gristmill.incremental.regions.region_set import RegionSet

PIXELS = Pixels(mean=(120.0, 110.0, 100.0), deviation=(60.0, 60.0, 60.0))
FAR = Pixels(mean=(1e9, 1e9, 1e9))
"""Beside so large a mean, levels are lost in the numbers."""


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.deep = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 1))
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.deep(x)
        return self.head(x.mean((2, 3))), nn.functional.max_pool2d(x, 2)


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Net().eval()
    return Model.from_module(module, torch.zeros(1, 3, 96, 128), calibration=0.3)


@pytest.fixture(autouse=True)
def all_are_looked_at(monkeypatch):
    """However little time a network this small takes."""
    monkeypatch.setattr(Allowance, "looks", True)


@pytest.fixture
def pictures():
    """A function: pictures of a square that walks over a still ground."""

    def made(count, height=96, width=128):
        ground = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        for number in range(count):
            picture = ground.copy()
            place = 5 + 3 * number
            picture[place : place + 10, place : place + 12] = 255 - 7 * number
            yield picture

    return made


def expected(model, image):
    return model(PIXELS.frame(image))


def same(found, wanted):
    return len(found) == len(wanted) and all(map(torch.equal, found, wanted))


def test_answers_are_those_of_the_whole_network_bit_for_bit(model, pictures):
    stream = model.stream(noise=NONE, pixels=PIXELS)
    for number, picture in enumerate(pictures(12)):
        answer = stream(picture)
        assert same(answer.outputs, expected(model, picture))
        assert np.array_equal(stream.reference, picture)
        assert answer.whole == (number == 0) or answer.share > 0
        assert (answer.share == 1.0) == (number == 0)


@pytest.mark.parametrize("error", [None, 0.05])
def test_where_planning_does_not_pay_frames_are_whole_and_say_what_changed(
    model, pictures, monkeypatch, error
):
    planned = model.stream(noise=NONE, pixels=PIXELS)
    changed = [planned(picture).changed for picture in pictures(6)]
    monkeypatch.setattr(Allowance, "plans", False)
    stream = model.stream(noise=NONE, pixels=PIXELS, error=error)
    for number, picture in enumerate(pictures(6)):
        answer = stream(picture)
        assert same(answer.outputs, expected(model, picture))
        assert answer.whole
        assert answer.changed == changed[number]
        assert (answer.share == 1.0) == (number == 0)
        assert {row.does for row in stream.explain()} == {"dense"}
    assert not stream(picture).whole  # where nothing has changed, nothing is computed


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    ways=st.lists(st.sampled_from(["plans", "looks", "neither"]), min_size=2, max_size=8),
    noise=st.sampled_from([NONE, DECODED]),
    error=st.sampled_from([None, 0.05]),
    pixels=st.sampled_from([PIXELS, FAR]),
    keeps=st.booleans(),
    data=st.data(),
)
def test_pictures_that_nobody_looks_at_are_not_lost(
    model, pictures, monkeypatch, ways, noise, error, pixels, keeps, data
):
    frames = list(pictures(4))
    # Whether values of whole frames are kept is otherwise a matter of what takes less time here.
    alone = None if keeps else Whole(model.graph, (3, 96, 128))
    monkeypatch.setattr(model.sized(96, 128), "_alone", alone)
    stream = model.stream(noise=noise, pixels=pixels, error=error)
    for number, way in enumerate(ways):
        monkeypatch.setattr(Allowance, "plans", way == "plans")
        monkeypatch.setattr(Allowance, "looks", way != "neither")
        picture = data.draw(st.sampled_from(frames)).copy()
        answer = stream(picture)
        given = picture.copy()
        picture[:] = 0  # the caller's own: nothing is read of it afterwards
        if answer.changed:
            # The first one is compared with none, and whoever plans has looked.
            unseen = way == "neither" and number > 0
            assert {row.unseen for row in stream.explain()} == {unseen}
        if way == "neither":
            assert answer.whole
            assert answer.share == 1.0
            assert answer.changed == RegionSet.whole(96, 128)
        if data.draw(st.booleans()) and (noise is NONE or way == "neither"):
            assert np.array_equal(stream.reference, given)
            assert stream.input_error() == (0, 0.0)
        if error is None or (answer.whole and way != "plans"):
            wanted = model(pixels.frame(np.asarray(stream.reference)))
            assert same(answer.outputs, wanted)


def test_noise_is_passed_over_and_the_answer_is_that_of_the_reference(model, pictures):
    stream = model.stream(pixels=PIXELS)
    random = np.random.default_rng(1)
    (first,) = pictures(1)
    stream(first)
    noisy = np.clip(first.astype(int) + random.integers(-3, 4, first.shape), 0, 255)
    answer = stream(noisy.astype(np.uint8))
    assert answer.share == 0.0
    assert not answer.changed
    assert not answer.whole
    assert same(answer.outputs, expected(model, first))
    assert stream.input_error().largest == 3
    for picture in pictures(6):
        answer = stream(picture)
        assert same(answer.outputs, expected(model, stream.reference))


def test_the_reference_is_kept_once_as_numbers_and_once_as_levels(model, pictures):
    stream = model.stream(noise=NONE, pixels=PIXELS)
    for picture in pictures(3):
        stream(picture)
        under_way = stream._under_way
        assert torch.equal(under_way._state.reference, PIXELS.frame(stream.reference))
        assert stream.bytes_ == under_way._state.bytes_ + under_way.detector.bytes


def test_answers_are_the_callers_own(model, pictures):
    stream = model.stream(noise=NONE, pixels=PIXELS)
    (picture,) = pictures(1)
    answer = stream(picture)
    for value in answer.outputs:
        value.zero_()
    assert same(stream(picture).outputs, expected(model, picture))


def test_what_changed_stays_as_it_was_told(model, pictures):
    stream = model.stream(noise=NONE, pixels=PIXELS)
    first, second, third = pictures(3)
    stream(first)
    early, late = model.stream(noise=NONE, pixels=PIXELS), stream(second)
    early(first)
    wanted = early(second).changed
    stream(third)
    assert late.changed == wanted


def test_to_ask_for_outputs_takes_no_memory_of_the_stream(model, pictures):
    stream = model.stream(noise=NONE, pixels=PIXELS)
    for picture in pictures(2):
        stream(picture)
        kept = [v for v in stream._under_way._state.values if v is not None]
        assert stream._under_way._state.bytes_ == sum(v.nbytes for v in kept)


def test_streams_know_nothing_of_each_other(model, pictures):
    one, other = (model.stream(noise=NONE, pixels=PIXELS) for _ in range(2))
    frames = list(pictures(6))
    for here, there in zip(frames, reversed(frames), strict=True):
        assert same(one(here).outputs, expected(model, here))
        assert same(other(there).outputs, expected(model, there))


def test_another_size_begins_anew(model, pictures):
    stream = model.stream(noise=NONE, pixels=PIXELS)
    (large,), (small,) = pictures(1), pictures(1, 64, 72)
    for picture in (large, small, large):
        answer = stream(picture)
        assert answer.whole
        assert same(answer.outputs, expected(model, picture))
    assert stream.bytes_ > 0
    stream.forget()
    assert stream.bytes_ == 0
    assert stream.reference is None


def test_a_picture_that_was_broken_off_is_not_lost(model, pictures, monkeypatch):
    stream = model.stream(noise=NONE, pixels=PIXELS)
    first, second, third = pictures(3)
    stream(first)

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Step, "update", stopped)
        patch.setattr(Step, "whole", stopped)
        with pytest.raises(KeyboardInterrupt):
            stream(second)
    assert same(stream(third).outputs, expected(model, third))


def test_what_frames_reach_is_tabled_before_the_first_one(model, pictures, monkeypatch):
    fresh = Model(model.graph, calibration=0.0)
    fresh.sized(96, 128)
    monkeypatch.setattr(unit, "ReachTable", None)  # a table that was made now would fail
    monkeypatch.setattr(Allowance, "plans", True)
    monkeypatch.setattr(Prospect, "worth_planning", lambda *_: True)
    stream = fresh.stream(noise=NONE, pixels=PIXELS)
    for picture in pictures(4):
        assert same(stream(picture).outputs, expected(model, picture))


def test_garbage_of_the_capture_stops_no_frame(model):
    class Knot:
        def __init__(self):
            self.itself = self

    knot = Knot()
    gc.collect()  # now only a full collection finds it
    gone = weakref.ref(knot)
    del knot
    model.sized(48, 56)
    assert gone() is None


def test_what_was_done_is_explained(model, pictures):
    stream = model.stream(noise=NONE, pixels=PIXELS)
    first, second = pictures(2)
    stream(first)
    assert {row.does for row in stream.explain()} == {"dense"}
    stream(second)
    rows = stream.explain()
    assert all(0.0 < row.reached <= 1.0 for row in rows)
    assert rows[-1].flops <= rows[-1].dense_flops


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ([[0]], "expected a picture of uint8, found list"),
        (np.zeros((8, 8, 3), np.float32), "expected a picture of uint8, found float32"),
        (np.zeros((8, 8), np.uint8), r"expected a picture \[height, width, 3\], red first, found"),
        (np.zeros((8, 8, 4), np.uint8), r"found \[8, 8, 4\]"),
        (np.zeros((0, 8, 3), np.uint8), r"found \[0, 8, 3\]"),
    ],
)
def test_what_is_no_picture(model, image, message):
    with pytest.raises(UsageError, match=message):
        model.stream()(image)


def test_a_stream_without_a_picture(model):
    stream = model.stream()
    for ask in (stream.input_error, stream.explain):
        with pytest.raises(UsageError, match="expected a stream that has seen a picture"):
            ask()


def test_calls_that_no_rule_knows_are_told(model):
    assert model.notes == ()
