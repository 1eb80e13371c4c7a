from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gristmill.label.analysis.clashes import clashes
from gristmill.label.votes import Votes


@settings(deadline=None)
@given(hnp.arrays(np.int8, st.tuples(st.integers(1, 12), st.just(3)), elements=st.integers(-1, 1)))
def test_clashes_equal_those_of_walking_over_the_rows(matrix: np.ndarray) -> None:
    votes = Votes.from_matrix(matrix, classes=2)
    truth = (np.arange(len(matrix)) % 3) - 1
    found = {
        (row["first"], row["first_says"], row["second"], row["second_says"]): row
        for row in clashes(votes, truth).iter_rows(named=True)
    }
    expected = {}
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        for a, b in [(0, 1), (1, 0)]:
            rows = [at for at, v in enumerate(matrix.tolist()) if v[i] == a and v[j] == b]
            if rows:
                key = (f"source_{i}", str(a), f"source_{j}", str(b))
                right = [sum(truth[at] == c for at in rows) for c in (a, b)]
                expected[key] = (len(rows), sum(truth[at] >= 0 for at in rows), *right)
    assert {
        key: (row["rows"], row["judged"], row["first_right"], row["second_right"])
        for key, row in found.items()
    } == expected


def test_the_largest_come_first_and_shares_have_intervals() -> None:
    matrix = np.array([[0, 1, -1]] * 5 + [[0, -1, 1]] * 2)
    found = clashes(Votes.from_matrix(matrix), [0, 0, 0, 1, -1, -1, -1], most=1)
    assert found.height == 1
    row = found.row(0, named=True)
    assert (row["second"], row["rows"], row["first_right"]) == ("source_1", 5, 3)
    assert row["low"] < row["first_share"] == 0.75 < row["high"]
    assert clashes(Votes.from_matrix(matrix))["first_share"].to_list() == [None, None]
