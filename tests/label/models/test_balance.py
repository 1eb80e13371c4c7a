from __future__ import annotations

import numpy as np
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.models.balance import balance_of, check_prior


def test_the_balance_is_given_or_uniform_or_counted_in_gold() -> None:
    gold = np.array([0, -1, 0, 1, 0, -1])
    assert balance_of([0.3, 0.7], gold, 2).tolist() == [0.3, 0.7]
    assert balance_of("uniform", gold, 2).tolist() == [0.5, 0.5]
    assert balance_of("gold", gold, 2).tolist() == [4 / 6, 2 / 6]
    assert balance_of("estimated", gold, 2).tolist() == [4 / 6, 2 / 6]
    assert balance_of("gold", np.full(3, -1), 4).tolist() == [0.25] * 4


def test_what_is_a_prior() -> None:
    assert check_prior("gold", 2, ["gold"]) == "gold"
    assert check_prior((0.25, 0.75), 2, ["gold"]) == [0.25, 0.75]
    with pytest.raises(
        LabelError,
        match=r"^expected a prior out of gold, uniform, or 2 probabilities, found 'estimated'$",
    ):
        check_prior("estimated", 2, ["gold", "uniform"])


@pytest.mark.parametrize("prior", [[0.5], [1.0, 0.0], [2, 6], [0.5, np.nan], [1.5, -0.5]])
def test_what_is_none(prior: list[float]) -> None:
    with pytest.raises(LabelError, match=r"^expected a prior of 2 probabilities above 0 that sum"):
        check_prior(prior, 2, ["gold"])
