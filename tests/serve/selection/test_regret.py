"""What the policies lose where the best of five models breaks for a while."""

import math

import numpy as np
import pytest

from gristmill.serve.selection.agreement import disagreements
from gristmill.serve.selection.exp3 import Exp3
from gristmill.serve.selection.kinds import policy_named
from gristmill.serve.selection.learner import Learner
from gristmill.serve.selection.losses import zero_one
from gristmill.serve.selection.policy import Outcome

ROUNDS = 4000
ERRORS = (0.08, 0.15, 0.2, 0.25, 0.35)


def made(seed):
    """Return the losses of all models in all rounds, and draws for a policy."""
    generator = np.random.default_rng(seed)
    errors = np.tile(ERRORS, (ROUNDS, 1))
    errors[1600:2400, 0] = 0.6
    return generator.random((ROUNDS, 5)) < errors, generator.random(ROUNDS)


@pytest.fixture(scope="module")
def world():
    return made(11)


@pytest.fixture(scope="module")
def worlds():
    """One world says little of a policy that draws."""
    return [made(seed) for seed in range(2)]


def lost(policy, worlds, delay):
    """Return what a policy loses a round, its probabilities as fresh as its patience says."""
    suffered = []
    for losses, draws in worlds:
        learner, told = Learner(policy), []
        for at, (row, draw) in enumerate(zip(losses.astype(float), draws, strict=True)):
            choice = learner.choose(draw)
            suffered.append(row[choice.arm])
            # By turns, the golden ratio: as many as the share says, spread evenly.
            shadowed = at * 0.618034 % 1.0 < policy.share_shadowed()
            every = tuple(row.tolist()) if shadowed else ()
            differed = disagreements(every, zero_one) if shadowed and policy.pairs else ()
            if differed:
                learner.overhear("", float(at), differed)
            loss = float(row[choice.arm])
            told.append(
                Outcome(choice.arm, choice.propensity, loss, float(at), every, (), differed)
            )
            if at >= delay:
                learner.learn("", told[at - delay])
    return np.mean(suffered)


@pytest.mark.parametrize("kind", ["thompson", "hedge"])
@pytest.mark.parametrize("delay", [0, 100])
def test_it_loses_less_than_the_best_fixed_model_and_than_exp3_of_clipper(worlds, kind, delay):
    options = {"half_life": 400.0} if kind == "thompson" else None
    clipper = Exp3(arms=5, eta=0.01, floor=1e-9, half_life=math.inf)
    mine = lost(policy_named(kind, 5, options), worlds, delay)
    assert mine < np.mean([losses.mean(axis=0).min() for losses, _ in worlds]) + 0.005
    assert mine < lost(clipper, worlds, delay) - 0.01


@pytest.mark.parametrize(
    ("kind", "options"), [("thompson", {"half_life": 400.0, "shadow": 0.2}), ("hedge", {})]
)
def test_where_feedback_comes_when_all_is_over_disagreement_tells_in_time(worlds, kind, options):
    mine = lost(policy_named(kind, 5, options), worlds, 2000)
    fixed = np.mean([losses.mean(axis=0).min() for losses, _ in worlds])
    # Before the first feedback, half of the time, nobody who has nothing else is better than this.
    blind = np.mean([losses[:2000].mean() for losses, _ in worlds]) / 2 + 0.08 / 2
    assert mine < fixed - 0.01
    assert mine < blind - 0.01


@pytest.mark.parametrize("kind", ["exp3", "exp4", "epsilon_greedy"])
def test_it_loses_less_than_the_mean_model(play, world, kind):
    losses, draws = world
    assert np.mean(play(policy_named(kind, 5), losses, draws)[0]) < losses.mean() - 0.03


def test_equal_draws_give_equal_choices(play, world):
    losses, draws = (part[:300] for part in world)
    policy = policy_named("thompson", 5)
    assert play(policy, losses, draws) == play(policy, losses, draws)
