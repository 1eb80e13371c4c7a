"""Memory for values that nobody keeps: one block, used by every unit in turn."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from gristmill.incremental.execution.unit import Unit
from gristmill.incremental.graph.operator import Shape


class Scratch:
    """Whole maps for the inner nodes of any one unit at a time, on one block of memory.

    What is in them is of no meaning beyond the rectangle that is being computed, so all units and
    all streams of one frame size share it; pages that no rectangle touches are never made.

    Args:
        units: of the graph.
        shapes: of its nodes' values.
        device: where values live.

    Attributes:
        maps: of each unit, one channels-last map [1, channels, height, width] per inner node.
        bytes_: size of the block.
    """

    def __init__(
        self, units: Sequence[Unit], shapes: Sequence[Shape], device: torch.device | None = None
    ) -> None:
        sizes = [sum(prod(shapes[n]) for n in u.nodes[:-1]) if u.regional else 0 for u in units]
        block = torch.empty(max(sizes, default=0), dtype=torch.float32, device=device)
        self.bytes_ = block.numel() * block.element_size()
        self.maps = tuple(
            _carved(block, [shapes[n] for n in u.nodes[:-1]]) if u.regional else () for u in units
        )


def _carved(block: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
    found = []
    start = 0
    for channels, height, width in shapes:
        end = start + channels * height * width
        found.append(block[start:end].view(1, height, width, channels).permute(0, 3, 1, 2))
        start = end
    return tuple(found)
