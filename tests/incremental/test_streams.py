"""Many streams at a time: the memory that they may take, and who has to give it back."""

from __future__ import annotations

import gc
import threading
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gristmill.core.errors import UsageError
from gristmill.incremental import Model, Streams
from gristmill.incremental.changes.noise import NONE

MEMORY = 100


class Pretended:
    """A stream that takes as many bytes as its pictures have pixels, and computes nothing."""

    def __init__(self, log):
        self.bytes_, self._size, self._log = 0, None, log
        self._busy = False

    def __call__(self, image):
        assert not self._busy  # a stream is for one thread at a time
        self._busy = True
        try:
            return self._answer(image)
        finally:
            self._busy = False

    def _answer(self, image):
        height, width, channels = image.shape
        if channels != 3:
            raise UsageError("three channels")
        whole = self._size != (height, width)
        self._size, self.bytes_ = (height, width), height * width
        self._log.enter(self)
        return SimpleNamespace(whole=whole)

    def forget(self):
        self.bytes_, self._size = 0, None


class Log:
    """All pretended streams; what they take together is looked at whenever one computes."""

    def __init__(self):
        self.streams, self.most, self.gate = [], 0, None

    def begin(self):
        self.streams.append(Pretended(self))
        return self.streams[-1]

    def enter(self, _):
        self.most = max(self.most, self.bytes_)
        if self.gate is not None:
            self.gate()
        time.sleep(0)  # lets others run

    @property
    def bytes_(self):
        return sum(stream.bytes_ for stream in self.streams)


def picture(pixels, width=1):
    return np.zeros((pixels, width, 3), np.uint8)


class Reference:
    """What `Streams` should keep, said as plainly as possible: names and sizes, oldest first."""

    def __init__(self):
        self.kept = []

    def frame(self, name, size):
        before = dict(self.kept).get(name)
        self.kept = [each for each in self.kept if each[0] != name]
        if size > MEMORY:
            return None
        while sum(taken for _, taken in self.kept) + size > MEMORY:
            self.kept.pop(0)
        self.kept.append((name, size))
        return before != size

    def forget(self, name):
        self.kept = [each for each in self.kept if each[0] != name]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 5), st.sampled_from([5, 20, 35, 50, 90, 101, 130])),
        st.tuples(st.integers(0, 5), st.none()),
    ),
    min_size=15,
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_what_is_kept_is_what_was_used_last_and_fits(steps):
    log, reference = Log(), Reference()
    streams = Streams(log.begin, MEMORY)
    for name, size in steps:
        if size is None:
            assert streams.forget(name) == (name in dict(reference.kept))
            reference.forget(name)
        else:
            expected = reference.frame(name, size)
            if expected is None:
                with pytest.raises(UsageError, match=f"a stream of 1x{size} pixels takes {size} B"):
                    streams(name, picture(size))
            else:
                assert streams(name, picture(size)).whole == expected
        counts = streams.counts
        assert (counts.streams, counts.bytes_) == (
            len(reference.kept),
            sum(taken for _, taken in reference.kept),
        )
        assert log.bytes_ == counts.bytes_ <= MEMORY


def test_room_is_made_before_a_stream_of_a_known_size_is_computed():
    log = Log()
    streams = Streams(log.begin, MEMORY)
    streams("first", picture(40))
    log.most = 0
    for number in range(20):
        streams(number, picture(40))
    assert log.most <= MEMORY
    assert streams.counts.evicted == 19


def test_a_stream_that_is_in_use_keeps_its_values_and_others_wait():
    log = Log()
    streams = Streams(log.begin, MEMORY)
    streams("known", picture(60))
    inside, go_on = threading.Event(), threading.Event()

    def stop_here():
        inside.set()
        assert go_on.wait(60)

    log.gate = stop_here
    first = threading.Thread(target=streams, args=("known", picture(60)))
    first.start()
    assert inside.wait(60)
    log.gate = None
    answers = []
    second = threading.Thread(target=lambda: answers.append(streams("other", picture(60))))
    second.start()
    second.join(0.05)  # in which it would have ended by far
    assert not answers
    assert streams.counts.bytes_ == 60
    go_on.set()
    for thread in (first, second):
        thread.join(60)
    assert answers[0].whole
    assert streams.counts.evicted == 1
    assert not streams("other", picture(60)).whole


def test_one_stream_at_a_time_finds_out_what_a_size_takes():
    log = Log()
    streams = Streams(log.begin, MEMORY)
    inside, go_on = threading.Event(), threading.Event()

    def stop_here():
        inside.set()
        assert go_on.wait(60)

    log.gate = stop_here
    threads = [threading.Thread(target=streams, args=(name, picture(60))) for name in "ab"]
    threads[0].start()
    assert inside.wait(60)
    threads[1].start()
    threads[1].join(0.05)
    assert log.bytes_ == 60
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert log.most == 60
    assert streams.counts.evicted == 1


