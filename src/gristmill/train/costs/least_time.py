"""The least time that the rest of a cut can take: what bounds the search for the best one.

Shards compute, and what their forward passes leave in memory has to fit it together. With a price
on each byte left, in place of that limit, the cheapest cut of the layers from any on follows from
those of shorter rests; less the price of the room that there is, no cut within the limit takes
less, whatever the price (Lagrangian relaxation; Held and Karp 1971). Several prices are tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from gristmill.train.costs.run_table import RunTable
from gristmill.train.costs.shard_run import Limits, ShardRun

_PRICES = tuple(2.0 ** (power / 2) for power in range(-10, 11))
"""In what all layers' forward passes take for each byte that they leave."""
_CELLS = 512
"""What is held is rounded down to so many parts of the room: a little less bound, found once."""


class Least:
    """Lower bounds of the time from some layer on.

    Args:
        table: figures of the layers.
        runs: candidate shards that fit, those that begin earlier first.
        limits: of memory.
    """

    def __init__(self, table: RunTable, runs: Sequence[ShardRun], limits: Limits) -> None:
        # The last shard needs room of its own beside all that is held.
        last = [run.backward_bytes for run in runs if run.last == table.layers]
        self._room = max(1, limits.budget - (limits.pool or 0) - min(last, default=0))
        self._known: dict[tuple[int, int], float] = {}
        own = [_own_seconds(table, run) for run in runs]
        whole = table.bytes_("activation", 0, table.layers) * table.micro_batches
        mean = table.micro_batches * table.nanoseconds("forward", 0, table.layers) / max(whole, 1)
        self._bounds = [
            (price, _cheapest(table.layers, runs, own, price))
            for price in (0.0, *(mean * share for share in _PRICES))
        ]

    def after(self, first: int, held: int) -> float:
        """Return the least nanoseconds of layers from `first` on; none if no cut of them fits.

        Args:
            first: number of a layer.
            held: bytes that the layers before it leave in memory.
        """
        cell = held * _CELLS // self._room if held < self._room else _CELLS
        known = self._known.get((first, cell))
        if known is None:
            known = self._known[first, cell] = self._after(first, self._room * cell // _CELLS)
        return known

    def _after(self, first: int, held: int) -> float:
        room = max(0, self._room - held)
        # Less what rounding can have added.
        least: float = max(cheapest[first] - price * room for price, cheapest in self._bounds)
        return least - 2.0


def _own_seconds(table: RunTable, run: ShardRun) -> int:
    """Return the nanoseconds that a shard takes if it waits for no other shard's records."""
    if run.last - run.first == table.layers:
        return run.forward + run.backward
    moving = table.write(run.record_bytes) + table.read(run.spilled_bytes)
    return run.forward + max(run.backward, moving)


def _cheapest(
    layers: int, runs: Sequence[ShardRun], own: Sequence[int], price: float
) -> list[float]:
    """Return, for each layer, the least time and price of cutting the layers from it on."""
    found = [*[inf] * layers, 0.0]
    for run, seconds in zip(reversed(runs), reversed(own), strict=True):
        total = seconds + price * run.held_bytes + found[run.last]
        found[run.first] = min(found[run.first], total)
    return found
