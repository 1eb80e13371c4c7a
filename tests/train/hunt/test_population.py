from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import TrainError, UsageError
from gristmill.core.seeds import derive_seed
from gristmill.train.hunt.controller import Resume, Start
from gristmill.train.hunt.hunt import Hunt
from gristmill.train.hunt.population import Population
from gristmill.train.hunt.simulated import simulate
from gristmill.train.space import Space, log_uniform

VALUES = st.sampled_from([0.0, 0.5, 0.75, 1.0, math.nan])


def reference(count, most, every, share, seed, value):
    """Generation by generation: the copies made, as (generation's end, who, from whom)."""
    members, at, copies = list(range(count)), 0, []
    trained = dict.fromkeys(members, 0)
    while at < most and members:
        end = min(at + every, most)
        for trial in list(members):
            for budget in range(at + 1, end + 1):
                if math.isnan(value(trial, budget)):
                    members.remove(trial)
                    break
                trained[trial] += 1
        at = end
        if at < most:
            order = sorted(members, key=lambda trial: (-value(trial, at), trial))
            count = min(max(1, int(share * len(order))), len(order) // 2)
            for trial in sorted(order[len(order) - count :]):
                source = order[derive_seed(seed, "exploit", at, trial) % count]
                if value(source, at) > value(trial, at):
                    copies.append((at, trial, source))
    return trained, copies


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_who_copies_whom(data):
    count, most = data.draw(st.integers(1, 9), "trials"), data.draw(st.integers(1, 7), "most")
    every, seed = data.draw(st.integers(1, most), "every"), data.draw(st.integers(0, 99), "seed")
    share = data.draw(st.sampled_from([0.1, 0.2, 0.34, 0.49]), "share")
    table = data.draw(st.lists(st.lists(VALUES, min_size=most, max_size=most),
                               min_size=count, max_size=count), "values")  # fmt: skip
    speed = data.draw(st.lists(st.integers(1, 3), min_size=count, max_size=count), "speed")
    devices, mixer = data.draw(st.integers(1, 4), "devices"), data.draw(st.randoms(), "mixer")

    rules = lambda trials: Population(trials, most, every=every, share=share, seed=seed)  # noqa: E731
    hunt = Hunt(rules, count, Space(), sampler="random")
    simulate(hunt, lambda trial, at: table[trial][at - 1], lambda trial, _: speed[trial], devices,
             arrivals=lambda some: mixer.sample(some, len(some)))  # fmt: skip

    made = [
        (each.at, each.trial, each.source)
        for event in hunt.record.events
        for each in getattr(event, "instructions", ())
        if isinstance(each, Resume) and each.source is not None
    ]
    trained, copies = reference(count, most, every, share, seed, lambda t, at: table[t][at - 1])
    assert made == copies
    assert {each.number: each.trained for each in hunt.ledger.trials} == trained


def test_the_weak_copy_before_the_strong_go_on():
    controller = Population(4, most=4, every=2, share=0.25)
    assert controller.next(9) == [Start(trial, 2) for trial in range(4)]
    for trial, score in enumerate([0.9, 0.2, 0.1, 0.3]):
        assert controller.report(trial, 1, 0.0) == "continue"
        assert controller.report(trial, 2, score) == "pause"
    assert controller.next(1) == [Resume(2, 4, at=2, source=0, copies=1)]
    assert controller.next(9) == [Resume(trial, 4, at=2) for trial in (0, 1, 3)]
    assert not controller.finished
    assert [controller.report(trial, 4, 0.5) for trial in range(4)] == ["stop"] * 4
    assert controller.finished


def test_equals_do_not_copy_each_other():
    controller = Population(2, most=2)
    controller.next(2)
    controller.report(0, 1, 0.5)
    controller.report(1, 1, 0.5)
    assert controller.next(2) == [Resume(0, 2, at=1), Resume(1, 2, at=1)]


def test_copies_are_counted():
    controller = Population(2, most=3)
    controller.next(2)
    for at in (1, 2):
        controller.report(0, at, 0.5)
        controller.report(1, at, 0.1)
        assert controller.next(2)[0] == Resume(1, at + 1, at=at, source=0, copies=at)


def test_who_fails_is_gone_and_the_others_go_on():
    controller = Population(3, most=2)
    controller.next(3)
    controller.report(0, 1, 0.5)
    controller.failed(1, "nan")
    assert controller.next(1) == []
    controller.report(2, 1, 0.5)
    assert controller.next(3) == [Resume(0, 2, at=1), Resume(2, 2, at=1)]
    controller.failed(0, "nan")
    controller.failed(2, "nan")
    assert controller.finished


def test_settings_are_copied_and_some_are_varied(curves):
    space = Space(lr=log_uniform(1e-4, 1.0), width=[8, 16, 32])
    rules = lambda trials: Population(trials, 2, share=0.49, seed=3)  # noqa: E731
    hunt = Hunt(rules, 4, space, sampler="random", vary=["lr"])
    simulate(hunt, lambda trial, at: float(-trial), lambda *_: 1.0, 2)
    first, last = hunt.ledger.trials[0], hunt.ledger.trials[3]
    assert (last.source, last.copies, last.copied_at) == (0, 1, 1)
    assert last.drawn["width"] == first.drawn["width"]
    assert last.drawn["lr"] / first.drawn["lr"] == pytest.approx(1.2) or (
        last.drawn["lr"] / first.drawn["lr"] == pytest.approx(0.8)
    )
    assert last.curve == {1: 0.0, 2: -3.0}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Population(0, 2), "trials must be at least 1, found 0"),
        (lambda: Population(2, 2, every=3), "expected 1 <= every <= most budget, found 3 and 2"),
        (lambda: Population(2, 2, share=0.5), "expected a share between 0 and 0.5, found 0.5"),
        (
            lambda: Population(2, 2).extend(3),
            "a population cannot change its size: expected 2 trials, found 3\n"
            "  fix: begin another search",
        ),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        call()


def test_reports_that_cannot_be():
    controller = Population(2, most=2)
    controller.next(1)
    with pytest.raises(TrainError, match=r"^trial 1 does not run, but reports budget 1$"):
        controller.report(1, 1, 0.5)
    with pytest.raises(TrainError, match=r"^trial 0 was to run until budget 1, but reports 2$"):
        controller.report(0, 2, 0.5)
