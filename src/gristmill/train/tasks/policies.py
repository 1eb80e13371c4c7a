"""Policies: small functions that rank the ready tasks of one queue.

A policy is a key (lower goes first; among equals backward, then the lower trial, then what was
ready first),
with the gate and the placement that pipelined trials get under it. Tasks that end the work on a
stage (norm, reduce, update) go before all others under every policy: their records are at hand.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import count
from typing import NamedTuple, TypeAlias

from gristmill.core.errors import UsageError
from gristmill.core.seeds import derive_seed
from gristmill.train.tasks.gates import Depth, Flush, Gate, Interleaved, one_forward_one_backward
from gristmill.train.tasks.task import ALL, Task
from gristmill.train.tasks.trial_graph import TrialGraph
from gristmill.train.tasks.trial_shape import TrialShape

Key: TypeAlias = Callable[[TrialGraph, Task], float]


class Policy(NamedTuple):
    """How to choose among ready tasks.

    Attributes:
        name: what to call it.
        key: rank of a ready task; lower goes first.
        gate: the gate of a trial of grain `micro` on so many devices; None for none.
        in_order: stage s of a pipelined trial goes to device s modulo their number, instead of to
            the least loaded one.
    """

    name: str
    key: Key
    gate: Callable[[TrialShape, int], Gate | None] = lambda shape, devices: bounded(shape)  # noqa: ARG005
    in_order: bool = False


def bounded(shape: TrialShape) -> Gate | None:
    """Return the gate that `shape.in_flight` asks for, None where it leaves it open."""
    return Depth((shape.in_flight,) * shape.depth) if shape.in_flight else None


def critical_path() -> Policy:
    """List scheduling by the longest chain of what is left, the default (Kwok and Ahmad 1999).

    Micro-batches of one step share the rank of the step: told apart by their own chains, forwards
    would all go before backwards, and the pipelines of several trials would idle together.
    """
    return Policy("critical_path", _critical_path_key)


def _critical_path_key(graph: TrialGraph, task: Task) -> float:
    if task.kind in ("forward", "backward") and graph.shape.grain == "micro":
        return (task.step - graph.end) * graph.path_of.step
    return -graph.path(task)


def longest_remaining() -> Policy:
    """Rank by the trial's remaining seconds: Hydra's Sharded-LRTF (Nagrecha and Kumar 2022, 5)."""
    return Policy("longest_remaining", lambda graph, task: -graph.remaining_seconds)  # noqa: ARG005


def fifo() -> Policy:
    """Rank by what was ready first."""
    arrivals = count()
    return Policy("fifo", lambda graph, task: float(next(arrivals)))  # noqa: ARG005


def whole_trials() -> Policy:
    """Rank by trial number: earlier trials run to their end first, as in task parallelism."""
    return Policy("whole_trials", lambda graph, task: float(task.trial))  # noqa: ARG005


def shuffled(seed: int = 0) -> Policy:
    """Rank by a coin; the same seed gives the same schedule."""
    draw = random.Random(derive_seed(seed, "schedule")).random  # noqa: S311
    return Policy("random", lambda graph, task: draw())  # noqa: ARG005


def gpipe() -> Policy:
    """All forwards of a step, then all backwards (Huang et al. 2019)."""
    return Policy(
        "gpipe",
        lambda graph, task: float(task.kind != "forward"),  # noqa: ARG005
        lambda shape, devices: Flush(shape.micros),  # noqa: ARG005
        in_order=True,
    )


def one_f_one_b() -> Policy:
    """One forward, one backward: as fast as GPipe, keeps min(K, M) instead of M micro-batches."""
    return Policy(
        "1f1b",
        lambda graph, task: float(task.kind == "forward"),  # noqa: ARG005
        lambda shape, devices: one_forward_one_backward(shape.depth, shape.micros),  # noqa: ARG005
        in_order=True,
    )


def interleaved() -> Policy:
    """1F1B with several stages a device, which divides the bubble by their number.

    A trial of K v stages on K devices, with a multiple of K micro-batches.
    """
    return Policy("interleaved", _interleaved_key, _interleaved_gate, in_order=True)


def _interleaved_key(graph: TrialGraph, task: Task) -> float:
    gate = graph.gate
    if not isinstance(gate, Interleaved) or task.micro == ALL:
        return 0.0
    return float(gate.turn(task.stage, task.micro % gate.micros, task.kind == "backward"))


def _interleaved_gate(shape: TrialShape, devices: int) -> Gate:
    if shape.depth % devices:
        raise UsageError(
            f"expected a multiple of {devices} stages, as many on each device, for an "
            f"interleaved pipeline, found {shape.depth}",
        )
    return Interleaved(devices, shape.depth // devices, shape.micros)


POLICIES: dict[str, Callable[[], Policy]] = {
    "critical_path": critical_path,
    "longest_remaining": longest_remaining,
    "fifo": fifo,
    "whole_trials": whole_trials,
    "random": shuffled,
    "gpipe": gpipe,
    "1f1b": one_f_one_b,
    "interleaved": interleaved,
}
"""Every policy by its name."""


def policy_of(policy: str | Policy) -> Policy:
    """Return a policy by its name, or the one handed in.

    Raises:
        UsageError: there is no policy of that name.
    """
    if isinstance(policy, Policy):
        return policy
    if policy not in POLICIES:
        raise UsageError(f"expected a policy, one of {', '.join(POLICIES)}, found {policy!r}")
    return POLICIES[policy]()
