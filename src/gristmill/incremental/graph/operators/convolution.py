"""Convolutions, with what follows them element by element folded in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from gristmill.core.errors import UsageError
from gristmill.incremental.graph.operator import Shape
from gristmill.incremental.graph.operators.windowed import Windowed, padded_cut
from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.packed import Kernel, PackedKernel, agrees, kernel_for
from gristmill.incremental.kernels.point import PointKernel
from gristmill.incremental.kernels.tile_grid import READ, SIDE, tiles_along
from gristmill.incremental.kernels.tiled import TiledKernel
from gristmill.incremental.kernels.winograd import WinogradKernel, fits, pays
from gristmill.incremental.regions.interval import Window, needed, reached
from gristmill.incremental.regions.rectangle import Rectangle

TILED_CHANNELS = 64
"""Channels on either side from which maps are computed by tiles. With fewer, tiles save less than
they lose by reaching further: a change alters all of a tile.
"""
_MOST_PADDING = READ - SIDE
_MOST_SPARE = 1.1
"""How many times as many tiles as there could be are worth what a lead saves."""


@dataclass(frozen=True)
class Padding:
    """Zeros around a map, in pixels."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0

    @property
    def even(self) -> tuple[int, int] | None:
        """(above and below, left and right), None where two opposite sides differ."""
        if self.top != self.bottom or self.left != self.right:
            return None
        return self.top, self.left


