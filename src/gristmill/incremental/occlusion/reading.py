"""What operators read: rows of a value's patches, and of the value for the picture around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from gristmill.incremental.graph.operator import Shape, extent
from gristmill.incremental.kernels.native.block import BlockKernel, Prepare, Shortcut
from gristmill.incremental.kernels.native.difference_block import DifferenceBlockKernel
from gristmill.incremental.kernels.native.differences import DifferenceConvolution, Known
from gristmill.incremental.kernels.native.groups import Groups
from gristmill.incremental.kernels.native.integer_block import IntegerBlockKernel
from gristmill.incremental.kernels.native.integer_mean import IntegerMeanKernel
from gristmill.incremental.kernels.native.mean import MeanKernel
from gristmill.incremental.kernels.native.scattered import ScatteredConvolution
from gristmill.incremental.occlusion.base_values import BaseValues, Compute
from gristmill.incremental.occlusion.layout import Layout, Numbers
from gristmill.incremental.occlusion.scratch import Scratch


class Patches:
    """Patches of one value for all positions.

    Args:
        base: all values for the picture as it is.
        number: of the node.
        parts: rows [pixels, channels] one after the other, none where no position reaches the node.
    """

    def __init__(self, base: BaseValues, number: int, parts: Sequence[Tensor] = ()) -> None:
        self.base, self._number, self._parts = base, number, tuple(parts)
        self._joined: Tensor | None = None

    def rows(self, which: slice) -> Tensor:
        """Some of the patches' rows, [pixels, channels]."""
        begin = 0
        for part in self._parts:
            if begin <= which.start and which.stop <= begin + len(part):
                return part[which.start - begin : which.stop - begin]
            begin += len(part)
        return self.joined[len(self.joined) - begin :][which]

    @property
    def before(self) -> Tensor:
        """Rows of the value's pixels for the picture as it is, [pixels, channels]."""
        return self.base.rows(self._number)

    @property
    def own(self) -> Tensor:
        """All of the patches' rows, [pixels, channels]."""
        if not self._parts:
            return self.before[:0]
        return self._parts[0] if len(self._parts) == 1 else torch.cat(self._parts)

    @property
    def joined(self) -> Tensor:
        """Rows of the value's pixels for the picture, one for what lies beyond its edges, and those
        of the patches: what is gathered from."""
        if self._joined is None:
            self._joined = self.base.joined(self._number, self._parts)
        return self._joined


class Passed:
    """Patches as they lie there.

    Args:
        rows: which of theirs.
        size: (positions, height, width), of what is read.
        shape: of the value.
    """

    def __init__(self, rows: slice, size: tuple[int, int, int], shape: Shape) -> None:
        self._rows, self._size, self._shape = rows, size, shape

    def __call__(self, patches: Patches) -> Tensor:
        """Return [positions, channels, height, width] in channels-last memory, or no maps."""
        return _viewed(self.rows(patches), self._size, self._shape)

    def rows(self, patches: Patches) -> Tensor:
        """Return the same as rows [pixels, channels]."""
        return patches.rows(self._rows)


class Gathered:
    """Pixels from wherever they are.

    Args:
        numbers: of rows of what is `joined`.
        size: (positions, height, width), of what is read.
        shape: of the value.
        fill: what its numbers are.
        scratch: memory for what is read, until the next one reads.
    """

    def __init__(
        self,
        numbers: Numbers,
        size: tuple[int, int, int],
        shape: Shape,
        fill: float,
        scratch: Scratch,
    ) -> None:
        self._numbers = torch.from_numpy(numbers.reshape(-1))
        self._size, self._shape = size, shape
        self._fill, self._scratch = fill, scratch
        self._beyond = math.prod(extent(shape))

    def __call__(self, patches: Patches) -> Tensor:
        """Return [positions, channels, height, width] in channels-last memory, or no maps."""
        return _viewed(self.rows(patches), self._size, self._shape)

    def rows(self, patches: Patches) -> Tensor:
        """Return the same as rows [pixels, channels]."""
        joined = patches.joined
        joined[self._beyond] = self._fill
        rows = self._scratch.rows(len(self._numbers), joined.shape[1])
        return torch.index_select(joined, 0, self._numbers, out=rows)


Pixels: TypeAlias = Passed | Gathered
"""What gives rows of pixels."""


class Scattered:
    """Pixels of windows, read where they are by the convolution itself.

    Args:
        kernel: the convolution.
        numbers: of rows as `located` counts them, int64[pixels, rows, columns] of the windows.

    Attributes:
        numbers: int32[pixels, taps].
    """

    def __init__(self, kernel: ScatteredConvolution, numbers: Numbers) -> None:
        self._kernel = kernel
        taps = numbers.reshape(len(numbers), -1).astype(np.int32)
        self.numbers = torch.from_numpy(taps)

    def __call__(self, patches: Patches) -> Tensor:
        """Return the convolution's results, rows [pixels, channels]."""
        return self._kernel(patches.before, patches.own, self.numbers)


