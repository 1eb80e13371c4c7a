"""Channels taken out, or put in another order."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gristmill.core.errors import UsageError
from gristmill.incremental.graph.operator import Shape, cut
from gristmill.incremental.graph.operators.elementwise import Elementwise
from gristmill.incremental.regions.rectangle import Rectangle


class ChannelSlice(Elementwise):
    """Channels `first` to `last - 1`, every `step`-th: one part of a split.

    Args:
        first: the first channel.
        last: the one after the last.
        step: from one to the next.
    """

    def __init__(self, first: int, last: int, step: int = 1) -> None:
        self._channels = slice(first, last, step)

    def shape(self, *inputs: Shape) -> Shape:
        """Shape of the output.

        Raises:
            UsageError: the map has fewer channels.
        """
        channels, *size = inputs[0]
        if channels < self._channels.stop:
            raise UsageError(f"expected {self._channels.stop} channels or more, found {channels}")
        return (len(range(channels)[self._channels]), *size)

    def run(self, *inputs: Tensor) -> Tensor:
        """Copy the channels of everything."""
        return self._taken(inputs[0])

    def run_region(self, region: Rectangle, *inputs: Tensor) -> Tensor:
        """Copy the channels of a region."""
        return self._taken(cut(inputs[0], region))

    def _taken(self, values: Tensor) -> Tensor:
        taken = values[:, self._channels]
        how = torch.channels_last if taken.dim() == 4 else torch.contiguous_format
        return taken.clone(memory_format=how)


class ChannelShuffle(Elementwise):
    """Channels dealt to groups like cards: first of each group, then the second of each.

    Args:
        groups: how many groups the input has.
    """

    def __init__(self, groups: int) -> None:
        self._groups = groups

    def run(self, *inputs: Tensor) -> Tensor:
        """Deal everything."""
        return self._dealt(inputs[0])

    def run_region(self, region: Rectangle, *inputs: Tensor) -> Tensor:
        """Deal a region."""
        return self._dealt(cut(inputs[0], region))

    def _dealt(self, values: Tensor) -> Tensor:
        found = functional.channel_shuffle(values, self._groups)
        return found.contiguous(memory_format=torch.channels_last)
