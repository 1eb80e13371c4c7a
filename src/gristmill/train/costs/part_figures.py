"""One part of a model with real weights and real values: its bytes, exactly, and its seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from statistics import median
from typing import Any, Protocol

import msgspec
import torch
import xxhash
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import Parameter

from gristmill.core.seeds import derive_seed
from gristmill.train.costs.optimizer_cost import OptimizerFactory, update_cost
from gristmill.train.costs.saved_bytes import PeakBytes, SavedTensors, bytes_of
from gristmill.train.costs.stopwatch import Stopwatch, runs_for
from gristmill.train.draws import KeyedDraws
from gristmill.train.graphs.stage import OUTPUT, Stage
from gristmill.train.graphs.watch import storage_of

PILOT = "pilot"
"""Key of the pilot's draws."""
_GRADIENT_SCALE = 1e-3


class MicroBatch(Protocol):
    """Rows to run a model on."""

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the model is called with, each [rows, ...]."""

    @property
    def rows(self) -> int:
        """Number of rows."""


class ValueShape(msgspec.Struct, frozen=True):
    """A value written: shape and dtype of a tensor, and whether it only passes a value on.

    Attributes:
        shape: empty for a number.
        dtype: as `float32`; empty if it is no tensor.
        nbytes: 0 if it is no tensor.
        source: number of the value read whose memory it shares; -1 for memory of its own.
    """

    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    source: int = -1


class PartFigures(msgspec.Struct, frozen=True):
    """All that one part showed for one size of micro-batch; see `PartProfile` and `RowFigures`.

    Attributes:
        saved_reads: numbers of the values read that are kept for the backward pass.
        saved_writes: numbers of the values written that are.
        writes: what it writes, in order.
    """

    rows: int
    forward_seconds: float
    first_backward_seconds: float
    backward_seconds: float
    recompute_seconds: float
    update_seconds: float
    norm_seconds: float
    weight_bytes: int
    gradient_bytes: int
    state_bytes: int
    inner_bytes: int
    workspace_bytes: int
    saved_reads: tuple[int, ...]
    saved_writes: tuple[int, ...]
    draws: int
    deterministic: bool
    writes: tuple[ValueShape, ...]


class PartPass:
    """Runs a part forward and backward as training does.

    Args:
        stage: the part, bound to its weights.
        values: what it reads, by name.
        batch: the rows; read by the objective.
        objective: the loss of the model's output.
        casting: makes the block that forward passes run in.
        seed: of draws, and of the gradients that come from later parts.
        device: where it runs.
    """

    def __init__(
        self,
        stage: Stage,
        values: Mapping[str, Any],
        batch: MicroBatch,
        objective: Callable[[Any, Any], Tensor],
        casting: Callable[[], AbstractContextManager[object]] = nullcontext,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.stage, self._batch, self._objective, self._casting = stage, batch, objective, casting
        self._seed, self._device = seed, device
        stage.movable = False  # of nested hooks on saved tensors only the inner ones are called
        self.leaves = {name: _leaf(name, values[name]) for name in stage.reads}
        self._arriving: list[Tensor | None] | None = None
        self.draws = 0

    @property
    def parameters(self) -> list[Parameter]:
        """The trainable ones."""
        named = self.stage.named_parameters()
        return [named[each.name] for each in self.stage.parameters if each.trainable]

    def forward(self) -> dict[str, Any]:
        """Run forward; the last part's output gives way to the loss."""
        draws = KeyedDraws(
            self._seed, PILOT, first=self.stage.first_draw, device=torch.device(self._device)
        )
        with draws, self._casting():
            written = self.stage(self.leaves, training=True)
            if OUTPUT in written:
                written[OUTPUT] = self._objective(written[OUTPUT], self._batch)
        self.draws = draws.count - self.stage.first_draw
        return written

    def backward(self, written: Mapping[str, Any]) -> None:
        """Run backward from what a forward pass wrote."""
        roots = [each for each in written.values() if _graded(each)]
        if self._arriving is None:
            self._arriving = [self._gradient(root) for root in roots]
        if roots:
            torch.autograd.backward(roots, self._arriving)

    def drop_gradients(self) -> None:
        """Forget the gradients of parameters and values."""
        for each in (*self.parameters, *self.leaves.values()):
            if isinstance(each, Tensor):
                each.grad = None

    def digest(self, written: Mapping[str, Any]) -> str:
        """Return a fingerprint of the bits of values and gradients."""
        state = xxhash.xxh3_128()
        values = (*self.parameters, *self.leaves.values())
        grads = [each.grad for each in values if isinstance(each, Tensor)]
        for tensor in (*written.values(), *grads):
            if isinstance(tensor, Tensor) and tensor.layout is torch.strided and tensor.numel():
                data = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
                state.update(memoryview(data.cpu().numpy()))  # type: ignore[arg-type]
        return state.hexdigest()

    def _gradient(self, root: Tensor) -> Tensor | None:
        if root.dim() == 0:
            return None
        draws = torch.Generator(root.device)
        draws.manual_seed(derive_seed(self._seed, PILOT, "gradients"))
        gradient = torch.empty(root.shape, dtype=torch.float32, device=root.device)
        return gradient.normal_(generator=draws).mul_(_GRADIENT_SCALE).to(root.dtype)


