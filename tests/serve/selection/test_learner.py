import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.serve.selection.exp3 import Exp3
from gristmill.serve.selection.exp4 import Exp4
from gristmill.serve.selection.learner import Learner
from gristmill.serve.selection.policy import Outcome
from gristmill.serve.selection.thompson import Thompson

steps = st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=60)


@settings(max_examples=60, deadline=None)
@given(steps, st.integers(1, 4))
def test_contexts_are_bounded_and_the_least_recently_used_go(found, most):
    learner = Learner(Exp3(arms=2), most_contexts=most)
    used = []
    for context, learns in found:
        if learns:
            learner.learn(context, Outcome(0, 0.5, 1.0, 0.0))
        else:
            learner.made(context, 1)
        used = [each for each in used if each != context] + [context]
        used = used[-most:]
        assert list(learner.contexts) == used


@settings(max_examples=60, deadline=None)
@given(steps)
def test_a_snapshot_is_all_there_is_to_know(found):
    one, other = (Learner(Exp3(arms=2), most_contexts=3) for _ in range(2))
    for context, learns in found:
        one.made(context, 2)
        if learns:
            one.learn(context, Outcome(1, 0.25, 0.5, float(one.date(context))))
    other.load(one.snapshot())
    assert other.snapshot() == one.snapshot()
    for context in "abcdef":
        assert other.choose(0.3, context) == one.choose(0.3, context)
        assert other.date(context) == one.date(context)


def test_contexts_learn_apart():
    learner = Learner(Exp3(arms=2))
    learner.learn("de", Outcome(0, 0.5, 1.0, 0.0))
    assert learner.probabilities("de")[0] < 0.5
    assert learner.probabilities("fr") == (0.5, 0.5)
    assert learner.date("fr") == 0


def test_experts_are_weighed_in_all_contexts_together():
    experts = ({"": (1.0, 0.0), "fr": (0.0, 1.0)}, {"": (0.0, 1.0), "fr": (1.0, 0.0)})
    learner = Learner(Exp4(arms=2, experts=experts, eta=1.0))
    assert learner.probabilities("fr") == learner.probabilities("de") == (0.5, 0.5)
    for at in range(20):
        choice = learner.choose(0.0, "de")
        advice = choice.advice
        learner.learn("de", Outcome(choice.arm, choice.propensity, 1.0, float(at), (), advice))
        learner.made("de", 1)
    # The first expert was wrong of the one country, and is believed no more of the other.
    assert learner.probabilities("de")[0] < 0.1
    assert learner.probabilities("fr")[1] < 0.1
    assert list(learner.contexts) == [""]
    assert learner.date("fr") == 20


def test_choosing_changes_nothing():
    learner = Learner(Exp3(arms=2))
    learner.choose(0.9, "never seen before")
    assert learner.snapshot() == []


def test_probabilities_are_computed_anew_when_patience_is_over():
    learner = Learner(Thompson(arms=2, half_life=1e9, floor=0.0))
    for at in range(400):
        learner.learn("", Outcome(at % 2, 0.5, 0.5, 0.0))
    before = learner.probabilities()
    for _ in range(3):
        learner.learn("", Outcome(0, 0.5, 1.0, 0.0))
        assert learner.probabilities() == before
    learner.learn("", Outcome(0, 0.5, 1.0, 0.0))
    assert learner.probabilities()[0] < before[0]


def test_what_two_have_learnt_adds_up():
    policy = Exp3(arms=2)
    outcomes = [Outcome(at % 2, 0.5, 0.3, float(at)) for at in range(20)]
    whole, one, other = (Learner(policy) for _ in range(3))
    for at, outcome in enumerate(outcomes):
        whole.learn("x", outcome)
        (one if at < 7 else other).learn("x", outcome)
    one.merge(other.snapshot())
    assert one.state("x").loss == pytest.approx(whole.state("x").loss)
    assert one.date("x") == whole.date("x")


def test_no_context_at_all_is_an_error():
    with pytest.raises(UsageError, match="expected most_contexts of at least 1, found 0"):
        Learner(Exp3(arms=2), most_contexts=0)
