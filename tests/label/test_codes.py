from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.codes import BadVoteError, VoteCodes, check_classes, vote_dtype

CODES = VoteCodes(["ham", "spam"])


@pytest.mark.parametrize(
    ("vote", "code"),
    [(None, -1), (-1, -1), (0, 0), (1, 1), ("ham", 0), ("spam", 1), (np.int64(1), 1), (1.0, 1),
     (np.str_("spam"), 1)],
)  # fmt: skip
def test_votes_have_codes(vote: object, code: int) -> None:
    assert CODES.encode(vote) == code


@pytest.mark.parametrize(
    "vote", [True, False, np.True_, 2, -2, 1.7, float("nan"), "eggs", "", [1], object()]
)
def test_what_is_no_vote(vote: object) -> None:
    with pytest.raises(ValueError):
        CODES.encode(vote)


def test_columns_of_integers_and_names() -> None:
    assert CODES.encode_series(pl.Series([1, None, 0, -1])).tolist() == [1, -1, 0, -1]
    assert CODES.encode_series(pl.Series(["spam", None, "ham"])).tolist() == [1, -1, 0]
    assert CODES.encode_series(pl.Series(["spam"], dtype=pl.Categorical)).tolist() == [1]
    assert CODES.encode_series(pl.Series([None, None])).tolist() == [-1, -1]
    assert CODES.encode_series(pl.Series([1.0, None])).tolist() == [1, -1]
    assert CODES.encode_series(pl.Series([1], dtype=pl.UInt8)).dtype == np.int8


@pytest.mark.parametrize(
    ("column", "position", "value"),
    [
        (pl.Series([0, 7, 8]), 1, 7),
        (pl.Series([0, None, -2]), 2, -2),
        (pl.Series(["ham", "eggs"]), 1, "eggs"),
        (pl.Series([None, True]), 1, True),
        (pl.Series([0.0, 1.5]), 1, 1.5),
    ],
)
def test_columns_say_where_they_go_wrong(column: pl.Series, position: int, value: object) -> None:
    with pytest.raises(BadVoteError) as caught:
        CODES.encode_series(column)
    assert (caught.value.position, caught.value.value) == (position, value)


def test_the_refusal_names_function_row_value_and_classes() -> None:
    assert str(CODES.refusal("f", 12, 7)) == (
        "labelling function 'f', row 12: voted 7; expected one of the classes 0 'ham', 1 'spam', "
        "or None to abstain"
    )
    assert "return a class where the rule holds" in str(CODES.refusal("f", 12, True))


def test_classes_are_named_or_counted() -> None:
    assert check_classes(3) == ("0", "1", "2")
    assert check_classes(["ham", "spam"]) == ("ham", "spam")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (1, r"^expected at least two classes, found 1: \['0'\]"),
        ([], r"^expected at least two classes, found 0: \[\]"),
        (["a", "a"], r"^class 'a' is named twice in \['a', 'a'\]$"),
        ("ham", "^expected a list of classes, found the text 'ham'$"),
        (40_000, "^expected at most 32767 classes, found 40000$"),
    ],
)
def test_classes_that_cannot_be_used(classes: object, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        check_classes(classes)  # type: ignore[arg-type]


def test_many_classes_need_wider_codes() -> None:
    assert (vote_dtype(127), vote_dtype(128)) == (np.int8, np.int16)
    assert VoteCodes([str(n) for n in range(300)]).encode_all([299]).tolist() == [299]
