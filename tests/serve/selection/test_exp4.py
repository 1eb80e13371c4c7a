import math

import numpy as np
import pytest

from gristmill.core.errors import UsageError
from gristmill.serve.selection.exp3 import Exp3
from gristmill.serve.selection.exp4 import Exp4
from gristmill.serve.selection.policy import Outcome, choose

BY_COUNTRY = (
    {"": (1.0, 0.0)},
    {"": (0.0, 1.0)},
    {"": (0.5, 0.5), "de": (1.0, 0.0), "fr": (0.0, 1.0)},
)


def test_without_experts_it_is_exp3():
    exp3, exp4 = (kind(arms=3, eta=0.05, half_life=math.inf) for kind in (Exp3, Exp4))
    states = exp3.start(), exp4.start()
    for at, draw in enumerate(np.random.default_rng(3).random(200)):
        choice = choose(exp4, states[1], float(draw))
        assert choose(exp3, states[0], float(draw)).arm == choice.arm
        outcome = Outcome(
            choice.arm, choice.propensity, choice.arm / 2, float(at), (), choice.advice
        )
        states = exp3.update(states[0], outcome), exp4.update(states[1], outcome)
    assert states[1].loss == pytest.approx(states[0].loss)


def test_it_is_the_textbook_s_exp4():
    policy = Exp4(arms=2, experts=BY_COUNTRY, eta=0.05, floor=0.05, half_life=math.inf)
    generator = np.random.default_rng(2)
    weights, state = np.ones(3), policy.start()
    for at in range(300):
        context = ("de", "fr", "es")[at % 3]
        advice = np.array([expert.get(context, expert[""]) for expert in BY_COUNTRY])
        slow = 0.05 + (1 - 0.1) * (weights / weights.sum()) @ advice
        assert list(policy.probabilities(state, context)) == pytest.approx(slow)
        choice = choose(policy, state, float(generator.random()), context)
        loss = float(generator.random() < (0.5 if context == "es" else 0.2))
        weights *= np.exp(-0.05 * advice[:, choice.arm] * loss / slow[choice.arm])
        state = policy.update(
            state, Outcome(choice.arm, choice.propensity, loss, float(at), (), choice.advice)
        )


def test_it_finds_the_expert_who_knows_the_context():
    policy = Exp4(arms=2, experts=BY_COUNTRY, eta=0.05, floor=0.02)
    state = policy.start()
    for at, draw in enumerate(np.random.default_rng(4).random(1500)):
        context = ("de", "fr")[at % 2]
        choice = choose(policy, state, float(draw), context)
        loss = 0.1 if choice.arm == at % 2 else 0.9
        state = policy.update(
            state, Outcome(choice.arm, choice.propensity, loss, float(at), (), choice.advice)
        )
    assert policy.probabilities(state, "de")[0] > 0.9
    assert policy.probabilities(state, "fr")[1] > 0.9


@pytest.mark.parametrize("row", [(1.0,), (0.5, 0.6), (-0.5, 1.5)])
def test_advice_has_to_be_probabilities(row):
    with pytest.raises(UsageError, match="expert 0, context 'de': expected 2 probabilities"):
        Exp4(arms=2, experts=({"": (0.5, 0.5), "de": row},))
