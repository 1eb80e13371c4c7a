from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.label.analysis.log_odds import over_represented


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(0, 50), st.integers(30, 60), st.integers(50, 90))
def test_it_is_the_formula_of_the_paper(a: int, b: int, rows: int, others: int) -> None:
    prior = 100 * (a + b + 0.5) / (rows + others + 1)
    one, two = a + prior, b + prior
    delta = math.log(one / (rows + 100 - one)) - math.log(two / (others + 100 - two))
    z = delta / math.sqrt(1 / one + 1 / two)
    assert over_represented(np.array([a]), np.array([b]), rows, others)[0] == pytest.approx(z)


def test_frequent_traits_win_over_rare_ones_of_the_same_ratio() -> None:
    scores = over_represented(np.array([40, 2, 20]), np.array([20, 1, 40]), 100, 100)
    assert scores[0] > scores[1] > 0 > scores[2]
    assert scores[0] == pytest.approx(-scores[2])
