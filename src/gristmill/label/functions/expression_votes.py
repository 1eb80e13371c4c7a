"""Votes of the labelling functions that are expressions: all in one lazy query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gristmill.core.errors import LabelError
from gristmill.data.table import ROW_ID
from gristmill.label.codes import BadVoteError, VoteCodes
from gristmill.label.functions.columns import Column, around_failures, said, stopped
from gristmill.label.functions.function import LabelingFunction, OnError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

_VOTE = "__vote_{}__"


def expression_of(function: LabelingFunction) -> pl.Expr:
    """Build a function's expression.

    Raises:
        LabelError: building it raised, or it is no expression.
    """
    import polars as pl

    where = f"labelling function {function.name!r}"
    try:
        built = function()
    except Exception as error:
        raise LabelError(f"building its expression raised {said(error)}", where=where) from error
    if not isinstance(built, pl.Expr):
        raise LabelError(
            f"expected a Polars expression, found {type(built).__name__}",
            where=where,
            fix="a function of a row takes the row as its parameter",
        )
    return built


def is_row_wise(expression: pl.Expr) -> bool:
    """Say whether each row's value depends on that row alone, so that partitions may be apart.

    When in doubt the answer is no. Every part of the expression is asked, since Polars says yes to
    `x > x.mean()` taken as a whole.
    """
    import polars as pl

    try:
        meta = expression.meta
        if not meta.is_row_separable():
            return False
        if meta.is_scalar() and meta.root_names():
            return False
        return all(is_row_wise(part) for part in meta.pop())
    except (pl.exceptions.PolarsError, AttributeError):  # too involved, or an older Polars
        return False


def expression_columns(
    expressions: Mapping[str, pl.Expr],
    policies: Sequence[OnError],
    frame: pl.DataFrame,
    codes: VoteCodes,
    *,
    row_wise: bool = True,
) -> list[Column]:
    """Return the votes of expressions, by name of their functions, on one frame, in one query.

    Only when the query fails is each run alone, to find the function and the rows to blame.

    Raises:
        LabelError: one failed and its policy is to stop, or it voted for no class.
    """
    import polars as pl

    try:
        found = _query(list(expressions.values()), frame)
    except pl.exceptions.PolarsError:
        return [
            _alone(name, expression, policy, frame, codes, row_wise)
            for (name, expression), policy in zip(expressions.items(), policies, strict=True)
        ]
    return [
        Column(_encode(name, found[_VOTE.format(index)], frame, codes))
        for index, name in enumerate(expressions)
    ]


def _query(expressions: Sequence[pl.Expr], frame: pl.DataFrame) -> pl.DataFrame:
    named = {_VOTE.format(index): each for index, each in enumerate(expressions)}
    return frame.lazy().with_columns(**named).select(list(named)).collect()


def _encode(
    name: str, votes: pl.Series, frame: pl.DataFrame, codes: VoteCodes
) -> NDArray[np.integer]:
    try:
        return codes.encode_series(votes)
    except BadVoteError as bad:
        raise codes.refusal(name, frame[ROW_ID][bad.position], bad.value) from None


def _alone(
    name: str,
    expression: pl.Expr,
    policy: OnError,
    frame: pl.DataFrame,
    codes: VoteCodes,
    row_wise: bool,
) -> Column:
    import numpy as np
    import polars as pl

    def evaluate(part: pl.DataFrame) -> NDArray[np.integer]:
        return _encode(name, _query([expression], part)[_VOTE.format(0)], part, codes)

    try:
        evaluate(frame.head(0))
        column = around_failures(evaluate, frame) if row_wise else Column(evaluate(frame))
    except pl.exceptions.PolarsError as error:  # of the whole frame, not of some rows
        if policy == "raise":
            raise _unfit(name, error, codes) from error
        failures = [(position, said(error)) for position in range(frame.height)]
        return Column(np.full(frame.height, -1, codes.dtype), failures)
    if column.failures and policy == "raise":
        position, message = column.failures[0]
        raise stopped(name, frame[ROW_ID][position], message)
    return column


def _unfit(function: str, error: Exception, codes: VoteCodes) -> LabelError:
    import polars as pl

    missing = isinstance(error, pl.exceptions.ColumnNotFoundError)
    fix = "name a column that the table has: column=..." if missing else None
    for name in codes.classes:
        if f'"{name}"' in str(error):
            fix = f"Polars takes a text in then() for a column: write pl.lit({name!r})"
    return LabelError(
        f"its expression cannot run on this table: {said(error)}",
        where=f"labelling function {function!r}",
        fix=fix,
    )
