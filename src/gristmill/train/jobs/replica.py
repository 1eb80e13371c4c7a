"""A stage of a trial in one of several replicas, each with micro-batches of its own.

All replicas on a machine have the same weights in their parameters: the record's. What training
changes in the forward pass (running statistics) each replica changes in a copy, begun anew from the
record at each step; what replica 0 makes of it is kept, as if it were broadcast (what DDP does).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gristmill.train.jobs.gradients import GradientLayout, Gradients
from gristmill.train.jobs.stage_runner import StageRunner

if TYPE_CHECKING:
    from gristmill.train.workers.value_handle import Handle
    from gristmill.train.workers.value_store import ValueStore

_NO_STEP = -1


class Replica:
    """A stage of one replica.

    Args:
        runner: of the stage; of its parameters it updates the replica's part.
        number: of the replica.
        count: how many there are.
        store: where gradients are put for the others.
    """

    def __init__(self, runner: StageRunner, number: int, count: int, store: ValueStore) -> None:
        self.runner, self._number, self._store = runner, number, store
        stage = runner.stage
        trainable = [each for each in stage.parameters if each.trainable]
        self._layout = GradientLayout.of(trainable, count)
        runner.updates = self._layout.parts[number]
        self._buffers: dict[str, Tensor] = {}
        self._kept: dict[str, Tensor] = {}
        self._step = _NO_STEP
        self._own: tuple[Handle, Gradients] | None = None
        self._known: dict[Handle, Gradients] = {}

    def bind(self, views: Mapping[str, Tensor]) -> None:
        """Say where the stage's tensors lie now."""
        self._kept = {name: views[name] for name in self.runner.stage.mutates}
        if not self._buffers:
            self._buffers = {name: view.clone() for name, view in self._kept.items()}
        self.runner.bind({**views, **self._buffers})

    def begin(self, step: int) -> None:
        """Take the buffers as they are at the beginning of a step, if it has not begun here."""
        if step != self._step:
            self._step = step
            _copy(self._kept, self._buffers)

    def publish(self) -> Handle:
        """Let the other replicas see the gradients; return where they lie."""
        if self._own is None:
            room = torch.zeros(self._layout.record.nbytes, dtype=torch.uint8)
            handle = self._store.put(room)
            self._own = handle, Gradients(self._layout, self._store.get(handle))
        handle, gradients = self._own
        gradients.publish(self.runner.stage.named_parameters())
        return handle

    def reduce(self, handles: Sequence[Handle]) -> None:
        """Take the sums of all replicas' gradients, of this replica's part of the parameters.

        Args:
            handles: where each replica's lie, in order.
        """
        known = self._known
        self._known = {
            each: known.get(each) or Gradients(self._layout, self._store.get(each))
            for each in handles
        }
        first, *others = (self._known[each] for each in handles)
        parameters = self.runner.stage.named_parameters()
        for name, total in first.total(self._number, others).items():
            parameters[name].grad = total.to(self.runner.device)

    def end(self) -> None:
        """Keep the buffers of the step, if this is the replica whose are kept."""
        if self._number == 0:
            _copy(self._buffers, self._kept)

    def forget(self) -> None:
        """Drop what is under way."""
        self.runner.forget()
        self._step = _NO_STEP
        self._known.clear()
        if self._own is not None:
            self._store.free(self._own[0])
            self._own = None


def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, tensor in target.items():
            tensor.copy_(source[name])
