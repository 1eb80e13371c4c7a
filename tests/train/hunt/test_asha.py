from __future__ import annotations

import math
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.hunt.asha import Asha
from gristmill.train.hunt.controller import Resume, Start, Stop
from gristmill.train.hunt.hunt import Hunt
from gristmill.train.hunt.simulated import simulate
from gristmill.train.space import Space

VALUES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, math.nan])


def reference(count, budgets, eta, value):
    """Algorithm 2 of Li et al. 2020 on one device, with the finite end: {trial: units trained}."""
    trained, fresh = {}, 0
    rungs = [{} for _ in budgets]
    promoted = [set() for _ in budgets]

    def job():
        nonlocal fresh
        for k in reversed(range(len(budgets) - 1)):
            order = sorted(rungs[k], key=lambda trial: (-rungs[k][trial], trial))
            for trial in order[: len(order) // eta]:
                if trial not in promoted[k]:
                    promoted[k].add(trial)
                    return trial, k + 1
        if fresh < count:
            fresh += 1
            return fresh - 1, 0
        if not rungs[-1]:
            for k in reversed(range(len(budgets) - 1)):
                left = [trial for trial in rungs[k] if trial not in promoted[k]]
                if left:
                    best = min(left, key=lambda trial: (-rungs[k][trial], trial))
                    promoted[k].add(best)
                    return best, k + 1
        return None

    while (found := job()) is not None:
        trial, k = found
        for at in range(trained.get(trial, 0) + 1, budgets[k] + 1):
            if math.isnan(value(trial, at)):
                break
            trained[trial] = at
        else:
            rungs[k][trial] = value(trial, budgets[k])
    return trained


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_which_trials_get_which_budget(data):
    count = data.draw(st.integers(1, 20), "trials")
    most, eta = data.draw(st.integers(1, 9), "most"), data.draw(st.integers(2, 4), "eta")
    table = data.draw(st.lists(st.lists(VALUES, min_size=most, max_size=most),
                               min_size=count, max_size=count), "values")  # fmt: skip
    hunt = Hunt(lambda trials: Asha(trials, most, eta=eta), count, Space(), sampler="random")
    simulate(hunt, lambda trial, at: table[trial][at - 1], lambda *_: 1.0, 1)
    budgets = [most // eta**k for k in range(9) if most // eta**k >= 1][::-1]
    expected = reference(count, budgets, eta, lambda trial, at: table[trial][at - 1])
    assert {each.number: each.trained for each in hunt.ledger.trials if each.trained} == expected
    assert {each.state for each in hunt.ledger.trials} <= {"complete", "stopped", "failed"}


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 999), st.floats(0, 0.4))
def test_on_many_devices_one_gets_to_the_end_unless_all_fail(count, devices, seed, failing):
    generator = random.Random(seed)
    controller, running = Asha(count, 9, eta=3), {}
    complete = lost = 0
    while not controller.finished:
        told = controller.next(devices - len(running))
        running |= {each.trial: each.until for each in told if not isinstance(each, Stop)}
        # Nobody waits while there are new trials.
        assert len(running) == devices or controller._started == count
        for trial in generator.sample(sorted(running), generator.randint(1, max(1, len(running)))
                                      if running else 0):  # fmt: skip
            until = running.pop(trial)
            if generator.random() < failing:
                controller.failed(trial, "bad luck")
                lost += 1
            else:
                complete += controller.report(trial, until, generator.random()) == "stop"
    assert complete >= 1 or lost == count


def test_a_paused_trial_is_promoted_when_it_becomes_eligible():
    controller = Asha(6, most=4, eta=2)
    assert controller.next(2) == [Start(0, 1), Start(1, 1)]
    assert controller.report(0, 1, 0.9) == "pause"
    assert controller.next(1) == [Start(2, 1)]  # one of one is not yet the top half
    assert controller.report(1, 1, 0.1) == "pause"
    assert controller.next(1) == [Resume(0, 2, at=1)]
    assert controller.report(2, 1, 0.5) == "pause"
    assert controller.next(1) == [Start(3, 1)]  # the best of three was promoted
    assert controller.report(3, 1, 0.0) == "pause"
    assert controller.next(1) == [Resume(2, 2, at=1)]


def test_once_one_is_complete_the_hopeless_stop_at_once():
    controller = Asha(4, most=2, eta=2)
    controller.next(4)
    for trial, score in enumerate([0.1, 0.2, 0.3, 0.4]):
        controller.report(trial, 1, score)
    assert controller.next(1) == [Resume(3, 2, at=1)]
    assert controller.report(3, 2, 0.5) == "stop"
    assert controller.next(1) == [
        Stop(1, "number 3 of 4 so far at budget 1"),
        Stop(0, "number 4 of 4 so far at budget 1"),
        Resume(2, 2, at=1),
    ]
    controller.failed(2, "lost")
    assert controller.finished


def test_asking_without_a_free_device_decides_nothing():
    controller = Asha(2, most=3, eta=3)
    controller.next(2)
    controller.report(0, 1, 0.5)
    controller.report(1, 1, 0.6)
    assert controller.next(0) == []
    assert controller.next(1) == [Resume(1, 3, at=1)]


def test_more_trials_compete_with_the_old():
    controller = Asha(2, most=2, eta=2)
    controller.next(2)
    controller.report(0, 1, 0.5)
    controller.report(1, 1, 0.6)
    controller.extend(4)
    assert controller.next(3) == [Resume(1, 2, at=1), Start(2, 1), Start(3, 1)]
    controller.report(2, 1, 0.1)
    controller.report(3, 1, 0.1)
    assert controller.next(1) == [Resume(0, 2, at=1)]
    with pytest.raises(UsageError, match=r"^expected 4 trials or more, as were planned, found 3"):
        controller.extend(3)


def test_reports_that_cannot_be():
    controller = Asha(2, most=2, eta=2)
    controller.next(1)
    message = "trial 1 does not run, but reports budget 1"
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        controller.report(1, 1, 0.5)
