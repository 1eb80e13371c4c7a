"""How far the stages of a trial are in the steps under way, and what that makes ready."""

from __future__ import annotations

from gristmill.train.tasks.gates import Gate
from gristmill.train.tasks.task import ALL, Task
from gristmill.train.tasks.trial_shape import TrialShape


class StageProgress:
    """Counters of what each stage has finished: all that a trial's graph keeps of its tasks.

    forward(s, m) follows forward(s-1, m) and forward(s, m-1); backward(s, m) follows
    backward(s+1, m) and backward(s, m-1); update(s) follows every backward of s in every replica
    (through the norms of all stages where gradients are clipped), and is as many tasks as there are
    replicas; the next step's forward of s follows update(s). Finishing a task costs the same at any
    size.

    Args:
        trial: the trial's number.
        shape: its layout.
        gate: further edges that bound what is kept; see `gates`.
        step: that all stages begin with.

    Attributes:
        at: the step that each stage is in.
    """

    def __init__(self, trial: int, shape: TrialShape, gate: Gate | None, step: int) -> None:
        self.trial, self.shape, self.gate = trial, shape, gate
        self.at = [step] * shape.depth
        lanes = shape.depth * shape.replicas
        self._forward = [0] * lanes  # micro-batches done in that step, by replica and stage
        self._backward = [0] * lanes
        self._joined = [0] * shape.depth  # replicas whose backwards are all done
        self._ended = [0] * shape.depth  # replicas that have made their part of the update
        self._normed = self._updated = 0

    @property
    def untouched(self) -> bool:
        """Whether no task of the steps under way has ended."""
        return not self._updated and not any(self._joined) and not any(self._forward)

    def visits(self, step: int) -> float:
        """Return the passes through stages done in a step, of 2 x depth."""
        micros, lanes = self.shape.micros, range(self.shape.depth)
        ahead = sum(2.0 for stage in lanes if self.at[stage] > step)
        begun = [stage for stage in lanes if self.at[stage] == step]
        return ahead + sum(self._forward[i] + self._backward[i] for i in begun) / micros

    def begin(self, step: int) -> list[Task]:
        """Return what a step begins with."""
        shape = self.shape
        kind = "gradient" if shape.grain == "step" else "forward"
        return [self._task(kind, step, 0, 0, replica) for replica in range(shape.replicas)]

    def once(self, kind: str, step: int, stage: int, replica: int = 0) -> Task:
        """Return a task that is done once for all micro-batches."""
        return Task(self.trial, step, kind, self._stage(stage), ALL, replica)

    def after(self, task: Task) -> list[Task]:
        """Return what finishing a forward or backward would make ready, without finishing it."""
        lane = task.replica * self.shape.depth + task.stage
        if task.kind == "forward":
            self._forward[lane] += 1
            found = self._after_forward(task)
            self._forward[lane] -= 1
            return found
        joined = self._joined[task.stage]
        self._backward[lane] += 1
        found = self._after_backward(task)
        self._backward[lane] -= 1
        self._joined[task.stage] = joined
        return found

    def forward_done(self, task: Task) -> list[Task]:
        """Note that a forward is done; return what may run now. So do the ones below."""
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
        if self.at[stage] != step or self._forward[lane] != micro:
            return False
        if stage and (self.at[stage - 1] != step or self._forward[lane - 1] <= micro):
            return False
        if self.gate is None or (needed := self.gate.needs(stage, micro)) is None:
            return True
        there = self.at[needed[0]] == step  # otherwise the count is that of an earlier step
        return there and self._backward[replica * depth + needed[0]] > needed[1]

    def backward_done(self, task: Task) -> list[Task]:
        """See `forward_done`."""
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
        elif self.at[stage + 1] < step or (  # its counts are those of an earlier step
            self.at[stage + 1] == step and self._backward[lane + 1] <= micro
        ):
            return False
        if self.gate is None or (held := self.gate.holds(stage, micro)) is None:
            return True
        if self.at[held[0]] != step:
            return self.at[held[0]] > step
        return self._forward[replica * depth + held[0]] > held[1]

    def _join(self, step: int, stage: int) -> list[Task]:
        """Note that a replica has made all its gradients of a stage; the last one ends its step."""
        self._joined[stage] += 1
        if self._joined[stage] < self.shape.replicas:
            return []
        return self._of_replicas("norm" if self.shape.clipped else "update", step, stage)

    def gradient_done(self, task: Task) -> list[Task]:
        """See `forward_done`."""
        self._forward[task.replica] = self._backward[task.replica] = 1
        return self._join(task.step, 0)

    def norm_done(self, task: Task) -> list[Task]:
        """See `forward_done`."""
        self._normed += 1
        shape = self.shape
        if self._normed < shape.depth * shape.replicas:
            return []
        self._normed = 0
        stages = range(shape.depth)
        return [each for stage in stages for each in self._of_replicas("update", task.step, stage)]

    def part_updated(self, task: Task) -> int | None:
        """Note that a replica's part of an update is done; return the stage if it was the last."""
        stage = max(task.stage, 0)
        self._ended[stage] += 1
        if self._ended[stage] < self.shape.replicas:
            return None
        self.at[stage] += 1
        self._joined[stage] = self._ended[stage] = 0
        for lane in range(stage, len(self._forward), self.shape.depth):
            self._forward[lane] = self._backward[lane] = 0
        self._updated += 1
        return stage

    def all_updated(self) -> bool:
        """Say whether that update was the last of its step; then the next one is counted."""
        if self._updated < self.shape.depth:
            return False
        self._updated = 0
        return True

    def next_forwards(self, step: int, stage: int) -> list[Task]:
        """Return the forwards of a stage's next step that may run now that it is updated."""
        return [
            self._task("forward", step, stage, 0, replica)
            for replica in range(self.shape.replicas)
            if self._may_forward(step, stage, 0, replica)
        ]

    def skip(self, steps: int) -> None:
        """Note that whole steps are done, which have no stages."""
        self.at[0] += steps

    def _task(self, kind: str, step: int, stage: int, micro: int, replica: int) -> Task:
        shape = self.shape
        number = replica * shape.micros + micro if shape.grain == "micro" else ALL
        return Task(self.trial, step, kind, self._stage(stage), number, replica)

    def _stage(self, number: int) -> int:
        return ALL if self.shape.grain == "step" else number

    def _of_replicas(self, kind: str, step: int, stage: int) -> list[Task]:
        return [self.once(kind, step, stage, replica) for replica in range(self.shape.replicas)]

    def _micro(self, task: Task) -> int:
        return 0 if task.micro == ALL else task.micro - task.replica * self.shape.micros
