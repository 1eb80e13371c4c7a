"""From patches of a value to the windows that an operator reads: patches, and what is around them.

What a move depends on but for the numbers is worked out once, when it is made.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.incremental.graph.operator import Shape, extent
from gristmill.incremental.occlusion.base_values import BaseValues, Border
from gristmill.incremental.occlusion.places import Places
from gristmill.incremental.occlusion.scratch import Scratch


class Move(Protocol):
    """Makes windows of one value for all positions of a batch."""

    def __call__(self, base: BaseValues, patches: Tensor | None) -> Tensor:
        """Return windows, [positions, channels, height, width] in channels-last memory.

        They may share memory with the patches, with the base or with what the move before used, and
        are read only.

        Args:
            base: all values for the picture as it is.
            patches: those of the value, None where it has none.
        """


def move(
    source: int,
    shape: Shape,
    patches: Places | None,
    windows: Places,
    border: Border,
    scratch: Scratch,
) -> Move:
    """Return the cheapest move.

    Args:
        source: number of the node whose value is read.
        shape: of that value.
        patches: places of its patches, None where it has none.
        windows: places that are read; they may stretch beyond the map.
        border: as far as they ever stretch beyond it, and what is there.
        scratch: memory for windows that have to be put together.
    """
    if patches is None:
        if windows.cover(shape):
            return _Unchanged(source, len(windows.tops))
        return _Gathered(source, shape, windows, border, scratch)
    if patches.same(windows):
        return _Passed()
    down, across = patches.tops - windows.tops, patches.lefts - windows.lefts
    if np.ptp(down) or np.ptp(across):
        return _Scattered(source, shape, patches, windows, border, scratch)
    rows = _overlap(int(down[0]), patches.height, windows.height)
    columns = _overlap(int(across[0]), patches.width, windows.width)
    read, written = (rows[0], columns[0]), (rows[1], columns[1])
    if written == (slice(0, windows.height), slice(0, windows.width)):
        return _Cut(read)
    return _Pasted(source, shape, windows, border, scratch, read, written)


class _Passed:
    """The patches themselves."""

    def __call__(self, base: BaseValues, patches: Tensor | None) -> Tensor:
        return _given(patches)


class _Unchanged:
    """The whole value, the same at every position."""

    def __init__(self, source: int, count: int) -> None:
        self._source, self._count = source, count

    def __call__(self, base: BaseValues, patches: Tensor | None) -> Tensor:
        values = base[self._source]
        return values.expand(self._count, *values.shape[1:])


class _Cut:
    """A part of the patches."""

    def __init__(self, read: tuple[slice, slice]) -> None:
        self._read = read

    def __call__(self, base: BaseValues, patches: Tensor | None) -> Tensor:
        return _given(patches)[:, :, *self._read]


class _Gathered:
    """Windows of the base."""

    def __init__(
        self, source: int, shape: Shape, windows: Places, border: Border, scratch: Scratch
    ) -> None:
        self._source, self._border, self._scratch = source, border, scratch
        self._shape = (len(windows.tops), windows.height, windows.width, shape[0])
        width = extent(shape)[1] + border.left + border.right
        origins = (windows.tops + border.top) * width + windows.lefts + border.left
        inner = np.arange(windows.height)[:, None] * width + np.arange(windows.width)
        self._numbers = torch.from_numpy((origins[:, None] + inner.reshape(1, -1)).reshape(-1))

    def __call__(self, base: BaseValues, patches: Tensor | None) -> Tensor:
        return self._windows(self._rows(base))

    def _rows(self, base: BaseValues) -> Tensor:
        """All windows' pixels [pixels + 1, channels]; the last one is nobody's."""
        count = len(self._numbers)
        rows = self._scratch.rows(count + 1, self._shape[3])
        torch.index_select(
            base.bordered(self._source, self._border), 0, self._numbers, out=rows[:count]
        )
        return rows

    def _windows(self, rows: Tensor) -> Tensor:
        return rows[:-1].view(self._shape).permute(0, 3, 1, 2)


class _Pasted(_Gathered):
    """Windows of the base with patches over them, at the same place in each window."""

    def __init__(
        self,
        source: int,
        shape: Shape,
        windows: Places,
        border: Border,
        scratch: Scratch,
        read: tuple[slice, slice],
        written: tuple[slice, slice],
    ) -> None:
        super().__init__(source, shape, windows, border, scratch)
        self._read, self._written = read, written

    def __call__(self, base: BaseValues, patches: Tensor | None) -> Tensor:
        found = super().__call__(base, patches)
        found[:, :, *self._written] = _given(patches)[:, :, *self._read]
        return found


class _Scattered(_Gathered):
    """Windows of the base with patches over them, each at a place of its own."""

    def __init__(
        self,
        source: int,
        shape: Shape,
        patches: Places,
        windows: Places,
        border: Border,
        scratch: Scratch,
    ) -> None:
        super().__init__(source, shape, windows, border, scratch)
        self._targets = torch.from_numpy(_targets(patches, windows))

    def __call__(self, base: BaseValues, patches: Tensor | None) -> Tensor:
        rows = self._rows(base)
        pixels = _given(patches).permute(0, 2, 3, 1).reshape(-1, rows.shape[1])
        rows.index_copy_(0, self._targets, pixels)
        return self._windows(rows)


def _overlap(offset: int, patch: int, window: int) -> tuple[slice, slice]:
    """Along one axis: the part of a patch that lies in a window, and where in it."""
    begin = min(max(0, offset), window)
    end = max(begin, min(window, offset + patch))
    return slice(begin - offset, end - offset), slice(begin, end)


def _targets(patches: Places, windows: Places) -> NDArray[np.int64]:
    """Number of the windows' pixel that each pixel of the patches goes to; nobody's if outside."""
    rows = (patches.tops - windows.tops)[:, None] + np.arange(patches.height)
    columns = (patches.lefts - windows.lefts)[:, None] + np.arange(patches.width)
    count, area = len(rows), windows.height * windows.width
    inside = ((rows >= 0) & (rows < windows.height))[:, :, None]
    inside = inside & ((columns >= 0) & (columns < windows.width))[:, None, :]
    within = rows[:, :, None] * windows.width + columns[:, None, :]
    numbers = np.arange(count)[:, None, None] * area + within
    return np.where(inside, numbers, count * area).reshape(-1)


def _given(patches: Tensor | None) -> Tensor:
    if patches is None:
        raise TypeError("expected patches of a value that has places for them")
    return patches
