"""The state of one feature: everything the statistics of a column are computed from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from typing import TypeVar

import polars as pl

from gristmill.validate.kinds import kind_of, normalised
from gristmill.validate.statistics import text
from gristmill.validate.statistics.distinct import Bounded, Distinct
from gristmill.validate.statistics.frequent import Frequent, FrequentValues
from gristmill.validate.statistics.hashing import hash_cells
from gristmill.validate.statistics.numbers import Numbers

Part = TypeVar("Part", Numbers, FrequentValues)


@dataclass(frozen=True)
class Feature:
    """Mergeable statistics of one column; `a + b` is the state of both columns on end.

    Attributes:
        rows: how many rows were seen.
        missing: how many of them are null.
        kinds: how many cells were of each kind ("int", "float", "string", "bool", "time",
            "other"), so that a column that changed type between two days is still one column.
        distinct: sketch of the distinct values.
        numbers: figures of ints and floats; None when there were none.
        lengths: figures of the lengths of strings, in characters.
        times: figures of dates and times, in microseconds since 1970-01-01 UTC.
        values: value counts of strings and bools.
        empty: how many strings are empty.
        broken: how many strings show a broken encoding.
    """

    rows: int
    missing: int
    kinds: dict[str, int]
    distinct: Distinct
    numbers: Numbers | None = None
    lengths: Numbers | None = None
    times: Numbers | None = None
    values: FrequentValues | None = None
    empty: int = 0
    broken: int = 0

    @classmethod
    def of(cls, column: pl.Series) -> Feature:
        """Compute the state of one partition of a column."""
        present = column.drop_nulls()
        kind = kind_of(column.dtype)
        present = normalised(present)
        base = cls(
            rows=len(column),
            missing=column.null_count(),
            kinds={kind: len(present)} if len(present) else {},
            distinct=Distinct.of(hash_cells(present)),
        )
        return _with_parts(base, present, kind) if len(present) else base

    def __add__(self, other: Feature) -> Feature:
        return Feature(
            rows=self.rows + other.rows,
            missing=self.missing + other.missing,
            kinds=dict(sorted((Counter(self.kinds) + Counter(other.kinds)).items())),
            distinct=self.distinct + other.distinct,
            numbers=_join(self.numbers, other.numbers),
            lengths=_join(self.lengths, other.lengths),
            times=_join(self.times, other.times),
            values=_join(self.values, other.values),
            empty=self.empty + other.empty,
            broken=self.broken + other.broken,
        )

    @classmethod
    def absent(cls, rows: int) -> Feature:
        """The state of a column that a part of the data does not have: all missing."""
        return cls(rows=rows, missing=rows, kinds={}, distinct=Distinct())

    @property
    def present(self) -> int:
        """How many cells hold a value."""
        return self.rows - self.missing

    @property
    def kind(self) -> str:
        """The type of the column: one kind, "float" for int with float, "mixed", or "empty"."""
        kinds = set(self.kinds)
        if kinds == {"int", "float"}:
            return "float"
        return "empty" if not kinds else kinds.pop() if len(kinds) == 1 else "mixed"

    @property
    def distinct_count(self) -> Bounded:
        """How many different values there are, with 95 % bounds."""
        return self.distinct.count

    def top(self, k: int = 20) -> list[Frequent]:
        """The k most frequent values with bounds; empty for numbers with too many values."""
        if self.values is not None:
            return self.values.top(k)
        counted = self.numbers.quantiles.value_counts() if self.numbers else None
        if counted is None:
            return []
        pairs = zip(counted[0].tolist(), counted[1].tolist(), strict=True)
        ranked = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:k]
        return [Frequent(_spelled(value), count, count, count) for value, count in ranked]

    def describe(self) -> dict[str, object]:
        """The figures in a few words, JSON-able; ranges where a figure is not exact."""
        count = self.distinct_count
        summary: dict[str, object] = {
            "kind": self.kind,
            "rows": self.rows,
            "missing": self.missing,
            "distinct": [round(count.value), round(count.low), round(count.high)],
            "top": [[top.value, top.count] for top in self.top(5)],
        }
        for name in ("numbers", "lengths", "times"):
            part: Numbers | None = getattr(self, name)
            if part is not None:
                summary[name] = describe_numbers(part)
        return summary | {"empty": self.empty, "broken": self.broken}


def describe_numbers(numbers: Numbers) -> dict[str, object]:
    """Figures, deciles and the error bound of the deciles' ranks."""
    ranks = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]
    marks = numbers.quantiles.quantiles(ranks).tolist() if numbers.n else []
    names = [f"p{round(rank * 100):02d}" for rank in ranks]
    return {
        **numbers.figures(),
        "std": numbers.std,
        **dict(zip(names, marks, strict=False)),
        "rank_error": numbers.quantiles.rank_error,
    }


def _with_parts(base: Feature, present: pl.Series, kind: str) -> Feature:
    parts: dict[str, object] = {field.name: getattr(base, field.name) for field in fields(base)}
    if kind in ("int", "float"):
        parts["numbers"] = Numbers.of(present)
    elif kind == "time":
        parts["times"] = Numbers.of(present.to_physical())
    elif kind == "bool":
        true = int(present.sum())
        counts = {"true": true, "false": len(present) - true}
        parts["values"] = FrequentValues.of({name: n for name, n in counts.items() if n})
    elif kind == "string":
        parts["values"] = FrequentValues.of(_value_counts(present))
        parts["lengths"] = Numbers.of(text.lengths(present))
        parts["empty"] = int((present == "").sum())
        parts["broken"] = int(text.is_broken(present).sum())
    return Feature(**parts)  # type: ignore[arg-type]


def _spelled(number: float) -> str:
    return str(int(number)) if number.is_integer() else str(number)


def _value_counts(present: pl.Series) -> dict[str, int]:
    counted = present.alias("value").value_counts(name="n")
    return dict(zip(counted["value"].to_list(), counted["n"].to_list(), strict=True))


def _join(one: Part | None, two: Part | None) -> Part | None:
    if one is None or two is None:
        return one if two is None else two
    return one + two
