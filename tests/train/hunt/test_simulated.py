from __future__ import annotations

import itertools
import math
import re
from functools import partial

import pytest

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.hunt.asha import Asha
from gristmill.train.hunt.halving import halving, hyperband
from gristmill.train.hunt.hunt import Hunt
from gristmill.train.hunt.pruned import Pruned
from gristmill.train.hunt.simulated import Span, forecast, simulate
from gristmill.train.space import Space


def hunt_of(rules, trials):
    return Hunt(rules, trials, Space(), sampler="random")


def test_a_drawn_schedule():
    """Two devices, trial 1 takes twice as long, rungs at 1 and 2.

    second     0   1   2   3   4   5
    device 0   | 0 | 2 | 3 | 3 |        at 3 the rung is complete: 3 is best, then 1
    device 1   |   1   |   |   1   |
    """
    hunt = hunt_of(partial(halving, most=2, eta=2), 4)
    score = [0.1, 0.8, 0.2, 0.9]
    found = simulate(hunt, lambda trial, at: score[trial] + at, lambda t, _: 1.0 + (t == 1), 2)
    assert found.spans == (
        Span(0, 0, 0.0, 1.0),
        Span(1, 1, 0.0, 2.0),
        Span(0, 2, 1.0, 2.0),
        Span(0, 3, 2.0, 3.0),
        Span(0, 3, 3.0, 4.0),
        Span(1, 1, 3.0, 5.0),
    )
    assert (found.makespan, found.device_seconds) == (5.0, 8.0)
    assert (found.trained, found.full) == (6, 8)
    assert found.full_makespan == 6.0  # 0, 2 and 3 beside 1
    assert found.utilisation == pytest.approx(0.8)


@pytest.mark.parametrize("devices", [1, 2, 5])
def test_of_halving_the_price_is_known(devices):
    found = forecast(partial(halving, most=16), 16, devices, 2.0)
    assert (found.trained, found.full) == (16 + 4 * 3 + 12, 256)
    assert found.device_seconds == 80.0
    rounds = [math.ceil(16 / devices), 3 * math.ceil(4 / devices), 12]
    assert found.makespan == 2 * sum(rounds)
    assert found.full_makespan == 2 * 16 * math.ceil(16 / devices)


@pytest.mark.parametrize("rules", [partial(Asha, most=9, eta=3), partial(hyperband, most=9)])
def test_the_books_balance(rules):
    found = forecast(rules, 20, 3, lambda trial, budget: 1.0 + trial % 3 + budget / 8)
    assert found.device_seconds == pytest.approx(sum(each.end - each.start for each in found.spans))
    assert 0 < found.utilisation <= 1
    assert found.trained < found.full
    for device in range(3):
        mine = [each for each in found.spans if each.device == device]
        assert all(one.end <= other.start for one, other in itertools.pairwise(mine))


def test_forecasts_are_the_same_for_the_same_seed():
    rules = partial(Asha, most=9, eta=3)
    found = [forecast(rules, 20, 3, 1.0, seed=seed) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]


def test_in_words():
    assert str(forecast(partial(halving, most=16), 16, 2, 1.0)) == (
        "trains 40 of 256 epochs (16%): 26 s on 2 devices, 77% busy, "
        "against 2 min 08 s for all in full"
    )
    assert str(forecast(partial(Pruned, most=1), 1, 1, 1.0)) == (
        "trains 1 of 1 epochs (100%): 1 s on 1 device, 100% busy, against 1 s for all in full"
    )


def test_a_failure_frees_its_device():
    hunt = hunt_of(partial(Pruned, most=3), 2)
    found = simulate(hunt, lambda trial, at: math.nan if trial == 0 else 0.5, lambda *_: 1.0, 1)
    assert found.spans == (Span(0, 0, 0.0, 1.0), Span(0, 1, 1.0, 4.0))


def test_nonsense_is_refused():
    with pytest.raises(UsageError, match=r"^devices must be at least 1, found 0$"):
        forecast(partial(Pruned, most=1), 1, 0, 1.0)

    class Stuck(Pruned):
        def next(self, free):
            return []

    message = "the controller waits, but no trial runs"
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        simulate(hunt_of(partial(Stuck, most=1), 1), lambda *_: 0.0, lambda *_: 1.0, 1)
