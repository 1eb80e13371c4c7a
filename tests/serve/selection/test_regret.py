"""What the policies lose where the best of five models breaks for a while."""

import math

import numpy as np
import pytest

from gristmill.serve.selection.exp3 import Exp3
from gristmill.serve.selection.kinds import policy_named

ROUNDS = 4000
ERRORS = (0.08, 0.15, 0.2, 0.25, 0.35)


@pytest.fixture(scope="module")
def world():
    generator = np.random.default_rng(11)
    errors = np.tile(ERRORS, (ROUNDS, 1))
    errors[1600:2400, 0] = 0.6
    return generator.random((ROUNDS, 5)) < errors, generator.random(ROUNDS)


@pytest.mark.parametrize("kind", ["thompson", "hedge"])
@pytest.mark.parametrize("delay", [0, 100])
def test_it_loses_less_than_the_best_fixed_model_and_than_exp3_of_clipper(play, world, kind, delay):
    losses, draws = world
    options = {"half_life": 400.0} if kind == "thompson" else None
    mine = np.mean(play(policy_named(kind, 5, options), losses, draws, delay)[0])
    clipper = Exp3(arms=5, eta=0.01, floor=1e-9, half_life=math.inf)
    assert mine < losses.mean(axis=0).min() + 0.005
    assert mine < np.mean(play(clipper, losses, draws, delay)[0]) - 0.01


@pytest.mark.parametrize("kind", ["exp3", "exp4", "epsilon_greedy"])
def test_it_loses_less_than_the_mean_model(play, world, kind):
    losses, draws = world
    assert np.mean(play(policy_named(kind, 5), losses, draws)[0]) < losses.mean() - 0.03


def test_equal_draws_give_equal_choices(play, world):
    losses, draws = (part[:300] for part in world)
    policy = policy_named("thompson", 5)
    assert play(policy, losses, draws) == play(policy, losses, draws)
