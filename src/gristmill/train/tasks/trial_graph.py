"""The graph of one trial's tasks, never written out: a few counters say what is ready.

A trial of n steps, S stages and M micro-batches has about 2 n S M tasks. What is ready follows from
how many micro-batches each stage has finished, so finishing a task costs the same at any size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.tasks.critical_path import CriticalPath
from gristmill.train.tasks.gates import Gate
from gristmill.train.tasks.task import ALL, TIED, Task
from gristmill.train.tasks.trial_shape import TrialShape

Homes: TypeAlias = Callable[[int], tuple[int, int]]
"""Takes a step; returns the device that has its data, and the first later step whose data lies
elsewhere."""


class TrialGraph:
    """Hands out a trial's tasks as those they depend on are finished.

    forward(s, m) follows forward(s-1, m) and forward(s, m-1); backward(s, m) follows
    backward(s+1, m) and backward(s, m-1); update(s) follows every backward of s in every replica
    (through the norms of all stages where gradients are clipped), and is as many tasks as there are
    replicas; the next step's forward of s follows update(s), or all updates with clipping. With
    grain `step` a step is one task, or with replicas a gradient each and what follows backwards.

    Args:
        trial: the trial's number.
        shape: its layout; see `reshape`.
        first_step: the first step to do; more than 0 where a trial resumes.
        steps: how many steps to do.
        gate: further edges that bound what is kept; see `gates`.
        evaluate_every: steps between evaluations, counted from step 0; 0 for none. No step begins
            before the evaluation due before it is done.
        evaluate_micro_batches: micro-batches of one evaluation, for its cost.
        homes: of tasks of grain `step`, where data stays with its device: takes a step, returns
            the device that has its data and the first step after it that needs another.

    Attributes:
        completed: number of the first step that is not wholly done, updates included.
        until: no step from this one on begins; lower it with `hold`, raise it with `release`.
    """

    def __init__(
        self,
        trial: int,
        shape: TrialShape,
        first_step: int = 0,
        steps: int = 1,
        *,
        gate: Gate | None = None,
        evaluate_every: int = 0,
        evaluate_micro_batches: int = 1,
        homes: Homes | None = None,
    ) -> None:
        if first_step < 0 or steps < 0 or evaluate_every < 0:
            raise UsageError(
                "expected steps of 0 or more, found "
                f"first_step={first_step}, steps={steps}, evaluate_every={evaluate_every}",
                where=f"trial {trial}",
            )
        self.trial, self.homes = trial, homes
        self.end = first_step + steps
        self.until = self.end
        self._evaluate_every = evaluate_every
        self._evaluate_micro_batches = evaluate_micro_batches
        self._evaluated_to = first_step  # where a trial resumes, its evaluation has been done
        self._out: dict[Task, None] = {}
        self._place(shape, gate, first_step)

    def _place(self, shape: TrialShape, gate: Gate | None, step: int) -> None:
        self.shape, self.gate = shape, gate
        self.path_of = CriticalPath(shape)
        self._seconds = dict(shape.seconds)
        once = tuple(each.forward * self._evaluate_micro_batches for each in shape.stages)
        self._seconds["evaluate"] = (sum(once),) if shape.grain == "step" else once
        self.completed = self._opened = step
        self._at = [step] * shape.depth  # the step that each stage is in
        lanes = shape.depth * shape.replicas
        self._forward = [0] * lanes  # micro-batches done in that step, by replica and stage
        self._backward = [0] * lanes
        self._joined = [0] * shape.depth  # replicas whose backwards are all done
        self._ended = [0] * shape.depth  # replicas that have made their part of the update
        self._normed = self._updated = 0
        self._evaluated = True  # whether no evaluation is pending before the next step
        self._spent = 0.0  # seconds of finished tasks of steps that are not complete

    # what is known of a trial ------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether every step, and the last evaluation, is finished."""
        return self.completed >= self.end and self._evaluated and not self._out

    @property
    def at_boundary(self) -> bool:
        """Whether no step is under way: the moment for pausing and for another shape."""
        return self.completed == self._opened and self._evaluated and not self._out

    @property
    def untouched(self) -> bool:
        """Whether no task of an unfinished step has ended."""
        return (
            not self._updated
            and not any(self._joined)
            and not any(self._forward)
            and self._evaluated
        )

    @property
    def settled(self) -> bool:
        """Whether the evaluation due after the completed step, if any, is done."""
        return self._evaluated

    @property
    def remaining_seconds(self) -> float:
        """Seconds of all work that is left, on one device of speed 1, without evaluations."""
        return (self.end - self.completed) * self.shape.step_seconds - self._spent

    def seconds(self, task: Task) -> float:
        """Return the predicted seconds of one task on a device of speed 1."""
        return self._seconds[task.kind][task.stage] * task.steps

    def path(self, task: Task) -> float:
        """Return the seconds of the longest chain from the start of a task to the trial's end."""
        later = self.end - task.step - task.steps
        if task.kind == "evaluate":
            return self._seconds["evaluate"][task.stage] + (later + 1) * self.path_of.step
        return self.path_of.within(task) + later * self.path_of.step

    @property
    def remaining_path(self) -> float:
        """Seconds of the longest chain of all that is left, from the last step boundary."""
        return (self.end - self.completed) * self.path_of.step

    @property
    def outstanding(self) -> list[Task]:
        """Tasks that were handed out and are not finished."""
        return list(self._out)

    def ready(self) -> list[Task]:
        """Return the tasks that may run now and are not finished, opening a step where one may."""
        self._open()
        return list(self._out)

    # steps -------------------------------------------------------------------------------------

    @property
    def visits(self) -> float:
        """Passes through stages done in the earliest unfinished step, of 2 x depth."""
        step, micros, depth = self.completed, self.shape.micros, self.shape.depth
        lanes = range(depth)
        ahead = sum(2.0 for stage in lanes if self._at[stage] > step)
        begun = [stage for stage in lanes if self._at[stage] == step]
        return ahead + sum(self._forward[i] + self._backward[i] for i in begun) / micros

    def hold(self, step: int | None = None) -> None:
        """Begin no step from this one on; without it, none that has not begun."""
        self.until = self._opened if step is None else max(step, self._opened)

    def release(self, until: int | None = None) -> list[Task]:
        """Let steps begin again, up to `until` or to the end; return what is newly ready."""
        self.until = self.end if until is None else min(until, self.end)
        return self._open()

    def extend(self, steps: int) -> list[Task]:
        """Do some more steps after the end; return what is newly ready.

        Raises:
            UsageError: fewer steps than 0.
        """
        if steps < 0:
            raise UsageError(f"expected 0 more steps or more, found {steps}")
        held = self.until < self.end
        self.end += steps
        return [] if held else self.release()

    def withdraw(self) -> list[Task]:
        """Take back a step that was opened and of which nothing has ended; return its tasks.

        The caller must not have started any of them. Empty where there is none such.
        """
        if not self.untouched or self._opened == self.completed:
            return []
        found = list(self._out)
        self._out.clear()
        self._opened = self.completed
        return found

    def reshape(self, shape: TrialShape, gate: Gate | None = None) -> None:
        """Lay the remaining steps out in another way.

        Raises:
            TrainError: a step is under way.
        """
        if not self.at_boundary:
            raise TrainError(
                f"expected a step boundary to reshape at, found step {self.completed} under way",
                where=f"trial {self.trial}",
                fix="call hold() and finish what is out",
            )
        self._place(shape, gate, self.completed)

    def restart(self, step: int) -> None:
        """Go back to the beginning of a step; whatever was out is void.

        Raises:
            UsageError: the step lies beyond the first unfinished one.
        """
        if not 0 <= step <= self.completed:
            raise UsageError(
                f"expected a step from 0 to {self.completed} to go back to, found {step}",
                where=f"trial {self.trial}",
            )
        self._out.clear()
        self._place(self.shape, self.gate, step)
        if self._evaluation_due(step) and step > self._evaluated_to:
            self._out.update(dict.fromkeys(self._begin_evaluation(step)))

    def _evaluation_due(self, step: int) -> bool:
        every = self._evaluate_every
        return bool(every) and (step % every == 0 or step == self.end)

    def _open(self) -> list[Task]:
        """Hand out the beginning of the next step, if it may begin."""
        step = self._opened
        if step >= self.until or self._at[0] != step or not self._evaluated:
            return []
        shape = self.shape
        if (shape.clipped or shape.grain == "step" or self._barrier(step)) and (
            self.completed < step
        ):
            return []
        if shape.grain == "step" and shape.replicas == 1:
            return [self._emit(self._whole_steps(step))]
        self._opened = step + 1
        kind = "gradient" if shape.grain == "step" else "forward"
        return [
            self._emit(self._task(kind, step, 0, 0, replica)) for replica in range(shape.replicas)
        ]

    def _barrier(self, step: int) -> bool:
        return step > 0 and self._evaluation_due(step)

    def _whole_steps(self, step: int) -> Task:
        count = min(self.shape.steps_per_task, self.until - step)
        if every := self._evaluate_every:
            count = min(count, every - step % every)
        if self.homes is not None:
            count = min(count, self.homes(step)[1] - step)
        self._opened = step + count
        return Task(self.trial, step, "step", ALL, ALL, 0, count)

    # finishing ---------------------------------------------------------------------------------

    def finish(self, task: Task) -> list[Task]:
        """Note that a task is done; return the tasks that may now run.

        Raises:
            TrainError: the task was not ready, or is finished already.
        """
        if self._out.pop(task, task) is None:  # the task itself comes back where it was not out
            self._spent += self._seconds[task.kind][task.stage] * task.steps
            found = _DONE[task.kind](self, task)
            self._out.update(dict.fromkeys(found))
            return found
        raise TrainError(
            f"expected one of {len(self._out)} tasks that are out, found {task}",
            where=f"trial {self.trial}",
        )

    def after(self, task: Task) -> list[Task]:
        """Return what finishing a forward or backward would make ready, without finishing it.

        Of the other kinds nothing is foreseen: their stage is at hand for what follows anyway. Nor
        is what adds up the gradients of replicas: where they lie is known once they are there.
        """
        if task not in self._out:
            return []
        lane = task.replica * self.shape.depth + task.stage
        if task.kind == "forward":
            self._forward[lane] += 1
            found = self._after_forward(task)
            self._forward[lane] -= 1
            return found
        if task.kind == "backward":
            joined = self._joined[task.stage]
            self._backward[lane] += 1
            found = self._after_backward(task)
            self._backward[lane] -= 1
            self._joined[task.stage] = joined
            if self.shape.replicas > 1:
                return [each for each in found if each.kind not in TIED]
            return found
        return []

    def _emit(self, task: Task) -> Task:
        self._out[task] = None
        return task

    def _task(self, kind: str, step: int, stage: int, micro: int, replica: int) -> Task:
        shape = self.shape
        number = replica * shape.micros + micro if shape.grain == "micro" else ALL
        return Task(self.trial, step, kind, self._stage(stage), number, replica)

    def _once(self, kind: str, step: int, stage: int, replica: int = 0) -> Task:
        return Task(self.trial, step, kind, self._stage(stage), ALL, replica)

    def _stage(self, number: int) -> int:
        return ALL if self.shape.grain == "step" else number

    def _of_replicas(self, kind: str, step: int, stage: int) -> list[Task]:
        return [self._once(kind, step, stage, replica) for replica in range(self.shape.replicas)]

    def _micro(self, task: Task) -> int:
        return 0 if task.micro == ALL else task.micro - task.replica * self.shape.micros

    def _forward_done(self, task: Task) -> list[Task]:
        self._forward[task.replica * self.shape.depth + task.stage] += 1
        return self._after_forward(task)

    def _after_forward(self, task: Task) -> list[Task]:
        _, step, _, stage, _, replica, _ = task
        depth, micros = self.shape.depth, self.shape.micros
        micro = self._micro(task)
        found = []
        if micro + 1 < micros and self._may_forward(step, stage, micro + 1, replica):
            found.append(self._task("forward", step, stage, micro + 1, replica))
        if stage + 1 < depth:
            if self._may_forward(step, stage + 1, micro, replica):
                found.append(self._task("forward", step, stage + 1, micro, replica))
        elif self._may_backward(step, stage, micro, replica):
            found.append(self._task("backward", step, stage, micro, replica))
        if self.gate is not None and (freed := self.gate.frees(stage, micro)) is not None:
            earlier, number = freed
            own = earlier == depth - 1 == stage and number == micro
            if not own and self._may_backward(step, earlier, number, replica):
                found.append(self._task("backward", step, earlier, number, replica))
        return found

    def _may_forward(self, step: int, stage: int, micro: int, replica: int) -> bool:
        """Say whether a forward is the next of its stage and has all that it needs."""
        depth = self.shape.depth
        lane = replica * depth + stage
        if self._at[stage] != step or self._forward[lane] != micro:
            return False
        if stage and (self._at[stage - 1] != step or self._forward[lane - 1] <= micro):
            return False
        if self.gate is None or (needed := self.gate.needs(stage, micro)) is None:
            return True
        there = self._at[needed[0]] == step  # otherwise the count is that of an earlier step
        return there and self._backward[replica * depth + needed[0]] > needed[1]

    def _backward_done(self, task: Task) -> list[Task]:
        self._backward[task.replica * self.shape.depth + task.stage] += 1
        return self._after_backward(task)

    def _after_backward(self, task: Task) -> list[Task]:
        _, step, _, stage, _, replica, _ = task
        shape = self.shape
        micro = self._micro(task)
        found = []
        if micro + 1 == shape.micros:
            found += self._join(step, stage)
        elif self._may_backward(step, stage, micro + 1, replica):
            found.append(self._task("backward", step, stage, micro + 1, replica))
        if stage and self._may_backward(step, stage - 1, micro, replica):
            found.append(self._task("backward", step, stage - 1, micro, replica))
        if self.gate is not None and (opened := self.gate.opens(stage, micro)) is not None:
            later, number = opened
            if number < shape.micros and self._may_forward(step, later, number, replica):
                found.append(self._task("forward", step, later, number, replica))
        return found

    def _may_backward(self, step: int, stage: int, micro: int, replica: int) -> bool:
        """Say whether a backward is the next of its stage and has all that it needs."""
        depth = self.shape.depth
        lane = replica * depth + stage
        if self._backward[lane] != micro:
            return False
        if stage + 1 == depth:
            if self._forward[lane] <= micro:
                return False
        elif self._at[stage + 1] < step or (  # its counts are those of an earlier step
            self._at[stage + 1] == step and self._backward[lane + 1] <= micro
        ):
            return False
        if self.gate is None or (held := self.gate.holds(stage, micro)) is None:
            return True
        if self._at[held[0]] != step:
            return self._at[held[0]] > step
        return self._forward[replica * depth + held[0]] > held[1]

    def _join(self, step: int, stage: int) -> list[Task]:
        """Note that a replica has made all its gradients of a stage; the last one ends its step."""
        self._joined[stage] += 1
        if self._joined[stage] < self.shape.replicas:
            return []
        return self._of_replicas("norm" if self.shape.clipped else "update", step, stage)

    def _gradient_done(self, task: Task) -> list[Task]:
        self._forward[task.replica] = self._backward[task.replica] = 1
        return self._join(task.step, 0)

    def _norm_done(self, task: Task) -> list[Task]:
        self._normed += 1
        shape = self.shape
        if self._normed < shape.depth * shape.replicas:
            return []
        self._normed = 0
        stages = range(shape.depth)
        return [each for stage in stages for each in self._of_replicas("update", task.step, stage)]

    def _part_updated(self, task: Task) -> list[Task]:
        stage = max(task.stage, 0)
        self._ended[stage] += 1
        if self._ended[stage] < self.shape.replicas:
            return []
        return self._stage_updated(task.step, stage)

    def _stage_updated(self, step: int, stage: int) -> list[Task]:
        depth = self.shape.depth
        self._at[stage] += 1
        self._joined[stage] = self._ended[stage] = 0
        for lane in range(stage, len(self._forward), depth):
            self._forward[lane] = self._backward[lane] = 0
        self._updated += 1
        found = []
        if self._updated == depth:
            self._updated = 0
            found += self._complete(step + 1)
        if stage == 0:
            return found + self._open()
        return found + [
            self._task("forward", step + 1, stage, 0, replica)
            for replica in range(self.shape.replicas)
            if self._may_forward(step + 1, stage, 0, replica)
        ]

    def _steps_done(self, task: Task) -> list[Task]:
        self._at[0] += task.steps
        return self._complete(task.step + task.steps)

    def _complete(self, step: int) -> list[Task]:
        """Begin the evaluation that is due after a step, or the next step."""
        self._spent -= (step - self.completed) * self.shape.step_seconds
        self.completed = step
        return self._begin_evaluation(step) if self._evaluation_due(step) else self._open()

    def _begin_evaluation(self, step: int) -> list[Task]:
        self._evaluated = False
        return [self._once("evaluate", step, 0)]

    def _evaluation_done(self, task: Task) -> list[Task]:
        self._spent -= self.seconds(task)
        if task.stage not in (ALL, self.shape.depth - 1):
            return [self._once("evaluate", task.step, task.stage + 1)]
        self._evaluated = True
        self._evaluated_to = task.step
        return self._open()


_DONE = {
    "forward": TrialGraph._forward_done,
    "backward": TrialGraph._backward_done,
    "gradient": TrialGraph._gradient_done,
    "norm": TrialGraph._norm_done,
    "update": TrialGraph._part_updated,
    "step": TrialGraph._steps_done,
    "evaluate": TrialGraph._evaluation_done,
}
