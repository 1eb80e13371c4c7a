"""What no schedule can beat: shown beside every predicted and every actual makespan."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gristmill.train.tasks.machine import Machine
from gristmill.train.tasks.trial_graph import TrialGraph


class Bounds(msgspec.Struct, frozen=True):
    """Lower bounds of the makespan, in seconds.

    Attributes:
        work: all seconds of work over the speed of all devices.
        chain: the longest chain of tasks that follow one another, of any trial.
        link: the bytes of records that have to be read at least, over the rate of the links.
    """

    work: float
    chain: float
    link: float

    @property
    def makespan(self) -> float:
        """The largest of them."""
        return max(self.work, self.chain, self.link)


def bounds(graphs: Iterable[TrialGraph], machine: int | Machine) -> Bounds:
    """Return the lower bounds for what is left of some trials in their present shapes.

    Evaluations, hand-over and hops are left out, so the bounds hold with them too. A trial that
    changes shape as it goes may beat `chain`.

    Args:
        graphs: the trials, at step boundaries.
        machine: the devices and links, or a number of equal devices.
    """
    machine = Machine.of(machine) if isinstance(machine, int) else machine
    trials = list(graphs)
    work = sum(graph.remaining_seconds for graph in trials) / sum(machine.speeds)
    chains = ((graph.end - graph.completed) * graph.path_of.chain for graph in trials)
    return Bounds(work, max(chains, default=0.0) / max(machine.speeds), _link(trials, machine))


def _link(trials: list[TrialGraph], machine: Machine) -> float:
    """Return the seconds to read every record once, and again each step what cannot stay."""
    places = 1 if machine.shared else len(machine.speeds)
    nbytes = 0.0
    for graph in trials:
        steps, shape = graph.end - graph.completed, graph.shape
        if not shape.spilled or not steps:
            continue
        size = shape.weight_bytes + sum(each.state_bytes for each in shape.stages)
        nbytes += size + (steps - 1) * max(size - places * machine.memory_bytes, 0.0)
    return nbytes / (places * machine.read_bytes_per_second)
