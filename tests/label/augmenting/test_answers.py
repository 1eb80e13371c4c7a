from __future__ import annotations

import polars as pl
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.augmenting.augmentation import augment
from gristmill.label.augmenting.transformation import TransformationFunction
from gristmill.label.functions.preprocess import preprocessor

TABLE = pl.DataFrame({"row_id": [7, 8], "num": [1, 2], "words": [["a"], ["b"]]})


def made(body, kind="row", pre=()):
    return augment([TransformationFunction("f", body, kind=kind, pre=pre)], TABLE,
                   keep_original=False)  # fmt: skip


def test_columns_of_any_kind():
    found = made(lambda row: {"words": [*row.words, "z"], "num": None})
    assert found["words"].to_list() == [["a", "z"], ["b", "z"]]
    assert found["num"].to_list() == [None, None]
    assert found.schema["num"] == pl.Int64


def test_no_field_changed_is_a_copy_all_the_same():
    assert made(lambda row: {})["num"].to_list() == [1, 2]


def test_naming_its_own_row_id_is_fine():
    found = made(lambda row: {"row_id": row.row_id, "num": 5})
    assert found["row_id"].is_unique().all()


def fails(row):
    if row.num == 2:
        raise ValueError("two")
    return {"num": 0}


def whole(frame):
    raise ValueError("no")


@preprocessor
def broken(row):
    raise KeyError("gone")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (fails, r"^transformation function 'f', row 8: raised ValueError: two\n  fix: handle that"),
        (
            lambda row: "text",
            r"row 7: expected a mapping of the fields to change, or None, found s",
        ),
        (lambda row: {"n": 1}, r"row 7: changed 'n', which is no column\n.*row_id, num, words$"),
        (lambda row: {"row_id": 9}, r"row 7: changed the 'row_id', by which a row is known$"),
        (lambda row: {"num": "x"}, r"^transformation function 'f': changed column 'num' to values"),
    ],
)
def test_bad_answers_of_a_row(body, message):
    with pytest.raises(LabelError, match=message):
        made(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (whole, r"^transformation function 'f', rows 7 to 8: raised ValueError: no\n"),
        (
            lambda frame: None,
            r"expected a Polars frame of 'row_id' and the columns to chan.*NoneType",
        ),
        (lambda frame: frame.select("num"), r"the columns to change, found \['num'\]$"),
        (lambda frame: frame.select("row_id", n=1), r"changed 'n', which is no column"),
        (
            lambda frame: pl.concat([frame, frame]),
            r"^transformation function 'f': expected the row ids of the batch, each at most once$",
        ),
        (
            lambda frame: frame.with_columns(row_id=pl.lit(3, pl.Int64)).head(1),
            r"answered for row 3, which is not in the batch$",
        ),
        (
            lambda frame: frame.with_columns(num=pl.lit("x")),
            r"changed column 'num' to values that are not Int64: ",
        ),
    ],
)
def test_bad_answers_of_a_batch(body, message):
    with pytest.raises(LabelError, match=message):
        made(body, kind="batch")


def test_a_preprocessor_that_raises_is_named_with_the_row():
    with pytest.raises(LabelError, match=r"'f', row 7: raised KeyError: 'gone'"):
        made(lambda row: None, pre=[broken])
