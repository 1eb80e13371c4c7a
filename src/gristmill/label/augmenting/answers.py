"""What transformation functions answer, as columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.core.seeds import derive_seed
from gristmill.data.table import ROW_ID
from gristmill.label.augmenting.transformation import RNG, TransformationFunction
from gristmill.label.functions.preprocessed import PreprocessedRows, Unready
from gristmill.label.functions.rows import Row, cells_of

Answers: TypeAlias = "tuple[NDArray[np.bool_], list[pl.Series]]"
"""Which rows a function changed, bool[n], and the columns that it touched, whole."""

Fields: TypeAlias = Mapping[str, object]


def row_answers(
    function: TransformationFunction,
    frame: pl.DataFrame,
    origins: Sequence[int | str],
    seed: int,
) -> Answers:
    """Call a function on each row of a frame, in order.

    Args:
        function: of the kind "row".
        frame: copies, `row_id` is their own.
        origins: ids of the rows that they are copies of; messages name these.
        seed: with a copy's id it seeds the generator that the function is handed.

    Raises:
        LabelError: it raised, or answered with what is no change of the row.
    """
    rows = PreprocessedRows(cells_of(frame))
    answers: list[Fields | None] = []
    for row, seen, origin in zip(rows.rows, rows.view(function.pre), origins, strict=True):
        answer = _call(function, seen, origin, seed, row[ROW_ID])
        _check_answer(function, answer, row, origin)
        answers.append(answer)
    changed = np.array([answer is not None for answer in answers], np.bool_)
    touched = dict.fromkeys(name for answer in answers if answer is not None for name in answer)
    return changed, [_column(function, frame[name], answers) for name in touched if name != ROW_ID]


def batch_answers(
    function: TransformationFunction,
    frame: pl.DataFrame,
    origins: Sequence[int | str],
    seed: int,
) -> Answers:
    """Call a function on a whole frame; see `row_answers`.

    Raises:
        LabelError: it raised, or did not answer with a frame of rows and columns that are there.
    """
    try:
        answer = function(frame, **_draws(function, seed, "batch"))
    except Exception as error:
        raise _stopped(function, f"rows {origins[0]!r} to {origins[-1]!r}", error) from error
    _check_frame(function, answer, frame)
    mark = "__changed"
    joined = frame.select(ROW_ID).join(
        answer.with_columns(pl.lit(value=True).alias(mark)),
        on=ROW_ID,
        how="left",
        maintain_order="left",
    )
    changed = joined[mark].fill_null(value=False)
    touched = [name for name in answer.columns if name != ROW_ID]
    new = [
        pl.select(pl.when(changed).then(_cast(function, joined[name], frame[name].dtype))
                  .otherwise(frame[name]).alias(name)).to_series()
        for name in touched
    ]  # fmt: skip
    return changed.to_numpy(), new


def _call(
    function: TransformationFunction, row: Row | Unready, origin: object, seed: int, row_id: object
) -> Any:
    place = f"row {origin!r}"
    if isinstance(row, Unready):
        raise _stopped(function, place, row.error) from row.error
    try:
        return function(row, **_draws(function, seed, str(row_id)))
    except Exception as error:
        raise _stopped(function, place, error) from error


def _draws(function: TransformationFunction, seed: int, key: str) -> dict[str, object]:
    if not function.draws:
        return {}
    return {RNG: np.random.default_rng(derive_seed(seed, key))}


def _column(
    function: TransformationFunction, before: pl.Series, answers: Sequence[Fields | None]
) -> pl.Series:
    """Return a column with the answers' values where there are any."""
    values = [
        old if answer is None else answer.get(before.name, old)
        for old, answer in zip(before.to_list(), answers, strict=True)
    ]
    try:
        return pl.Series(before.name, values, dtype=before.dtype)
    except (TypeError, OverflowError, pl.exceptions.PolarsError) as error:
        raise _misfit(function, before.name, before.dtype, error) from error


def _cast(function: TransformationFunction, column: pl.Series, dtype: pl.DataType) -> pl.Series:
    try:
        return column.cast(dtype)
    except pl.exceptions.PolarsError as error:
        raise _misfit(function, column.name, dtype, error) from error


def _misfit(
    function: TransformationFunction, column: str, dtype: pl.DataType, error: Exception
) -> LabelError:
    first = str(error).partition("\n")[0]
    return LabelError(
        f"changed column {column!r} to values that are not {dtype}: {first}",
        where=_where(function),
    )


def _stopped(function: TransformationFunction, place: str, error: BaseException) -> LabelError:
    return LabelError(
        f"raised {type(error).__name__}: {error}",
        where=f"{_where(function)}, {place}",
        fix="handle that case in the function; None leaves the row as it is",
    )


def _check_answer(
    function: TransformationFunction, answer: object, row: Fields, origin: object
) -> None:
    if answer is None:
        return
    where = f"{_where(function)}, row {origin!r}"
    if not isinstance(answer, Mapping):
        raise LabelError(
            f"expected a mapping of the fields to change, or None, found {type(answer).__name__}",
            where=where,
        )
    _check_columns(answer, row, where)
    if answer.get(ROW_ID, row[ROW_ID]) != row[ROW_ID]:
        raise LabelError(f"changed the {ROW_ID!r}, by which a row is known", where=where)


def _check_frame(function: TransformationFunction, answer: object, frame: pl.DataFrame) -> None:
    where = _where(function)
    if not isinstance(answer, pl.DataFrame) or ROW_ID not in answer.columns:
        found = answer.columns if isinstance(answer, pl.DataFrame) else type(answer).__name__
        raise LabelError(
            f"expected a Polars frame of {ROW_ID!r} and the columns to change, found {found}",
            where=where,
        )
    _check_columns(answer.columns, frame.columns, where)
    ids = answer[ROW_ID]
    if ids.dtype != frame.schema[ROW_ID] or ids.is_duplicated().any():
        raise LabelError("expected the row ids of the batch, each at most once", where=where)
    strange = ids.filter(~ids.is_in(frame[ROW_ID].implode()))
    if len(strange):
        raise LabelError(f"answered for row {strange[0]!r}, which is not in the batch", where=where)


def _check_columns(changed: Iterable[str], columns: Iterable[str], where: str) -> None:
    known = list(columns)
    strange = [name for name in changed if name not in known]
    if strange:
        raise LabelError(
            f"changed {strange[0]!r}, which is no column",
            where=where,
            fix=f"columns are: {', '.join(known)}",
        )


def _where(function: TransformationFunction) -> str:
    return f"transformation function {function.name!r}"