def measure_part(
    run: PartPass, optimizer: OptimizerFactory, weights: Iterable[Tensor], watch: Stopwatch
) -> tuple[PartFigures, dict[str, Any]]:
    """Measure a part.

    Args:
        run: the part with what it reads.
        optimizer: makes the optimiser of its parameters.
        weights: what the part is bound to.
        watch: of its device.

    Returns:
        The figures, and what the part writes, cut from the graph.
    """
    weights = list(weights)
    saved = SavedTensors()
    with saved:
        written = run.forward()
    kept = saved.account(weights, run.leaves.values(), written.values())
    del saved
    shapes = _shapes(run.leaves.values(), written.values())
    values = {name: _cut(value) for name, value in written.items()}
    run.backward(written)
    first = run.digest(written)
    run.drop_gradients()
    written = run.forward()
    run.backward(written)
    same = first == run.digest(written)
    gradient_bytes = sum(bytes_of(each.grad) for each in run.parameters)
    written.clear()
    own = sum(shapes[number].nbytes for number in kept.writes)
    workspace = max(0, _peak(run, weights) - kept.inner_bytes - own)
    # Three passes have run: caches are warm, and all memory has been touched.
    seconds = _seconds(run, watch)
    norm = watch.median(lambda: _norms(run.parameters))
    update = update_cost(optimizer, [p for p in run.parameters if p.grad is not None], watch)
    run.drop_gradients()
    figures = PartFigures(
        run._batch.rows,
        *seconds,
        update_seconds=update.seconds,
        norm_seconds=norm,
        weight_bytes=sum(spec.nbytes for spec in (*run.stage.parameters, *run.stage.buffers)),
        gradient_bytes=gradient_bytes,
        state_bytes=update.state_bytes,
        inner_bytes=kept.inner_bytes,
        workspace_bytes=workspace,
        saved_reads=kept.reads,
        saved_writes=kept.writes,
        draws=run.draws,
        deterministic=same,
        writes=shapes,
    )
    return figures, values


def _seconds(run: PartPass, watch: Stopwatch) -> tuple[float, float, float, float]:
    """Return seconds of forward, first backward, further backward and recomputation.

    Recomputation stops once the last tensor that the backward pass needs is there.
    """
    times: dict[str, list[float]] = {name: [] for name in ("forward", "first", "more", "again")}

    def turn(name: str) -> None:
        start = last = watch.now()

        def note(tensor: Tensor) -> Tensor:
            nonlocal last
            last = watch.now()
            return tensor

        with saved_tensors_hooks(note, lambda tensor: tensor):
            written = run.forward()
        middle = watch.now()
        run.backward(written)
        times[name].append(watch.now() - middle)
        times["forward"].append(middle - start)
        times["again"].append(last - start)

    turns = 1
    while len(times["more"]) < turns:
        run.drop_gradients()
        turn("first")
        turn("more")
        turns = runs_for(sum(times["forward"][-2:]) + times["first"][-1] + times["more"][-1])
    forward, first, more, again = (median(each) for each in times.values())
    return forward, first, more, again


def _peak(run: PartPass, weights: Iterable[Tensor]) -> int:
    """Return the most bytes that a pass has in use, on top of weights, inputs and gradients."""
    peak = PeakBytes()
    parameters = run.parameters
    peak.ignore((*weights, *run.leaves.values(), *(each.grad for each in parameters)))
    with peak:
        run.backward(run.forward())
    return peak.peak


def _norms(parameters: Iterable[Parameter]) -> None:
    with torch.no_grad():
        for each in parameters:
            if each.grad is not None and each.grad.layout is torch.strided:
                torch.linalg.vector_norm(each.grad).item()


def _shapes(reads: Iterable[Any], writes: Iterable[Any]) -> tuple[ValueShape, ...]:
    sources = {
        storage_of(value): number for number, value in enumerate(reads) if isinstance(value, Tensor)
    }
    return tuple(
        ValueShape(
            tuple(value.shape),
            str(value.dtype).removeprefix("torch."),
            bytes_of(value),
            sources.get(storage_of(value), -1),
        )
        if isinstance(value, Tensor)
        else ValueShape((), "", 0)
        for value in writes
    )


def _leaf(name: str, value: Any) -> Any:
    """Return a value as the start of a graph; gradients go to values, not to model inputs."""
    if not isinstance(value, Tensor):
        return value
    leaf = value.detach()
    return leaf.requires_grad_(leaf.is_floating_point() and not name.startswith("input."))


def _cut(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def _graded(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad
