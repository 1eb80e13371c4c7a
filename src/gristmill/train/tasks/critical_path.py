"""The longest chain of dependent tasks, from any task to the end of its trial, in closed form."""

from __future__ import annotations

from itertools import accumulate

from gristmill.train.tasks.task import Task
from gristmill.train.tasks.trial_shape import TrialShape


class CriticalPath:
    """Seconds from the start of a task to the end of its step, were devices unlimited.

    `step` is what a whole step is expected to take, `chain` what it takes at least.

    A path through a step passes forward through all stages, then backward through all of them, and
    on its way visits further micro-batches at whichever stage is slowest; so sums and maxima over
    stages are all it takes. Gates are left out.
    """

    def __init__(self, shape: TrialShape) -> None:
        seconds = shape.seconds
        self._last_micro = shape.micros - 1
        self._steps_only = shape.grain == "step"
        self._shape = shape
        forward, backward = self._passes = seconds["forward"], seconds["backward"]
        self._tails = (sum(shape.tail),) if self._steps_only else shape.tail
        tail = max(seconds["update"]) + self._tails[0] - seconds["update"][0]
        self._step_tail = tail if shape.clipped else self._tails[0]
        worst = max(backward)
        self._backward_sums = tuple(accumulate(backward))
        self._backward_worst = tuple(accumulate(backward, max))
        self._forward_sums = tuple(accumulate(reversed(forward)))[::-1]
        self._forward_worst = tuple(
            max(each, worst) for each in tuple(accumulate(reversed(forward), max))[::-1]
        )
        self._rest = self._backward_sums[-1] + self._step_tail
        self.step = self._whole_step()
        self.chain = self._longest_chain()

    def _whole_step(self) -> float:
        """Return the seconds of a step, each stage on a device of its own.

        Of a pipeline: every micro-batch through the longest stage, and one through the others
        (Huang et al. 2019, section 2.3), which is more than the chain of its dependencies.
        """
        if self._steps_only:
            return self._shape.step_seconds / self._shape.replicas
        stages = [sum(each) for each in zip(*self._passes, strict=True)]
        return self._last_micro * max(stages) + sum(stages) + self._step_tail

    def _longest_chain(self) -> float:
        """Return the seconds that a step takes at least.

        Besides the dependencies' longest path: all work of a stage is done on one device with
        grain `micro`, after the first forward through the stages before it and before the last
        backward through them.
        """
        if self._steps_only:
            return self._shape.step_seconds / self._shape.replicas
        longest = self._forward(0, 0)
        before = 0.0
        for forward, backward in zip(*self._passes, strict=True):
            lane = (self._last_micro + 1) * (forward + backward) + before + self._step_tail
            longest = max(longest, lane)
            before += forward + backward
        return longest

    def _forward(self, stage: int, micro: int) -> float:
        more = (self._last_micro - micro) * self._forward_worst[stage]
        return self._forward_sums[stage] + more + self._rest

    def _backward(self, stage: int, micro: int) -> float:
        more = (self._last_micro - micro) * self._backward_worst[stage]
        return self._backward_sums[stage] + more + self._step_tail

    def within(self, task: Task) -> float:
        """Return seconds from the start of a task to the end of its step."""
        kind, stage = task.kind, task.stage
        micro = task.micro - task.replica * (self._last_micro + 1) if task.micro >= 0 else 0
        if kind == "forward":
            return self._forward(stage, micro)
        if kind == "backward":
            return self._backward(stage, micro)
        if kind in ("step", "gradient"):
            return self.step * task.steps
        return self._tails[stage] if kind in ("norm", "update") else 0.0
