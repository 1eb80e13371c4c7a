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
from gristmill.train.tasks.stage_progress import StageProgress
from gristmill.train.tasks.task import ALL, TIED, Task
from gristmill.train.tasks.trial_shape import TrialShape

Homes: TypeAlias = Callable[[int], tuple[int, int]]
"""Takes a step; returns the device that has its data, and the first later step whose data lies
elsewhere."""


class TrialGraph:
    """Hands out a trial's tasks as those they depend on are finished.

    Within a step, tasks follow each other as `StageProgress` has it; with clipping, the next step
    follows all updates. With grain `step` a step is one task, or with replicas a gradient each and
    what follows backwards.

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
        self.shape = shape
        self.path_of = CriticalPath(shape)
        self._seconds = dict(shape.seconds)
        once = tuple(each.forward * self._evaluate_micro_batches for each in shape.stages)
        self._seconds["evaluate"] = (sum(once),) if shape.grain == "step" else once
        self.completed = self._opened = step
        self._stages = StageProgress(self.trial, shape, gate, step)
        self._evaluated = True  # whether no evaluation is pending before the next step
        self._spent = 0.0  # seconds of finished tasks of steps that are not complete

    @property
    def gate(self) -> Gate | None:
        """Further edges that bound what is kept; may be set at a step boundary."""
        return self._stages.gate

    @gate.setter
    def gate(self, gate: Gate | None) -> None:
        self._stages.gate = gate

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
        return self._stages.untouched and self._evaluated

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
        return self._stages.visits(self.completed)

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
        if step >= self.until or self._stages.at[0] != step or not self._evaluated:
            return []
        shape = self.shape
        if (shape.clipped or shape.grain == "step" or self._barrier(step)) and (
            self.completed < step
        ):
            return []
        if shape.grain == "step" and shape.replicas == 1:
            return [self._emit(self._whole_steps(step))]
        self._opened = step + 1
        return [self._emit(task) for task in self._stages.begin(step)]

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
        if task not in self._out or task.kind not in ("forward", "backward"):
            return []
        found = self._stages.after(task)
        if task.kind == "backward" and self.shape.replicas > 1:
            return [each for each in found if each.kind not in TIED]
        return found

    def _emit(self, task: Task) -> Task:
        self._out[task] = None
        return task

    def _part_updated(self, task: Task) -> list[Task]:
        stage, step = self._stages.part_updated(task), task.step + 1
        if stage is None:
            return []
        found = self._complete(step) if self._stages.all_updated() else []
        return found + (self._open() if stage == 0 else self._stages.next_forwards(step, stage))

    def _steps_done(self, task: Task) -> list[Task]:
        self._stages.skip(task.steps)
        return self._complete(task.step + task.steps)

    def _complete(self, step: int) -> list[Task]:
        """Begin the evaluation that is due after a step, or the next step."""
        self._spent -= (step - self.completed) * self.shape.step_seconds
        self.completed = step
        return self._begin_evaluation(step) if self._evaluation_due(step) else self._open()

    def _begin_evaluation(self, step: int) -> list[Task]:
        self._evaluated = False
        return [self._stages.once("evaluate", step, 0)]

    def _evaluation_done(self, task: Task) -> list[Task]:
        self._spent -= self.seconds(task)
        if task.stage not in (ALL, self.shape.depth - 1):
            return [self._stages.once("evaluate", task.step, task.stage + 1)]
        self._evaluated = True
        self._evaluated_to = task.step
        return self._open()


_DONE: dict[str, Callable[[TrialGraph, Task], list[Task]]] = {
    "forward": lambda graph, task: graph._stages.forward_done(task),
    "backward": lambda graph, task: graph._stages.backward_done(task),
    "gradient": lambda graph, task: graph._stages.gradient_done(task),
    "norm": lambda graph, task: graph._stages.norm_done(task),
    "update": TrialGraph._part_updated,
    "step": TrialGraph._steps_done,
    "evaluate": TrialGraph._evaluation_done,
}
