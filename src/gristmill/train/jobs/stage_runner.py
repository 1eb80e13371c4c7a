"""What a device does for a stage: forward, backward, norms, update; bit for bit the plain loop.

A stage's graph of a micro-batch lives here from its forward to its backward pass, either with its
activations or with those dropped and made again (non-reentrant checkpointing, which stops as soon
as the last saved tensor is there; Chen et al. 2016, section 4).

Gradients of values go backwards from stage to stage. A value that several stages read is handed on
by each of them, and collects its gradient on the way back (see `graphs.values`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.utils.checkpoint import checkpoint

from gristmill.core.errors import TrainError
from gristmill.train.draws import DRAWS, KeyedDraws
from gristmill.train.feeds.batch import Batch
from gristmill.train.graphs.stage import OUTPUT, Stage
from gristmill.train.jobs.clipping import clip_gradients
from gristmill.train.jobs.learning_rate import LearningRate
from gristmill.train.jobs.optimizer_state import bind_state, keep_state
from gristmill.train.jobs.trial_spec import TrialSpec

_STEPS_AT_HAND = 2
_NO_STEP = -1


@dataclass(slots=True)
class _Pass:
    """The graph of one micro-batch in a stage.

    Attributes:
        leaves: values read, as leaves of the graph.
        outputs: values written, still in the graph.
        loss: of the last stage, divided by the batch's weight.
    """

    leaves: dict[str, Any]
    outputs: dict[str, Any]
    loss: Tensor | None


@dataclass(slots=True)
class Batches:
    """The micro-batches of the last few steps, so that stages and passes share them.

    Attributes:
        trial: whose.
        receive: brings a batch to where it is computed with.
    """

    trial: TrialSpec
    receive: Callable[[Batch], Batch] = field(default=lambda batch: batch)
    _known: OrderedDict[int, tuple[float, list[Batch]]] = field(default_factory=OrderedDict)

    def of(self, step: int) -> tuple[float, list[Batch]]:
        """Return the weight of a step's batch, and its micro-batches."""
        if step not in self._known:
            batch = self.trial.feed.batch(step)
            parts = batch.split(self.trial.micro_batches)
            self._known[step] = (batch.weight, [self.receive(part) for part in parts])
            while len(self._known) > _STEPS_AT_HAND:
                self._known.popitem(last=False)
        return self._known[step]