class Beside:
    """What the pixels of a convolution's results are beside: those of the picture.

    Args:
        number: of the convolution's node.
        source: of the node that it reads.
        origins: number of the picture's pixel that each pixel is for.
        plain: computes the convolution without its activation; None if it has none.
        prepare: makes what is known of its results what is read; None for as it is.
    """

    def __init__(
        self,
        number: int,
        source: int,
        origins: Numbers,
        plain: Compute | None,
        prepare: Prepare | None = None,
    ) -> None:
        self._number, self._source = number, source
        self._plain, self._prepare = plain, prepare
        self._places = torch.from_numpy(origins.astype(np.int32))

    def known(self, base: BaseValues) -> Known:
        """Return what is known of the picture."""
        return base.known(self, self._find)

    def _find(self, base: BaseValues) -> Known:
        sums = base.sums(self._number, self._source, self._plain, self._prepare)
        return Known(base.rows(self._source), sums, self._places)


class Differing:
    """Pixels of a pointwise convolution that takes differences.

    Args:
        kernel: the convolution.
        read: makes what it reads.
        beside: what that is beside.
    """

    def __init__(self, kernel: DifferenceConvolution, read: Pixels, beside: Beside) -> None:
        self._kernel, self._read, self._beside = kernel, read, beside

    def __call__(self, patches: Patches) -> Tensor:
        """Return the convolution's results, rows [pixels, channels]."""
        return self._kernel(self._read.rows(patches), self._beside.known(patches.base))


class Expanded:
    """Pixels of a block's results: it begins with a 1x1 convolution, whose values are not kept.

    Args:
        kernel: the block.
        number: of the node of that convolution.
        read: makes what it reads.
        scattered: what the depthwise convolution after it reads.
        groups: as the kernel takes them.
        beside: what the kernel takes what is known of.
        added: numbers of the rows of what the block reads that are added to its results, as
            `located` counts them, int64[pixels]; None where none are.
    """

    def __init__(
        self,
        kernel: BlockKernel | DifferenceBlockKernel | IntegerBlockKernel,
        number: int,
        read: Pixels,
        scattered: Scattered,
        groups: Groups,
        beside: Sequence[Beside] = (),
        added: Numbers | None = None,
    ) -> None:
        self._kernel, self._number, self._read = kernel, number, read
        self._numbers, self._groups, self._beside = scattered.numbers, groups, beside
        self._added = None if added is None else torch.from_numpy(added.astype(np.int32))

    def __call__(self, patches: Patches) -> Tensor:
        """Return the block's results, rows [pixels, channels]."""
        rows, before = self._read.rows(patches), patches.base.rows(self._number)
        known = tuple(each.known(patches.base) for each in self._beside)
        shortcut = None
        if self._added is not None:
            read = patches.before, patches.own.contiguous()
            shortcut = Shortcut(*read, self._added)
        return self._kernel(rows, before, self._numbers, self._groups, known, shortcut)


class Averaged:
    """Means of a pointwise convolution's results, which are not kept, by what differs.

    Args:
        kernel: computes them.
        number: of the mean's node.
        read: makes what the convolution reads.
        spans: int64[positions, 2], as the kernel takes them.
        beside: what that is beside.
    """

    def __init__(
        self,
        kernel: IntegerMeanKernel,
        number: int,
        read: Pixels,
        spans: Numbers,
        beside: Beside,
    ) -> None:
        self._kernel, self._number, self._read = kernel, number, read
        self._spans, self._beside = spans, beside

    def __call__(self, patches: Patches) -> Tensor:
        """Return the means, rows [positions, channels]."""
        rows, mean = self._read.rows(patches), patches.base.rows(self._number)
        return self._kernel(rows, mean, self._spans, self._beside.known(patches.base))


class Pooled:
    """Means of a pointwise convolution's results over whole maps, which are not kept.

    Args:
        kernel: computes them.
        read: makes what the convolution reads.
        spans: int64[positions, 2], as the kernel takes them.
    """

    def __init__(self, kernel: MeanKernel, read: Pixels, spans: Numbers) -> None:
        self._kernel, self._read, self._spans = kernel, read, spans

    def __call__(self, patches: Patches) -> Tensor:
        """Return the means, rows [positions, channels]."""
        return self._kernel(self._read.rows(patches), self._spans)


def located(
    layout: Layout | None, shape: Shape, which: Numbers, rows: Numbers, columns: Numbers
) -> Numbers:
    """Numbers of pixels among the rows of what is `joined`.

    Args:
        layout: of the patches, None where there are none.
        shape: of the value.
        which: positions; with the others, of shapes that go together.
        rows: of the map, may be outside it.
        columns: of the map, likewise.
    """
    height, width = extent(shape)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    found = np.where(inside, rows * width + columns, height * width)
    if layout is None:
        return np.broadcast_to(found, np.broadcast_shapes(found.shape, which.shape))
    numbers = layout.numbers(which, rows, columns)
    return np.where((numbers >= 0) & inside, height * width + 1 + numbers, found)


def _viewed(rows: Tensor, size: tuple[int, int, int], shape: Shape) -> Tensor:
    if len(shape) != 3:
        return rows.view(-1, *shape)
    return rows.view(*size, shape[0]).permute(0, 3, 1, 2)
