"""A learning rate schedule as a function of the step."""

from __future__ import annotations

import warnings

from torch.optim import Optimizer

from gristmill.train.jobs.trial_spec import ScheduleFactory


class LearningRate:
    """An optimiser whose settings are those of a certain step.

    A schedule is stepped once after each update. Here it may have missed some, made elsewhere; it
    is then stepped as often as the plain loop would have, which gives the same floats.

    Attributes:
        optimizer: the optimiser.
        step: how often the schedule has been stepped.
    """

    def __init__(self, optimizer: Optimizer, schedule: ScheduleFactory | None) -> None:
        self.optimizer, self.step = optimizer, 0
        self._schedule = schedule(optimizer) if schedule else None

    def move_to(self, step: int) -> None:
        """Go forward to a step."""
        if self._schedule is not None:
            with warnings.catch_warnings():
                # Torch warns of schedules that are stepped before the optimiser's first update.
                warnings.simplefilter("ignore", UserWarning)
                for _ in range(self.step, step):
                    self._schedule.step()
        self.step = step
