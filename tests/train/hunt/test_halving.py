from __future__ import annotations

import math
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.hunt.controller import Resume, Start, Stop
from gristmill.train.hunt.halving import Bracket, halving, hyperband
from gristmill.train.hunt.hunt import Hunt
from gristmill.train.hunt.simulated import simulate
from gristmill.train.space import Space

VALUES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, math.nan])


def reference(trials, budgets, eta, value):
    """Train rung by rung, each time the best of the rung below: {trial: units trained}."""
    trained = {}
    contenders = list(trials)
    for rung, budget in enumerate(budgets):
        size = max(1, len(trials) // eta**rung)
        arrived = []
        for trial in contenders:
            if len(arrived) == size:
                break
            fails = [at for at in range(1, budget + 1) if math.isnan(value(trial, at))]
            trained[trial] = fails[0] - 1 if fails else budget
            if not fails:
                arrived.append(trial)
        contenders = sorted(arrived, key=lambda trial: (-value(trial, budget), trial))
    return trained


def brackets(count, most, least, eta, hedged):
    """Yield trials and budgets of each bracket, by the definitions."""
    deepest = 0
    while least * eta ** (deepest + 1) <= most:
        deepest += 1
    first, number = 0, 0
    while first < count:
        halvings, size = 0, count
        if hedged:
            halvings = deepest - number % (deepest + 1)
            size = min(count - first, math.ceil((deepest + 1) * eta**halvings / (halvings + 1)))
        else:
            while halvings < deepest and eta ** (halvings + 1) <= count:
                halvings += 1
        yield (
            range(first, first + size),
            [most // eta ** (halvings - k) for k in range(halvings + 1)],
        )
        first, number = first + size, number + 1


@settings(max_examples=70, deadline=None)
@given(st.data())
def test_which_trials_get_which_budget(data):
    count = data.draw(st.integers(1, 14), "trials")
    most, eta = data.draw(st.integers(1, 12), "most"), data.draw(st.integers(2, 4), "eta")
    least, hedged = data.draw(st.integers(1, most), "least"), data.draw(st.booleans(), "hedged")
    table = data.draw(st.lists(st.lists(VALUES, min_size=most, max_size=most),
                               min_size=count, max_size=count), "values")  # fmt: skip
    speed = data.draw(st.lists(st.integers(1, 3), min_size=count, max_size=count), "speed")
    devices, mixer = data.draw(st.integers(1, 5), "devices"), data.draw(st.randoms(), "mixer")
    maximise = data.draw(st.booleans(), "maximise")
    sign = 1 if maximise else -1

    make = hyperband if hedged else halving
    rules = lambda trials: make(trials, most, least=least, eta=eta)  # noqa: E731
    hunt = Hunt(rules, count, Space(), sampler="random", maximise=maximise)
    simulate(hunt, lambda trial, at: sign * table[trial][at - 1], lambda trial, _: speed[trial],
             devices, arrivals=lambda some: mixer.sample(some, len(some)))  # fmt: skip

    expected = {}
    for trials, budgets in brackets(count, most, least, eta, hedged):
        expected |= reference(trials, budgets, eta, lambda trial, at: table[trial][at - 1])
    assert {each.number: each.trained for each in hunt.ledger.trials} == expected
    states = {"complete", "stopped", "failed"}
    assert {each.state for each in hunt.ledger.trials} <= states
    assert all((each.state == "complete") == (each.trained == most) for each in hunt.ledger.trials)


def test_a_rung_pauses_and_the_best_go_on():
    controller = halving(4, most=4, eta=2)
    assert controller.next(3) == [Start(0, 1), Start(1, 1), Start(2, 1)]
    assert [controller.report(trial, 1, score) for trial, score in ((0, 0.1), (2, 0.3))] == (
        ["pause", "pause"]
    )
    assert controller.next(2) == [Start(3, 1)]
    assert controller.next(2) == []
    assert controller.report(1, 1, 0.3) == "pause"
    assert controller.next(2) == []
    assert controller.report(3, 1, 0.2) == "pause"
    assert controller.next(1) == [Resume(1, 2, at=1)]
    assert controller.next(1) == [Resume(2, 2, at=1)]
    assert controller.report(1, 2, 0.5) == "pause"
    assert controller.report(2, 2, 0.6) == "pause"
    assert controller.next(0) == [
        Stop(3, "number 3 of 4 at budget 1, 2 went on"),
        Stop(0, "number 4 of 4 at budget 1, 2 went on"),
    ]
    assert controller.next(2) == [Resume(2, 4, at=2)]
    assert controller.report(2, 3, 0.0) == "continue"
    assert not controller.finished
    assert controller.report(2, 4, 0.0) == "stop"
    assert not controller.finished
    assert controller.next(0) == [Stop(1, "number 2 of 2 at budget 2, 1 went on")]
    assert controller.finished


def test_a_failure_leaves_its_place_to_the_next_best():
    controller = halving(2, most=2, eta=2)
    controller.next(2)
    controller.report(0, 1, 0.9)
    controller.report(1, 1, 0.1)
    assert controller.next(2) == [Resume(0, 2, at=1)]
    controller.failed(0, "out of memory")
    assert controller.next(2) == [Resume(1, 2, at=1)]
    assert controller.report(1, 2, 0.2) == "stop"
    assert controller.finished


def test_all_fail():
    controller = halving(3, most=9, eta=3)
    controller.next(3)
    for trial in range(3):
        assert not controller.finished
        controller.failed(trial, "no")
    assert controller.finished
    assert controller.next(9) == []


def test_devices_that_a_rung_leaves_idle_work_on_the_next_bracket():
    controller = hyperband(17, most=9, eta=3)
    assert [len(bracket.trials) for bracket in controller.brackets] == [9, 5, 3]
    assert len(controller.next(9)) == 9
    assert controller.next(2) == [Start(9, 3), Start(10, 3)]


def test_few_trials_are_not_halved_more_often_than_they_can_be():
    assert [rung.budget for rung in halving(15, 64, eta=4).brackets[0].rungs] == [16, 64]
    assert [rung.budget for rung in halving(3, 64, eta=4).brackets[0].rungs] == [64]


def test_more_trials_are_a_bracket_of_their_own():
    controller = halving(2, most=2, eta=2)
    controller.next(2)
    controller.report(0, 1, 0.0)
    controller.report(1, 1, 0.5)
    controller.extend(4)
    assert controller.next(9) == [Resume(1, 2, at=1), Start(2, 1), Start(3, 1)]


def test_an_empty_rung_is_complete_at_once():
    bracket = Bracket(range(2), (1, 2, 4), (2, 1, 1))
    bracket.next(2)
    for trial in (0, 1):
        bracket.failed(trial)
    assert bracket.finished


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: halving(0, 4), "trials must be at least 1, found 0"),
        (lambda: halving(4, 0), "expected 1 <= least <= most budget, found 1 and 0"),
        (
            lambda: halving(4, 4).extend(3),
            "expected 4 trials or more, as were planned, found 3\n"
            "  fix: take more trials, or begin another search",
        ),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        call()


def test_reports_that_cannot_be():
    controller = halving(4, most=4, eta=2)
    controller.next(1)
    with pytest.raises(TrainError, match=r"^trial 0 was to run until budget 1, but reports 2$"):
        controller.report(0, 2, 0.5)
    with pytest.raises(TrainError, match=r"^trial 1 does not run, but reports budget 1$"):
        controller.report(1, 1, 0.5)
    controller.report(0, 1, 0.5)
    with pytest.raises(TrainError, match=r"^trial 0 does not run, but reports budget 1$"):
        controller.report(0, 1, 0.5)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 99))
def test_never_more_runs_than_there_are_devices(trials, devices, seed):
    controller, mixer, running = hyperband(trials, 9), random.Random(seed), {}
    while not controller.finished:
        told = controller.next(devices - len(running))
        running |= {each.trial: each.until for each in told if not isinstance(each, Stop)}
        assert len(running) <= devices
        assert running or controller.finished
        for trial in mixer.sample(sorted(running), mixer.randint(0, len(running))):
            assert controller.report(trial, running.pop(trial), mixer.random()) != "continue"
