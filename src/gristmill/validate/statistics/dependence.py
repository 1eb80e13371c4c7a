"""How much a feature tells of a label: lift of each value, and mutual information.

Counterparts of TFDV's `LiftStatsGenerator` and `MutualInformation`. Both count categories: numbers
and times with many values are cut into bins of equal mass, and missing is a category.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import msgspec
import numpy as np
import polars as pl

from gristmill.core.errors import UsageError
from gristmill.core.intervals import wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BINS = 10
_MAX_VALUES = 100
_MISSING = "(missing)"
_OTHER = "(other)"
_SHOWN = 256


class Lift(msgspec.Struct, frozen=True):
    """How much likelier a label is where a feature has a value: P(label | value) / P(label).

    Attributes:
        count, value_count, label_count: rows with both, with the value, with the label.
        low, high: bounds of the lift that the share among the value's rows leaves open (95 %).
    """

    value: str
    label: str
    count: int
    value_count: int
    label_count: int
    lift: float
    low: float
    high: float


class Information(msgspec.Struct, frozen=True):
    """Mutual information of a feature and a label.

    Attributes:
        bits: the plug-in estimate less its expected bias (Miller 1955), at least 0.0.
        share: bits per bit of the label's entropy, in [0, 1].
        rows: how many rows were counted.
    """

    feature: str
    bits: float
    share: float
    rows: int


def lift(table: pl.DataFrame, feature: str, label: str) -> list[Lift]:
    """Lift of every value of a feature for every value of a label, the furthest from 1 first.

    Raises:
        UsageError: a column is not there.
    """
    left, right = _categories(table, feature), _categories(table, label)
    counts = _crossed(left, right)
    values, labels = _names(left), _names(right)
    rows, by_value, by_label = counts.sum(), counts.sum(axis=1), counts.sum(axis=0)
    found = [
        _lift(
            values[i], labels[j], int(counts[i, j]), int(by_value[i]), int(by_label[j]), int(rows)
        )
        for i in np.flatnonzero(by_value)
        for j in np.flatnonzero(by_label)
    ]
    return sorted(found, key=lambda one: (-abs(one.lift - 1), one.value, one.label))


def mutual_information(table: pl.DataFrame, label: str) -> list[Information]:
    """Mutual information of every other column with a label, the most telling first.

    Raises:
        UsageError: the label is not a column.
    """
    right = _categories(table, label)
    found = [
        _information(name, _crossed(_categories(table, name), right))
        for name in table.columns
        if name != label
    ]
    return sorted(found, key=lambda one: (-one.bits, one.feature))


def _lift(value: str, label: str, both: int, of_value: int, of_label: int, rows: int) -> Lift:
    share, base = wilson(both, of_value), of_label / rows
    figures = (share.value / base, share.low / base, share.high / base)
    return Lift(value, label, both, of_value, of_label, *figures)


def _information(name: str, counts: NDArray[np.float64]) -> Information:
    counts = counts[counts.any(axis=1)][:, counts.any(axis=0)]
    rows = float(counts.sum())
    if not rows:
        return Information(name, 0.0, 0.0, 0)
    by_value, by_label = counts.sum(axis=1), counts.sum(axis=0)
    plugin = _entropy(by_value) + _entropy(by_label) - _entropy(counts.ravel())
    bias = (len(by_value) - 1) * (len(by_label) - 1) / (2 * rows * math.log(2))
    bits, whole = max(0.0, plugin - bias), _entropy(by_label)
    return Information(name, bits, min(1.0, bits / whole) if whole else 0.0, int(rows))


def _entropy(counts: NDArray[np.float64]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-np.sum(shares * np.log2(shares)))


def _crossed(left: pl.Series, right: pl.Series) -> NDArray[np.float64]:
    """Count the rows of each pair of categories: float64[values, labels]."""
    width = len(_names(right))
    codes = left.to_physical().cast(pl.Int64) * width + right.to_physical().cast(pl.Int64)
    size = len(_names(left)) * width
    counts = np.bincount(codes.to_numpy(), minlength=size).astype(np.float64)
    return counts.reshape(-1, width)


def _names(column: pl.Series) -> list[str]:
    return cast(pl.Enum, column.dtype).categories.to_list()


def _categories(table: pl.DataFrame, name: str) -> pl.Series:
    """A column as an Enum of at most some hundred categories, missing among them."""
    if name not in table.columns:
        raise UsageError(f"expected a column of the table, found {name!r}")
    column = table[name]
    many = column.n_unique() > _MAX_VALUES
    if many and (column.dtype.is_numeric() or column.dtype.is_temporal()):
        texts = _binned(column.to_physical().cast(pl.Float64))
    else:
        texts = _texts(column)
        if many:
            kept = texts.value_counts(name="n").sort(["n", name], descending=[True, False])
            texts = texts.set(~texts.is_in(kept[name].head(_MAX_VALUES).implode()), _OTHER)
    texts = texts.fill_null(_MISSING)
    return texts.cast(pl.Enum(texts.unique().sort()))


def _texts(column: pl.Series) -> pl.Series:
    if column.dtype.is_nested():
        return column.to_frame().select(
            pl.when(pl.col(column.name).is_not_null())
            .then(pl.struct(column.name).struct.json_encode().str.head(_SHOWN))
            .alias(column.name)
        )[column.name]
    if column.dtype == pl.Binary:
        return column.bin.encode("hex").str.head(_SHOWN)
    return column.cast(pl.String).str.head(_SHOWN)


def _binned(column: pl.Series) -> pl.Series:
    finite = column.filter(column.is_finite().fill_null(value=False)).to_numpy()
    ranks = np.arange(1, _BINS) / _BINS
    marks = np.quantile(finite, ranks, method="inverted_cdf") if len(finite) else finite
    edges = np.unique(marks)
    names = pl.Series([*(f"<= {edge:.6g}" for edge in edges), "above", "NaN"], dtype=pl.String)
    cells = column.fill_null(0.0).to_numpy()
    places = np.where(np.isnan(cells), len(names) - 1, np.searchsorted(edges, cells, side="left"))
    present = column.is_not_null()
    return names[places].alias(column.name).set(~present, None)
