"""One call that says what a schedule would be."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gristmill.train.tasks.machine import Machine
from gristmill.train.tasks.policies import Policy
from gristmill.train.tasks.scheduler import Reshaper, Scheduler
from gristmill.train.tasks.simulated import SimulatedDevices
from gristmill.train.tasks.task import Task
from gristmill.train.tasks.timeline import Timeline
from gristmill.train.tasks.trial_graph import TrialGraph
from gristmill.train.tasks.watcher import Watcher


def simulate(
    graphs: Iterable[TrialGraph],
    machine: int | Machine,
    policy: str | Policy = "critical_path",
    *,
    watcher: Watcher | None = None,
    reshaper: Reshaper | None = None,
    moving: Callable[[Task], float] | None = None,
    ahead_below: float = 0.25,
    patience: float = 1.0,
    keep: bool = True,
) -> Timeline:
    """Return the timeline of trials on a machine, as the scheduler would place their tasks.

    The graphs are used up: make new ones for another run.

    Args:
        graphs: the trials.
        machine: the devices and links, or a number of equal devices for which moving is free.
        policy: a policy or its name.
        watcher, reshaper, moving, ahead_below, patience: see `Scheduler`.
        keep: whether the timeline keeps every interval, or only sums.
    """
    machine = Machine.of(machine) if isinstance(machine, int) else machine
    found = {graph.trial: graph for graph in graphs}
    executor = SimulatedDevices(machine, found)
    timeline = Timeline(len(machine.speeds), keep=keep)
    timeline.traffic = executor.traffic
    return Scheduler(
        found.values(), machine.speeds, policy, executor, watcher=watcher, reshaper=reshaper,
        moving=moving, ahead_below=ahead_below, patience=patience, timeline=timeline,
    ).run()  # fmt: skip
