"""What a pilot found out about a model, for any size of micro-batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from gristmill.core.errors import UsageError
from gristmill.core.quantities import format_bytes, format_seconds
from gristmill.train.costs.layer_cost import CrossingValue, LayerCost
from gristmill.train.costs.prediction import at_rows


class RowFigures(msgspec.Struct, frozen=True):
    """Figures of a part of a model for one micro-batch of `rows` rows.

    Attributes:
        rows: of the micro-batch.
        forward_seconds: of the forward pass.
        first_backward_seconds: of a backward pass that makes the gradients.
        backward_seconds: of one that adds to them.
        recompute_seconds: that a backward pass takes longer if activations were not kept.
        activation_bytes: kept from forward to backward; see `LayerCost`.
        workspace_bytes: in use for a moment.
    """

    rows: int
    forward_seconds: float
    first_backward_seconds: float
    backward_seconds: float
    recompute_seconds: float
    activation_bytes: int
    workspace_bytes: int


class PartProfile(msgspec.Struct, frozen=True):
    """Figures of a layer, or of a run of layers.

    Attributes:
        name: of its first layer.
        kind: equal for parts that cost the same.
        weight_bytes: parameters and buffers.
        gradient_bytes: gradients of the parameters.
        state_bytes: what the optimiser keeps.
        update_seconds: of the optimiser, once a step.
        norm_seconds: of the norms of the gradients, once a step.
        draws: random operations in a forward pass.
        deterministic: whether a second run gave the same bits.
        figures: for each size of micro-batch, ascending.
    """

    name: str
    kind: str
    weight_bytes: int
    gradient_bytes: int
    state_bytes: int
    update_seconds: float
    norm_seconds: float
    draws: int
    deterministic: bool
    figures: tuple[RowFigures, ...]


class ValueProfile(msgspec.Struct, frozen=True):
    """A value that one part makes and later ones read.

    Attributes:
        name: as stages know it.
        made: number of the part that makes it.
        read: number of the last part that reads it.
        nbytes: for each size of micro-batch, as (rows, bytes).
    """

    name: str
    made: int
    read: int
    nbytes: tuple[tuple[int, int], ...]


class Profile(msgspec.Struct, frozen=True):
    """Figures of all parts of a model.

    Attributes:
        parts: in order; the layers, unless cuts were asked for.
        cuts: numbers of the layers that parts begin at, and the number of layers.
        values: that cross cuts.
        warnings: what the user should know, a sentence each.
    """

    parts: tuple[PartProfile, ...]
    cuts: tuple[int, ...]
    values: tuple[ValueProfile, ...]
    warnings: tuple[str, ...] = ()

    def costs(self, rows: float, micro_batches: int = 1) -> tuple[LayerCost, ...]:
        """Return what each part costs per micro-batch of `rows` rows.

        Between the measured sizes figures are interpolated, beyond them the nearest line goes on.
        Of the backward passes of a step the first makes the gradients and the others add to them;
        here each takes the mean.

        Raises:
            UsageError: no rows or no micro-batches.
        """
        if rows <= 0 or micro_batches < 1:
            raise UsageError(
                f"expected rows and micro-batches of 1 or more, found {rows} and {micro_batches}"
            )
        crossing = self.crossing(rows)
        return tuple(
            _cost(part, rows, micro_batches, _boundary(crossing, number + 1))
            for number, part in enumerate(self.parts)
        )

    def crossing(self, rows: float) -> tuple[CrossingValue, ...]:
        """Return the values that cross cuts, for a micro-batch of `rows` rows."""
        return tuple(
            CrossingValue(value.made, value.read, round(at_rows(value.nbytes, rows)))
            for value in self.values
        )

    @property
    def kinds(self) -> int:
        """How many different kinds of parts there are, each measured once."""
        return len({part.kind for part in self.parts})

    def to_json(self) -> bytes:
        """Serialise; `Profile.from_json` gives the same profile back."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> Profile:
        """Read what `to_json` wrote.

        Raises:
            msgspec.ValidationError: the JSON is no profile.
        """
        return msgspec.json.decode(data, type=cls)

    def __str__(self) -> str:
        weights = sum(part.weight_bytes for part in self.parts)
        state = sum(part.state_bytes for part in self.parts)
        lines = [
            f"{len(self.parts)} parts of {self.kinds} kinds, weights {format_bytes(weights)}, "
            f"optimiser state {format_bytes(state)}"
        ]
        for rows in sorted({each.rows for part in self.parts for each in part.figures}):
            costs = self.costs(rows)
            lines.append(
                f"{rows} rows: forward {_total(costs, lambda cost: cost.forward_seconds)}, "
                f"backward {_total(costs, lambda cost: cost.backward_seconds)}, "
                f"activations {format_bytes(sum(cost.activation_bytes for cost in costs))}"
            )
        return "\n".join([*lines, *(f"warning: {each}" for each in self.warnings)])


def _total(costs: Sequence[LayerCost], figure: Callable[[LayerCost], float]) -> str:
    return format_seconds(sum(figure(cost) for cost in costs))


def _boundary(values: Sequence[CrossingValue], cut: int) -> int:
    return sum(value.nbytes for value in values if value.made < cut <= value.read)


def _cost(part: PartProfile, rows: float, micro_batches: int, boundary: int) -> LayerCost:
    def figure(name: str) -> float:
        return at_rows([(each.rows, getattr(each, name)) for each in part.figures], rows)

    first, further = figure("first_backward_seconds"), figure("backward_seconds")
    return LayerCost(
        part.name,
        figure("forward_seconds"),
        (first + (micro_batches - 1) * further) / micro_batches,
        part.update_seconds,
        part.weight_bytes,
        part.gradient_bytes,
        part.state_bytes,
        round(figure("activation_bytes")),
        boundary,
        round(figure("workspace_bytes")),
        figure("recompute_seconds"),
        part.norm_seconds,
    )
