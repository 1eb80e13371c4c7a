"""What one layer, or one shard, costs in seconds and bytes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class LayerCost(msgspec.Struct, frozen=True):
    """Cost of a layer (or of a shard, or a stage) per micro-batch of some number of rows.

    Attributes:
        name: of the layer.
        forward_seconds: of one micro-batch.
        backward_seconds: of one micro-batch, without any recomputation.
        update_seconds: of one update by the optimiser, once a step.
        weight_bytes: parameters and buffers.
        gradient_bytes: gradients of the parameters.
        state_bytes: what the optimiser keeps.
        activation_bytes: what is kept for the backward of one micro-batch: neither weights nor the
            layer's inputs, which the maker of each counts.
        boundary_bytes: of one micro-batch, values made up to here that later layers read.
        workspace_bytes: most that is in use for a moment on top of all that, forward or backward.
        recompute_seconds: of a forward that stops at the last thing kept for the backward; None if
            not known, then the whole forward.
        norm_seconds: of the norms of its gradients, once a step, where they are clipped.
    """

    name: str
    forward_seconds: float
    backward_seconds: float
    update_seconds: float
    weight_bytes: int
    gradient_bytes: int
    state_bytes: int
    activation_bytes: int
    boundary_bytes: int
    workspace_bytes: int = 0
    recompute_seconds: float | None = None
    norm_seconds: float = 0.0

    @property
    def recomputing(self) -> float:
        """Seconds to make the kept activations of one micro-batch once more."""
        if self.recompute_seconds is None:
            return self.forward_seconds
        return self.recompute_seconds


class CrossingValue(msgspec.Struct, frozen=True):
    """A value that one layer makes and later ones read.

    Attributes:
        made: number of the layer that makes it.
        read: number of the last layer that reads it, above `made`.
        nbytes: of one micro-batch.
    """

    made: int
    read: int
    nbytes: int


def chain_values(costs: Sequence[LayerCost]) -> tuple[CrossingValue, ...]:
    """Return the values of a plain chain: each layer's is read by the next one and no other."""
    return tuple(
        CrossingValue(number, number + 1, cost.boundary_bytes)
        for number, cost in enumerate(costs[:-1])
    )
