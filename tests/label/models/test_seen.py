from __future__ import annotations

import numpy as np

from gristmill.label.models.seen import Seen
from gristmill.label.votes import Votes


def votes_of(start: int, rows: int) -> Votes:
    matrix = (np.arange(start, start + rows)[:, None] + np.arange(3)) % 3 - 1
    return Votes.from_matrix(matrix, classes=2, row_ids=list(range(start, start + rows)))


def test_gold_rows_come_in_the_order_of_their_ids_whatever_the_parts() -> None:
    first, second = Seen.of(votes_of(0, 10), {7: 1, 2: 0}), Seen.of(votes_of(10, 5), {12: 1})
    for joined in (first.join(second), second.join(first)):
        assert joined.gold_ids == (12, 2, 7)
        assert joined.gold.codes.tolist() == [1, 0, 1]
        assert joined.gold.votes.tolist() == [votes_of(row, 1).matrix[0].tolist()
                                              for row in (12, 2, 7)]  # fmt: skip
        assert joined.sample.rows == 15
    assert first.join(second).parts == second.join(first).parts
