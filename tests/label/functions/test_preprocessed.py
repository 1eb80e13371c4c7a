from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import LabelError
from gristmill.label.functions.preprocess import Preprocessor, preprocessor
from gristmill.label.functions.preprocessed import PreprocessedRows, ask_each
from gristmill.label.functions.rows import Row, TableRow


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


def rows_with(*texts: str) -> PreprocessedRows:
    return PreprocessedRows({"text": list(texts)})


def test_the_view_has_columns_and_fields_also_of_what_is_needed() -> None:
    views = rows_with("abc", "d").view((doubled,))
    assert [dict(view) for view in views] == [  # type: ignore[call-overload]
        {"text": "abc", "length": 3, "doubled": 6},
        {"text": "d", "length": 1, "doubled": 2},
    ]
    assert all(isinstance(view, TableRow) for view in views)


def test_without_preprocessors_the_view_is_the_rows() -> None:
    shared = rows_with("abc")
    assert shared.view(()) == shared.rows


def test_a_preprocessor_runs_once_for_all_that_share_it() -> None:
    seen, calls = counting()
    other = preprocessor(pre=[seen])(lambda row: {"other": row.seen[0]})
    shared = rows_with("a", "b", "c")
    for pre in ((seen,), (other,), (seen, other), (length, seen)):
        shared.view(pre)
    assert len(calls) == 3


def test_fields_that_hold_nan_are_computed_once_too() -> None:
    seen, calls = counting()
    shared = PreprocessedRows({"price": [math.nan, math.nan]})
    assert math.isnan(shared.view((seen,))[0].nan)  # type: ignore[union-attr]
    shared.view((seen,))
    assert len(calls) == 2


def test_results_are_read_only() -> None:
    seen, _ = counting()
    assert rows_with("a").view((seen,))[0].seen == (1,)  # type: ignore[union-attr]


def test_a_preprocessor_sees_only_what_it_declares() -> None:
    nosy = preprocessor(lambda row: {"n": row.length})
    told: list[str] = []
    rows_with("abc").ask(lambda row: 1, (length, nosy), lambda _, error: told.append(str(error)))
    assert told == ["'Row' object has no attribute 'length'"]


def test_rows_may_differ_in_their_fields_and_a_field_may_hide_a_column() -> None:
    odd = preprocessor(lambda row: {row.text: 1, "text": "x"} if row.text < "c" else {})
    views = rows_with("a", "b", "c").view((odd,))
    assert [dict(view) for view in views] == [  # type: ignore[call-overload]
        {"text": "x", "a": 1},
        {"text": "x", "b": 1},
        {"text": "c"},
    ]
    same = preprocessor(lambda row: {"text": row.text.upper()})
    assert [view.text for view in rows_with("a", "b").view((same,))] == ["A", "B"]  # type: ignore[union-attr]


def test_an_exception_is_remembered_and_raised_to_each_row_that_it_spoils() -> None:
    calls = []

    @preprocessor
    def picky(row):  # type: ignore[no-untyped-def]
        calls.append(row)
        return {"share": 1 / len(row.text)}

    below = preprocessor(pre=[picky])(lambda row: {"twice": 2 * row.share})
    shared = rows_with("ab", "", "a")
    for pre, name in (((picky,), "share"), ((below,), "twice"), ((picky, length), "share")):
        told: list[tuple[int, str]] = []
        answers = shared.ask(
            lambda row, name=name: row[name],  # type: ignore[misc]
            pre,
            lambda position, error, told=told: told.append((position, str(error))),  # type: ignore[misc]
        )
        assert told == [(1, "division by zero")]
        assert answers == ([0.5, None, 1.0] if name == "share" else [1.0, None, 2.0])
    assert len(calls) == 3


def test_a_result_that_is_no_mapping_is_refused() -> None:
    @preprocessor
    def nothing(row):  # type: ignore[no-untyped-def]
        return None

    with pytest.raises(
        LabelError, match=r"^preprocessor 'nothing' must return a mapping, found NoneType$"
    ):
        rows_with("a").view((nothing,))


def test_two_that_give_one_field_are_refused() -> None:
    @preprocessor
    def again(row):  # type: ignore[no-untyped-def]
        return {"length": 0}

    with pytest.raises(
        LabelError, match="preprocessors 'length' and 'again' both give the field 'length'"
    ):
        rows_with("a").view((length, again))


@given(st.lists(st.sampled_from(["fine", "raises", "stops", "leaves"])))
def test_asking_each_goes_on_after_whatever_a_row_raises(kinds: list[str]) -> None:
    """A StopIteration would end a `map`, a SystemExit the program."""
    errors = {"raises": ValueError, "stops": StopIteration, "leaves": SystemExit}

    def call(row: Row) -> str:
        if row.kind in errors:
            raise errors[row.kind]  # type: ignore[index]
        return str(row.kind)

    failed: list[int] = []
    answers = ask_each(
        call, [Row({"kind": kind}) for kind in kinds], lambda place, _: failed.append(place)
    )
    assert answers == [kind if kind == "fine" else None for kind in kinds]
    assert failed == [place for place, kind in enumerate(kinds) if kind != "fine"]
