from __future__ import annotations

import polars as pl
import pytest

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint
from gristmill.label.functions.preprocess import preprocessor
from gristmill.label.slices.slicing_function import slice_members, slicing_function

TABLE = pl.DataFrame({"row_id": ["x", "y", "z"], "text": ["SHOUT", "a", None], "n": [1, 5, 9]})


@slicing_function
def shouting(row):  # type: ignore[no-untyped-def]
    return row.text is not None and row.text.isupper()


@slicing_function
def short():  # type: ignore[no-untyped-def]
    return pl.col("text").str.len_chars() < 3


@slicing_function(name="large", kind="batch", resources={"least": 5})
def of_size(frame, least):  # type: ignore[no-untyped-def]
    return [value >= least for value in frame["n"]]


def test_functions_of_every_kind() -> None:
    assert [each.kind for each in (shouting, short, of_size)] == ["row", "expression", "batch"]
    members = slice_members([shouting, short, of_size], TABLE)
    assert members.schema == {"row_id": pl.String} | dict.fromkeys(
        ["shouting", "short", "large"], pl.Boolean
    )
    assert members.rows() == [
        ("x", True, False, False),
        ("y", False, True, True),
        ("z", False, False, True),
    ]


def test_preprocessors_are_for_slices_too() -> None:
    @preprocessor
    def length(row):  # type: ignore[no-untyped-def]
        return {"length": len(row.text or "")}

    @slicing_function(pre=[length])
    def empty(row):  # type: ignore[no-untyped-def]
        return row.length == 0

    assert slice_members([empty], TABLE)["empty"].to_list() == [False, False, True]


def test_a_slicing_function_is_still_a_function() -> None:
    assert of_size(TABLE) == [False, True, True]
    assert repr(short) == "SlicingFunction('short', kind='expression')"
    assert fingerprint(short) != fingerprint(shouting)


def test_an_answer_that_is_no_truth_value_names_slice_and_row() -> None:
    forgetful = slicing_function(name="forgetful")(lambda row: None)
    with pytest.raises(LabelError, match=r"'forgetful', row 'x'.*answered None; a slicing"):
        slice_members([forgetful], TABLE)


def test_names_are_unique_and_not_taken() -> None:
    with pytest.raises(LabelError, match="two slices are called 'short'"):
        slice_members([short, short], TABLE)
    with pytest.raises(LabelError, match="a slice cannot be called 'overall'"):
        slicing_function(name="overall")(lambda row: True)
    with pytest.raises(LabelError, match="expected slicing functions, found function"):
        slice_members([lambda row: True], TABLE)  # type: ignore[list-item]
    with pytest.raises(LabelError, match="no slicing functions"):
        slice_members([], TABLE)


def test_no_rows_give_no_members() -> None:
    assert slice_members([shouting, short], TABLE.head(0)).height == 0


def test_errors_speak_of_slicing_functions() -> None:
    @slicing_function
    def broken(row):
        return 1 / 0

    with pytest.raises(LabelError) as caught:
        slice_members([broken], pl.DataFrame({"text": ["a"]}))
    assert caught.value.where == "slicing function 'broken', row 0"
    assert caught.value.fix == "answer True or False for every row"
