"""Rules of numbers: bounds, NaN and infinities, zeros everywhere, decimals lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
import polars as pl

from gristmill.validate.checks.cells import Cells
from gristmill.validate.checks.rule import Draft, Rule, Whole
from gristmill.validate.checks.seen import Seen
from gristmill.validate.checks.wording import between, listed, of, up, verb
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.statistics.feature import Feature
from gristmill.validate.statistics.numbers import Numbers

ENOUGH_TO_VARY = 100
"""From how many cells on it is no accident that all are alike."""
_FIRST = 256


class Negative(Rule):
    """Numbers below zero where there are none."""

    code = "out_of_range"

    def _mask(self, cells: Cells) -> pl.Series:
        return outside(cells.values, 0, None)

    def _figures(self, feature: Feature) -> Seen:
        return figures_outside(feature.numbers, 0, None, feature.present)

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        if self.seen.count:
            message = f"{of(self.seen)} {verb(self.seen, 'is', 'are')} negative{listed(self.seen)}"
            yield Draft(self.code, message, self.seen, self.edit("negative", new=True))


class OutOfRange(Rule):
    """Finite numbers beyond `min` and `max`; those that `Negative` tells of are left out."""

    code = "out_of_range"

    @property
    def _low(self) -> float | None:
        low = self.spec.min
        return low if self.spec.negative or low is None or low > 0 else None

    def _mask(self, cells: Cells) -> pl.Series:
        mask = outside(cells.values, self._low, self.spec.max)
        return mask if self.spec.negative else mask & (cells.values >= 0)

    def _figures(self, feature: Feature) -> Seen:
        return figures_outside(feature.numbers, self._low, self.spec.max, feature.present)

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        if whole.beyond(self.seen, self.spec.max_outside):
            bounds = between(self.spec.min, self.spec.max)
            unit = f" {self.spec.unit}" if self.spec.unit else ""
            message = (
                f"{of(self.seen)} {verb(self.seen, 'is', 'are')} not {bounds}{unit}"
                f"{listed(self.seen)}"
            )
            yield Draft(self.code, message, self.seen, self._widen(whole))

    def _widen(self, whole: Whole) -> Edit | None:
        """Propose the bound that lets the farther numbers through."""
        numbers, spec = whole.feature.numbers, self.spec
        if numbers is None or numbers.low is None or numbers.high is None:
            return None
        if self._low is not None and numbers.low < self._low:
            return self.edit("min", numbers.low)
        if spec.max is not None and numbers.high > spec.max:
            return self.edit("max", numbers.high)
        return None


class NotANumber(Rule):
    """NaN among floats."""

    code = "not_finite"

    def _mask(self, cells: Cells) -> pl.Series | None:
        return cells.values.is_nan() if cells.values.dtype.is_float() else None

    def _figures(self, feature: Feature) -> Seen:
        return Seen(feature.numbers.nan if feature.numbers else 0, feature.present)

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        if whole.beyond(self.seen, self.spec.max_nan):
            message = f"{of(self.seen)} {verb(self.seen, 'is', 'are')} NaN"
            yield Draft(self.code, message, self.seen, self.edit("max_nan", up(self.seen.share)))


class Infinite(Rule):
    """Infinite floats."""

    code = "not_finite"

    def _mask(self, cells: Cells) -> pl.Series | None:
        return cells.values.is_infinite() if cells.values.dtype.is_float() else None

    def _figures(self, feature: Feature) -> Seen:
        numbers = feature.numbers
        return Seen(numbers.pos_inf + numbers.neg_inf if numbers else 0, feature.present)

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        if whole.beyond(self.seen, self.spec.max_infinite):
            message = f"{of(self.seen)} {verb(self.seen, 'is', 'are')} infinite{listed(self.seen)}"
            yield Draft(
                self.code, message, self.seen, self.edit("max_infinite", up(self.seen.share))
            )


class AllZero(Rule):
    """Zeros everywhere."""

    code = "all_zero"

    def _observe(self, cells: Cells, part: Feature) -> None:
        """Statistics tell it all."""

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        numbers = whole.feature.numbers
        if numbers is not None and ENOUGH_TO_VARY <= numbers.n == numbers.zeros == whole.present:
            message = f"all {numbers.n:,} values are 0"
            edit = self.edit("zeros", new=False)
            yield Draft(self.code, message, Seen(numbers.n, numbers.n), edit)


class LostDecimals(Rule):
    """Whole numbers everywhere, where there used to be fractions."""

    code = "lost_decimals"
    fractions = False
    whole = 0

    def _observe(self, cells: Cells, part: Feature) -> None:
        values = cells.values
        if not self.fractions and values.dtype.is_float():
            # Nearly always the first cells tell.
            self.fractions = _has_fraction(values.head(_FIRST)) or _has_fraction(values)
        self.whole += cells.present

    def merge(self, later: Self) -> None:
        """See `Rule.merge`."""
        self.fractions, self.whole = self.fractions or later.fractions, self.whole + later.whole

    def _recall(self, feature: Feature) -> None:
        """Take statistics: sure only of integers, or while every value is still counted."""
        self.whole, numbers = feature.present, feature.numbers
        self.fractions = True
        if set(feature.kinds) == {"int"}:
            self.fractions = False
        elif numbers is not None and _is_whole(numbers.low) and _is_whole(numbers.high):
            counted = numbers.quantiles.value_counts()
            self.fractions = counted is None or bool((counted[0] % 1 != 0).any())

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        if not self.fractions and self.whole >= ENOUGH_TO_VARY:
            message = f"all {self.whole:,} values are whole numbers, where decimals are expected"
            edit = self.edit("fractions", new=False)
            yield Draft(self.code, message, Seen(self.whole, self.whole), edit)


def _has_fraction(values: pl.Series) -> bool:
    numbers = values.drop_nulls().to_numpy()
    return bool((np.isfinite(numbers) & (numbers != np.floor(numbers))).any())


def _is_whole(number: float | None) -> bool:
    return number is not None and float(number).is_integer()


def outside(cells: pl.Series, low: float | None, high: float | None) -> pl.Series:
    """Which finite numbers lie below `low` or above `high` (Boolean[n])."""
    mask = pl.Series([False]).new_from_index(0, len(cells))
    if cells.dtype.is_float() and not cells.is_finite().all():
        cells = cells.set(~cells.is_finite(), None)
    if low is not None:
        mask = mask | (cells < low).fill_null(value=False)
    if high is not None:
        mask = mask | (cells > high).fill_null(value=False)
    return mask


def figures_outside(
    numbers: Numbers | None, low: float | None, high: float | None, total: int
) -> Seen:
    """Count the numbers beyond bounds by their quantiles; that there are none is always exact."""
    if numbers is None or numbers.low is None or numbers.high is None:
        return Seen(0, total)
    below = low is not None and numbers.low < low
    above = high is not None and numbers.high > high
    if not below and not above:
        return Seen(0, total)
    under = np.nextafter(-np.inf if low is None else low, -np.inf)
    over = np.inf if high is None else high
    ranks = numbers.quantiles.ranks(np.array([under, over]))
    counts = round(ranks[0] * numbers.n), round((1 - ranks[1]) * numbers.n)
    # The extremes are exact even when ranks are sketched.
    count = max(counts[0], 1) * below + max(counts[1], 1) * above
    extremes = [numbers.low] * below + [numbers.high] * above
    return Seen(count, total, tuple(extremes), exact=numbers.quantiles.exact)
