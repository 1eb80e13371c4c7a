from __future__ import annotations

import itertools
import re

import optuna
import pytest
from msgspec.structs import replace

from gristmill.core.errors import UsageError
from gristmill.train.hunt.ledger import Trial
from gristmill.train.hunt.samplers import Sampler
from gristmill.train.space import Space, integers, log_uniform, uniform

SPACE = Space(x=uniform(0, 1), lr=log_uniform(1e-4, 1.0), kind=["a", "b"])
GRID = Space(width=[8, 16, 32], depth=integers(2, 6, step=2), fixed=7)


def drawn(sampler: Sampler, trials: int, value=lambda params: None) -> list[Trial]:
    """Draw one trial after the other, each complete before the next."""
    known: list[Trial] = []
    for number in range(trials):
        params = sampler.draw(number, known)
        state = "paused" if number % 3 else "complete"
        known.append(Trial(number, state, params, {1: value(params)}, until=1))
    return known


def test_tpe_learns_from_trials_that_are_complete_or_paused():
    sampler = Sampler(SPACE, "tpe", 0, maximise=True)
    found = drawn(sampler, 40, lambda params: -abs(params["x"] - 0.3))
    away = [abs(trial.drawn["x"] - 0.3) for trial in found]
    assert sum(away[20:]) < 0.75 * sum(away[:20])
    assert {frozenset(trial.drawn) for trial in found} == {frozenset(SPACE.dimensions)}


def test_direction_matters_to_tpe():
    up, down = (drawn(Sampler(SPACE, "tpe", 0, maximise=way), 30, lambda params: params["x"])
                for way in (True, False))  # fmt: skip
    assert sum(each.drawn["x"] for each in up) > sum(each.drawn["x"] for each in down) + 5


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_a_draw_is_a_function_of_seed_number_and_what_is_known(name):
    known = drawn(Sampler(SPACE, name, 0, maximise=True), 12, lambda params: params["x"])
    again = Sampler(SPACE, name, 0, maximise=True)
    torn = [again.draw(number, known) for number in (5, 11, 7, 5)]
    assert torn == [known[5].drawn, known[11].drawn, known[7].drawn, known[5].drawn]
    assert Sampler(SPACE, name, 1, maximise=True).draw(3, known) != known[3].drawn


def test_random_draws_do_not_depend_on_results():
    known = drawn(Sampler(SPACE, "random", 0, maximise=True), 9, lambda params: params["x"])
    other = [replace(each, curve={}, state="failed") for each in known]
    sampler = Sampler(SPACE, "random", 0, maximise=False)
    assert [sampler.draw(each.number, other) for each in known] == [each.drawn for each in known]


def test_trials_under_way_and_failed_ones_are_allowed():
    sampler = Sampler(SPACE, "tpe", 0, maximise=True)
    known = drawn(sampler, 9, lambda params: params["x"])
    known[3] = replace(known[3], state="failed", curve={})
    known[8] = replace(known[8], state="running", curve={})
    assert set(sampler.draw(9, known)) == set(SPACE.dimensions)


def test_a_grid_is_every_combination_once():
    sampler = Sampler(GRID, "grid", 3, maximise=True)
    sampler.check(9)
    found = [GRID.values(each.drawn) for each in drawn(sampler, 9, lambda _: 0.0)]
    expected = itertools.product([8, 16, 32], [2, 4, 6])
    assert sorted((each["width"], each["depth"]) for each in found) == sorted(expected)
    assert {each["fixed"] for each in found} == {7}
    other = drawn(Sampler(GRID, "grid", 4, maximise=True), 9, lambda _: 0.0)
    assert [each.drawn for each in other] != [
        each.drawn for each in drawn(sampler, 9, lambda _: 0.0)
    ]


def test_a_sampler_of_optunas():
    make = optuna.samplers.NSGAIISampler
    sampler = Sampler(SPACE, lambda seed: make(seed=seed), 0, maximise=True)
    assert set(sampler.draw(0, [])) == set(SPACE.dimensions)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Sampler(SPACE, "dice", 0, maximise=True),
            "unknown sampler 'dice', expected one of ('tpe', 'random', 'grid')",
        ),
        (
            lambda: Sampler(SPACE, "grid", 0, maximise=True),
            "a grid cannot have every number of 'x'\n"
            "  fix: give x as a list of values, or take another sampler",
        ),
        (
            lambda: Sampler(GRID, "grid", 0, maximise=True).check(10),
            "the grid has 9 combinations, found 10 trials\n"
            "  fix: take 9 trials at most, or sampler='random'",
        ),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        call()
