"""One column of one part of a table, read as its schema says."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from gristmill.validate.checks.places import Part, Places
from gristmill.validate.checks.seen import KEPT_VALUES, Seen
from gristmill.validate.kinds import Kind, cast, kind_of
from gristmill.validate.schemas.feature_spec import FeatureSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST = 2**63 - 1
_LEAST = -(2**63)
_WHOLE = r"^\s*[+-]?[0-9]+(\.0*)?\s*$"
_NULL_WORDS = (
    "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "none", "nil", "nat", "missing", "?",
    "-", "--", ".",
)  # fmt: skip
"""Texts by which other tools spell a missing value."""
_PLAIN: dict[str, pl.DataType] = {
    "float": pl.Float64(),
    "string": pl.String(),
    "bool": pl.Boolean(),
    "bytes": pl.Binary(),
    "time": pl.Datetime("us"),
}
"""Types that need no cast."""


class Cells:
    """The cells of a column; of a column of lists, the elements of its lists.

    Attributes:
        part: the part whose cells they are.
        depth: how deep the lists of the column are nested; 0 for plain cells.
        rows: how many rows the part has.
        raw: the cells as they came, null values of the schema read as missing.
        values: the cells cast to the schema's type; null where `bad`.
        bad: cells that do not fit the type (Boolean[n]); None where all do.
        present: how many cells have a value of the right type.
    """

    def __init__(self, column: pl.Series, spec: FeatureSpec, part: Part) -> None:
        self.spec, self.part, self.rows = spec, part, len(column)
        self.column = read_as_missing(column, spec)
        self.depth, leaves, self._row_of = _leaves(self.column)
        # A column of another shape has no cells to ask anything of: the shape is the finding.
        self.shaped = self.fits_shape
        self.raw = leaves if self.shaped else leaves.clear()
        self.values, self.bad = conformed(self.raw, spec)
        self.present = len(self.values) - self.values.null_count()

    @property
    def fits_shape(self) -> bool:
        """Whether lists are nested as deep as the schema says."""
        empty = self.column.null_count() == len(self.column)
        return self.spec.type == "any" or empty or self.depth == self.spec.nesting

    @property
    def complete(self) -> bool:
        """Whether no row lacks a value."""
        return self._row_of is None and self.shaped and not self.values.null_count()

    @cached_property
    def missing(self) -> pl.Series:
        """Rows without a value (Boolean[rows])."""
        if self._row_of is not None or not self.shaped:
            return self.column.is_null()
        # Casting turns empty text, and NaN among integers, into nothing without calling it bad.
        empty = self.values.is_null()
        return empty if self.bad is None else empty & ~self.bad

    @property
    def bad_count(self) -> int:
        """How many cells do not fit the type."""
        return 0 if self.bad is None else int(self.bad.sum())

    def seen(self, mask: pl.Series | None, total: int) -> Seen:
        """Describe the cells of a mask (Boolean[cells], nulls are false)."""
        mask = None if mask is None else mask.fill_null(value=False)
        if mask is None or not mask.any():
            return Seen(0, total)
        values = self.raw.filter(mask).drop_nulls().unique(maintain_order=True)
        places = Places.of(self.row_mask(mask), self.part)
        return Seen(int(mask.sum()), total, tuple(values.head(KEPT_VALUES).to_list()), places)

    def seen_rows(self, mask: pl.Series, total: int, values: pl.Series | None = None) -> Seen:
        """Describe the rows of a mask (Boolean[rows], no nulls)."""
        count = int(mask.sum())
        if not count:
            return Seen(0, total)
        some = () if values is None else tuple(values.filter(mask).head(KEPT_VALUES).to_list())
        return Seen(count, total, some, Places.of(mask, self.part))

    def row_mask(self, mask: pl.Series) -> pl.Series:
        """The rows whose cell, or any element, a mask hits."""
        if self._row_of is None:
            return mask
        hit = self._row_of.filter(mask).unique()
        return pl.int_range(self.rows, eager=True).is_in(hit.implode())

    @property
    def row_of_cells(self) -> NDArray[np.uint32] | None:
        """The row of each cell: uint32[cells]; None where every row has just one."""
        return None if self._row_of is None else self._row_of.cast(pl.UInt32).to_numpy()

    def rebuilt(self) -> pl.Series:
        """The column with its cells conformed, for statistics."""
        name = self.column.name
        if not self.shaped:
            return pl.Series(name, [None], dtype=self.values.dtype).new_from_index(0, self.rows)
        if self._row_of is None:
            return self.values.alias(name)
        if self.depth > 1 or self.values.dtype == self.raw.dtype:
            return self.column
        lists = pl.DataFrame({"row": self._row_of, "cell": self.values})
        lists = lists.group_by("row", maintain_order=True).agg("cell")
        base = pl.DataFrame({"row": pl.int_range(self.rows, eager=True), "old": self.column})
        joined = base.join(lists, on="row", how="left", maintain_order="left")
        none = pl.lit([], dtype=pl.List(self.values.dtype))
        empty = (pl.col("old").list.len() == 0).fill_null(value=False)
        return joined.select(pl.when(empty).then(none).otherwise("cell").alias(name)).to_series()

    @cached_property
    def overflowing(self) -> pl.Series | None:
        """Whole numbers that no 64-bit integer holds, or that were cut to the outermost one."""
        if self.spec.type != "int" or self.bad is None:
            return None
        if self.raw.dtype.is_integer():
            return self.bad
        if self.raw.dtype.is_float():
            return self.bad & self.raw.is_finite() & (self.raw == self.raw.floor())
        if kind_of(self.raw.dtype) != "string":
            return None
        texts = self.raw.cast(pl.String)
        return self.bad & texts.str.contains(_WHOLE).fill_null(value=False)

    @cached_property
    def null_words(self) -> pl.Series | None:
        """Cells that spell a missing value as text, in a column that is not text."""
        if self.bad is None or kind_of(self.raw.dtype) != "string":
            return None
        return self.bad & is_null_word(self.raw)


def conformed(raw: pl.Series, spec: FeatureSpec) -> tuple[pl.Series, pl.Series | None]:
    """Cast cells to the type of the schema; those that do not fit become null, and are marked."""
    if spec.type == "any" or raw.dtype == _PLAIN.get(spec.type):
        return raw, None
    if spec.type == "int" and raw.dtype.is_integer():
        return _int64(raw, spec)
    if spec.type == "bool" and raw.dtype.is_numeric():
        return _bits(raw)
    result = cast(raw, spec.type)
    values, bad = result.column, result.bad
    if spec.type == "int" and raw.dtype != pl.Int64:
        clipped = _clipped(values, spec)
        values, bad = (
            (values, bad) if clipped is None else (values.set(clipped, None), bad | clipped)
        )
    return values, bad if bad.any() else None


def _int64(raw: pl.Series, spec: FeatureSpec) -> tuple[pl.Series, pl.Series | None]:
    values = raw if raw.dtype == pl.Int64 else raw.cast(pl.Int64, strict=False)
    bad = values.is_null() & raw.is_not_null() if values.null_count() > raw.null_count() else None
    clipped = _clipped(values, spec)
    if clipped is not None:
        values, bad = values.set(clipped, None), clipped if bad is None else bad | clipped
    return values, bad


def _clipped(values: pl.Series, spec: FeatureSpec) -> pl.Series | None:
    """Cells at the very end of 64 bits: numbers beyond it were cut there."""
    if spec.domain is not None or (spec.max is not None and spec.max >= _MOST):
        return None
    low, high = values.min(), values.max()
    if high != _MOST and low != _LEAST:
        return None
    return ((values == _MOST) | (values == _LEAST)).fill_null(value=False)


def _bits(raw: pl.Series) -> tuple[pl.Series, pl.Series | None]:
    fits = ((raw == 0) | (raw == 1)).fill_null(value=False)
    bad = ~fits & raw.is_not_null()
    values = (raw == 1).set(bad, None) if bad.any() else raw == 1
    return values.alias(raw.name), bad if bad.any() else None


def is_null_word(column: pl.Series) -> pl.Series:
    """Which texts spell a missing value: "NA", "null", "?" and the like, in any case."""
    words = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    return words.is_in(pl.Series(_NULL_WORDS).implode()).fill_null(value=False)


def read_as_missing(column: pl.Series, spec: FeatureSpec) -> pl.Series:
    """Read the `null_values` of a schema as missing, numbers by value and texts by spelling."""
    if not spec.null_values or kind_of(column.dtype) in ("bytes", "other"):
        return column
    spelled = pl.Series([str(value) for value in spec.null_values]).implode()
    hit = column.cast(pl.String).str.strip_chars().is_in(spelled)
    numbers = [float(value) for value in spec.null_values if isinstance(value, int | float)]
    if numbers and column.dtype.is_numeric():
        hit = hit | column.cast(pl.Float64).is_in(pl.Series(numbers).implode())
    return column.set(hit.fill_null(value=False), None) if hit.any() else column


def _leaves(column: pl.Series) -> tuple[int, pl.Series, pl.Series | None]:
    """Return the nesting, the innermost elements and, for lists, the row of each element."""
    depth, row_of = 0, None
    while isinstance(column.dtype, pl.List | pl.Array):
        lists = column.arr.to_list() if isinstance(column.dtype, pl.Array) else column
        rows = pl.int_range(len(lists), eager=True) if row_of is None else row_of
        frame = pl.DataFrame({"row": rows, "cell": lists})
        # Polars would turn an empty list into a null element.
        frame = frame.filter(pl.col("cell").list.len() > 0).explode("cell")
        row_of, column, depth = frame["row"], frame["cell"], depth + 1
    return depth, column, row_of


def cell_kind(column: pl.Series) -> Kind | str:
    """The kind of the innermost cells of a column."""
    dtype = column.dtype
    while isinstance(dtype, pl.List | pl.Array):
        dtype = dtype.inner  # type: ignore[assignment]
    return kind_of(dtype)
