"""All values of the network for the picture as it is: what lies around patches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from gristmill.incremental.graph.node import FRAME, Graph
from gristmill.incremental.kernels.native.differences import Known

Compute: TypeAlias = Callable[..., Tensor]
"""What makes a node's values of those it reads."""


class BaseValues:
    """Values of every node for one frame, with room for patches behind them.

    Args:
        graph: the network.
        frame: float32 [1, channels, height, width].

    Attributes:
        frame: the frame in channels-last memory.
    """

    def __init__(self, graph: Graph, frame: Tensor) -> None:
        self.frame = frame.contiguous(memory_format=torch.channels_last)
        self._values = graph.run(self.frame)
        self._rows: dict[int, Tensor] = {}
        self._known: WeakKeyDictionary[object, Known] = WeakKeyDictionary()
        self._rooms: dict[int, Tensor] = {}
        self._sums: dict[tuple[int, Callable[[Tensor], Tensor] | None], Tensor] = {}

    def __getitem__(self, number: int) -> Tensor:
        """Value of a node; of number -1, the frame."""
        return self.frame if number == FRAME else self._values[number]

    def rows(self, number: int) -> Tensor:
        """Rows of a node's pixels, without gaps."""
        found = self._rows.get(number)
        if found is None:
            found = self._rows[number] = pixels(self[number]).contiguous()
        return found

    def known(self, beside: object, find: Callable[[BaseValues], Known]) -> Known:
        """What is known beside some pixels, found when first asked for.

        Args:
            beside: what asks; for as long as it is there, what is known is.
            find: finds it.
        """
        found = self._known.get(beside)
        if found is None:
            found = self._known[beside] = find(self)
        return found

    def sums(
        self,
        number: int,
        source: int,
        plain: Compute | None,
        prepare: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Rows of a node's pixels without its activation, computed when first asked for.

        Args:
            number: of the node.
            source: of the node that it reads.
            plain: computes it; None if it has no activation.
            prepare: makes the rows what is wanted; None for as they are.
        """
        key = number, prepare
        found = self._sums.get(key)
        if found is None:
            rows = pixels(self[number] if plain is None else plain(self[source])).contiguous()
            found = self._sums[key] = rows if prepare is None else prepare(rows)
        return found

    def joined(self, number: int, patches: Sequence[Tensor]) -> Tensor:
        """Rows of a value's pixels, one of any content, and those of patches, all [.., channels].

        The next call for the node gives the same memory again.
        """
        rows = self.rows(number)
        count = len(rows) + 1 + sum(map(len, patches))
        room = self._rooms.get(number)
        if room is None or len(room) < count:
            room = self._rooms[number] = rows.new_empty((count, rows.shape[1]))
            room[: len(rows)] = rows
        begin = len(rows) + 1
        for each in patches:
            room[begin : begin + len(each)] = each
            begin += len(each)
        return room[:count]


def pixels(values: Tensor) -> Tensor:
    """A row of channels for each pixel of maps [.., channels, height, width]; else a row each."""
    if values.dim() == 2:
        return values
    if values.dim() != 4:
        return values.reshape(len(values), -1)
    return values.permute(0, 2, 3, 1).reshape(-1, values.shape[1])
