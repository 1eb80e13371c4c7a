"""The state of one feature: everything the statistics of a column are computed from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from gristmill.validate.statistics.distinct import Bounded, Distinct
from gristmill.validate.statistics.embeddings import Embedding
from gristmill.validate.statistics.frequent import Frequent, FrequentValues, head_of
from gristmill.validate.statistics.images import Images
from gristmill.validate.statistics.numbers import Numbers
from gristmill.validate.statistics.sentinel_values import sentinels
from gristmill.validate.statistics.text_shape import TextShape
from gristmill.validate.statistics.valency import Valency
from gristmill.validate.statistics.weights import WeightedFigures

if TYPE_CHECKING:
    from gristmill.validate.kinds import Kind

_MAIN = 0.95

FIGURES = ("numbers", "lengths", "byte_lengths", "times")
"""The parts of a feature that are `Numbers`."""

STATES: dict[str, Any] = {
    "valency": Valency,
    "text_shape": TextShape,
    "weighted": WeightedFigures,
    "embedding": Embedding,
    "images": Images,
}
"""The parts with documents of their own: attribute -> class."""


@dataclass(frozen=True)
class Feature:
    """Mergeable statistics of one column; `a + b` is the state of both columns on end.

    Of a column of lists, all but `rows`, `missing` and `valency` is about the elements.

    Attributes:
        rows: how many rows were seen.
        missing: how many of them are null.
        kinds: how many cells were of each kind ("int", "float", "string", "bool", "time",
            "bytes", "other"), so that a column that changed type between two days is still one
            column.
        distinct: sketch of the distinct values.
        numbers: figures of ints and floats; None when there were none.
        lengths: figures of the lengths of strings, in characters.
        byte_lengths: figures of the lengths of strings (as UTF-8) and of bytes, in bytes.
        times: figures of dates and times, in microseconds since 1970-01-01 UTC.
        values: value counts of strings, bools and bytes (those that are no text as `0x...`).
        empty: how many strings are empty.
        broken: how many strings show a broken encoding.
        invalid_utf8: how many bytes are no UTF-8, and how many strings hold U+FFFD, which readers
            put where they were not.
        valency: how many values the cells of a column of lists hold.
        text_shape: the shape of texts too many to be counted each; `text` is it in any case.
        weighted: the figures with each row weighed, where weights were given.
        embedding: of columns of vectors: lists of at least 8 floats, all equally long.
        images: of bytes most of which are images, where Pillow is installed.
    """

    rows: int
    missing: int
    kinds: dict[str, int]
    distinct: Distinct
    numbers: Numbers | None = None
    lengths: Numbers | None = None
    byte_lengths: Numbers | None = None
    times: Numbers | None = None
    values: FrequentValues | None = None
    empty: int = 0
    broken: int = 0
    invalid_utf8: int = 0
    valency: Valency | None = None
    text_shape: TextShape | None = None
    weighted: WeightedFigures | None = None
    embedding: Embedding | None = None
    images: Images | None = None

    @classmethod
    def of(cls, column: pl.Series, kind: Kind | None = None) -> Feature:
        """Compute the state of one partition of a column.

        Args:
            column: the cells.
            kind: what the column is; text cells that spell this kind are parsed, others counted
                as strings. None takes the cells as they are.
        """
        from gristmill.validate.statistics.column import profile_column

        return profile_column(column, kind).feature

    def __add__(self, other: Feature) -> Feature:
        parts = {
            name: join(getattr(self, name), getattr(other, name))
            for name in ("distinct", *FIGURES, "values", *STATES)
        }
        counted = parts["values"]
        # While every text is counted, its shape can be told from the counts.
        parts["text_shape"] = (
            None if counted is not None and counted.exact else join(self.text, other.text)
        )
        return Feature(
            rows=self.rows + other.rows,
            missing=self.missing + other.missing,
            kinds=dict(sorted((Counter(self.kinds) + Counter(other.kinds)).items())),
            empty=self.empty + other.empty,
            broken=self.broken + other.broken,
            invalid_utf8=self.invalid_utf8 + other.invalid_utf8,
            **parts,
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
        """The type of the column: the kind of at least 95 % of its cells, "mixed", or "empty".

        Ints beside floats are floats.
        """
        kinds = dict(self.kinds)
        if kinds.get("float") and kinds.get("int"):
            kinds["float"] += kinds.pop("int")
        if not kinds:
            return "empty"
        main = max(sorted(kinds), key=lambda kind: kinds[kind])
        return main if kinds[main] >= _MAIN * sum(kinds.values()) else "mixed"

    @cached_property
    def text(self) -> TextShape | None:
        """The shape of the texts: scripts, patterns, words for missing; None without texts."""
        if self.text_shape is not None or self.values is None or "string" not in self.kinds:
            return self.text_shape
        counts = self.values.counts()
        if not counts:
            return None
        texts = pl.Series(list(map(head_of, counts)), dtype=pl.String)
        return TextShape.of(texts, np.array(list(counts.values()), dtype=np.int64))

    @property
    def distinct_count(self) -> Bounded:
        """How many different values there are, with 95 % bounds."""
        return self.distinct.count

    def top(self, k: int = 20) -> list[Frequent]:
        """The k most frequent values with bounds; empty for numbers with too many values."""
        if self.values is not None and self.kind not in ("int", "float"):
            return self.values.top(k)
        counted = self.numbers.quantiles.value_counts() if self.numbers else None
        if counted is None:
            return []
        values, counts = counted
        if len(counts) > 4 * k:  # ranking all of many values would take long
            least = sorted(counts.tolist(), reverse=True)[k - 1] if k else 0
            values, counts = values[counts >= least], counts[counts >= least]
        pairs = zip(values.tolist(), counts.tolist(), strict=True)
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
        if len(self.kinds) > 1:
            summary["kinds"] = self.kinds
        for name in FIGURES:
            part: Numbers | None = getattr(self, name)
            if part is not None:
                summary[name] = describe_numbers(part)
        for name in STATES:
            state = self.text if name == "text_shape" else getattr(self, name)
            if state is not None:
                summary[name.removesuffix("_shape")] = state.describe()
        found = sentinels(self)
        if found:
            summary["sentinels"] = [[one.value, one.count, one.why] for one in found]
        return summary | {
            "empty": self.empty,
            "broken": self.broken,
            "invalid_utf8": self.invalid_utf8,
        }


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


def join(one: Any, two: Any) -> Any:
    """Add two states; None stands for nothing seen."""
    if one is None or two is None:
        return one if two is None else two
    return one + two


def _spelled(number: float) -> str:
    return str(int(number)) if number.is_integer() else str(number)
