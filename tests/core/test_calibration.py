from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.calibration import calibration_error, calibration_interval, spiegelhalter
from gristmill.core.errors import DataError

ROWS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50)


def slow_error(rows, bins):
    rows = sorted(rows, key=lambda row: row[0])
    edges = sorted({math.floor(k * len(rows) / bins) for k in range(bins)})
    ends = [*edges[1:], len(rows)]
    gaps = [
        abs(sum(hit - chance for chance, hit in rows[begin:end]))
        for begin, end in zip(edges, ends, strict=True)
    ]
    return sum(gaps) / len(rows)


def slow_z(rows):
    above = sum((hit - p) * (1 - 2 * p) for p, hit in rows)
    below = sum((1 - 2 * p) ** 2 * p * (1 - p) for p, hit in rows)
    return above / math.sqrt(below) if below > 0 else 0.0


@given(ROWS, st.integers(1, 12))
def test_the_figures_agree_with_their_definitions(rows, bins):
    # Rows of one probability are in the order in which they come, which is their order here.
    chance, right = zip(*rows, strict=True)
    assert calibration_error(chance, right, bins) == pytest.approx(slow_error(rows, bins))
    assert spiegelhalter(chance, right) == pytest.approx(slow_z(rows))


def sample(rows, seed, surer=0.0):
    generator = np.random.default_rng(seed)
    chance = generator.uniform(0.5, 1, rows)
    return chance, generator.random(rows) < chance - surer


def test_true_probabilities_are_normal_to_the_test_and_others_are_not():
    scores = [spiegelhalter(*sample(300, seed)) for seed in range(400)]
    assert np.mean(scores) == pytest.approx(0, abs=0.15)
    assert np.std(scores) == pytest.approx(1, abs=0.1)
    assert spiegelhalter(*sample(300, 1, surer=0.3)) > 5
    assert spiegelhalter(*sample(300, 1, surer=-0.2)) < -3


def test_the_interval_holds_the_figure_and_is_the_same_again():
    rows = sample(500, 2, surer=0.2)
    found = calibration_interval(*rows)
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(0.2, abs=0.05)
    assert calibration_interval(*rows) == found


@pytest.mark.parametrize("figure", [calibration_error, calibration_interval, spiegelhalter])
@pytest.mark.parametrize(("chance", "right"), [([], []), ([0.5], [True, False])])
def test_columns_that_do_not_fit(figure, chance, right):
    with pytest.raises(DataError, match="equally long"):
        figure(chance, right)


def test_what_says_nothing_is_zero():
    assert spiegelhalter([0.5, 0.0, 1.0], [True, True, False]) == 0.0
