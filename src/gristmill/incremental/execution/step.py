"""One frame of a stream: its values are brought up to date, whole or by rectangles."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

import torch
from torch import Tensor

from gristmill.core.errors import UsageError
from gristmill.incremental.execution.stream_state import StreamState
from gristmill.incremental.execution.unit import Unit
from gristmill.incremental.graph.node import Graph
from gristmill.incremental.graph.operator import Shape, cut
from gristmill.incremental.regions.rectangle import Rectangle
from gristmill.incremental.regions.region_set import RegionSet

Order: TypeAlias = tuple[Rectangle, ...] | None
"""What to do with a unit: recompute these rectangles of its root (`SKIP`: none), or `DENSE`."""

DENSE: Final = None
SKIP: Final[tuple[Rectangle, ...]] = ()


class Step:
    """Carries out frames of one size. It knows no stream: states are handed in.

    Args:
        graph: the network.
        units: its division by `partition`.
        input_shape: (channels, height, width) of the frames; that of the capture by default.

    Attributes:
        tiles: of each unit, rectangles by which all of it is computed; none: at once. By tiles,
            inner values stay in the processor's cache and the memory of the last frame is written
            once more; new memory costs more than what is written to it.
    """

    def __init__(
        self,
        graph: Graph,
        units: Sequence[Unit],
        input_shape: Shape | None = None,
    ) -> None:
        self.graph = graph
        self.units = tuple(units)
        self.tiles: list[tuple[Rectangle, ...]] = [_tiles(unit) for unit in self.units]
        self.input_shape = tuple(graph.input_shape if input_shape is None else input_shape)

    def state(self) -> StreamState:
        """Return the state of a new stream."""
        return StreamState(len(self.graph.nodes))

    def whole(self, state: StreamState, frame: Tensor) -> None:
        """Take a frame as the new reference, and compute everything from it.

        Args:
            state: of the stream; it is replaced.
            frame: [1, channels, height, width]; copied, if it is not the reference itself.

        Raises:
            UsageError: the frame is of another size.
        """
        self._check(frame)
        with torch.inference_mode():
            state.begin()
            values = state.values
            if frame is not state.reference:
                values[-1] = _copied(frame)
            for number in range(len(self.units)):
                self.run_unit(state, number)
            state.current = True

    def update(
        self, state: StreamState, frame: Tensor, changed: RegionSet, orders: Sequence[Order]
    ) -> None:
        """Take the changed places of a frame into the reference; carry out a plan's orders.

        The values are then those of the whole run on the reference, provided that the orders
        cover what the change reaches (`Planner` sees to that).

        Args:
            state: of the stream, current.
            frame: [1, channels, height, width]; read in the changed places only.
            changed: places of the frame.
            orders: one for each unit.

        Raises:
            UsageError: the frame is of another size, or the state has no values.
        """
        with self.updating(state, frame, changed):
            for number, order in enumerate(orders):
                self.carry_out(state, number, order)

    @contextmanager
    def updating(
        self, state: StreamState, frame: Tensor, changed: RegionSet
    ) -> Generator[None, None, None]:
        """Take the changed places of a frame into the reference; meanwhile, values may be written.

        The state is current again once the block has ended without an error.

        Args:
            state: of the stream, current.
            frame: [1, channels, height, width]; read in the changed places only.
            changed: places of the frame.

        Raises:
            UsageError: the frame is of another size, or the state has no values.
        """
        self._check(frame)
        reference = state.reference
        if reference is None or not state.current:
            raise UsageError(
                "expected a stream with values to update, found one without",
                fix="compute a whole frame first",
            )
        with torch.inference_mode():
            state.begin()
            if frame is not reference:
                for rectangle in changed:
                    cut(reference, rectangle).copy_(cut(frame, rectangle))
            yield
            state.current = True

    def carry_out(self, state: StreamState, number: int, order: Order) -> None:
        """Recompute one unit as ordered; in a block of `updating`, in the units' order.

        Args:
            state: of the stream.
            number: of the unit.
            order: what to do with it.
        """
        if order is DENSE:
            self.run_unit(state, number)
        elif order:
            self.units[number].recompute(order, state.values)

    def run_unit(self, state: StreamState, number: int) -> None:
        """Compute all of one unit, by its tiles or at once."""
        unit, values = self.units[number], state.values
        tiles = self.tiles[number]
        if not tiles:
            values[unit.root] = None  # first give back the old one's memory
            values[unit.root] = unit.run(values)
            return
        if values[unit.root] is None:
            values[unit.root] = torch.empty((1, *unit.shape), memory_format=torch.channels_last)
        for tile in tiles:
            unit.recompute((tile,), values)

    def _check(self, frame: Tensor) -> None:
        if tuple(frame.shape) != (1, *self.input_shape):
            raise UsageError(
                f"expected a frame of shape {[1, *self.input_shape]}, found {list(frame.shape)}",
                fix="a stream whose frames change their size starts anew with the new one",
            )


def _tiles(unit: Unit) -> tuple[Rectangle, ...]:
    """How a unit is computed at first: a chain writes over the last frame's value."""
    return (Rectangle.whole(unit.height, unit.width),) if unit.chained else ()


def _copied(frame: Tensor) -> Tensor:
    copy = torch.empty_like(frame, dtype=torch.float32, memory_format=torch.channels_last)
    return copy.copy_(frame)
