"""Up-sampling by linear interpolation between neighbouring pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.incremental.graph.operator import Operator, Shape, extent
from gristmill.incremental.regions.rectangle import EMPTY, Rectangle


class _Mix(NamedTuple):
    """Along one axis: output o is (1 − share[o]) · input[low[o]] + share[o] · input[high[o]]."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    share: NDArray[np.float32]


class BilinearUpsampling(Operator):
    """Each output pixel is a mix of the four input pixels around its place.

    Computed as two passes, along the height and then the width, each element by the same three
    operations wherever it lies: PyTorch's own kernel rounds otherwise in a part of the map.

    Args:
        scale: output by input size, down and across; None where the size is given.
        size: height and width of the output; None where a second input has that size.
        align_corners: whether the outermost pixels' centres, not their edges, coincide.
    """

    def __init__(
        self,
        scale: tuple[float, float] | None = None,
        size: tuple[int, int] | None = None,
        align_corners: bool = False,
    ) -> None:
        self.scale, self.size, self.align_corners = scale, size, align_corners
        self._mixes = lru_cache(maxsize=64)(self._mixes_of)

    def shape(self, *inputs: Shape) -> Shape:
        """Shape of the output."""
        channels, height, width = inputs[0]
        if self.scale is not None:
            return channels, int(height * self.scale[0]), int(width * self.scale[1])
        size = self.size or (inputs[-1][1], inputs[-1][2])
        return channels, *size

    def reached(self, changed: Rectangle, which: int, shapes: Sequence[Shape]) -> Rectangle:
        """Pixels that a changed one is part of."""
        if which or changed.empty:
            return EMPTY
        down, across = self._mixes(tuple(shapes))
        top, bottom = _touched(down, changed.top, changed.bottom)
        left, right = _touched(across, changed.left, changed.right)
        return Rectangle(top, left, bottom, right).clipped(len(down.low), len(across.low))

    def needed(self, region: Rectangle, shapes: Sequence[Shape]) -> list[Rectangle]:
        """The pixels that are mixed; nothing of a second input."""
        others = [EMPTY] * (len(shapes) - 1)
        if region.empty:
            return [EMPTY, *others]
        down, across = self._mixes(tuple(shapes))
        rows, columns = slice(region.top, region.bottom), slice(region.left, region.right)
        found = Rectangle(
            int(down.low[rows].min()),
            int(across.low[columns].min()),
            int(down.high[rows].max()) + 1,
            int(across.high[columns].max()) + 1,
        )
        return [found.clipped(*extent(shapes[0])), *others]

    def run(self, *inputs: Tensor) -> Tensor:
        """Mix everything."""
        shapes = tuple(tuple(each.shape[1:]) for each in inputs)
        return self.run_region(Rectangle.whole(*extent(self.shape(*shapes))), *inputs)

    def run_region(self, region: Rectangle, *inputs: Tensor) -> Tensor:
        """Mix a region's pixels."""
        down, across = self._mixes(tuple(tuple(each.shape[1:]) for each in inputs))
        read = self.needed(region, [tuple(each.shape[1:]) for each in inputs])[0]
        pixels = inputs[0].permute(0, 2, 3, 1)[:, read.top : read.bottom, read.left : read.right]
        rows = _part(down, region.top, region.bottom, read.top)
        columns = _part(across, region.left, region.right, read.left)
        return _mixed(_mixed(pixels, rows, 1), columns, 2).permute(0, 3, 1, 2)

    def flops(self, region: Rectangle, shapes: Sequence[Shape]) -> int:
        """Three operations for each of the two passes."""
        return 6 * region.area * shapes[0][0]

    def _mixes_of(self, shapes: tuple[Shape, ...]) -> tuple[_Mix, _Mix]:
        _, *sizes = self.shape(*shapes)
        scales = self.scale or (None, None)
        down, across = (
            self._mix(length, out, scale)
            for length, out, scale in zip(shapes[0][1:], sizes, scales, strict=True)
        )
        return down, across

    def _mix(self, length: int, out: int, scale: float | None) -> _Mix:
        """Places as PyTorch rounds them, in float32."""
        places = np.arange(out, dtype=np.float32)
        if self.align_corners:
            step = np.float32((length - 1) / (out - 1)) if out > 1 else np.float32(0)
            places = places * step
        else:
            step = np.float32(1 / scale if scale else length / out)
            places = np.maximum(step * (places + np.float32(0.5)) - np.float32(0.5), np.float32(0))
        low = np.minimum(places.astype(np.int64), length - 1)
        share = np.clip(places - low.astype(np.float32), 0, 1)
        # What has no share is not read: a change of it reaches nothing.
        return _Mix(low, np.where(share > 0, np.minimum(low + 1, length - 1), low), share)


def _touched(mix: _Mix, begin: int, end: int) -> tuple[int, int]:
    """From the first to the last output that an input in [begin, end) is part of."""
    of_low = (mix.low >= begin) & (mix.low < end)
    of_high = (mix.high >= begin) & (mix.high < end)
    found = np.flatnonzero(of_low | of_high)
    return (int(found[0]), int(found[-1]) + 1) if len(found) else (0, 0)


def _part(mix: _Mix, begin: int, end: int, origin: int) -> _Mix:
    return _Mix(mix.low[begin:end] - origin, mix.high[begin:end] - origin, mix.share[begin:end])


def _mixed(pixels: Tensor, mix: _Mix, axis: int) -> Tensor:
    """One pass over pixels [1, height, width, channels]."""
    low = torch.from_numpy(mix.low).to(pixels.device)
    high = torch.from_numpy(mix.high).to(pixels.device)
    sizes = [1] * 4
    sizes[axis] = -1
    share = torch.from_numpy(mix.share).to(pixels.device).view(sizes)
    near, far = pixels.index_select(axis, low), pixels.index_select(axis, high)
    return near.mul_(1 - share).add_(far.mul_(share))
