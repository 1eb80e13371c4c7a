from __future__ import annotations

import polars as pl
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.codes import VoteCodes
from gristmill.label.functions.columns import Column
from gristmill.label.functions.expression_votes import (
    expression_columns,
    expression_of,
    is_row_wise,
)
from gristmill.label.functions.function import labeling_function

CODES = VoteCodes(["ham", "spam"])
FRAME = pl.DataFrame({"row_id": [10, 11, 12], "text": ["1", "x", "2"], "n": [1, 5, 3]})
N = pl.col("n")


def run(*expressions: pl.Expr, policy: str = "raise", row_wise: bool = True) -> list[Column]:
    named = {f"f{index}": each for index, each in enumerate(expressions)}
    policies = [policy] * len(expressions)
    return expression_columns(named, policies, FRAME, CODES, row_wise=row_wise)  # type: ignore[arg-type]


def test_all_in_one_query() -> None:
    columns = run(
        pl.when(N > 2).then(1),
        pl.when(N > 2).then(pl.lit("ham")),
        pl.lit("spam"),
        pl.lit(None),
    )
    assert [column.codes.tolist() for column in columns] == [
        [-1, 1, 1],
        [-1, 0, 0],
        [1, 1, 1],
        [-1, -1, -1],
    ]


def test_a_boolean_expression_is_no_vote() -> None:
    with pytest.raises(LabelError, match="labelling function 'f0', row 10: voted False; expected"):
        run(N > 2)


def test_a_vote_outside_the_classes() -> None:
    with pytest.raises(LabelError, match="labelling function 'f1', row 11: voted 5; expected"):
        run(pl.lit(1), N.replace({3: 1}))


def test_a_failing_row_is_found_and_the_others_keep_their_votes() -> None:
    casting = pl.col("text").cast(pl.Int8) - 1
    with pytest.raises(
        LabelError, match="labelling function 'f1', row 11: raised InvalidOperation"
    ):
        run(pl.lit(1), casting)
    fine, failing = run(pl.lit(1), casting, policy="abstain")
    assert fine.codes.tolist() == [1, 1, 1]
    assert failing.codes.tolist() == [0, -1, 1]
    assert [position for position, _ in failing.failures] == [1]


def test_a_missing_column_is_no_matter_of_rows() -> None:
    with pytest.raises(LabelError) as caught:
        run(pl.col("nope"))
    assert str(caught.value).startswith(
        "labelling function 'f0': its expression cannot run on this table: ColumnNotFoundError: "
    )
    (column,) = run(pl.col("nope"), policy="abstain")
    assert (column.codes.tolist(), len(column.failures)) == ([-1] * 3, 3)


def test_a_class_name_taken_for_a_column_gets_its_remedy() -> None:
    with pytest.raises(LabelError, match=r"write pl.lit\('spam'\)"):
        run(pl.when(N > 2).then("spam"))


def test_an_expression_over_the_whole_table_fails_as_a_whole() -> None:
    (column,) = run(pl.col("text").cast(pl.Int8).max(), policy="abstain", row_wise=False)
    assert len(column.failures) == 3


@pytest.mark.parametrize(
    "expression",
    [
        pl.when(N > 2).then(1),
        pl.lit(1),
        pl.col("text").str.contains("a"),
        pl.concat_str(["text", "text"]).str.len_chars() > 3,
        N.replace_strict({1: 1}, default=None),
        N.is_in([1, 2]),
    ],
)
def test_row_wise_expressions(expression: pl.Expr) -> None:
    assert is_row_wise(expression)


@pytest.mark.parametrize(
    "expression",
    [
        N.mean() < N,
        pl.when(N.quantile(0.5) < N).then(1),
        N.is_duplicated(),
        N.sum().over("text") > 3,
        N.shift(1) > 0,
        N.rank() > 2,
        pl.when(N.any()).then(1),
        pl.len() < N,
        pl.when(N.first() == N).then(1),
        N.cum_sum() > 3,
    ],
)
def test_expressions_that_look_at_other_rows(expression: pl.Expr) -> None:
    assert not is_row_wise(expression)


def test_what_a_function_must_build() -> None:
    with pytest.raises(LabelError, match=r"'f': building its expression raised ZeroDivisionError"):
        expression_of(labeling_function(name="f")(lambda: 1 / 0))
    with pytest.raises(LabelError, match=r"'f': expected a Polars expression, found int"):
        expression_of(labeling_function(name="f")(lambda: 1))
