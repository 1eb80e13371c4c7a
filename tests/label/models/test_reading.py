from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gristmill.label.models.coins import CoinFit
from gristmill.label.models.emission import Tied
from gristmill.label.models.patterns import Patterns
from gristmill.label.models.reading import JUDGES, Read, overturned


@given(
    hnp.arrays(np.int8, st.tuples(st.integers(1, 30), st.integers(1, 4)),
               elements=st.integers(-1, 2)),
    st.integers(0, 2**16),
)  # fmt: skip
def test_unanimous_rows_whose_class_is_another_are_counted(
    matrix: NDArray[np.int8], seed: int
) -> None:
    patterns = Patterns.of(matrix, 3)
    posterior = np.random.default_rng(seed).dirichlet(np.ones(3), len(patterns))
    unanimous = against = 0
    for row, votes in enumerate(matrix):
        said = {int(vote) for vote in votes if vote >= 0}
        if len(said) == 1:
            unanimous += 1
            against += posterior[patterns.of_row[row]].argmax() != said.pop()
    expected = against / unanimous if unanimous else 0.0
    assert np.isclose(overturned(patterns, patterns.count(), posterior), expected)


def test_a_reading_says_what_became_of_it() -> None:
    tied = Tied(np.ones((1, 3)), np.ones((1, 2)), by_class=False)
    fit = CoinFit(tied, np.zeros((1, 2)), np.zeros(2), 0.0, 1, True)
    assert Read(JUDGES, fit, 0.002).trusted
    lost = Read(JUDGES, fit, 0.25)
    assert not lost.trusted
    assert str(lost) == "independent judges: not trusted, overturns 25.0% of unanimous votes"
