"""What it does to a network's answer to cover one place of a picture after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gristmill.incremental.occlusion.drawing import drawn, written


@dataclass(frozen=True)
class HeatMap:
    """The fall of the target's score when a place is covered: high where the network looks.

    Args:
        values: float32[rows, columns]: score of the picture as it is less that of the covered one.
        tops: int64[rows]: first pixel row of the covered squares.
        lefts: int64[columns]: first pixel column of them.
        patch: their side, in pixels.
        measured: bool[rows, columns]: what was computed. Elsewhere values are put between those of
            the coarse grid around.
        target: number of the explained element; None where a function gives the score.
        base: score of the picture as it is.
        keep: share of a map's rows and columns that was recomputed at most; 1 is all.
        bits: of the numbers that pointwise convolutions multiplied of what changes: 32 of floats,
            16 of bfloat16, 8 of integers.
        error: of the network's results at the `audited` positions, as a share (L2) of what covering
            them changes; 0 where all is exact.
        audited: positions at which results were compared with exact ones.
        seconds: that it took, without the picture's own run.
    """

    values: NDArray[np.float32]
    tops: NDArray[np.int64]
    lefts: NDArray[np.int64]
    patch: int
    measured: NDArray[np.bool_]
    target: int | None
    base: float
    keep: float
    bits: int
    error: float
    audited: int
    seconds: float
    _picture: Callable[[], NDArray[np.uint8]]

    @property
    def rounded(self) -> bool:
        """Whether what changes was multiplied less than exactly."""
        return self.bits < 32

    @property
    def skipped(self) -> int:
        """Positions that were not computed."""
        return int(self.measured.size - self.measured.sum())

    @property
    def peak(self) -> tuple[int, int]:
        """Top and left of the square whose covering costs the target most."""
        row, column = np.unravel_index(int(self.values.argmax()), self.values.shape)
        return int(self.tops[row]), int(self.lefts[column])

    def by_pixel(self) -> NDArray[np.float32]:
        """Return the mean value of the squares that cover each pixel: float32[height, width].

        Not a number where none does, as between squares that are further apart than their side.
        """
        height, width = int(self.tops[-1]) + self.patch, int(self.lefts[-1]) + self.patch
        total, count = np.zeros((height, width)), np.zeros((height, width))
        for row, top in enumerate(self.tops):
            for column, left in enumerate(self.lefts):
                place = slice(top, top + self.patch), slice(left, left + self.patch)
                total[place] += self.values[row, column]
                count[place] += 1
        found = np.full((height, width), np.nan, np.float32)
        np.divide(total, count, out=found, where=count > 0, casting="unsafe")
        return found

    def image(self, title: str = "") -> NDArray[np.uint8]:
        """Draw the map over the picture, with a scale: uint8[height, width, 3].

        Args:
            title: of the picture's explained element, say a class's name.

        Raises:
            UsageError: Pillow, which draws letters, is not installed.
        """
        named = title or ("score" if self.target is None else f"output {self.target}")
        return drawn(self._picture(), self.by_pixel(), f"{named}: {self.base:.4g}")

    def save(self, path: str | Path, title: str = "") -> None:
        """Write `image` to a file: PNG, or what its suffix says.

        Raises:
            UsageError: Pillow is not installed, or knows no format by that suffix.
            OSError: the file can't be written.
        """
        written(self.image(title), Path(path))
