"""Rows given to a runner in batches that suit it, and its answers as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import DataError, ServeError
from gristmill.serve.offline.sliced import tensor_series
from gristmill.serve.runners.labels import ClassRows
from gristmill.serve.runners.rows import Column, Ragged, Rows
from gristmill.serve.runners.runner import Runner
from gristmill.store.signature import Field

_BATCH_ROWS = 8192
_BATCH_BYTES = 4 << 20
"""Of what is asked; what layers make of pictures takes some tens of times as much."""
_OWN_ORDER_ROWS = 1024
"""Of so many rows a runner finds enough that are alike: texts that lie in memory in another order
than they are read in take a fifth longer."""
_NO_ANSWER = "the model has no finite answer to it"
_TYPES: dict[str, type[pl.DataType]] = {
    "string": pl.String,
    "int": pl.Int64,
    "float": pl.Float64,
    "bool": pl.Boolean,
}


class Answers(NamedTuple):
    """What came of some rows.

    Attributes:
        frame: a row of answers for each, null where there is none.
        failed: by place, why there is none.
    """

    frame: pl.DataFrame
    failed: dict[int, str]


def answer_rows(runner: Runner, rows: Rows, batch_rows: int | None = None) -> Answers:
    """Answer rows in their order; rows of like work go through the model together.

    Args:
        runner: the model.
        rows: that keep its signature.
        batch_rows: most rows of a batch; by default as many as suit processors and memory.

    Raises:
        ServeError: the model can't be computed, whatever the row.
    """
    if rows.count == 0:
        return Answers(empty_answers(runner), {})
    size = batch_rows or _rows_at_once(rows)
    order = None if size >= _OWN_ORDER_ROWS else _by_work(runner, rows)
    sorted_rows = rows if order is None else rows.select(order)
    frames, failed = [], dict[int, str]()
    start = 0
    for batch in _batches(sorted_rows, size):
        found = _answered(runner, batch)
        frames.append(found.frame)
        failed |= {start + place: reason for place, reason in found.failed.items()}
        start += batch.count
    frame = pl.concat(frames)
    if order is None:
        return Answers(frame, failed)
    return Answers(
        frame[np.argsort(order)], {int(order[place]): why for place, why in failed.items()}
    )


def answer_fields(runner: Runner) -> list[Field]:
    """Return the fields of an answer, in the order of the columns."""
    if not runner.classes:
        return list(runner.outputs)
    probs = Field("probs", "tensor", dtype="float64", shape=[len(runner.classes)])
    return [Field("label", "string"), Field("prob", "float"), probs]


def answers_schema(runner: Runner) -> pl.Schema:
    """Return the columns of an answer."""
    return pl.Schema({field.name: _dtype(field) for field in answer_fields(runner)})


def empty_answers(runner: Runner) -> pl.DataFrame:
    """Return no answers."""
    return answers_schema(runner).to_frame()


def by_class(answers: pl.DataFrame, classes: Sequence[str]) -> pl.DataFrame:
    """Return answers with a column for the probability of each class in place of `probs`.

    Their names, such as `probs.ham`, are those that the server gives them in CSV.
    """
    if not classes:
        return answers
    by_place = pl.col("probs").list.to_array(len(classes)).arr
    return answers.with_columns(by_place.to_struct(class_columns(classes))).unnest("probs")


def class_columns(classes: Sequence[str]) -> list[str]:
    """Return the names of the columns of `by_class`."""
    return [f"probs.{name}" for name in classes]


def _by_work(runner: Runner, rows: Rows) -> NDArray[np.int64] | None:
    """Return the places of the rows in the order of their work; None if all have the same."""
    work = runner.work(rows)
    return None if (work == work[0]).all() else np.argsort(work, kind="stable")


def _rows_at_once(rows: Rows) -> int:
    """Return how many rows the runner is given at once: fewer where rows are large."""
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES * rows.count // max(rows.nbytes(), 1)))


def _batches(rows: Rows, size: int) -> Iterator[Rows]:
    for start in range(0, rows.count, size):
        yield rows.take(start, min(start + size, rows.count))


def _answered(runner: Runner, rows: Rows) -> Answers:
    """Answer a batch; rows that make the model fail are searched for by halves."""
    try:
        answers = runner(rows)
    except (DataError, ServeError) as error:
        if rows.count > 1:
            return _by_halves(runner, rows)
        missing = [pl.Series(name, [None], dtype) for name, dtype in answers_schema(runner).items()]
        # Of data it says in which row of the batch, which is this one.
        why = error.message if isinstance(error, DataError) else str(error)
        return Answers(pl.DataFrame(missing), {0: why})
    frame = answers_frame(answers, answer_fields(runner))
    bad = _not_finite(answers)
    if not bad.any():
        return Answers(frame, {})
    kept = pl.Series(~bad)
    frame = frame.with_columns(pl.when(kept).then(pl.all()))
    return Answers(frame, dict.fromkeys(np.flatnonzero(bad).tolist(), _NO_ANSWER))


def _by_halves(runner: Runner, rows: Rows) -> Answers:
    middle = rows.count // 2
    one = _answered(runner, rows.take(0, middle))
    two = _answered(runner, rows.take(middle, rows.count))
    failed = one.failed | {middle + place: reason for place, reason in two.failed.items()}
    return Answers(pl.concat([one.frame, two.frame]), failed)


def answers_frame(answers: Rows, outputs: Sequence[Field]) -> pl.DataFrame:
    """Return answers as a table: tensors of one shape as lists, or as arrays in more dimensions."""
    columns: Mapping[str, Column | pl.Series] = (
        {"label": pl.Series(answers.classes)[answers.best], **answers.numbers}
        if isinstance(answers, ClassRows)
        else answers.columns
    )
    return pl.DataFrame([_series(field, columns[field.name]) for field in outputs])


def _series(field: Field, column: Column | pl.Series) -> pl.Series:
    if isinstance(column, Ragged):
        return _lists(column).alias(field.name).cast(_dtype(field))
    if isinstance(column, np.ndarray) and column.ndim > 1:
        series = pl.Series(field.name, np.ascontiguousarray(column))
        return series.cast(_dtype(field))
    return pl.Series(field.name, column, dtype=_dtype(field))


def _lists(column: Ragged) -> pl.Series:
    """Return rows of different lengths as lists, which one by one take a hundred times as long."""
    numbers = np.arange(len(column))
    rows = pl.Series("row", np.repeat(numbers, column.lengths)).set_sorted()
    filled = pl.DataFrame([rows, tensor_series("list", column.values)])
    filled = filled.group_by("row", maintain_order=True).agg("list")
    every = pl.DataFrame({"row": numbers}).join(filled, on="row", how="left", maintain_order="left")
    nothing = pl.Series([[]], dtype=filled.schema["list"])
    return every["list"].fill_null(nothing)


def _dtype(field: Field) -> pl.DataType:
    if field.kind in _TYPES:
        return _TYPES[field.kind]()
    name = "uint8" if field.kind == "image" else str(field.dtype)
    inner = pl.Series(np.zeros(0, "float32" if name == "float16" else name)).dtype
    sizes = list(field.shape or ())
    if not sizes:
        return inner
    if len(sizes) == 1 or sizes[0] is None:
        below = pl.Array(inner, tuple(field.inner)) if field.inner and field.ragged else inner
        return pl.List(below)
    return pl.Array(inner, tuple(field.inner))


def _not_finite(answers: Rows) -> NDArray[np.bool_]:
    bad = np.zeros(answers.count, bool)
    columns = answers.numbers if isinstance(answers, ClassRows) else answers.columns
    for column in columns.values():
        if isinstance(column, np.ndarray) and column.dtype.kind == "f":
            if not np.isfinite(column).all():
                bad |= ~np.isfinite(column.reshape(answers.count, -1)).all(axis=1)
        elif isinstance(column, Ragged) and not np.isfinite(column.values).all():
            bad |= [not np.isfinite(column[row]).all() for row in range(len(column))]
    return bad