class StageRunner:
    """A stage of a trial on this device.

    Args:
        trial: what is trained.
        stage: the part of its model.
        batches: shared by the stages of the trial on this device.
        room: the memory that records lie in while they are computed with, uint8[n].

    Attributes:
        device: that the room is of.
        updates: names of the parameters that norms and updates are about; all trainable ones at
            first.
    """

    def __init__(self, trial: TrialSpec, stage: Stage, batches: Batches, room: Tensor) -> None:
        self.trial, self.stage, self._batches = trial, stage, batches
        self.device = room.device
        self._room = room.untyped_storage().data_ptr()
        self._passes: dict[tuple[int, int], _Pass] = {}
        self._weights: Mapping[str, Tensor] = {}
        self._constants: dict[str, tuple[int, Tensor]] = {}
        self._learning_rate: LearningRate | None = None
        # Looking for draws costs microseconds for each operation. A loss that drew nothing from its
        # first micro-batch is taken to draw nothing.
        self._loss_draws = True
        self.updates = tuple(each.name for each in stage.parameters if each.trainable)

    def bind(self, weights: Mapping[str, Tensor]) -> None:
        """Say where the stage's parameters and buffers lie now, by name."""
        # Views of one room share a version counter; with `.data` each tensor has its own, and
        # autograd can tell which of them were changed.
        self._weights = {name: view.data for name, view in weights.items()}
        self.stage.bind(self._weights)

    def forward(
        self, step: int, micro: int, values: Mapping[str, Any], *, keep: bool
    ) -> tuple[dict[str, Any], float | None]:
        """Run one micro-batch.

        Args:
            step: from 0.
            micro: from 0; passes of a step come in ascending order.
            values: what earlier stages wrote and this one reads.
            keep: whether activations stay in memory until the backward pass.

        Returns:
            What later stages read, cut from the graph; and, of the last stage, the loss.
        """
        leaves = {name: _leaf(values[name]) for name in self.stage.reads if name in values}
        body = partial(self._body, step, micro, leaves)
        self.stage.movable = keep  # what is made again is made from where the weights are then
        if keep:
            outputs, loss = body()
        else:
            outputs, loss = _checkpointed(_Replayable(self.stage, lambda: self._weights, body))
        self._passes[step, micro] = _Pass(leaves, outputs, loss)
        written = {name: self._cut(step, name, value) for name, value in outputs.items()}
        return written, None if loss is None else loss.item()

    def backward(
        self, step: int, micro: int, gradients: Mapping[str, Tensor | None]
    ) -> dict[str, Tensor | None]:
        """Add a micro-batch's gradients to those of the stage's parameters.

        Args:
            step: from 0.
            micro: from 0, in ascending order.
            gradients: of the values that this stage writes; None where there is none.

        Returns:
            The gradient of each value that the stage reads.
        """
        done = self._passes.pop((step, micro))
        roots: list[Tensor] = []
        sums: list[Tensor | None] = []
        if done.loss is not None:
            roots, sums = [done.loss], [None]
        for name, gradient in gradients.items():
            root = done.outputs.get(name)
            if gradient is not None and isinstance(root, Tensor) and root.requires_grad:
                roots.append(root)
                sums.append(gradient)
        if roots:
            torch.autograd.backward(roots, sums)
        return {
            name: leaf.grad
            for name, leaf in done.leaves.items()
            if isinstance(leaf, Tensor) and leaf.requires_grad
        }

    def gradients(self, step: int, micros: Iterable[int]) -> list[float]:
        """Run micro-batches forward and backward, of a stage that is the whole model.

        Returns:
            their losses.
        """
        self.stage.movable = False
        losses = []
        for micro in micros:
            _, loss = self._body(step, micro, {})
            if loss is None:
                raise TrainError("the stage is not the whole model")
            loss.backward()
            losses.append(loss.item())
        return losses

    def norms(self) -> dict[str, float]:
        """Return the norm of each parameter's gradient; of those that have one."""
        with torch.no_grad():
            return {
                name: torch.linalg.vector_norm(parameter.grad).item()
                for name, parameter in self._trainable().items()
                if parameter.grad is not None
            }

    def update(self, step: int, state: Mapping[str, Tensor], scale: float | None = None) -> None:
        """Make the step's update from the gradients, and drop these.

        Args:
            step: from 0.
            state: the optimiser's state in its record, by name; changed in place.
            scale: what gradients are multiplied by first, where they are clipped.
        """
        parameters = self._trainable()
        if not parameters:
            return
        optimizer = self._ready_optimizer(step, parameters)
        if scale is not None:
            factor = torch.tensor(scale, dtype=torch.float32)
            for parameter in parameters.values():
                if parameter.grad is not None:
                    parameter.grad.mul_(factor)
        bind_state(optimizer, parameters, state)
        optimizer.step()
        keep_state(optimizer, parameters, state)
        optimizer.zero_grad(set_to_none=True)

    def steps(self, first: int, count: int, state: Mapping[str, Tensor]) -> list[float]:
        """Make whole steps, of a stage that is the whole model; return their losses."""
        parameters = self._trainable()
        optimizer = self._ready_optimizer(first, parameters)
        bind_state(optimizer, parameters, state)
        losses = []
        for step in range(first, first + count):
            self._ready_optimizer(step, parameters)
            micros = range(len(self._batches.of(step)[1]))
            losses.append(sum(self.gradients(step, micros), 0.0))
            if self.trial.clip_norm is not None:
                clip_gradients(parameters.values(), self.trial.clip_norm)
            optimizer.step()
            if step == first:
                keep_state(optimizer, parameters, state)
            optimizer.zero_grad(set_to_none=True)
        keep_state(optimizer, parameters, state)
        return losses

    def evaluate(self, part: Batch, values: Mapping[str, Any]) -> dict[str, Any]:
        """Run rows through the stage in evaluation mode; nothing is kept.

        Returns:
            What later stages read; of the last stage, what the model returns, as `output`.
        """
        with torch.no_grad(), self.trial.casting(self.device.type):
            outputs = self.stage({**_inputs(part), **values}, training=False)
        return {
            name: value if name == OUTPUT else self._cut(_NO_STEP, name, value)
            for name, value in outputs.items()
        }

    def forget(self) -> None:
        """Drop graphs and gradients, as before a step is made again."""
        self._passes.clear()
        for parameter in self.stage.named_parameters().values():
            parameter.grad = None

    def _body(
        self, step: int, micro: int, leaves: Mapping[str, Any]
    ) -> tuple[dict[str, Any], Tensor | None]:
        weight, parts = self._batches.of(step)
        part = parts[micro]
        values = {**_inputs(part), **leaves}
        with self.trial.casting(self.device.type):
            if not self.stage.draws and not self._loss_draws:
                return self._ended(self.stage(values, training=True), part, weight)
            first = self.stage.first_draw
            keys = (DRAWS, step, micro)
            draws = KeyedDraws(self.trial.seed, *keys, first=first, device=self.device)
            with draws:
                outputs = self.stage(values, training=True)
                if not self._loss_draws:
                    with draws.paused():
                        return self._ended(outputs, part, weight)
                before = draws.count
                found = self._ended(outputs, part, weight)
            self._loss_draws = draws.count > before
            return found

    def _ended(
        self, outputs: dict[str, Any], part: Batch, weight: float
    ) -> tuple[dict[str, Any], Tensor | None]:
        """Return what a stage hands on; of the last one the loss in its place."""
        if OUTPUT not in outputs:
            return outputs, None
        return {}, self.trial.objective(outputs[OUTPUT], part) / weight

    def _cut(self, step: int, name: str, value: Any) -> Any:
        """Return a value without its graph; a weight as a copy, for its record may leave."""
        if not isinstance(value, Tensor):
            return value
        if value.untyped_storage().data_ptr() != self._room:
            return value.detach()
        if step == _NO_STEP:
            return value.detach().clone()
        if self._constants.get(name, (_NO_STEP, value))[0] != step:
            self._constants[name] = (step, value.detach().clone())
        return self._constants[name][1]

    def _trainable(self) -> dict[str, Parameter]:
        named = self.stage.named_parameters()
        return {name: named[name] for name in self.updates}

    def _ready_optimizer(self, step: int, parameters: Mapping[str, Parameter]) -> Optimizer:
        """Return the optimiser with its learning rate as it is at a step."""
        if self._learning_rate is None or self._learning_rate.step > step:
            self._learning_rate = LearningRate(
                self.trial.optimizer(list(parameters.values())), self.trial.schedule
            )
        self._learning_rate.move_to(step)
        return self._learning_rate.optimizer


