"""Training and serving data joined on their identifiers: the same row must have the same values.

The counterpart of TFDV's `DetectFeatureSkew`, with the ids of the rows that differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import polars as pl

from gristmill.core.errors import UsageError
from gristmill.data.table import ROW_ID, TableLike, as_table
from gristmill.validate.statistics.hashing import hash_rows

SHOWN_PAIRS = 20
_PART_ROWS = 1 << 20
_ID = "id:"
_RIGHT = ":right"


class Differing(msgspec.Struct, frozen=True):
    """One pair of rows that should agree in a feature and does not."""

    identifiers: tuple[str, ...]
    left_row: int | str
    right_row: int | str
    left: str | None
    right: str | None


class FeatureSkew(msgspec.Struct, frozen=True):
    """What became of one feature among the rows that both tables have.

    Attributes:
        match: pairs of rows with equal values.
        mismatch: pairs with two different values.
        left_only, right_only: pairs in which only that side has a value.
        neither: pairs in which no side has one.
        pairs: the first that differ, by row id of the left table, at most 20.
    """

    feature: str
    match: int
    mismatch: int
    left_only: int
    right_only: int
    neither: int
    pairs: tuple[Differing, ...] = ()

    @property
    def different(self) -> int:
        """In how many pairs the sides differ."""
        return self.mismatch + self.left_only + self.right_only


class SkewReport(msgspec.Struct, frozen=True):
    """Two tables joined on identifiers.

    Attributes:
        joined: how many pairs of rows share their identifiers.
        left_rows, right_rows: rows whose identifiers the other table does not have.
        left_repeated, right_repeated: rows whose identifiers another row of the same table has;
            they are not joined.
        left_unidentified, right_unidentified: rows without a value in an identifier.
        features: by feature, the most different first.
        missing: features that only one of the tables has, with its side.
    """

    joined: int
    left_rows: int
    right_rows: int
    left_repeated: int
    right_repeated: int
    left_unidentified: int
    right_unidentified: int
    features: list[FeatureSkew]
    missing: dict[str, str] = {}

    @property
    def ok(self) -> bool:
        """Whether every joined pair agrees in every feature, and none is in one table only."""
        return not self.missing and not any(each.different for each in self.features)

    def __str__(self) -> str:
        lines = [
            f"{self.joined:,} rows joined; {self.left_rows:,} only left, "
            f"{self.right_rows:,} only right"
        ]
        repeated = self.left_repeated + self.right_repeated
        if repeated:
            lines.append(f"{repeated:,} rows with repeated identifiers are left out")
        lines += [f"{name}: only {side}" for name, side in self.missing.items()]
        lines += [line for each in self.features if each.different for line in _lines(each)]
        return "\n".join(lines)


def skew_by_join(
    left: TableLike,
    right: TableLike,
    identifiers: Sequence[str],
    features: Sequence[str] | None = None,
    float_digits: int | None = None,
) -> SkewReport:
    """Join two tables on identifiers and compare the features of each pair of rows.

    Values are equal where they are the same number, whatever its type, or the same text; NaN
    equals NaN. Large tables are joined part by part, by a hash of their identifiers.

    Args:
        left, right: such as training and serving data.
        identifiers: columns that together name a row.
        features: which to compare; all that both have, when not given.
        float_digits: floats are rounded to so many decimals first.

    Raises:
        UsageError: no identifiers, or a column that is not there.
        DataError: a table cannot be read.
    """
    one, two = as_table(left), as_table(right)
    _check(one, two, identifiers, features)
    names = [n for n in features or one.columns if n not in (*identifiers, ROW_ID)]
    shared = [name for name in names if name in one.columns and name in two.columns]
    keys = _keys(one, two, identifiers)
    sides = [_Side(table, names) for table, names in zip((one, two), keys, strict=True)]
    parts = [_compare_part(*frames, identifiers, shared, float_digits) for frames in _parts(*sides)]
    joined = sum(rows for rows, _ in parts)
    found = [_sum([features_[i] for _, features_ in parts]) for i in range(len(shared))]
    missing = {n: "left" for n in one.columns if n in names and n not in two.columns}
    if features is None:
        known = {*one.columns, *identifiers, ROW_ID}
        missing |= {n: "right" for n in two.columns if n not in known}
    return SkewReport(
        joined,
        sides[0].usable.height - joined,
        sides[1].usable.height - joined,
        sides[0].repeated,
        sides[1].repeated,
        sides[0].unidentified,
        sides[1].unidentified,
        sorted(found, key=lambda each: -each.different),
        missing,
    )


def _keys(
    left: pl.DataFrame, right: pl.DataFrame, identifiers: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Identifiers of both tables in types in which equal ones are equal, named `id:<name>`."""
    pairs = [_alike(left[name], right[name], None) for name in identifiers]
    one, two = (
        pl.DataFrame([pair[side].alias(_ID + pair[side].name) for pair in pairs]) for side in (0, 1)
    )
    return one, two


class _Side:
    """A table without the rows that no identifier, or another row's, names.

    Its identifiers lie beside it, named `id:<name>`.
    """

    def __init__(self, table: pl.DataFrame, keys: pl.DataFrame) -> None:
        named = ~pl.Series(keys.select(pl.any_horizontal(pl.all().is_null())).to_series())
        once = keys.is_unique()
        self.unidentified = int((~named).sum())
        self.repeated = int((named & ~once).sum())
        usable = named & once
        self.usable = table.hstack(keys).filter(usable)
        self.hashes = hash_rows(keys.filter(usable))


