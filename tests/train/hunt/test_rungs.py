from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.train.hunt.rungs import (
    check_rungs,
    hyperband_bracket,
    most_halvings,
    ranked,
    rung_budgets,
    rung_sizes,
    whole_log,
)


def test_the_drawing():
    assert rung_budgets(2, most=16, eta=4) == (1, 4, 16)
    assert rung_sizes(16, 2, eta=4) == (16, 4, 1)


@pytest.mark.parametrize(
    ("halvings", "trials", "budgets"),
    [
        (4, 81, (1, 3, 9, 27, 81)),
        (3, 34, (3, 9, 27, 81)),
        (2, 15, (9, 27, 81)),
        (1, 8, (27, 81)),
        (0, 5, (81,)),
    ],
)
def test_hyperband_as_in_the_paper(halvings, trials, budgets):
    """Li et al. 2018, table 1 (R = 81, eta = 3), with the sizes that algorithm 1 gives."""
    assert most_halvings(1, 81, 3) == 4
    assert hyperband_bracket(halvings, 4, 3) == trials
    assert rung_budgets(halvings, 81, 3) == budgets


@given(st.integers(1, 10**6), st.integers(2, 9))
def test_whole_log(number, base):
    power = whole_log(number, base)
    assert base**power <= number < base ** (power + 1)


@given(st.integers(1, 50), st.integers(1, 5000), st.integers(2, 6))
def test_budgets_rise_from_the_least_to_the_most(least, more, eta):
    most = least + more
    budgets = rung_budgets(most_halvings(least, most, eta), most, eta)
    assert budgets[0] >= least
    assert budgets[0] // eta < least
    assert budgets[-1] == most
    assert list(budgets) == sorted(set(budgets))


@given(st.integers(0, 6), st.integers(0, 6), st.integers(2, 5))
def test_hyperband_brackets_are_rounded_up(halvings, more, eta):
    deepest = halvings + more
    exact = Fraction(deepest + 1, halvings + 1) * eta**halvings
    assert hyperband_bracket(halvings, deepest, eta) == math.ceil(exact)


def test_of_equals_the_first_is_better():
    assert ranked({3: 0.5, 1: 0.5, 2: 0.7, 0: 0.1}) == [2, 1, 3, 0]


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((0, 4, 2), "expected 1 <= least <= most budget, found 0 and 4"),
        ((5, 4, 2), "expected 1 <= least <= most budget, found 5 and 4"),
        ((1, 4, 1), "expected to keep one in 2 or more, found eta 1"),
    ],
)
def test_nonsense_is_refused(numbers, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        check_rungs(*numbers)
