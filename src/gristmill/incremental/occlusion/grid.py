"""Where a picture is covered: squares on a grid, and which of them to look at more closely."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import UsageError

_HOT = 75.0
"""Percentile from which on a coarse value counts as high (that of Nakandala et al. 2019)."""


class Grid(NamedTuple):
    """Squares of one size in rows and columns; the last ones end where the picture ends.

    Args:
        patch: side of the squares, in pixels.
        tops: int64[rows], in pixels.
        lefts: int64[columns], in pixels.
    """

    patch: int
    tops: NDArray[np.int64]
    lefts: NDArray[np.int64]

    @classmethod
    def over(cls, height: int, width: int, patch: int, stride: int) -> Grid:
        """Lay squares over a picture, `stride` pixels apart.

        Raises:
            UsageError: a square is larger than the picture, or a size is below 1.
        """
        if patch < 1 or stride < 1:
            raise UsageError(f"expected a patch and a stride of 1 or more, found {patch}, {stride}")
        if patch > min(height, width):
            raise UsageError(
                f"expected a patch that fits into the picture, found {patch} pixels in a picture "
                f"of {width}x{height} (width x height)",
                fix="give a smaller patch, or a larger picture",
            )
        return cls(patch, _line(height, patch, stride), _line(width, patch, stride))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.tops), len(self.lefts)

    def positions(self, which: NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
        """Top and left of the squares where `which`, bool[rows, columns], holds; row by row."""
        rows, columns = np.nonzero(which)
        return tuple(zip(self.tops[rows].tolist(), self.lefts[columns].tolist(), strict=True))

    def coarse(self) -> NDArray[np.bool_]:
        """Every other row and column, and the last ones: bool[rows, columns]."""
        rows, columns = (_every_other(length) for length in self.shape)
        found = np.zeros(self.shape, bool)
        found[np.ix_(rows, columns)] = True
        return found

    def near_high(self, values: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Squares beside or between the coarse ones of high values: bool[rows, columns].

        Args:
            values: float32[rows, columns], of which the coarse ones count.
        """
        coarse = self.coarse()
        middle, hot = np.percentile(values[coarse], [50.0, _HOT])
        # Where most places count for nothing both are 0, and all of those would be high.
        high = coarse & (values >= hot) & (values > middle)
        padded = np.pad(high, 1)
        rows, columns = self.shape
        near = [padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
        found: NDArray[np.bool_] = np.logical_or.reduce(near)
        return found

    def filled(
        self, values: NDArray[np.float32], measured: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """Put numbers between the coarse ones in place of what was not measured."""
        rows, columns = (_every_other(length) for length in self.shape)
        across = [np.interp(self.lefts, self.lefts[columns], values[row, columns]) for row in rows]
        lines = np.array(across).T
        between = np.array([np.interp(self.tops, self.tops[rows], line) for line in lines]).T
        return np.where(measured, values, between).astype(np.float32)


def _line(length: int, patch: int, stride: int) -> NDArray[np.int64]:
    found = np.arange(0, length - patch + 1, stride)
    return found if found[-1] == length - patch else np.append(found, length - patch)


def _every_other(length: int) -> NDArray[np.int64]:
    return np.unique(np.append(np.arange(0, length, 2), length - 1))
