"""Figures of every run of consecutive layers, in whole nanoseconds and bytes.

Whole numbers, so that two plans of equal cost are equal and not almost so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

from gristmill.train.costs.layer_cost import CrossingValue, LayerCost, chain_values
from gristmill.train.costs.tier_rates import TierRates

NANOSECONDS = 1_000_000_000


class RunTable:
    """Sums over layers `first` to `last` (without it) of one step of M micro-batches.

    Args:
        costs: of each layer, per micro-batch.
        micro_batches: M, of a step.
        rates: of the tiers.
        values: that cross cuts; default a plain chain with each layer's `boundary_bytes`.
    """

    def __init__(
        self,
        costs: Sequence[LayerCost],
        micro_batches: int,
        rates: TierRates,
        values: Sequence[CrossingValue] | None = None,
    ) -> None:
        self.costs, self.micro_batches, self.rates = tuple(costs), micro_batches, rates
        self.layers = len(costs)
        self._seconds = {
            "forward": _sums(costs, lambda cost: _nanoseconds(cost.forward_seconds)),
            "backward": _sums(costs, lambda cost: _nanoseconds(cost.backward_seconds)),
            "update": _sums(costs, lambda cost: _nanoseconds(cost.update_seconds)),
        }
        self._bytes = {
            "weight": _sums(costs, lambda cost: cost.weight_bytes),
            "gradient": _sums(costs, lambda cost: cost.gradient_bytes),
            "state": _sums(costs, lambda cost: cost.state_bytes),
            "activation": _sums(costs, lambda cost: cost.activation_bytes),
        }
        self._reading: dict[int, int] = {}
        self._writing: dict[int, int] = {}
        self._cross(chain_values(costs) if values is None else values)

    def nanoseconds(self, kind: str, first: int, last: int) -> int:
        """Return what `forward` or `backward` of one micro-batch, or the `update`, takes."""
        sums = self._seconds[kind]
        return sums[last] - sums[first]

    def least(self, first: int) -> int:
        """Return the nanoseconds that layers from `first` on take if nothing is done twice."""
        passes = sum(self.nanoseconds(kind, first, self.layers) for kind in ("forward", "backward"))
        return self.micro_batches * passes + self.nanoseconds("update", first, self.layers)

    def recompute(self, first: int, last: int) -> int:
        """Return the nanoseconds of making one micro-batch's activations again.

        Only the last layer can stop early; the others' outputs are needed.
        """
        ending = _nanoseconds(self.costs[last - 1].recomputing)
        return self.nanoseconds("forward", first, last - 1) + ending

    def bytes_(self, kind: str, first: int, last: int) -> int:
        """Return the bytes of `weight`, `gradient`, `state` or (one micro-batch) `activation`."""
        sums = self._bytes[kind]
        return sums[last] - sums[first]

    def workspace(self, first: int, last: int) -> int:
        """Return the most that any layer of the run uses for a moment."""
        return max(cost.workspace_bytes for cost in self.costs[first:last])

    def crossing(self, cut: int) -> int:
        """Return the bytes of one micro-batch that are made before `cut` and read after it."""
        return self._crossing[cut]

    def left(self, first: int, last: int) -> int:
        """Return the bytes of one micro-batch that the run makes and later runs read."""
        return self._left[first][last]

    def hop(self, bytes_: int) -> int:
        """Return the nanoseconds of copying boundary values into shared memory."""
        return _nanoseconds(bytes_ / self.rates.hop_bytes_per_second)

    @property
    def dispatch(self) -> int:
        """Nanoseconds from one task's end to the next one's start."""
        return _nanoseconds(self.rates.hop_seconds)

    def read(self, bytes_: int) -> int:
        """Return the nanoseconds of reading from the tier below."""
        return self._rounded(self._reading, bytes_, self.rates.read_bytes_per_second)

    def write(self, bytes_: int) -> int:
        """Return the nanoseconds of writing to the tier below."""
        return self._rounded(self._writing, bytes_, self.rates.write_bytes_per_second)

    @staticmethod
    def _rounded(known: dict[int, int], bytes_: int, rate: float) -> int:
        if bytes_ not in known:
            known[bytes_] = _nanoseconds(bytes_ / rate)
        return known[bytes_]

    def _cross(self, values: Sequence[CrossingValue]) -> None:
        layers = self.layers
        made_read = [[0] * (layers + 1) for _ in range(layers)]
        for value in values:
            made_read[value.made][min(value.read, layers - 1)] += value.nbytes
        # later[made][cut]: made by that layer, read at or after the cut
        later = [_suffix_sums(row) for row in made_read]
        self._left = [[0] * (layers + 1) for _ in range(layers + 1)]
        for last in range(1, layers):
            for first in reversed(range(last)):
                self._left[first][last] = self._left[first + 1][last] + later[first][last]
        self._crossing = [self._left[0][cut] for cut in range(layers + 1)]


def _sums(costs: Sequence[LayerCost], figure: Callable[[LayerCost], int]) -> list[int]:
    return [0, *accumulate(figure(cost) for cost in costs)]


def _suffix_sums(row: list[int]) -> list[int]:
    return list(accumulate(reversed(row)))[::-1]


def _nanoseconds(seconds: float) -> int:
    return round(seconds * NANOSECONDS)
