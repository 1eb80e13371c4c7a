"""What a run of layers costs as one shard, for each thing that can be done with its activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from gristmill.train.costs.run_table import RunTable

Activations: TypeAlias = Literal["kept", "recomputed", "spilled"]
Records: TypeAlias = Literal["none", "weights", "state", "all"]
"""Which records stay in memory for good."""


class ShardRun(NamedTuple):
    """A candidate shard; nanoseconds and bytes of a whole step.

    Attributes:
        first, last: numbers of layers.
        activations: what is done with them between forward and backward.
        forward, backward: compute; backward with recomputation and update.
        forward_bytes, backward_bytes: in use while it runs, on top of records and what is held.
        held_bytes: what stays in memory from its forward pass to its backward pass.
        weight_bytes, state_bytes: of its records that move; the backward pass needs both.
        spilled_bytes: activations written in the forward pass and read in the backward pass.
    """

    first: int
    last: int
    activations: Activations
    forward: int
    backward: int
    forward_bytes: int
    backward_bytes: int
    held_bytes: int
    weight_bytes: int
    state_bytes: int
    spilled_bytes: int

    @property
    def record_bytes(self) -> int:
        """Bytes that are read before its backward pass and written after it."""
        return self.weight_bytes + self.state_bytes


class Limits(NamedTuple):
    """How much memory there is.

    Attributes:
        budget: bytes for everything.
        pool: bytes of it that only records can use, and records only these; None if all may share
            all, as on a GPU.
    """

    budget: int
    pool: int | None = None

    def fits(self, records: int, others: int) -> bool:
        """Say whether so many bytes of records, and of everything else, fit at the same time."""
        if self.pool is None:
            return records + others <= self.budget
        return records <= self.pool and others <= self.budget - self.pool

    def without(self, records: int) -> Limits:
        """Return what is left beside records that stay in memory for good."""
        pool = None if self.pool is None else self.pool - records
        return Limits(self.budget - records, pool)


def shard_fits(run: ShardRun, held: int, limits: Limits) -> bool:
    """Say whether a shard can run, if so many bytes (its own included) are held."""
    return limits.fits(run.weight_bytes, run.forward_bytes + held) and limits.fits(
        run.record_bytes, run.backward_bytes + held
    )


def shard_runs(
    table: RunTable, activations: Sequence[Activations], resident: Records
) -> list[ShardRun]:
    """Return all runs of layers in all allowed ways, those that begin earlier first."""
    ways = sorted({*activations, "recomputed"})
    return [
        _shard_run(table, first, last, way, resident)
        for first in range(table.layers)
        for last in range(first + 1, table.layers + 1)
        for way in ways
    ]


def _shard_run(
    table: RunTable, first: int, last: int, way: Activations, resident: Records
) -> ShardRun:
    micros = table.micro_batches
    weights = table.bytes_("weight", first, last)
    state = table.bytes_("state", first, last)
    gradients = table.bytes_("gradient", first, last)
    activation = table.bytes_("activation", first, last)
    workspace = table.workspace(first, last)
    left = micros * table.left(first, last)
    arriving = micros * table.crossing(first)
    moving_weights = 0 if resident in ("weights", "all") else weights
    moving_state = 0 if resident in ("state", "all") else state
    # A spilled activation shares memory with the one before or after it, which is on its way.
    passing = {"kept": 0, "recomputed": activation, "spilled": 2 * activation}[way]
    forward = micros * table.nanoseconds("forward", first, last)
    backward = micros * table.nanoseconds("backward", first, last)
    if way == "recomputed":
        backward += micros * table.recompute(first, last)
    return ShardRun(
        first,
        last,
        way,
        forward + table.hop(left) + table.dispatch,
        backward
        + table.nanoseconds("update", first, last)
        + table.hop(arriving)
        + 2 * table.dispatch,
        workspace + (passing if way == "spilled" else 0),
        gradients + workspace + passing + arriving,
        left + (micros * activation if way == "kept" else 0),
        moving_weights,
        moving_state,
        micros * activation if way == "spilled" else 0,
    )
