"""Maps one after the other along their channels."""

from __future__ import annotations

import torch
from torch import Tensor

from gristmill.core.errors import UsageError
from gristmill.incremental.graph.operator import Shape, cut
from gristmill.incremental.graph.operators.elementwise import Elementwise
from gristmill.incremental.regions.rectangle import Rectangle


class Concatenation(Elementwise):
    """Maps of one height and width, their channels one after the other; or vectors."""

    def shape(self, *inputs: Shape) -> Shape:
        """Shape of the output.

        Raises:
            UsageError: the maps have different sizes.
        """
        if len({each[1:] for each in inputs}) > 1:
            sizes = " and ".join(str(list(each)) for each in inputs)
            raise UsageError(
                f"expected maps of one height and width, found {sizes} (channels, height, width)"
            )
        return (sum(each[0] for each in inputs), *inputs[0][1:])

    def run(self, *inputs: Tensor) -> Tensor:
        """Join everything."""
        return _joined(list(inputs))

    def run_region(self, region: Rectangle, *inputs: Tensor) -> Tensor:
        """Join a region of each."""
        return _joined([cut(each, region) for each in inputs])


def _joined(parts: list[Tensor]) -> Tensor:
    found = torch.cat(parts, 1)
    if found.dim() != 4:
        return found
    return found.contiguous(memory_format=torch.channels_last)
