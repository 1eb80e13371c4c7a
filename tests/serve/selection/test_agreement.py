import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.serve.selection.agreement import (
    Known,
    disagreements,
    error_rates,
    pairs,
    rows_heard,
)
from gristmill.serve.selection.losses import absolute, zero_one

rates = st.lists(st.floats(0.02, 0.42), min_size=3, max_size=6)


def expected(errors):
    """How often each pair disagrees, where errors have nothing to do with each other."""
    return [e * (1 - f) + f * (1 - e) for e, f in ((errors[i], errors[j]) for i, j in pairs(len(errors)))]  # fmt: skip # noqa: E501


@settings(max_examples=40, deadline=None)
@given(rates, st.floats(0.1, 5000.0))
def test_disagreement_tells_the_rates_that_made_it(errors, rows):
    apart = [rows * each for each in expected(errors)]
    found = error_rates([rows] * len(apart), apart, len(errors))
    assert found == pytest.approx(errors, abs=0.01)


@pytest.mark.parametrize("worst", [0.6, 0.9])
def test_one_that_is_worse_than_chance_is_told(worst):
    errors = [worst, 0.15, 0.2, 0.25, 0.35]
    apart = expected(errors)
    assert error_rates([1.0] * 10, apart, 5) == pytest.approx(errors, abs=0.01)


def test_rates_of_answers_that_were_drawn():
    generator = np.random.default_rng(3)
    errors = np.array([0.08, 0.15, 0.2, 0.25, 0.35])
    wrong = generator.random((4000, 5)) < errors
    apart = [float((wrong[:, i] != wrong[:, j]).sum()) for i, j in pairs(5)]
    assert error_rates([4000.0] * 10, apart, 5) == pytest.approx(errors.tolist(), abs=0.03)


def test_an_arm_that_answered_beside_nobody_does_not_disturb_the_others():
    errors = [0.1, 0.2, 0.3]
    apart = dict(zip(pairs(3), expected(errors), strict=True))
    weight = [float(3 not in pair) for pair in pairs(4)]
    found = error_rates(weight, [apart.get(pair, 0.0) for pair in pairs(4)], 4)
    assert found[:3] == pytest.approx(errors, abs=0.01)
    assert rows_heard(weight, 4) == (1.0, 1.0, 1.0, 0.0)


def sums(wrong):
    """Sums over rows whose truth is known, from bool[rows, arms]."""
    told, arms = len(wrong), wrong.shape[1]
    apart = [float((wrong[:, i] != wrong[:, j]).sum()) for i, j in pairs(arms)]
    lost = wrong.sum(axis=0).astype(float).tolist()
    return Known([float(told)] * len(apart), apart, [float(told)] * arms, lost)


def test_arms_that_err_together_are_told_by_what_is_known_of_other_rows():
    """The first one breaks after the truth was told; the last three go on making one mistake."""
    generator = np.random.default_rng(4)

    def drawn(first):
        mistake = generator.random(6000) < 0.2
        alone = [generator.random(6000) < rate for rate in (first, 0.15, 0.05, 0.05, 0.05)]
        return np.stack([*alone[:2], *(each ^ mistake for each in alone[2:])], axis=1)

    before, after = drawn(0.05), drawn(0.5)
    known, now = sums(before), sums(after)
    guess = error_rates(now.weight, now.apart, 5)
    told = error_rates(now.weight, now.apart, 5, known)
    truth = after.mean(axis=0)
    assert np.abs(np.array(guess) - truth).max() > 0.1
    assert told == pytest.approx(truth.tolist(), abs=0.04)


def test_what_is_known_tells_rates_from_their_mirror_image():
    """Four of five are wrong more often than not."""
    errors = [0.2, 0.7, 0.75, 0.65, 0.8]
    apart = expected(errors)
    known = Known([1e4] * 10, [1e4 * each for each in apart], [1e4] * 5, [1e4 * e for e in errors])
    mirrored = [1.0 - each for each in errors]
    assert error_rates([1.0] * 10, apart, 5) == pytest.approx(mirrored, abs=0.02)
    assert error_rates([1.0] * 10, apart, 5, known) == pytest.approx(errors, abs=0.02)


def test_what_nobody_was_told_corrects_nothing():
    apart = expected([0.1, 0.2, 0.3, 0.4])
    # Many rows on which they disagreed, but of the first three nobody knows who was right.
    known = Known([900.0] * 6, [500.0] * 6, [0.0, 0.0, 0.0, 900.0], [0.0, 0.0, 0.0, 300.0])
    found = error_rates([1.0] * 6, apart, 4, known)
    assert found == pytest.approx(error_rates([1.0] * 6, apart, 4), abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e-9, 1e4), st.floats(-1.0, 1e4)), min_size=10, max_size=10))
def test_whatever_was_heard_gives_rates(heard):
    weight, apart = ([pair[place] for pair in heard] for place in (0, 1))
    known = Known(weight[::-1], apart[::-1], weight[:5], apart[:5])
    for found in (error_rates(weight, apart, 5), error_rates(weight, apart, 5, known)):
        assert all(0.0 <= rate <= 1.0 for rate in found)


def test_answers_are_apart_pair_by_pair():
    assert disagreements(["a", "b", None, "a"], zero_one) == (1.0, None, 0.0, None, 1.0, None)
    assert disagreements(["a", "b", "b"], zero_one, 0) == (1.0, 1.0, None)
    assert disagreements([1.0, 3.0, math.nan], absolute(4.0)) == (0.5, 1.0, 1.0)
    assert disagreements([1.0, 2.0], lambda one, other: math.inf) == (1.0,)