class _Replayable:
    """A forward pass that can be run again, with the buffers as they were before it.

    Running statistics change once only: the second run reads those of before the first one, and
    leaves the present ones as they are. Where they lie may have changed between the two.
    """

    def __init__(
        self, stage: Stage, weights: Callable[[], Mapping[str, Tensor]], body: Any
    ) -> None:
        self._weights, self._body = weights, body
        self._before = {name: weights()[name].clone() for name in stage.mutates}
        self._ran = False

    def __call__(self) -> Any:
        if not self._ran:
            self._ran = True
            return self._body()
        now = {name: self._weights()[name].clone() for name in self._before}
        self._put(self._before)
        try:
            return self._body()
        finally:
            self._put(now)

    def _put(self, buffers: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in buffers.items():
                self._weights()[name].copy_(value)


def _checkpointed(body: _Replayable) -> Any:
    return checkpoint(body, use_reentrant=False, preserve_rng_state=False, determinism_check="none")


def _leaf(value: Any) -> Any:
    """Return a value as the start of a graph of its own."""
    if not isinstance(value, Tensor):
        return value
    leaf = value.detach()
    return leaf.requires_grad_() if leaf.is_floating_point() else leaf


def _inputs(part: Batch) -> dict[str, Tensor]:
    return {f"input.{number}": tensor for number, tensor in enumerate(part.inputs)}
