"""The cheapest way to train in shards that take turns in memory.

A step runs forward through shards 0 to S-1, then backward through S-1 to 0, all micro-batches of a
step in each. While a shard computes, the records of the next one are read, and those of the one
before are written, if there is room for both; else transfers wait.

During the forward pass of shard u, the weights of u+1 are read. During its backward pass, weights
and state of u-1 are read; the write of u's own records, which in truth runs during the backward
pass of u-1, is counted here. So the time of a step is a sum over neighbours, and the best cut
follows from the best cuts of prefixes of the layers, by the last shard of the prefix. What forward
passes leave in memory grows along the way; hence each prefix has several best cuts, from fast to
frugal (label-setting for the shortest path with a resource; Desrochers and Soumis 1988).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from gristmill.train.costs.least_time import Least
from gristmill.train.costs.run_table import RunTable
from gristmill.train.costs.shard_run import Limits, ShardRun, shard_fits

_FEW = 12
"""Cuts to go on with at each layer, where any good one will do."""


class Spilled(NamedTuple):
    """A cut, with the nanoseconds of a step and the bytes it moves."""

    nanoseconds: int
    moved_bytes: int
    runs: tuple[ShardRun, ...]


class _Label(NamedTuple):
    """The best way to some shard: its cost, what it leaves in memory, and how it came there."""

    nanoseconds: int
    moved_bytes: int
    held: int
    run: ShardRun
    before: _Label | None


def cheapest_spilled(
    table: RunTable,
    runs: Sequence[ShardRun],
    limits: Limits,
    bound: float = inf,
    *,
    exact: bool = True,
) -> Spilled | None:
    """Return the cut with the least seconds, then the least bytes moved; None if nothing fits.

    Args:
        table: figures of the layers.
        runs: candidate shards, those that begin earlier first.
        limits: of memory, beside records that stay for good.
        bound: nanoseconds; cuts that take longer are of no interest.
        exact: whether it has to be the best one, and not one that is found soon.
    """
    runs = [run for run in runs if shard_fits(run, run.held_bytes, limits)]
    least = Least(table, runs, limits)
    if least.after(0, 0) > bound:
        return None
    search = _Search(table, limits, least)
    # A model that fits as one shard bounds the search: else, where the budget is ample and nothing
    # waits, almost every cut would be followed to its end.
    whole = search.best([run for run in runs if run.last - run.first == table.layers], bound)
    if whole:
        bound = min(bound, whole.nanoseconds)
    # A good cut is found soon, and bounds what is worth looking at on the way to the best one.
    good = search.best(runs, bound, _FEW)
    if not exact:
        return good or whole
    if good:
        bound = min(bound, good.nanoseconds)
    return search.best(runs, bound)


class _Search(NamedTuple):
    """What the ways to look for a cut have in common."""

    table: RunTable
    limits: Limits
    least: Least

    def best(
        self, runs: Sequence[ShardRun], bound: float, most: int | None = None
    ) -> Spilled | None:
        """Return the cheapest cut; with `most`, the cheapest that goes on from the best few."""
        layers = self.table.layers
        ending: list[list[_Label]] = [[] for _ in range(layers + 1)]
        begun = 0
        for run in runs:
            if most is not None and run.first > begun:  # all labels that end here are known
                begun = run.first
                ending[begun] = _best_few(ending[begun], self.least, most)
            ending[run.last] += self._labels(run, ending[run.first], bound)
        finished = [_finish(self.table, label, self.limits) for label in ending[layers]]
        best = min(finished, key=lambda label: label[:3], default=None)
        if best is None or best.nanoseconds > bound:
            return None
        return Spilled(best.nanoseconds, best.moved_bytes, tuple(_path(best)))

    def _labels(self, run: ShardRun, arriving: Sequence[_Label], bound: float) -> list[_Label]:
        """Return the ways to end in `run` within the bound of which none is better than another."""
        latest = bound - run.forward
        after = self.least.after
        if run.first == 0:
            start = _start(self.table, run, self.limits)
            rest = after(run.last, run.held_bytes)
            return [start] if start.nanoseconds + rest <= latest else []
        early = latest - run.backward
        found: list[_Label] = []
        for label in arriving:
            rest = after(run.last, label.held + run.held_bytes)
            if label.nanoseconds + label.run.forward + rest > early:
                continue
            step = _step(self.table, label, run, self.limits)
            if step and step.nanoseconds + rest <= latest:
                found.append(step)
        found.sort(key=lambda label: label[:3])
        kept: list[_Label] = []
        for label in found:
            if not kept or label.held < kept[-1].held:
                kept.append(label)
        return kept


def _best_few(labels: list[_Label], least: Least, most: int) -> list[_Label]:
    """Return the labels that promise the fastest cuts, and those that hold least."""

    def promise(label: _Label) -> float:
        return label.nanoseconds + label.run.forward + least.after(label.run.last, label.held)

    fast = sorted(labels, key=promise)[:most]
    frugal = sorted(labels, key=lambda label: (label.held, promise(label)))[: most // 2]
    return list({id(label): label for label in (*fast, *frugal)}.values())


def _start(table: RunTable, run: ShardRun, limits: Limits) -> _Label:
    """Begin with the first shard: its weights stay from one step to the next, its state goes."""
    if run.last == table.layers:  # all in one shard: nothing moves but activations
        spill = table.read(run.spilled_bytes)
        return _Label(max(run.backward, spill), run.spilled_bytes, run.held_bytes, run, None)
    room = limits.fits(run.record_bytes, run.forward_bytes + run.held_bytes)
    spill, record = table.read(run.spilled_bytes), table.write(run.record_bytes)
    time = _overlapped(run.backward, spill, [(record, room)])
    return _Label(time, run.record_bytes + run.spilled_bytes, run.held_bytes, run, None)


def _step(table: RunTable, label: _Label, run: ShardRun, limits: Limits) -> _Label | None:
    """Go on from the shard that a label ends in: its forward pass, and the backward of `run`."""
    before = label.run
    held = label.held + run.held_bytes
    if not shard_fits(run, held, limits):
        return None
    weights, records = (
        before.weight_bytes + run.weight_bytes,
        before.record_bytes + run.record_bytes,
    )
    ahead = limits.fits(weights, before.forward_bytes + label.held)
    forward = _overlapped(
        before.forward,
        table.write(before.spilled_bytes),
        [(table.read(run.weight_bytes), ahead)],
    )
    reads = limits.fits(records, run.backward_bytes + held)
    writes = limits.fits(records, before.backward_bytes + label.held)
    backward = _overlapped(
        run.backward,
        table.read(run.spilled_bytes),
        [(table.read(before.record_bytes), reads), (table.write(run.record_bytes), writes)],
    )
    moved = (
        run.weight_bytes
        + before.record_bytes
        + run.record_bytes
        + before.spilled_bytes
        + run.spilled_bytes
    )
    return _Label(
        label.nanoseconds + forward + backward, label.moved_bytes + moved, held, run, label
    )


def _finish(table: RunTable, label: _Label, limits: Limits) -> _Label:
    """Add the forward pass of the last shard, during which its state is read."""
    run = label.run
    moving = run.state_bytes if label.before else 0
    ahead = limits.fits(run.weight_bytes + moving, run.forward_bytes + label.held)
    forward = _overlapped(
        run.forward, table.write(run.spilled_bytes), [(table.read(moving), ahead)]
    )
    return label._replace(
        nanoseconds=label.nanoseconds + forward,
        moved_bytes=label.moved_bytes + moving + run.spilled_bytes,
    )


def _overlapped(compute: int, transfers: int, others: Sequence[tuple[int, bool]]) -> int:
    """Return the time of computing while bytes move; those without room move before or after."""
    hidden = transfers + sum(time for time, room in others if room)
    return max(compute, hidden) + sum(time for time, room in others if not room)


def _path(label: _Label) -> list[ShardRun]:
    runs: list[ShardRun] = []
    end: _Label | None = label
    while end:
        runs.append(end.run)
        end = end.before
    return runs[::-1]
