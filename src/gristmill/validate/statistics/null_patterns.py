"""Null patterns: which columns are missing together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Self

import msgspec
import numpy as np
import polars as pl

from gristmill.validate.statistics.frequent import ranked
from gristmill.validate.statistics.hashing import hash_cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PATTERNS = 256
_BLOCK_CELLS = 1 << 24

Pattern = tuple[str, ...]


@dataclass(frozen=True)
class NullPatterns:
    """Counts rows by the set of their missing columns; `a + b` is of both tables on end.

    Exact while there are at most 256 different patterns; beyond that the most frequent are kept,
    and a count may be short by at most `dropped` rows. A column that one table lacks is missing in
    all of its rows.

    Attributes:
        rows: how many rows were seen.
        columns: the names of all columns, sorted.
        patterns: the missing columns of a row (sorted; empty for complete rows) -> rows.
        dropped: how many rows had a pattern that was not kept; 0 while exact.
    """

    rows: int
    columns: Pattern
    patterns: dict[Pattern, int]
    dropped: int = 0

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Self:
        """Count the patterns of one partition, whatever its width."""
        columns = tuple(sorted(frame.columns))
        names = sorted(column.name for column in frame.iter_columns() if column.null_count())
        rows = frame.height
        if not names:
            return cls(rows, columns, {(): rows} if rows else {})
        counted = _counted(_pattern_words(frame, names))
        top = counted.head(MAX_PATTERNS)
        firsts = frame[top["first"].to_numpy()].select(pl.col(names).is_null()).to_numpy()
        sets = [tuple(compress(names, mask)) for mask in firsts.tolist()]
        patterns = dict(zip(sets, top["n"].to_list(), strict=True))
        return cls(rows, columns, patterns, rows - sum(patterns.values()))

    def __add__(self, other: NullPatterns) -> NullPatterns:
        columns = tuple(sorted({*self.columns, *other.columns}))
        joined = Counter(self._over(columns))
        joined.update(other._over(columns))
        patterns = _kept(joined)
        rows = self.rows + other.rows
        return NullPatterns(rows, columns, patterns, rows - sum(patterns.values()))

    def _over(self, columns: Pattern) -> dict[Pattern, int]:
        """The patterns over more columns: those that were never seen are missing."""
        absent = set(columns) - set(self.columns)
        if not absent:
            return self.patterns
        return {tuple(sorted({*names, *absent})): n for names, n in self.patterns.items()}

    @property
    def exact(self) -> bool:
        """Whether every pattern is still counted."""
        return self.dropped == 0

    def top(self, k: int = 20) -> list[tuple[Pattern, int]]:
        """The k most frequent patterns with their rows, ties by name."""
        return ranked(self.patterns)[:k]

    def missing_together(self, one: str, two: str) -> int:
        """Count the rows in which both columns are missing; short by at most `dropped`."""
        return sum(n for names, n in self.patterns.items() if one in names and two in names)

    def co_missing(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Count the rows in which each pair of columns is missing: int64[k, k].

        The diagonal counts each column's own missing cells. Each count is short by at most
        `dropped`.
        """
        masks = np.array([[name in p for name in names] for p in map(set, self.patterns)])
        masks = masks.reshape(len(self.patterns), len(names)).astype(np.int64)
        weights = np.array(list(self.patterns.values()), dtype=np.int64)
        together: NDArray[np.int64] = (masks * weights[:, None]).T @ masks
        return together

    def to_document(self) -> dict[str, object]:
        """Spell the state as a JSON-able document; equal states give equal documents."""
        place = {name: i for i, name in enumerate(self.columns)}
        patterns = [[[place[name] for name in names], n] for names, n in self.top(MAX_PATTERNS)]
        return {
            "rows": self.rows,
            "columns": list(self.columns),
            "patterns": patterns,
            "dropped": self.dropped,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> Self:
        """Read what `to_document` wrote.

        Raises:
            ValueError: the document is damaged.
        """
        read = msgspec.convert(document, _Document)
        names = read.columns
        if any(not 0 <= i < len(names) for places, _ in read.patterns for i in places):
            raise ValueError(f"a null pattern names a column beyond the {len(names)} there are")
        patterns = {tuple(names[i] for i in places): n for places, n in read.patterns}
        return cls(read.rows, names, patterns, read.dropped)

    def describe(self) -> dict[str, object]:
        """The most frequent patterns, JSON-able."""
        return {
            "rows": self.rows,
            "complete": self.patterns.get((), 0),
            "patterns": [[list(names), n] for names, n in self.top()],
            "dropped": self.dropped,
        }


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    rows: int
    columns: Pattern
    patterns: list[tuple[list[int], int]]
    dropped: int


def _pattern_words(frame: pl.DataFrame, names: list[str]) -> NDArray[np.uint64]:
    """Hash the set of missing columns of each row: the sum of the missing names' hashes."""
    hashes = hash_cells(pl.Series(names))
    words = np.zeros(frame.height, dtype=np.uint64)
    block = max(1, _BLOCK_CELLS // max(1, frame.height))
    for start in range(0, len(names), block):
        part = names[start : start + block]
        masks = frame.select(pl.col(part).is_null())
        for mask, word in zip(masks.iter_columns(), hashes[start:], strict=False):
            words += mask.to_numpy() * word
    return words


def _counted(words: NDArray[np.uint64]) -> pl.DataFrame:
    """Count equal words: columns n and first (the first row), the most frequent word first."""
    rows = pl.DataFrame({"word": words}).with_row_index("first")
    grouped = rows.group_by("word").agg(pl.len().alias("n"), pl.col("first").first())
    return grouped.sort(["n", "word"], descending=[True, False])


def _kept(patterns: Mapping[Pattern, int]) -> dict[Pattern, int]:
    return dict(ranked(patterns)[:MAX_PATTERNS])
