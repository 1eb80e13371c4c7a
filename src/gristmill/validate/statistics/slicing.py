"""Slices: named parts of a table, by the values of columns, by an expression, or by SQL."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import polars as pl

from gristmill.core.errors import UsageError
from gristmill.data.table import ROW_ID
from gristmill.validate.statistics.sql import run_sql

MAX_SLICES = 100
_LONGEST = 64
_SLICE = "slice"
_QUERY = re.compile(r"\s*(select|with|from)\b", re.IGNORECASE)

Spec = str | tuple[str, ...]


class Slicer:
    """Cuts partitions of a table into named slices; one row may lie in several.

    A specification is one of

    - a column ("payment_type") or several (("payment_type", "hour")): one slice per value, called
      "payment_type = Cash", "payment_type is missing";
    - an expression in SQL's words ("fare > 20"): the rows where it holds, called as it is written;
      one that gives something else than true and false ("CASE WHEN ...") has a slice per value;
    - a query in DuckDB's SQL over the table `data` that returns the columns `row_id` and `slice`
      ("SELECT row_id, 'night' AS slice FROM data WHERE hour < 5"). It can read nothing else.

    Each specification may make up to `max_slices` slices. They are taken partition by partition,
    the largest first; the rows of all others are counted in `left_out`.

    Attributes:
        left_out: specification -> rows that lie in a slice that was one too many.

    Raises:
        UsageError: there is no specification, one is given twice, or `max_slices` is less than 1.
    """

    def __init__(self, specs: Sequence[Spec], max_slices: int = MAX_SLICES) -> None:
        if not specs:
            raise UsageError("expected at least one slice specification, found none")
        if len(set(specs)) < len(specs):
            raise UsageError(f"expected different slice specifications, found {list(specs)}")
        if max_slices < 1:
            raise UsageError(f"expected max_slices of at least 1, found {max_slices}")
        self._specs = tuple(specs)
        self._most = max_slices
        self._known: dict[Spec, set[str]] = {spec: set() for spec in specs}
        self.left_out: dict[str, int] = {}

    def copy(self) -> Slicer:
        """Return a slicer of the same specifications that has seen nothing, for other parts."""
        return Slicer(self._specs, self._most)

    def merge(self, later: Slicer) -> None:
        """Take the slices that another one has seen in later parts.

        Where `full` then is true, the statistics of slices are not those of one pass.
        """
        for spec, known in later._known.items():
            self._known[spec] |= known
        for title, rows in later.left_out.items():
            self.left_out[title] = self.left_out.get(title, 0) + rows

    @property
    def full(self) -> bool:
        """Whether some specification makes more slices than are taken."""
        return bool(self.left_out) or any(len(k) > self._most for k in self._known.values())

    @property
    def names(self) -> list[str]:
        """The names of all slices seen so far, by specification, then by name."""
        return [name for spec in self._specs for name in sorted(self._known[spec])]

    def parts(self, frame: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield the slices of one partition that have rows in it, in the order of their names.

        Raises:
            UsageError: a specification cannot be used on this table.
        """
        for spec in self._specs:
            yield from self._cut(spec, frame)

    def _cut(self, spec: Spec, frame: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
        rows, names = _assigned(spec, frame)
        # "row" and "slice" are ours: the table's own columns are not among them.
        table = pl.DataFrame({"row": rows, "slice": names}).drop_nulls().unique(maintain_order=True)
        kept = self._kept(spec, Counter(dict(table["slice"].value_counts().iter_rows())))
        grouped = table.filter(pl.col("slice").is_in(kept)).group_by("slice", maintain_order=True)
        places = {str(key[0]): group["row"] for key, group in grouped}
        for name in sorted(places):
            yield name, frame[places[name]]

    def _kept(self, spec: Spec, sizes: Counter[str]) -> list[str]:
        known = self._known[spec]
        new = sorted((name for name in sizes if name not in known), key=lambda n: (-sizes[n], n))
        known.update(new[: self._most - len(known)])
        left = sum(rows for name, rows in sizes.items() if name not in known)
        if left:
            title = _title(spec)
            self.left_out[title] = self.left_out.get(title, 0) + left
        return [name for name in sizes if name in known]


def _assigned(spec: Spec, frame: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Row places and the name of the slice each lies in; rows without a name lie in none."""
    every = pl.Series("row", range(frame.height), dtype=pl.Int64)
    if isinstance(spec, tuple):
        parts = [_by_value(name, _column(frame, name)) for name in spec]
        return every, pl.select(pl.concat_str(parts, separator=", ")).to_series()
    if spec in frame.columns:
        return every, _by_value(spec, frame[spec])
    if _QUERY.match(spec):
        return _by_query(spec, frame)
    return every, _by_expression(spec, frame)


def _column(frame: pl.DataFrame, name: str) -> pl.Series:
    if name not in frame.columns:
        raise UsageError(
            f"expected a column to slice by, found {name!r}", where=f"columns {frame.columns}"
        )
    return frame[name]


def _by_value(name: str, column: pl.Series) -> pl.Series:
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        raise UsageError(
            f"expected a column of plain values to slice by, found {column.dtype}",
            where=f"column {name!r}",
        )
    values = column.cast(pl.String).str.head(_LONGEST)
    return (f"{name} = " + values).fill_null(f"{name} is missing").alias(_SLICE)


def _by_expression(spec: str, frame: pl.DataFrame) -> pl.Series:
    try:
        result = frame.select(pl.sql_expr(spec).alias(_SLICE))[_SLICE]
    except pl.exceptions.PolarsError as error:
        raise UsageError(
            f"expected a column, an expression or a query to slice by, found {spec!r}: "
            f"{str(error).partition(chr(10))[0]}",
            fix=f"the columns are {', '.join(frame.columns)}",
        ) from error
    if len(result) != frame.height:
        raise UsageError(f"expected one value per row, found {len(result)} from {spec!r}")
    if result.dtype == pl.Boolean:
        name = pl.Series(_SLICE, [spec], dtype=pl.String).new_from_index(0, frame.height)
        return name.set(~result.fill_null(value=False), None)
    named = _by_value(spec, result)
    return named.set(result.is_null(), None)


def _by_query(spec: str, frame: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    table = frame if ROW_ID in frame.columns else frame.with_row_index(ROW_ID)
    found = run_sql(table, spec)
    if not {ROW_ID, _SLICE} <= set(found.columns):
        raise UsageError(
            f"expected a query that returns {ROW_ID} and {_SLICE}, found {found.columns}",
            fix="write SELECT row_id, ... AS slice FROM data ...",
        )
    places = table.select(pl.col(ROW_ID), pl.int_range(pl.len()).alias("row"))
    try:
        wanted = found.select(
            pl.col(ROW_ID).cast(table.schema[ROW_ID]), pl.col(_SLICE).cast(pl.String)
        )
    except pl.exceptions.PolarsError as error:
        raise UsageError(
            f"expected the table's row ids and texts, found {dict(found.schema)} from {spec!r}"
        ) from error
    joined = wanted.join(places, on=ROW_ID, how="inner", maintain_order="left")
    return joined["row"], joined[_SLICE].str.head(_LONGEST)


def _title(spec: Spec) -> str:
    return spec if isinstance(spec, str) else ", ".join(spec)
