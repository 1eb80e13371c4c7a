"""A captured network: operators in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

from gristmill.core.errors import UsageError
from gristmill.incremental.graph.operator import Operator, Shape

T = TypeVar("T")

FRAME = -1
"""What a node's inputs call the frame."""


@dataclass(frozen=True)
class Node:
    """One operator in its place.

    Args:
        name: of the layer it comes from, unique in the graph.
        operator: what it computes.
        inputs: numbers of the nodes it reads, all before it; -1 is the frame.
    """

    name: str
    operator: Operator
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """A captured network.

    Args:
        nodes: in the order in which they run.
        input_shape: (channels, height, width) of the frame it was captured with.
        outputs: numbers of the nodes whose values the network returns, in its order.
        notes: what a user should know: operators that are unknown, and what that costs.
        takes: says whether frames of a height and width run the same operators as the captured
            one; None if no other size does.
    """

    nodes: tuple[Node, ...]
    input_shape: Shape
    outputs: tuple[int, ...]
    notes: tuple[str, ...] = ()
    takes: Callable[[int, int], bool] | None = None
    readers: tuple[tuple[int, ...], ...] = field(init=False)
    """Of each node, the numbers of the nodes that read it; the last entry is of the frame."""

    def __post_init__(self) -> None:
        readers: list[list[int]] = [[] for _ in range(len(self.nodes) + 1)]
        for number, node in enumerate(self.nodes):
            for source in dict.fromkeys(node.inputs):
                readers[source].append(number)
        object.__setattr__(self, "readers", tuple(map(tuple, readers)))

    @property
    def output(self) -> int:
        """Number of the node whose value is the result, the first where there are several."""
        return self.outputs[0]

    @property
    def exact(self) -> bool:
        """Whether every node computes regions bit-equal to its whole output."""
        return all(node.operator.exact for node in self.nodes)

    def shapes(self, input_shape: Shape | None = None) -> list[Shape]:
        """Shape of every node's value.

        Args:
            input_shape: (channels, height, width) of the frame; that of the capture by default.

        Raises:
            UsageError: the network can't take frames of that shape.
        """
        frame = self.input_shape if input_shape is None else tuple(input_shape)
        self._check(frame)
        found: list[Shape] = []
        for node in self.nodes:
            try:
                found.append(node.operator.shape(*_inputs(node, found, frame)))
            except UsageError as error:
                raise UsageError(
                    error.message, where=node.name, fix=error.fix or _other_size(self)
                ) from error
        return found

    def run(self, frame: Tensor) -> list[Tensor]:
        """Compute every node's value from a frame [1, channels, height, width], in full.

        The reference for whatever computes less. Values are float32 in channels-last memory.

        Raises:
            UsageError: the network can't take frames of that shape.
        """
        with torch.inference_mode():
            frame = self.checked(frame)
            found: list[Tensor] = []
            for node in self.nodes:
                found.append(node.operator.run(*_inputs(node, found, frame)))
            return found

    def checked(self, frame: Tensor) -> Tensor:
        """Return a frame as operators want it: float32 in channels-last memory.

        Raises:
            UsageError: it is none, or the network can't take frames of that shape.
        """
        if frame.dim() != 4 or frame.shape[0] != 1:
            raise UsageError(
                f"expected a frame of shape [1, channels, height, width], found {list(frame.shape)}"
            )
        self._check(tuple(frame.shape[1:]))
        return frame.to(torch.float32).contiguous(memory_format=torch.channels_last)

    def _check(self, frame: Shape) -> None:
        channels = self.input_shape[0]
        if len(frame) != 3 or frame[0] != channels:
            raise UsageError(
                f"expected frames of {channels} channels, found shape {list(frame)}",
                fix="give frames as [1, channels, height, width]",
            )
        if frame == self.input_shape or (self.takes and self.takes(*frame[1:])):
            return
        raise UsageError(
            f"expected frames of {_size(self.input_shape)}, found {_size(frame)}: the network "
            "computes something else at that size",
            fix="capture it again with an example of that size",
        )


def _inputs(node: Node, values: Sequence[T], frame: T) -> list[T]:
    return [frame if source == FRAME else values[source] for source in node.inputs]


def _size(shape: Shape) -> str:
    return f"{shape[2]}x{shape[1]} (width x height)"


def _other_size(graph: Graph) -> str:
    return f"give frames of {_size(graph.input_shape)}, as the network was captured with"