def test_a_stream_forgotten_while_it_is_used_begins_anew():
    log = Log()
    streams = Streams(log.begin, MEMORY)
    streams("a", picture(10))
    log.gate = lambda: streams.forget("a")
    assert not streams("a", picture(10)).whole
    log.gate = None
    assert streams.counts.bytes_ == log.bytes_ == 0
    assert streams("a", picture(10)).whole


def test_many_threads_stay_within_the_bound():
    log = Log()
    streams = Streams(log.begin, MEMORY)
    sizes = (20, 30, 45)
    for size in sizes:  # known from here on
        streams("first", picture(size))
    log.most, wrong = 0, []

    def camera(seed):
        draw = np.random.default_rng(seed)
        for _ in range(150):
            try:
                streams(int(draw.integers(6)), picture(int(draw.choice(sizes))))
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=camera, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert log.most <= MEMORY
    assert streams.counts.frames == 3 + 4 * 150
    assert streams.counts.bytes_ == log.bytes_


def test_nothing_is_kept_of_a_stream_without_an_answer():
    streams = Streams(Log().begin, MEMORY)
    streams("a", picture(60))
    with pytest.raises(UsageError, match="three channels"):
        streams("b", np.zeros((60, 1, 4), np.uint8))
    with pytest.raises(UsageError, match="three channels"):
        streams("a", np.zeros((60, 1, 4), np.uint8))
    assert streams.counts[:2] == (0, 0)  # "a" made room for "b", which was to take as much


def test_idle_streams_are_closed():
    now = [0.0]
    streams = Streams(Log().begin, MEMORY, idle="1min", clock=lambda: now[0])
    streams("a", picture(10))
    now[0] = 40.0
    streams("b", picture(10))
    now[0] = 61.0
    assert streams.close_idle() == 1
    assert streams.counts.bytes_ == 10
    now[0] = 200.0
    streams("c", picture(10))
    assert (streams.counts.streams, streams.counts.idle) == (1, 2)
    streams.clear()
    assert streams.counts.bytes_ == 0


@pytest.mark.parametrize(("memory", "idle"), [(0, 1.0), (-1, 1.0), (1, 0.0), ("much", 1.0)])
def test_bounds_that_make_no_sense(memory, idle):
    with pytest.raises(UsageError):
        Streams(Log().begin, memory, idle=idle)


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.MaxPool2d(2)
        ).eval()
    return Model.from_module(module, torch.zeros(1, 3, 32, 48), calibration=0.2)


def test_answers_are_those_of_the_network_whatever_was_evicted(model):
    draw = np.random.default_rng(0)
    begin = partial(model.stream, noise=NONE)
    alone = begin()
    alone(draw.integers(0, 256, (32, 48, 3), np.uint8))
    streams = Streams(begin, 2 * alone.bytes_ + 1)
    images = draw.integers(0, 256, (5, 32, 48, 3), np.uint8)
    for _ in range(30):
        name = int(draw.integers(5))
        images[name, 8:12, 8:12] = draw.integers(0, 256)
        (output,) = streams(name, images[name]).outputs
        (wanted,) = model(torch.from_numpy(images[name]).permute(2, 0, 1)[None] / 255)
        assert torch.equal(output, wanted)
        assert streams.counts.bytes_ <= streams.memory
    assert streams.counts.evicted > 0


def test_cameras_in_threads_of_their_own_are_answered_as_if_they_were_alone(model):
    begin = partial(model.stream, noise=NONE)
    streams = Streams(begin, "250kB")  # there is room for two of three
    wrong = []

    def camera(name):
        draw = np.random.default_rng(name)
        image = draw.integers(0, 256, (32, 48, 3), np.uint8)
        for number in range(12):
            image[number : number + 6, 8:12] = draw.integers(0, 256)
            (output,) = streams(name, image).outputs
            (wanted,) = model(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
            if not torch.equal(output, wanted):
                wrong.append((name, number))

    threads = [threading.Thread(target=camera, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert streams.counts.frames == 36
    assert streams.counts.bytes_ <= streams.memory


def test_a_day_of_frames_takes_no_more_memory_than_its_first_minute(model):
    """86,400 seconds pass on a clock of their own; cameras come, change their size and go."""
    now = [0.0]
    begin = partial(model.stream, noise=NONE)
    streams = Streams(begin, "1200kB", idle="5min", clock=lambda: now[0])
    draw = np.random.default_rng(1)
    ground = draw.integers(0, 256, (32, 48, 3), np.uint8)
    bytes_, objects = [], []
    frames = 1600
    for number in range(frames):
        now[0] += 86_400 / frames
        image = ground.copy()
        place = number % 40
        image[4:8, place : place + 4] = number % 256
        streams(("camera", number % 4), image)
        if number % 4 == 0:
            streams(("guest", number), image[: 32 - number % 8])
        if number % 400 == 399:
            gc.collect()
            bytes_.append(streams.counts.bytes_)
            objects.append(len(gc.get_objects()))
    assert max(bytes_[1:]) <= bytes_[0]
    assert max(objects[1:]) - objects[0] < 200
    assert streams.counts.idle > frames / 8
    assert streams.counts.frames == frames + frames // 4
