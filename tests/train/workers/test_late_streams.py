"""Copies of the stand-in are made when they are waited for, in order, and not before."""

from __future__ import annotations

import torch

from gristmill.train.workers.late_streams import LateStreams
from gristmill.train.workers.later import Later
from gristmill.train.workers.link_rates import link_rates, measured_link


def test_memory_is_aligned_and_full_of_nans():
    room = LateStreams().room(1024)
    assert room.numel() == 1024
    assert room.data_ptr() % 512 == 0
    assert room.view(torch.float32).isnan().all()


def test_a_copy_is_made_when_it_is_waited_for():
    streams = LateStreams()
    host, own = torch.arange(4.0), torch.zeros(4)
    mark = streams.up([(own, host)])
    host += 1  # whoever changes the source too early is found out
    assert own.tolist() == [0, 0, 0, 0]
    streams.follow(mark)
    assert own.tolist() == [1, 2, 3, 4]


def test_copies_of_a_lane_are_in_order_and_lanes_wait_for_each_other():
    streams = LateStreams()
    host, own, other = torch.ones(1), torch.zeros(1), torch.zeros(1)
    first = streams.up([(own, host)])
    down = streams.down([(other, own)], [first])
    last = streams.up([(own, host + 1)], [down])
    last.wait()
    assert (other.item(), own.item()) == (1, 2)
    assert first.reached()
    assert down.reached()


def test_asking_for_a_mark_again_and_again_lets_time_go_on():
    streams = LateStreams()
    own = torch.zeros(1)
    mark = streams.up([(own, torch.ones(1))])
    assert [mark.reached() for _ in range(3)] == [False, False, True]
    assert own.item() == 1
    assert streams.computed().reached()


def test_an_answer_waits_for_all_its_marks():
    streams = LateStreams()
    own = torch.zeros(2)
    marks = [streams.up([(own[:1], torch.ones(1))]), streams.down([(own[1:], torch.ones(1))], ())]
    later = Later("value", marks)
    asked = 0
    while not later.reached():
        asked += 1
    assert asked == 4
    assert own.tolist() == [1, 1]
    at_once = Later("value", [streams.up([(own, torch.zeros(2))])])
    at_once.wait()
    assert own.tolist() == [0, 0]


def test_the_link_is_measured_both_ways():
    up, down = link_rates(LateStreams(), torch.zeros(1 << 16, dtype=torch.uint8))
    assert min(up, down) > 0
    assert min(measured_link("late")) > 0
