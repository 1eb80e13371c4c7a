"""Labels of any form, joined to a table as soft targets and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, Union

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import TrainError
from gristmill.data.table import ROW_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    Labelled: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]

LabelsLike: TypeAlias = Union[pl.DataFrame, pl.Series, "NDArray[np.int64]", "Sequence[int]", str]
"""A labels table, the name of a label column, or one label for each row."""

_PLACE = "__place"


def join_labels(table: pl.DataFrame, labels: LabelsLike, classes: list[str]) -> Labelled:
    """Return (rows int64[m], targets float32[m, k], weights float32[m]) of the labelled rows.

    `rows` are positions in `table`, ascending. See `Examples.from_table` for the forms of labels.

    Raises:
        TrainError: a label is of no known class, or columns are missing or of unequal length.
    """
    if isinstance(labels, pl.DataFrame):
        return _from_frame(table, labels, classes)
    numbers = _class_numbers(_aligned(table, labels), classes)
    return _hard(np.arange(table.height), numbers, np.ones(table.height, np.float32), len(classes))


def _from_frame(table: pl.DataFrame, labels: pl.DataFrame, classes: list[str]) -> Labelled:
    if ROW_ID not in labels.columns or not {"label", "probs"} & set(labels.columns):
        raise TrainError(
            f"a labels table needs columns {ROW_ID!r} and 'label' or 'probs', "
            f"found {', '.join(labels.columns) or 'none'}"
        )
    if labels.schema[ROW_ID] != table.schema[ROW_ID]:
        raise TrainError(
            f"row ids of the labels are {labels.schema[ROW_ID]}, of the table "
            f"{table.schema[ROW_ID]}",
            fix="label the same table that is trained on",
        )
    if labels[ROW_ID].is_duplicated().any():
        twin = labels[ROW_ID].filter(labels[ROW_ID].is_duplicated())[0]
        raise TrainError(f"row {twin!r} has more than one label", fix="keep one label a row")
    places = table.select(ROW_ID).with_row_index(_PLACE)
    joined = places.join(labels, on=ROW_ID, how="inner").sort(_PLACE)
    rows = joined[_PLACE].cast(pl.Int64).to_numpy()
    weights = _weights(joined)
    if "probs" in joined.columns:
        return _soft(rows, joined, weights, len(classes))
    return _hard(rows, _class_numbers(joined["label"], classes), weights, len(classes))


def _soft(
    rows: NDArray[np.int64], joined: pl.DataFrame, weights: NDArray[np.float32], k: int
) -> Labelled:
    known = joined["probs"].is_not_null()
    if "label" in joined.columns:
        known &= (joined["label"] != -1).fill_null(value=False)
    mask = known.to_numpy()
    probs = joined["probs"].filter(known).to_list()
    wrong = next((len(row) for row in probs if len(row) != k), None)
    if wrong is not None:
        raise TrainError(f"expected {k} probabilities a row, one a class, found {wrong}")
    targets = np.asarray(probs, dtype=np.float64).reshape(-1, k)
    return rows[mask], targets.astype(np.float32), weights[mask]


def _hard(
    rows: NDArray[np.int64], numbers: NDArray[np.int64], weights: NDArray[np.float32], k: int
) -> Labelled:
    known = numbers >= 0
    return rows[known], np.eye(k, dtype=np.float32)[numbers[known]], weights[known]


def _weights(joined: pl.DataFrame) -> NDArray[np.float32]:
    if "weight" not in joined.columns:
        return np.ones(joined.height, dtype=np.float32)
    return joined["weight"].cast(pl.Float32).fill_null(float("nan")).to_numpy()


def _aligned(table: pl.DataFrame, labels: LabelsLike) -> pl.Series:
    if isinstance(labels, str):
        if labels not in table.columns:
            raise TrainError(
                f"no label column {labels!r}", fix=f"columns are: {', '.join(table.columns)}"
            )
        return table[labels]
    column = pl.Series(labels)
    if len(column) != table.height:
        raise TrainError(f"expected {table.height} labels, one a row, found {len(column)}")
    return column


def _class_numbers(labels: pl.Series, classes: list[str]) -> NDArray[np.int64]:
    """Return int64[n] class numbers of labels given as numbers or names; -1 where null."""
    if not labels.dtype.is_integer():
        return _from_names(labels.cast(pl.String), classes)
    numbers = labels.cast(pl.Int64).fill_null(-1).to_numpy()
    outside = (numbers < -1) | (numbers >= len(classes))
    if outside.any():
        row = int(np.argmax(outside))
        raise TrainError(
            f"label {int(numbers[row])} is outside the classes 0..{len(classes) - 1} "
            f"({', '.join(classes)})",
            where=f"label {row}",
        )
    return numbers


def _from_names(labels: pl.Series, classes: list[str]) -> NDArray[np.int64]:
    order = {name: number for number, name in enumerate(classes)}
    strange = [name for name in labels.unique().drop_nulls().sort() if name not in order]
    if strange:
        raise TrainError(f"label {strange[0]!r} is not one of the classes {', '.join(classes)}")
    numbers = [-1 if name is None else order[name] for name in labels.to_list()]
    return np.asarray(numbers, dtype=np.int64)
