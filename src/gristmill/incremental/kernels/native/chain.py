"""Convolutions and poolings one after the other in one call, rectangle by rectangle."""

from __future__ import annotations

import ctypes
import math
from array import array
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.held_memory import HeldMemory
from gristmill.incremental.kernels.native.convolution import NativeConvolution, bounds
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.pooling import NativePooling
from gristmill.incremental.kernels.native.sharing import WORTH, share
from gristmill.incremental.kernels.native.structures import LinkStructure, MapStructure
from gristmill.incremental.regions.rectangle import Rectangle

MOST_LINKS = 16
_ROOM = 1 << 17
"""Floats of inner maps that stay in a second-level cache."""
_scratch = HeldMemory()


class Link(NamedTuple):
    """A convolution, or a pooling, in its place.

    Args:
        convolution: which.
        padding: zeros above its map and to the left of it.
        size: height and width of its results.
    """

    convolution: NativeConvolution | NativePooling
    padding: tuple[int, int]
    size: tuple[int, int]


class Chain:
    """Convolutions and poolings, each of the one before it alone, in channels-last memory.

    Inner maps are never whole: what rows of them are still to be read stay in the cache. Every
    pixel is added up as its convolution alone does it, so its bits are the same in any rectangle.

    Args:
        links: at most `MOST_LINKS`, the first to run first.
        last: applied to the sum where something is added to the last one's results, which it must
            allow (`adds`); bounds only.
    """

    def __init__(self, links: Sequence[Link], last: Activation | None = None) -> None:
        self._convolutions = [link.convolution for link in links]  # they hold the memory
        self._links = (LinkStructure * len(links))()
        for to, (convolution, (above, before), (height, width)) in zip(
            self._links, links, strict=True
        ):
            to.convolution = convolution.structure
            to.convolution.above, to.convolution.before = above, before
            to.height, to.width = height, width
            to.pools = isinstance(convolution, NativePooling)
        end = self._links[-1].convolution
        end.sum_low, end.sum_high = bounds(last)
        native = library()
        assert native is not None  # noqa: S101 - the convolutions were made by it
        self._run = partial(native.run_chain, self._links, ctypes.c_long(len(links)))
        self._whole_rows = self._links[0].convolution.columns > 1
        self._size = links[-1].size
        last_area = max(1, self._links[-1].height * self._links[-1].width)
        self._products: float = sum(
            link.convolution.products * max(1.0, math.prod(link.size) / last_area) for link in links
        )
        self._room = max(_ROOM, native.chain_room(self._links, len(links)))

    def write(
        self,
        rectangles: Sequence[Rectangle],
        values: Tensor,
        result: Tensor,
        *,
        added: Tensor | None = None,
        origin: tuple[int, int] = (0, 0),
    ) -> None:
        """Compute rectangles of the last map.

        Args:
            rectangles: inside the map, none of them empty.
            values: the whole map that the first convolution reads, [frames, channels, height,
                width].
            result: the last map in channels-last memory, or a part of it that holds the rectangles;
                written.
            added: a map of the results' size that is added to them.
            origin: row and column of the last map where `result` begins.
        """
        values = _readable(values, self._whole_rows)
        frames, _, height, width = values.shape
        added = None if added is None else _readable(added, whole=False)
        maps = (
            _map(values, height, width),
            None if added is None else _map(added, *self._size),
            _map(result, *self._size, *origin),
        )
        threads = torch.get_num_threads()
        if threads == 1 or self._cost(rectangles) * frames < WORTH:
            self._call(maps, frames, rectangles)
            return
        bands = [
            [band for band in bands if not band.empty]
            for bands in zip(*[_bands(each, threads) for each in rectangles], strict=True)
        ]
        share(partial(self._call, maps, frames), bands)

    def _cost(self, rectangles: Sequence[Rectangle]) -> float:
        """Products that rectangles take."""
        return self._products * sum(rectangle.area for rectangle in rectangles)

    def _call(
        self,
        maps: tuple[MapStructure, MapStructure | None, MapStructure],
        frames: int,
        rectangles: Sequence[Rectangle],
    ) -> None:
        source, added, result = maps
        # An array of numbers takes half the time that ctypes takes to make one of its own.
        sides = array("l", [side for rectangle in rectangles for side in rectangle])
        self._run(
            ctypes.byref(source),
            None if added is None else ctypes.byref(added),
            ctypes.byref(result),
            ctypes.c_long(frames),
            ctypes.c_void_p(sides.buffer_info()[0]),
            ctypes.c_long(len(rectangles)),
            ctypes.c_void_p(_scratch.address(self._room)),
            ctypes.c_long(self._room),
        )


def _bands(rectangle: Rectangle, count: int) -> list[Rectangle]:
    """A rectangle's rows in parts of about one height, some of them empty if there are few."""
    top, left, bottom, right = rectangle
    ends = [top + (bottom - top) * number // count for number in range(count + 1)]
    return [Rectangle(begin, left, end, right) for begin, end in pairwise(ends)]


def _map(values: Tensor, height: int, width: int, top: int = 0, left: int = 0) -> MapStructure:
    """All the rows and columns of a map of this size, or those from `top` and `left` on."""
    frame, _, row, pixel = values.stride()
    return MapStructure(values.data_ptr(), height, width, top, left, row, pixel, frame, 0, 0, width)


def _readable(values: Tensor, whole: bool) -> Tensor:
    """A map whose channels lie side by side, and pixels if rows are `whole`; copied if need be."""
    channels = values.shape[1]
    _, channel, _, pixel = values.stride()
    side_by_side = channel == 1 or channels == 1
    if (
        side_by_side
        and (pixel == channels or not whole)
        and values.dtype == torch.float32
        and values.is_cpu
    ):
        return values
    return values.to("cpu", torch.float32).contiguous(memory_format=torch.channels_last)
