"""Operators that copy pixels: each output row is one input row, and each column one column."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gristmill.core.errors import UsageError
from gristmill.incremental.graph.operator import Operator, Shape, extent
from gristmill.incremental.regions.rectangle import EMPTY, Rectangle

Indices: TypeAlias = NDArray[np.int64]
"""Of each output row (or column) the input row it is a copy of; -1 where it is a constant."""


_NUMPY_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


class Gathering(Operator):
    """An operator of which each output row and column is a copy of one of the first input's."""

    fill: float = 0.0

    def __init__(self) -> None:
        self._tables = lru_cache(maxsize=64)(self.tables)

    @abstractmethod
    def tables(self, shapes: tuple[Shape, ...]) -> tuple[Indices, Indices]:
        """Of each output row its input row, and of each output column its input column."""

    def shape(self, *inputs: Shape) -> Shape:
        """Shape of the output.

        Raises:
            UsageError: nothing is left of the map.
        """
        rows, columns = self._tables(inputs)
        if not len(rows) or not len(columns):
            raise UsageError(f"nothing is left of a map of {inputs[0][1]}x{inputs[0][2]}")
        return (inputs[0][0], len(rows), len(columns))

    def reached(self, changed: Rectangle, which: int, shapes: Sequence[Shape]) -> Rectangle:
        """Copies of what changed, and what lies between them."""
        if which or changed.empty:
            return EMPTY
        rows, columns = self._tables(tuple(shapes))
        top, bottom = _between(rows, changed.top, changed.bottom)
        left, right = _between(columns, changed.left, changed.right)
        return Rectangle(top, left, bottom, right).clipped(len(rows), len(columns))

    def needed(self, region: Rectangle, shapes: Sequence[Shape]) -> list[Rectangle]:
        """What the region is a copy of, and what lies between; nothing of a second input."""
        others = [EMPTY] * (len(shapes) - 1)
        if region.empty:
            return [EMPTY, *others]
        rows, columns = self._tables(tuple(shapes))
        top, bottom = _covered(rows[region.top : region.bottom])
        left, right = _covered(columns[region.left : region.right])
        return [Rectangle(top, left, bottom, right).clipped(*extent(shapes[0])), *others]

    def run_region(self, region: Rectangle, *inputs: Tensor) -> Tensor:
        """Copy a region."""
        rows, columns = self._tables(tuple(tuple(each.shape[1:]) for each in inputs))
        return self._copied(
            inputs[0], rows[region.top : region.bottom], columns[region.left : region.right]
        )

    def _copied(self, values: Tensor, rows: Indices, columns: Indices) -> Tensor:
        # As [1, height, width, channels] the channels of a pixel are copied in one go.
        pixels = values.permute(0, 2, 3, 1)
        across = torch.from_numpy(columns.clip(0)).to(values.device)
        down = torch.from_numpy(rows.clip(0)).to(values.device)
        found = pixels[:, down[:, None], across]
        if rows.min() < 0:
            found[:, torch.from_numpy(rows < 0)] = self.fill
        if columns.min() < 0:
            found[:, :, torch.from_numpy(columns < 0)] = self.fill
        return found.permute(0, 3, 1, 2)


Sides: TypeAlias = tuple[int, int, int, int]
"""Pixels to the left, right, top and bottom, as PyTorch's `pad` counts them."""