class Convolution(Windowed):
    """A convolution of a map with zeros around it.

    Args:
        layer: its numbers.
        padding: the zeros.

    Attributes:
        tiled: computes whole maps and regions of them by tiles; None where windows are computed
            one by one. `check` decides.
        lead: rows of the first tiles that lie above the map, and columns left of it.
    """

    def __init__(self, layer: Layer, padding: Padding) -> None:
        kernel = layer.weight.shape[2:]
        rows = Window(kernel[0], layer.stride[0], padding.top, layer.dilation[0])
        columns = Window(kernel[1], layer.stride[1], padding.left, layer.dilation[1])
        super().__init__(rows, columns, (padding.bottom, padding.right), ceil=False)
        self.layer, self.padding = layer, padding
        self.tiled: TiledKernel | None = None
        self._kernel: Kernel | None = None
        # Padding that oneDNN adds itself costs no copy of the map.
        self._own_padding = padding.even
        self.lead = 0

    @property
    def title(self) -> str:
        """Kernel, channels and what is fused."""
        outputs, inputs, height, width = self.layer.weight.shape
        deep = self.layer.groups > 1 and inputs == 1
        kind = "depthwise" if deep else "conv"
        after = f"+{self.layer.activation.kind}" if self.layer.activation else ""
        return f"{kind} {height}x{width} {inputs * self.layer.groups}->{outputs}{after}"

    @property
    def kernel(self) -> Kernel:
        """What computes it; made when first asked for."""
        if self._kernel is None:
            self._kernel = kernel_for(self.layer)
        return self._kernel

    @cached_property
    def tiles(self) -> WinogradKernel:
        """What computes tiles of a layer that `fits` them; made when first asked for."""
        return WinogradKernel(self.layer)

    def channels(self, channels: int) -> int:
        """Channels of the output.

        Raises:
            UsageError: the map has not as many channels as the weights.
        """
        expected = self.layer.weight.shape[1] * self.layer.groups
        if channels != expected:
            raise UsageError(f"expected a map of {expected} channels, found {channels}")
        return self.layer.weight.shape[0]

    def reached(self, changed: Rectangle, which: int, shapes: Sequence[Shape]) -> Rectangle:
        """Outputs of which the window touches a changed pixel; by tiles, all that a tile gives."""
        if self.tiled is None:
            return super().reached(changed, which, shapes)
        _, height, width = self.shape(*shapes)
        (rows, columns), lead = self._tile_windows, self.lead
        top, bottom = reached(*changed[::2], rows, tiles_along(height, lead))
        left, right = reached(*changed[1::2], columns, tiles_along(width, lead))
        tiles = (SIDE * side - lead for side in (top, left, bottom, right))
        return Rectangle(*tiles).clipped(height, width)

    def altered(self, changed: Rectangle, which: int, shapes: Sequence[Shape]) -> Rectangle:
        """Outputs of which the window touches a changed pixel."""
        return super().reached(changed, which, shapes)

    def needed(self, region: Rectangle, shapes: Sequence[Shape]) -> list[Rectangle]:
        """The windows' pixels, or those of tiles."""
        if self.tiled is None or region.empty:
            return super().needed(region, shapes)
        (rows, columns), lead = self._tile_windows, self.lead
        tiles = region.shifted(lead, lead)
        top, bottom = needed(tiles.top // SIDE, tiles_along(tiles.bottom), rows)
        left, right = needed(tiles.left // SIDE, tiles_along(tiles.right), columns)
        return [Rectangle(top, left, bottom, right).clipped(*shapes[0][1:])]

    def tiles_around(self, region: Rectangle, shape: Shape) -> Rectangle:
        """All that the tiles give that a region of the output lies in.

        Args:
            region: of the output.
            shape: of the input.
        """
        _, height, width = self.shape(shape)
        top, left, bottom, right = region.shifted(self.lead, self.lead)
        sides = top // SIDE, left // SIDE, tiles_along(bottom), tiles_along(right)
        return Rectangle(*(SIDE * side - self.lead for side in sides)).clipped(height, width)

    @property
    def _tile_windows(self) -> tuple[Window, Window]:
        """What tiles read, of rows and of columns."""
        above, before = self.padding.top + self.lead, self.padding.left + self.lead
        return Window(READ, SIDE, above), Window(READ, SIDE, before)

    def run(self, *inputs: Tensor) -> Tensor:
        """Convolve the whole map; maps of several frames go window by window, all in one call."""
        if self.tiled is not None and len(inputs[0]) == 1:
            _, height, width = self.shape(tuple(inputs[0].shape[1:]))
            return self.tiled.region((0, 0, height, width), inputs[0])
        if self._own_padding is not None:
            return self.kernel(inputs[0], self._own_padding)
        height, width = inputs[0].shape[2:]
        top, left, bottom, right = self.padding.top, self.padding.left, *self.far
        around = Rectangle(-top, -left, height + bottom, width + right)
        return self.kernel(padded_cut(inputs[0], around, 0.0))

    def run_region(self, region: Rectangle, *inputs: Tensor) -> Tensor:
        """Convolve what the region's windows read."""
        if self.tiled is not None:
            return self.tiled.region(region, inputs[0])
        return self.kernel(self.read_values(region, inputs[0], 0.0))

    def run_windows(self, *windows: Tensor) -> Tensor:
        """Convolve them without padding; what tiles give differs from it by rounding."""
        return self.kernel(windows[0])

    def run_rows(self, region: Rectangle, values: Tensor, first: int, height: int) -> Tensor | None:
        """Convolve rows from edge to edge with the padding that the kernel adds: without a copy.

        The bits are those of `run_windows`; `check` sees to it.

        Args:
            region: pixels of the output, of its whole width.
            values: some rows of the input, all of each, those among them that the region reads.
            first: number of the first of them.
            height: of the whole input.

        Returns:
            The region's values; None where the padding is not the kernel's, or does not fit.
        """
        if self._own_padding is None:
            return None
        above, beside = self._own_padding
        begin, end = needed(region.top, region.bottom, self.rows)
        inside = values[:, :, max(begin, 0) - first : min(end, height) - first]
        if begin >= 0 and end <= height:
            return self.kernel(inside, (0, beside))
        # Padding comes above and below: outputs that read what is not there are left out.
        if begin >= 0 and above % self.rows.stride:
            return None
        skipped = region.top if begin < 0 else above // self.rows.stride
        found = self.kernel(inside, (above, beside))
        return found[:, :, skipped : skipped + region.height]

    def flops(self, region: Rectangle, shapes: Sequence[Shape]) -> int:
        """Two for each product that is added up."""
        return 2 * region.area * self.layer.weight.numel()

    def check(self, size: tuple[int, int], lead: int = 0) -> None:
        """See whether the kernel is exact for maps of this size; set `exact` and `tiled`.

        oneDNN takes another kernel for some windows if it is to add the padding itself: then the
        padding is added here.

        Args:
            size: height and width of the input.
            lead: rows of the first tiles that should lie above the map, and columns left of it;
                none do where that would take many tiles more.
        """
        self.tiled, self.lead = None, 0
        if not self._suits_tiles(size):
            self._check_kernel(size)
            return
        _, height, width = self.shape((self.layer.weight.shape[1], *size))
        most = _MOST_SPARE * tiles_along(height) * tiles_along(width)
        if tiles_along(height, lead) * tiles_along(width, lead) <= most:
            self.lead = lead
        padding = self.padding
        before, after = (padding.top, padding.left), (padding.bottom, padding.right)
        self.tiled = TiledKernel(self.tiles, before, after, self.lead)

    def _suits_tiles(self, size: tuple[int, int]) -> bool:
        padding = self.padding
        sides = padding.top, padding.left, padding.bottom, padding.right
        if not (fits(self.layer) and max(sides) <= _MOST_PADDING):
            return False
        if min(self.layer.weight.shape[:2]) < TILED_CHANNELS:
            return False
        _, height, width = self.shape((self.layer.weight.shape[1], *size))
        return pays(self.layer, tiles_along(height) * tiles_along(width), height * width)

    def _check_kernel(self, size: tuple[int, int]) -> None:
        even = self._own_padding
        if isinstance(self.kernel, PointKernel):
            if agrees(self.kernel, self.layer, size, even or (0, 0)):
                return
            self._kernel = PackedKernel(self.layer)
        if not isinstance(self.kernel, PackedKernel):
            return
        if even is not None and agrees(self.kernel, self.layer, size, even):
            return
        self._own_padding = None
        padding = self.padding
        whole = (
            size[0] + padding.top + padding.bottom,
            size[1] + padding.left + padding.right,
        )
        self.kernel.exact = agrees(self.kernel, self.layer, whole, (0, 0))

    @property
    def exact(self) -> bool:  # type: ignore[override]
        """What the kernel says; tiles are."""
        return self.tiled is not None or self.kernel.exact

    def with_activation(self, activation: Activation) -> Convolution:
        """The same with a function applied to the result."""
        return Convolution(self.layer._replace(activation=activation), self.padding)
