"""Convolutions one after the other in one call, rectangle by rectangle."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.native.convolution import NativeConvolution, bounds
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.structures import LinkStructure, MapStructure
from gristmill.incremental.regions.rectangle import Rectangle

MOST_LINKS = 16
_ROOM = 1 << 17
"""Floats of inner maps that stay in a second-level cache."""
_memory = threading.local()


class Link(NamedTuple):
    """A convolution in its place.

    Args:
        convolution: which.
        padding: zeros above its map and to the left of it.
        size: height and width of its results.
    """

    convolution: NativeConvolution
    padding: tuple[int, int]
    size: tuple[int, int]


class Chain:
    """Convolutions each of which reads the one before it alone, in channels-last memory.

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
        end = self._links[-1].convolution
        end.sum_low, end.sum_high = bounds(last)
        native = library()
        assert native is not None  # noqa: S101 - the convolutions were made by it
        self._run = native.run_chain
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
        first, last = self._links[0].convolution, self._links[-1]
        values = _readable(values, first.columns > 1)
        flat = [side for rectangle in rectangles for side in rectangle]
        source = _map(values, values.shape[2:])
        target = _map(result, (last.height, last.width), origin)
        if added is not None:
            added = _readable(added, whole=False)
            adds = ctypes.byref(_map(added, added.shape[2:]))
        else:
            adds = None
        self._run(
            self._links,
            ctypes.c_long(len(self._links)),
            ctypes.byref(source),
            adds,
            ctypes.byref(target),
            ctypes.c_long(len(values)),
            (ctypes.c_long * len(flat))(*flat),
            ctypes.c_long(len(rectangles)),
            ctypes.c_void_p(_scratch(self._room)),
            ctypes.c_long(self._room),
        )


def _map(values: Tensor, size: Sequence[int], origin: tuple[int, int] = (0, 0)) -> MapStructure:
    frame, _, row, pixel = values.stride()
    height, width = size
    top, left = origin
    return MapStructure(
        values=values.data_ptr(),
        height=height,
        width=width,
        top=top,
        left=left,
        row=row,
        pixel=pixel,
        frame=frame,
        end=width,
    )


def _readable(values: Tensor, whole: bool) -> Tensor:
    """A map whose channels lie side by side, and pixels if rows are `whole`; copied if need be."""
    channels = values.shape[1]
    side_by_side = values.stride(1) == 1 or channels == 1
    if (
        side_by_side
        and (values.stride(3) == channels or not whole)
        and values.dtype == torch.float32
    ):
        return values
    return values.to(torch.float32).contiguous(memory_format=torch.channels_last)


def _scratch(room: int) -> int:
    """Address of so many floats that this thread may write to until its next call."""
    held: Tensor | None = getattr(_memory, "held", None)
    if held is None or len(held) < room:
        held = _memory.held = torch.empty(room)
    return held.data_ptr()