class Bordering(Gathering):
    """Pixels added around a map, or cut off.

    Args:
        sides: how many; or a function that says how many by the height and width of the second
            input, for borders that depend on the frame's size.
        mode: "constant", "reflect", "replicate" or "circular".
        fill: the constant.
    """

    def __init__(
        self,
        sides: Sides | Callable[[int, int], Sides],
        mode: str = "constant",
        fill: float = 0.0,
    ) -> None:
        super().__init__()
        self._sides, self.mode, self.fill = sides, mode, fill

    @property
    def zeros(self) -> Sides | None:
        """How many zeros it adds, where that is all, and the same for all frames."""
        if callable(self._sides) or self.mode != "constant" or self.fill != 0.0:
            return None
        return self._sides if min(self._sides) >= 0 else None

    def tables(self, shapes: tuple[Shape, ...]) -> tuple[Indices, Indices]:
        """See `Gathering`."""
        left, right, top, bottom = self._sides_of(shapes)
        _, height, width = shapes[0]
        return self._axis(height, top, bottom), self._axis(width, left, right)

    def _axis(self, length: int, near: int, far: int) -> Indices:
        kept = np.arange(max(0, -near), length - max(0, -far))
        added = (max(0, near), max(0, far))
        if self.mode == "constant":
            return np.pad(kept, added, constant_values=-1)
        if len(kept) <= max(added) and self.mode == "reflect":
            raise UsageError(f"expected a map larger than its mirrored border, found {length}")
        how = _NUMPY_MODES[self.mode]
        return np.pad(kept, added, mode=how)  # type: ignore[call-overload,no-any-return]

    def run(self, *inputs: Tensor) -> Tensor:
        """Add the border to everything."""
        fill = self.fill if self.mode == "constant" else None
        sides = self._sides_of(tuple(tuple(each.shape[1:]) for each in inputs))
        found = functional.pad(inputs[0], sides, self.mode, fill)
        return found.contiguous(memory_format=torch.channels_last)

    def _sides_of(self, shapes: tuple[Shape, ...]) -> Sides:
        return self._sides(*shapes[-1][1:]) if callable(self._sides) else self._sides


class Cropping(Gathering):
    """Every so-many-th row and column from a first to a last.

    Args:
        rows: which rows.
        columns: which columns.
    """

    def __init__(self, rows: slice, columns: slice) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns

    def tables(self, shapes: tuple[Shape, ...]) -> tuple[Indices, Indices]:
        """See `Gathering`."""
        _, height, width = shapes[0]
        return np.arange(height)[self.rows], np.arange(width)[self.columns]

    def run(self, *inputs: Tensor) -> Tensor:
        """Copy what is kept."""
        return inputs[0][:, :, self.rows, self.columns].clone(memory_format=torch.channels_last)


class NearestUpsampling(Gathering):
    """Each output pixel is a copy of the nearest input pixel.

    Args:
        scale: output by input size, down and across; None where the size is given.
        size: height and width of the output; None where a second input has that size.
        mode: "nearest" or "nearest-exact", as PyTorch defines them.
    """

    def __init__(
        self,
        scale: tuple[float, float] | None = None,
        size: tuple[int, int] | None = None,
        mode: str = "nearest",
    ) -> None:
        super().__init__()
        self.scale, self.size, self.mode = scale, size, mode

    def tables(self, shapes: tuple[Shape, ...]) -> tuple[Indices, Indices]:
        """See `Gathering`; PyTorch itself is asked, with the numbers of rows and columns."""
        _, height, width = shapes[0]
        down = torch.arange(height, dtype=torch.float32).view(1, 1, height, 1)
        across = torch.arange(width, dtype=torch.float32).view(1, 1, 1, width)
        numbers = torch.stack((down.expand(1, 1, -1, width), across.expand(1, 1, height, -1)), 1)
        found = self._scaled(numbers[:, :, 0], shapes[-1][1:])
        return found[0, 0, :, 0].long().numpy(), found[0, 1, 0].long().numpy()

    def run(self, *inputs: Tensor) -> Tensor:
        """Scale everything."""
        found = self._scaled(inputs[0], tuple(inputs[-1].shape[2:]))
        return found.contiguous(memory_format=torch.channels_last)

    def _scaled(self, values: Tensor, other: Shape) -> Tensor:
        if self.scale is not None:
            return functional.interpolate(values, scale_factor=self.scale, mode=self.mode)
        size = self.size or (other[0], other[1])
        return functional.interpolate(values, size=size, mode=self.mode)


def _between(indices: Indices, begin: int, end: int) -> tuple[int, int]:
    """From the first to the last output whose input lies in [begin, end)."""
    found = np.flatnonzero((indices >= begin) & (indices < end))
    return (int(found[0]), int(found[-1]) + 1) if len(found) else (0, 0)


def _covered(indices: Indices) -> tuple[int, int]:
    """From the first to the last input that is copied."""
    found = indices[indices >= 0]
    return (int(found.min()), int(found.max()) + 1) if len(found) else (0, 0)
