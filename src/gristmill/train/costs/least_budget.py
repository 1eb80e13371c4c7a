"""The smallest budget that would do, found by bisection over budgets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gristmill.train.costs.run_table import RunTable
from gristmill.train.costs.shard_run import Limits, ShardRun, shard_fits

_POOLS_TRIED = 32


def least_budget(table: RunTable, runs: Sequence[ShardRun]) -> int:
    """Return the least bytes with which some cut into shards fits, transfers overlapped or not."""
    singles = [run for run in runs if run.last == run.first + 1]
    held = sum(run.held_bytes for run in singles)
    enough = held + sum(
        run.record_bytes + max(run.forward_bytes, run.backward_bytes) for run in singles
    )
    return least_that(lambda budget: cut_fits(table, runs, Limits(budget)), enough)


def least_divided(table: RunTable, runs: Sequence[ShardRun]) -> Limits:
    """Return the least budget, and its pool, where records keep to a pool of their own.

    Tries as pools some of the sizes of records, so a slightly smaller budget may do as well.
    """
    sizes = sorted({run.record_bytes for run in runs})
    tried = sizes[:: max(1, len(sizes) // _POOLS_TRIED)]
    enough = sum(run.held_bytes + run.forward_bytes + run.backward_bytes for run in runs)

    def others(pool: int) -> int:
        return least_that(lambda bytes_: cut_fits(table, runs, Limits(pool + bytes_, pool)), enough)

    found = [Limits(pool + others(pool), pool) for pool in tried]
    return min(each for each in found if cut_fits(table, runs, each))


def least_that(fits: Callable[[int], bool], enough: int) -> int:
    """Return the least number from 0 to `enough` that fits; all above one that fits do."""
    low, high = -1, enough
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            high = middle
        else:
            low = middle
    return high


def cut_fits(table: RunTable, runs: Sequence[ShardRun], limits: Limits) -> bool:
    """Say whether some cut fits: of each prefix, what holds least can only help the rest."""
    least: list[int | None] = [0, *([None] * table.layers)]
    for run in runs:
        before = least[run.first]
        if before is None or not shard_fits(run, before + run.held_bytes, limits):
            continue
        held, best = before + run.held_bytes, least[run.last]
        least[run.last] = held if best is None else min(best, held)
    return least[table.layers] is not None
