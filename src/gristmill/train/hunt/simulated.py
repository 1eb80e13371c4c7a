"""A hunt under a virtual clock: the same controller, made-up or recorded learning curves.

It tells before anything is trained how long a search takes on so many devices, and what pausing
saves against training every trial in full.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TypeAlias

import msgspec
import numpy as np

from gristmill.core.errors import TrainError, UsageError
from gristmill.core.quantities import format_seconds
from gristmill.core.seeds import derive_seed
from gristmill.train.hunt.controller import Controller, Stop
from gristmill.train.hunt.hunt import Hunt
from gristmill.train.space import Space

Curve: TypeAlias = Callable[[int, int], float]
"""Takes a trial and a budget, 1 for the first; returns the value there, or the seconds that the
unit up to there takes."""


class Span(msgspec.Struct, frozen=True):
    """A trial on a device, from one instruction until it pauses, stops or fails; in seconds."""

    device: int
    trial: int
    start: float
    end: float


class Simulated(msgspec.Struct, frozen=True):
    """What a hunt costs.

    Attributes:
        devices: how many there are.
        makespan: seconds from begin to end.
        device_seconds: seconds that devices work, all together.
        trained: units of budget (epochs) trained, all trials together.
        full: units that training every trial in full would take.
        full_makespan: seconds of that on as many devices, trials in order.
        spans: who was where, in the order of their ends.
    """

    devices: int
    makespan: float
    device_seconds: float
    trained: int
    full: int
    full_makespan: float
    spans: tuple[Span, ...] = ()

    @property
    def utilisation(self) -> float:
        """Share of the devices' time in which they work."""
        return self.device_seconds / (self.makespan * self.devices) if self.makespan else 0.0

    def __str__(self) -> str:
        share = self.trained / self.full if self.full else 0.0
        devices = f"{self.devices} device{'s' * (self.devices > 1)}, {self.utilisation:.0%} busy"
        return (
            f"trains {self.trained} of {self.full} epochs ({share:.0%}): "
            f"{format_seconds(self.makespan)} on {devices}, "
            f"against {format_seconds(self.full_makespan)} for all in full"
        )


def simulate(
    hunt: Hunt,
    value: Curve,
    seconds: Curve,
    devices: int,
    *,
    arrivals: Callable[[list[int]], list[int]] = sorted,
) -> Simulated:
    """Conduct a hunt with given curves until it is finished.

    Args:
        hunt: a new one, or one that goes on.
        value: what a trial shows at a budget; NaN is a failure.
        seconds: what each unit of budget takes.
        devices: how many trials run at once.
        arrivals: orders the trials whose results come at the same moment.

    Raises:
        UsageError: there is no device.
        TrainError: the controller waits although nothing runs.
    """
    if devices < 1:
        raise UsageError(f"devices must be at least 1, found {devices}")
    return _Simulation(hunt, value, seconds, devices).run(arrivals)


class _Simulation:
    """The devices, and the moments at which they end a unit of work."""

    def __init__(self, hunt: Hunt, value: Curve, seconds: Curve, devices: int) -> None:
        self.hunt, self.value, self.seconds, self.devices = hunt, value, seconds, devices
        self.now = self.worked = 0.0
        self.idle = list(range(devices))
        self.ends: list[tuple[float, int]] = []
        self.at: dict[int, int] = {}  # trial -> budget that it is trained for
        self.begun: dict[int, tuple[int, float]] = {}  # trial that runs -> device, since when
        self.spans: list[Span] = []

    def run(self, arrivals: Callable[[list[int]], list[int]]) -> Simulated:
        while not self.hunt.finished:
            self._instruct()
            for trial in arrivals(self._arrived()):
                self._report(trial)
        full = self.hunt.ledger.most * len(self.hunt.ledger.trials)
        return Simulated(
            self.devices, self.now, self.worked, self.hunt.ledger.trained, full,
            self._full_makespan(), tuple(self.spans),
        )  # fmt: skip

    def _instruct(self) -> None:
        told = self.hunt.next(len(self.idle))
        for each in told:
            if isinstance(each, Stop):
                continue
            self.at[each.trial] = getattr(each, "at", 0)
            self.begun[each.trial] = self.idle.pop(0), self.now
            self._work(each.trial)
        if not told and not self.ends:
            raise TrainError("the controller waits, but no trial runs")

    def _work(self, trial: int) -> None:
        cost = self.seconds(trial, self.at[trial] + 1)
        self.worked += cost
        heapq.heappush(self.ends, (self.now + cost, trial))

    def _arrived(self) -> list[int]:
        """Let time pass until the next results, and return their trials."""
        trials: list[int] = []
        while self.ends and (not trials or self.ends[0][0] == self.now):
            self.now, trial = heapq.heappop(self.ends)
            trials.append(trial)
        return trials

    def _report(self, trial: int) -> None:
        self.at[trial] += 1
        budget = self.at[trial]
        cost = self.seconds(trial, budget)
        value = self.value(trial, budget)
        if self.hunt.report(trial, budget, value, seconds=cost) == "continue":
            self._work(trial)
            return
        device, since = self.begun.pop(trial)
        self.spans.append(Span(device, trial, since, self.now))
        self.idle.append(device)
        self.idle.sort()

    def _full_makespan(self) -> float:
        free = [0.0] * self.devices
        for trial in range(len(self.hunt.ledger.trials)):
            units = range(1, self.hunt.ledger.most + 1)
            heapq.heapreplace(free, free[0] + sum(self.seconds(trial, unit) for unit in units))
        return max(free)


def forecast(
    rules: Callable[[int], Controller],
    trials: int,
    devices: int,
    seconds: Curve | float,
    *,
    seed: int = 0,
) -> Simulated:
    """Return what a search that has not begun may cost, with curves drawn at random.

    The curves differ in what they tend to, how fast, and by noise. Where all trials take equally
    long, synchronous halving, Hyperband and populations cost the same whatever the curves.

    Args:
        rules: makes the controller for a number of trials.
        trials: how many.
        devices: how many run at once.
        seconds: a unit of budget takes, of every trial or by trial and budget.
        seed: of the curves.
    """
    cost = seconds if callable(seconds) else (lambda _trial, _budget: float(seconds))
    generator = np.random.default_rng(derive_seed(seed, "curves"))
    most = rules(trials).most
    limit, pace = generator.random((trials, 1)), generator.uniform(0.3, 1.0, (trials, 1))
    noise = generator.normal(0, 0.01, (trials, most + 1))
    curves = limit * (1 - (1 + np.arange(most + 1)) ** -pace) + noise
    with Hunt(rules, trials, Space(), sampler="random", seed=seed) as hunt:
        return simulate(hunt, lambda trial, budget: float(curves[trial, budget]), cost, devices)
