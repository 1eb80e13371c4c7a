from __future__ import annotations

import math
import pickle

import pytest

from gristmill.core.errors import LabelError
from gristmill.label.functions.preprocess import PreprocessedRow, Preprocessor, preprocessor
from gristmill.label.functions.rows import Row


@preprocessor
def length(row):  # type: ignore[no-untyped-def]
    """Count."""
    return {"length": len(row.text)}


@preprocessor(pre=[length])
def doubled(row):  # type: ignore[no-untyped-def]
    return {"doubled": 2 * row.length}


def counting() -> tuple[Preprocessor, list[Row]]:
    calls: list[Row] = []

    @preprocessor
    def seen(row):  # type: ignore[no-untyped-def]
        calls.append(row)
        return {"seen": [len(calls)], "nan": math.nan}

    return seen, calls


def test_the_view_has_columns_and_fields_also_of_what_is_needed() -> None:
    view = PreprocessedRow(Row({"text": "abc"})).view((doubled,))
    assert dict(view) == {"text": "abc", "length": 3, "doubled": 6}


def test_a_preprocessor_runs_once_for_all_that_share_it() -> None:
    seen, calls = counting()
    other = preprocessor(pre=[seen])(lambda row: {"other": row.seen[0]})
    shared = PreprocessedRow(Row({"text": "a"}))
    for pre in ((seen,), (other,), (seen, other), (length, seen)):
        shared.view(pre)
    assert len(calls) == 1


def test_fields_that_hold_nan_are_computed_once_too() -> None:
    seen, calls = counting()
    shared = PreprocessedRow(Row({"text": "a", "price": math.nan}))
    assert math.isnan(shared.view((seen,)).nan)  # type: ignore[arg-type]
    shared.view((seen,))
    assert len(calls) == 1


def test_results_are_read_only() -> None:
    seen, _ = counting()
    assert PreprocessedRow(Row({"text": "a"})).view((seen,)).seen == (1,)


def test_a_preprocessor_sees_only_what_it_declares() -> None:
    nosy = preprocessor(lambda row: {"n": row.length})
    with pytest.raises(AttributeError, match="the row has no column 'length'"):
        PreprocessedRow(Row({"text": "abc"})).view((length, nosy))


def test_an_exception_is_remembered_and_raised_to_each() -> None:
    calls = []

    @preprocessor
    def broken(row):  # type: ignore[no-untyped-def]
        calls.append(row)
        raise ZeroDivisionError

    shared = PreprocessedRow(Row({"text": "a"}))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            shared.view((broken,))
    assert len(calls) == 1


def test_a_result_that_is_no_mapping_is_refused() -> None:
    @preprocessor
    def nothing(row):  # type: ignore[no-untyped-def]
        return None

    with pytest.raises(
        LabelError, match=r"^preprocessor 'nothing' must return a mapping, found NoneType$"
    ):
        PreprocessedRow(Row({"text": "a"})).view((nothing,))


def test_two_that_give_one_field_are_refused() -> None:
    @preprocessor
    def again(row):  # type: ignore[no-untyped-def]
        return {"length": 0}

    with pytest.raises(
        LabelError, match="preprocessors 'length' and 'again' both give the field 'length'"
    ):
        PreprocessedRow(Row({"text": "a"})).view((length, again))


def test_the_fingerprint_is_of_the_code_and_of_what_it_needs() -> None:
    def make(step: int) -> Preprocessor:
        inner = preprocessor(lambda row: {"n": step})
        return preprocessor(pre=[inner])(lambda row: {"m": row.n})

    assert make(1).__fingerprint__() == make(1).__fingerprint__()
    assert make(1).__fingerprint__() != make(2).__fingerprint__()


def test_it_keeps_name_and_docstring_and_refuses_to_travel_without_a_home() -> None:
    assert (length.name, length.__doc__) == ("length", "Count.")
    seen, _ = counting()
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(seen)