def _parts(left: _Side, right: _Side) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Cut both tables by the hash of their identifiers, so that equal ones meet in one part."""
    count = np.uint64(max(left.usable.height, right.usable.height) // _PART_ROWS + 1)
    for part in range(int(count)):
        masks = [side.hashes % count == np.uint64(part) for side in (left, right)]
        yield left.usable.filter(masks[0]), right.usable.filter(masks[1])


def _compare_part(
    left: pl.DataFrame,
    right: pl.DataFrame,
    identifiers: Sequence[str],
    features: Sequence[str],
    digits: int | None,
) -> tuple[int, list[FeatureSkew]]:
    keys = [_ID + name for name in identifiers]
    named = [f"named:{name}" for name in identifiers]
    tables = [
        table.select(
            pl.col(ROW_ID),
            *keys,
            *(pl.col(name).alias(f"named:{name}") for name in identifiers),
            *features,
        )
        for table in (left, right)
    ]
    pairs = tables[0].join(tables[1], on=keys, suffix=_RIGHT, maintain_order="left")
    return pairs.height, [_compare_feature(pairs, named, name, digits) for name in features]


def _compare_feature(
    pairs: pl.DataFrame, named: Sequence[str], name: str, digits: int | None
) -> FeatureSkew:
    one, two = _alike(pairs[name], pairs[name + _RIGHT], digits)
    same = one.eq_missing(two)
    empty, other = one.is_null(), two.is_null()
    both = ~empty & ~other
    return FeatureSkew(
        name,
        match=int((both & same).sum()),
        mismatch=int((both & ~same).sum()),
        left_only=int((~empty & other).sum()),
        right_only=int((empty & ~other).sum()),
        neither=int((empty & other).sum()),
        pairs=_first(pairs.filter(~same), named, name),
    )


def _first(pairs: pl.DataFrame, named: Sequence[str], name: str) -> tuple[Differing, ...]:
    columns = [ROW_ID, ROW_ID + _RIGHT, name, name + _RIGHT, *named]
    rows = pairs.sort(ROW_ID).head(SHOWN_PAIRS).select(columns).rows()
    return tuple(
        Differing(tuple(map(str, ids)), one, two, _spelled(left), _spelled(right))
        for one, two, left, right, *ids in rows
    )


def _sum(parts: list[FeatureSkew]) -> FeatureSkew:
    counts = ("match", "mismatch", "left_only", "right_only", "neither")
    totals = {name: sum(getattr(part, name) for part in parts) for name in counts}
    pairs = sorted((p for part in parts for p in part.pairs), key=lambda pair: pair.left_row)
    return FeatureSkew(parts[0].feature, **totals, pairs=tuple(pairs[:SHOWN_PAIRS]))


def _alike(left: pl.Series, right: pl.Series, digits: int | None) -> tuple[pl.Series, pl.Series]:
    """Bring two columns to one type in which equal values are equal."""
    one, two = _comparable(left, digits), _comparable(right, digits)
    return (one, two) if one.dtype == two.dtype else (_as_text(one), _as_text(two))


def _comparable(column: pl.Series, digits: int | None) -> pl.Series:
    """Bring a column to a type in which equal values are equal: numbers to one, others to text."""
    if column.dtype.is_float() or column.dtype.is_decimal():
        whole = column.cast(pl.Float64)
        return whole if digits is None else whole.round(digits) + 0.0
    if column.dtype.is_integer():
        # Beyond 2**53 neighbours would share a float; such columns are compared as text.
        low, high = column.min(), column.max()
        small = all(isinstance(v, int) and abs(v) <= 2**53 for v in (low, high) if v is not None)
        return column.cast(pl.Float64) if small else column.cast(pl.String)
    return column if column.dtype in (pl.Boolean, pl.String) else _as_text(column)


def _as_text(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Binary:
        return column.bin.encode("hex")
    if column.dtype.is_nested():
        # The JSON holds the column's name, which is another one on the right.
        cell = pl.when(pl.col("cell").is_not_null()).then(pl.struct("cell").struct.json_encode())
        return column.to_frame("cell").select(cell.alias(column.name)).to_series()
    if column.dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        text = column.cast(pl.String)
        return text.set(column == column.floor(), None).fill_null(whole.cast(pl.String))
    return column.dt.to_string() if column.dtype == pl.Duration else column.cast(pl.String)


def _spelled(value: object) -> str | None:
    return None if value is None else str(value)


def _lines(each: FeatureSkew) -> list[str]:
    total = each.different + each.match + each.neither
    first = each.pairs[0]
    return [
        f"{each.feature}: {each.different:,} of {total:,} pairs differ "
        f"({each.mismatch:,} in value, {each.left_only:,} only left, "
        f"{each.right_only:,} only right); "
        f"first: row {first.left_row}: {first.left} / {first.right}"
    ]


def _check(
    left: pl.DataFrame,
    right: pl.DataFrame,
    identifiers: Sequence[str],
    features: Sequence[str] | None,
) -> None:
    if not identifiers:
        raise UsageError("expected at least one identifier, found none")
    for name in identifiers:
        for side, table in (("left", left), ("right", right)):
            if name not in table.columns:
                known = ", ".join(table.columns)
                raise UsageError(f"the {side} table has no column {name!r}", fix=f"known: {known}")
    for name in features or ():
        if name not in left.columns and name not in right.columns:
            raise UsageError(f"neither table has a column {name!r}")
