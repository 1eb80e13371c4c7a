"""Looking at one column, cell by cell or through its statistics, with the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl

from gristmill.validate.checks.findings import SHOWN_ROWS
from gristmill.validate.kinds import cast, kind_of, normalised
from gristmill.validate.schemas.feature_spec import SpecKind
from gristmill.validate.statistics import text
from gristmill.validate.statistics.feature import Feature
from gristmill.validate.statistics.numbers import Numbers

_SHOWN_EXAMPLES = 5
_SHOWN_LENGTH = 60
_KEPT_VALUES = 100


@dataclass(frozen=True)
class Seen:
    """The cells of a column that answer a question.

    Attributes:
        count: how many; approximate unless `exact`.
        total: of how many cells.
        values: some of their different values, at most 100.
        mask: which rows they are in (Boolean[n]); None when only statistics are at hand.
    """

    count: int
    total: int
    values: tuple[object, ...] = ()
    mask: pl.Series | None = None
    exact: bool = True

    @property
    def examples(self) -> tuple[str, ...]:
        """A few of the values, spelled for a message."""
        return tuple(shown(value) for value in self.values[:_SHOWN_EXAMPLES])


class Observed(Protocol):
    """A column to ask questions of; each answer counts only cells that fit the expected type."""

    kind: str

    present: int

    def missing(self) -> Seen:
        """Cells without a value, of all rows."""

    def mistyped(self) -> Seen:
        """Cells that do not fit the type, of those with a value."""

    def unseen(self, domain: Sequence[str | int]) -> Seen:
        """Cells with a value that is not in the domain."""

    def outside(self, low: float | None, high: float | None) -> Seen:
        """Finite numbers below `low` or above `high`."""

    def not_finite(self) -> Seen:
        """NaN and infinities."""

    def lengths_outside(self, low: int | None, high: int | None) -> Seen:
        """Texts shorter than `low` or longer than `high` characters."""

    def broken(self) -> Seen:
        """Texts read in the wrong encoding."""

    def repeated(self) -> Seen:
        """Cells whose value occurred in an earlier row."""

    def constant(self) -> str | None:
        """The one value that all cells have; None where they differ."""


class Cells:
    """A column of a table, cast to the type that its schema says."""

    def __init__(self, raw: pl.Series, kind: SpecKind) -> None:
        self.kind = kind_of(raw.dtype)
        if kind == "any":
            self.cells, self._bad = normalised(raw), pl.Series([False]).new_from_index(0, len(raw))
        else:
            result = cast(raw, kind)
            self.cells, self._bad = result.column, result.bad
        self._raw = raw
        self.present = len(self.cells) - self.cells.null_count()

    def _seen(self, mask: pl.Series, total: int) -> Seen:
        mask = mask.fill_null(value=False)
        return Seen(int(mask.sum()), total, _different(self._raw.filter(mask)), mask)

    def missing(self) -> Seen:
        """Cells without a value, of all rows."""
        mask = self.cells.is_null() & ~self._bad
        return Seen(int(mask.sum()), len(mask), (), mask)

    def mistyped(self) -> Seen:
        """Cells that do not fit the type, of those with a value."""
        return self._seen(self._bad, self.present + int(self._bad.sum()))

    def unseen(self, domain: Sequence[str | int]) -> Seen:
        """Cells with a value that is not in the domain."""
        known = pl.Series(domain, dtype=self.cells.dtype, strict=False)
        return self._seen(~self.cells.is_in(known.implode()), self.present)

    def outside(self, low: float | None, high: float | None) -> Seen:
        """Finite numbers below `low` or above `high`."""
        return self._seen(_outside(self.cells, low, high), self.present)

    def not_finite(self) -> Seen:
        """NaN and infinities."""
        return self._seen(~self.cells.is_finite(), self.present)

    def lengths_outside(self, low: int | None, high: int | None) -> Seen:
        """Texts shorter than `low` or longer than `high` characters."""
        return self._seen(
            _outside(text.lengths(self.cells).cast(pl.Int64), low, high), self.present
        )

    def broken(self) -> Seen:
        """Texts read in the wrong encoding."""
        return self._seen(text.is_broken(self.cells), self.present)

    def repeated(self) -> Seen:
        """Cells whose value occurred in an earlier row."""
        again = ~self.cells.is_first_distinct() & self.cells.is_not_null()
        return self._seen(again, self.present)

    def constant(self) -> str | None:
        """The one value that all cells have; None where they differ."""
        present = self.cells.drop_nulls()
        if not len(present) or present.n_unique() != 1:
            return None
        return shown(present[0])


class Figures:
    """A column known only by its statistics."""

    def __init__(self, feature: Feature, kind: SpecKind) -> None:
        self.kind, self._kind, self._feature = feature.kind, kind, feature
        self.present = feature.present

    def missing(self) -> Seen:
        """Cells without a value, of all rows."""
        return Seen(self._feature.missing, self._feature.rows)

    def mistyped(self) -> Seen:
        """Cells that do not fit the type, of those with a value."""
        fitting = {"float": ("int", "float"), "any": tuple(self._feature.kinds)}
        good = fitting.get(self._kind, (self._kind,))
        wrong = {k: n for k, n in self._feature.kinds.items() if k not in good}
        return Seen(sum(wrong.values()), self.present)

    def unseen(self, domain: Sequence[str | int]) -> Seen:
        """Cells with a value that is not in the domain."""
        known = {str(value) for value in domain}
        tops = self._feature.top(1 << 12)
        new = [top for top in tops if top.value not in known]
        exact = sum(top.count for top in tops) >= self.present
        values = tuple(top.value for top in new[:_KEPT_VALUES])
        return Seen(sum(top.count for top in new), self.present, values, exact=exact)

    def outside(self, low: float | None, high: float | None) -> Seen:
        """Finite numbers below `low` or above `high`."""
        return _figures_outside(self._feature.numbers, low, high)

    def not_finite(self) -> Seen:
        """NaN and infinities."""
        numbers = self._feature.numbers
        return Seen(numbers.not_finite if numbers else 0, self.present)

    def lengths_outside(self, low: int | None, high: int | None) -> Seen:
        """Texts shorter than `low` or longer than `high` characters."""
        return _figures_outside(self._feature.lengths, low, high)

    def broken(self) -> Seen:
        """Texts read in the wrong encoding."""
        return Seen(self._feature.broken, self.present)

    def repeated(self) -> Seen:
        """Cells whose value occurred in an earlier row."""
        distinct = self._feature.distinct_count
        # Only what the bound proves is counted: an estimate must not accuse a key.
        return Seen(max(0, self.present - int(distinct.high)), self.present, exact=distinct.exact)

    def constant(self) -> str | None:
        """The one value that all cells have; None where they differ."""
        if not self.present or self._feature.distinct_count.value != 1:
            return None
        top = self._feature.top(1)
        return shown(top[0].value) if top else "one value"


def shown(value: object) -> str:
    """Spell a cell for a message: quoted text, cut when long."""
    spelled = repr(value) if isinstance(value, str) else str(value)
    return spelled if len(spelled) <= _SHOWN_LENGTH else spelled[: _SHOWN_LENGTH - 1] + "…"


def first_rows(mask: pl.Series | None, ids: pl.Series | None) -> tuple[int | str, ...]:
    """The ids of the first rows of a mask, at most 20."""
    if mask is None or ids is None:
        return ()
    return tuple(ids.filter(mask).head(SHOWN_ROWS).to_list())


def _different(values: pl.Series) -> tuple[object, ...]:
    return tuple(values.drop_nulls().unique(maintain_order=True).head(_KEPT_VALUES))


def _outside(cells: pl.Series, low: float | None, high: float | None) -> pl.Series:
    mask = pl.Series([False]).new_from_index(0, len(cells))
    if cells.dtype.is_float():
        cells = cells.set(~cells.is_finite(), None)
    if low is not None:
        mask = mask | (cells < low).fill_null(value=False)
    if high is not None:
        mask = mask | (cells > high).fill_null(value=False)
    return mask


def _figures_outside(numbers: Numbers | None, low: float | None, high: float | None) -> Seen:
    if numbers is None or numbers.low is None or numbers.high is None:
        return Seen(0, 0)
    below = low is not None and numbers.low < low
    above = high is not None and numbers.high > high
    under = np.nextafter(-np.inf if low is None else low, -np.inf)
    over = np.inf if high is None else high
    ranks = numbers.quantiles.ranks(np.array([under, over]))
    counts = round(ranks[0] * numbers.n), round((1 - ranks[1]) * numbers.n)
    # The extremes are exact even when ranks are sketched.
    count = max(counts[0], 1) * below + max(counts[1], 1) * above
    extremes = [numbers.low] * below + [numbers.high] * above
    return Seen(count, numbers.n, tuple(extremes), exact=numbers.quantiles.exact)
