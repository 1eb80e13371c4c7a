from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.gold import gold_codes
from gristmill.label.votes import Votes

VOTES = Votes.from_matrix([[0], [1], [-1]], classes=["ham", "spam"], row_ids=["a", "b", "c"])


def test_gold_comes_as_a_mapping_or_a_frame() -> None:
    import pandas as pd

    names, codes = ["spam", None, "ham"], [1, -1, 0]
    ids = ["a", "b", "c"]
    for gold in (
        dict(zip(ids, names, strict=True)),
        dict(zip(ids, np.array(codes), strict=True)),
        pl.DataFrame({"row_id": ids, "label": names, "who": "me"}),
        pd.DataFrame({"row_id": ids, "label": codes}),
    ):
        assert gold_codes(gold, VOTES).tolist() == [1, -1, 0]
    assert gold_codes(None, VOTES).tolist() == [-1, -1, -1]
    assert gold_codes({}, VOTES).tolist() == [-1, -1, -1]


def test_a_row_may_be_named_twice_if_the_labels_agree() -> None:
    gold = pl.DataFrame({"row_id": [0, 1], "label": [1, 1]})
    votes = Votes.from_matrix([[0], [1]])
    assert gold_codes(gold, votes).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        ({"a": "eggs"}, "^row 'a': gold label 'eggs' is none of the classes 0 'ham', 1 'spam'$"),
        ({"a": 2}, "^row 'a': gold label 2 is none of the classes"),
        ({"a": -2}, "gold label -2 is none of the classes"),
        ({"a": True}, "gold label True is none of the classes"),
        ({"a": 0.5}, "gold label 0.5 is none of the classes"),
        ({"x": 1}, "^gold labels row 'x', which is not among the 3 rows voted on\n"),
        (
            pl.DataFrame({"id": ["a"], "label": [1]}),
            r"^expected gold with columns 'row_id' and 'label', found",
        ),
        (pl.DataFrame({"row_id": ["a"]}), "^expected gold with columns 'row_id' and 'label'"),
    ],
)
def test_gold_that_does_not_fit(gold: object, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        gold_codes(gold, VOTES)  # type: ignore[arg-type]
