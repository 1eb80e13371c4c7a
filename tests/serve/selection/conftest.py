"""Outcomes for policies, and feedback logs that need no server."""

from __future__ import annotations

import pytest

from gristmill.serve.selection.feedback_log import FeedbackLog, LogLimits
from gristmill.serve.selection.kinds import policy_named
from gristmill.serve.selection.policy import Choice, Outcome, choose


@pytest.fixture
def open_log(tmp_path, clock):
    """open_log(policy="thompson", members=("a", "b", "c"), options=None, **arguments)."""
    opened = []

    def make(policy="thompson", members=("a", "b", "c"), options=None, limits=None, **arguments):
        log = FeedbackLog(
            tmp_path / "log",
            policy_named(policy, len(members), options),
            members,
            limits=LogLimits(**(limits or {})),
            clock=clock,
            **arguments,
        )
        opened.append(log)
        return log

    yield make
    for log in opened:
        log.close()


@pytest.fixture
def predict():
    """predict(log, draw=0.5, rows=1, context=""): choose, log, return the prediction's name."""

    def predict(log, draw=0.5, rows=1, context="", arm=None):
        choice = log.learner.choose(draw, context)
        if arm is not None:
            choice = Choice(arm, log.learner.probabilities(context)[arm])
        said = [[] for _ in log.members]
        asked = range(len(said)) if log.policy.full_information else [choice.arm]
        for place in asked:
            said[place] = [log.members[place]] * rows
        named = log.predicted(
            choice, said, rows=rows, request="r", model="0123456789", context=context
        )
        return named.name

    return predict


@pytest.fixture
def play():
    """play(policy, losses, draws, delay=0): what a policy loses, and its last state."""

    def play(policy, losses, draws, delay=0):
        state, made, suffered = policy.start(), [], []
        for at, (row, draw) in enumerate(zip(losses, draws, strict=True)):
            choice = choose(policy, state, draw)
            suffered.append(float(row[choice.arm]))
            every = tuple(map(float, row)) if policy.full_information else ()
            made.append(
                Outcome(
                    choice.arm, choice.propensity, suffered[-1], float(at), every, choice.advice
                )
            )
            if at >= delay:
                state = policy.update(state, made[at - delay])
        return suffered, state

    return play
