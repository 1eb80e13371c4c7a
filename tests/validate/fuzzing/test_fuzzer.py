from __future__ import annotations

import math
import sys

import polars as pl
import pytest

from gristmill.core.errors import DataError, UsageError
from gristmill.validate.fuzzing.fuzzer import fuzz
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.schema import Schema

SCHEMA = Schema(
    features={
        "age": FeatureSpec("int", min=0, max=120, negative=False, min_present=1.0),
        "fare": FeatureSpec("float", min=0.0, max=100.0, min_present=1.0),
        "paid": FeatureSpec("string", domain=("card", "cash"), min_present=1.0),
        "note": FeatureSpec("string", max_length=30, min_present=0.5),
    },
    environments={"serving": "asks"},
)


def robust(table: pl.DataFrame) -> list[str]:
    return ["yes"] * table.height


def test_robust_code_passes() -> None:
    report = fuzz(SCHEMA, robust, drawn=50)
    assert report.ok
    assert report.edges > 30
    assert report.verdict == f"robust: {report.edges} edge cases and 50 random rows, no failure"


def test_a_crash_is_told_with_the_smallest_row() -> None:
    def code(table: pl.DataFrame) -> None:
        for age, note in zip(table["age"], table["note"], strict=True):
            if age == 120 and note is None:
                raise KeyError("oldest")

    report = fuzz(SCHEMA, code, drawn=300, seed=1)
    for failure in report.failures:
        assert failure.wrong == "crashed"
        assert failure.error == "KeyError: 'oldest'"
        assert failure.odd == ["age", "note"]
        assert failure.keeps_schema
        assert __file__ in failure.where


def test_edges_come_first_and_need_no_luck() -> None:
    def code(table: pl.DataFrame) -> object:
        return [1 / age for age in table["age"].cast(pl.Int64, strict=False).drop_nulls()]

    (failure,) = fuzz(SCHEMA, code, drawn=0).failures
    assert (failure.error, failure.odd) == ("ZeroDivisionError: division by zero", [])
    assert "(age = 0, fare = 0.0, paid = 'card', note = 'x')" in str(failure)


def test_random_rows_find_what_no_single_edge_shows() -> None:
    def code(table: pl.DataFrame) -> None:
        row = table.row(-1, named=True)
        if isinstance(row["age"], int) and 40 < row["age"] < 80 and row["paid"] == "cash":
            raise RuntimeError("middle age pays cash")

    (failure,) = fuzz(SCHEMA, code, drawn=300).failures
    assert failure.odd == ["age", "paid"]
    assert failure.row["age"] == 41  # the smallest


def test_refusing_is_right_for_bad_rows_and_wrong_for_good_ones() -> None:
    def picky(table: pl.DataFrame) -> None:
        if table["age"].dtype != pl.Int64 or table["age"].null_count():
            raise DataError("expected ages")
        if table["paid"].is_in(["card"]).any():
            raise DataError("no cards here")

    (failure,) = fuzz(SCHEMA, picky, drawn=20).failures
    assert failure.wrong == "refused a good row"
    assert failure.error == "DataError: no cards here"


def test_a_bad_row_must_not_crash() -> None:
    def code(table: pl.DataFrame) -> object:
        return table["age"].sum() + 0 if table["age"].dtype == pl.Int64 else int("7h")

    (failure,) = fuzz(SCHEMA, code, drawn=0).failures
    assert failure.wrong == "crashed"
    assert not failure.keeps_schema
    assert "a row that breaks it" in str(failure)


def test_answers_are_judged() -> None:
    def code(table: pl.DataFrame) -> list[float]:
        return [math.nan if fare == 100.0 else 0.5 for fare in table["fare"]]

    def judge(table: pl.DataFrame, answer: object) -> str | None:
        assert isinstance(answer, list)
        return "a probability is NaN" if any(map(math.isnan, answer)) else None

    (failure,) = fuzz(SCHEMA, code, drawn=0, judge=judge).failures
    assert (failure.wrong, failure.error, failure.where) == (
        "wrong answer",
        "a probability is NaN",
        "",
    )
    assert failure.row["fare"] == 100.0


def test_company_and_seed() -> None:
    heights: list[int] = []

    def code(table: pl.DataFrame) -> None:
        heights.append(table.height)

    first = fuzz(SCHEMA, code, drawn=5, company=9, seed=3)
    assert set(heights) == {10}
    assert first == fuzz(SCHEMA, code, drawn=5, company=9, seed=3)


def test_describe_spells_what_json_cannot_hold() -> None:
    def code(table: pl.DataFrame) -> None:
        if table["fare"].dtype == pl.Float64 and table["fare"].is_nan().any():
            raise ValueError

    described = fuzz(SCHEMA, code, drawn=0).describe()
    (failure,) = described["failures"]  # type: ignore[misc]
    assert failure["row"]["fare"] == "nan"


def test_wrong_calls() -> None:
    with pytest.raises(UsageError, match="expected counts of at least 0, found -1 rows"):
        fuzz(SCHEMA, robust, drawn=-1)
    with pytest.raises(UsageError, match="unknown environment 'moon'"):
        fuzz(SCHEMA, robust, environment="moon")


def test_of_one_failure_the_good_row_is_told() -> None:
    def code(table: pl.DataFrame) -> object:
        return [1 / age if isinstance(age, int) and age < 121 else 1 + None for age in table["age"]]  # type: ignore[operator]

    found = {failure.error: failure for failure in fuzz(SCHEMA, code, drawn=0).failures}
    assert found["ZeroDivisionError: division by zero"].keeps_schema


def test_long_errors_are_cut() -> None:
    def code(table: pl.DataFrame) -> None:
        raise ValueError("x" * 5_000)

    (failure,) = fuzz(SCHEMA, code, drawn=0).failures
    assert len(failure.error) < 250


def test_code_that_leaves_the_process_is_a_crash() -> None:
    def code(table: pl.DataFrame) -> None:
        if table["age"][0] == 120:
            sys.exit(0)

    (failure,) = fuzz(SCHEMA, code, drawn=0).failures
    assert failure.error == "SystemExit: 0"
    assert failure.odd == ["age"]


def test_a_refusal_of_every_row_is_told_in_few_cells() -> None:
    def code(table: pl.DataFrame) -> None:
        raise DataError("no")

    wide = Schema(features={f"f{n}": FeatureSpec("int", min_present=1.0) for n in range(9)})
    (failure,) = fuzz(wide, code, drawn=0).failures
    assert str(failure).startswith(
        "refused a good row (f0 = 0, f1 = 0, f2 = 0, f3 = 0, f4 = 0, f5 = 0, ...): DataError: no at"
    )
