"""A short profile of a model, also of one that fits nowhere.

The parts of a model are run one after another, each with real weights that are dropped before the
next part gets any, on the values that the parts before it wrote. Of parts that do the same (see
`layer_kind`) only the first is run. So the memory in use is that of one part and of the values that
cross one cut, whatever the size of the model.
"""

from __future__ import annotations

import math
import platform
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from gristmill.core.atomic import write_atomic
from gristmill.core.errors import UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.core.seeds import derive_seed
from gristmill.train.costs.layer_kind import kind_of
from gristmill.train.costs.optimizer_cost import OptimizerFactory, optimizer_kind
from gristmill.train.costs.part_figures import (
    PILOT,
    MicroBatch,
    PartFigures,
    PartPass,
    ValueShape,
    measure_part,
)
from gristmill.train.costs.profile import Profile
from gristmill.train.costs.profile_tables import Walk, profile_of
from gristmill.train.costs.stopwatch import Stopwatch
from gristmill.train.draws import steady
from gristmill.train.graphs.layer_graph import LayerGraph
from gristmill.train.graphs.stage import Stage
from gristmill.train.graphs.tensor_spec import TensorSpec

WeightMaker = Callable[[Sequence[str]], Mapping[str, Tensor]]
"""Takes names of parameters and buffers and returns tensors for them."""

_KINDS_AT_HAND = 8
_FORMAT = 1


class Pilot:
    """Profiles the parts of a model.

    Args:
        graph: the model.
        batches: micro-batches of one or more sizes, on the device; figures for other sizes are
            interpolated.
        objective: the loss of a micro-batch, from the model's output and the micro-batch.
        optimizer: makes the optimiser of some of the parameters.
        weights: makes the tensors of some names, as `Deferred.materialise` does; default random
            ones, which take the same time as long as the model does not branch on them.
        casting: makes the block that forward passes run in, for mixed precision.
        precision: its name.
        cache: folder in which figures of parts are kept from one pilot to the next; None for none.
        seed: of draws and of made-up weights.
        device: where parts run.

    Attributes:
        measured: parts that were run since the pilot was made.
    """

    def __init__(
        self,
        graph: LayerGraph,
        batches: Sequence[MicroBatch],
        objective: Callable[[Any, Any], Tensor],
        optimizer: OptimizerFactory,
        *,
        weights: WeightMaker | None = None,
        casting: Callable[[], AbstractContextManager[object]] = nullcontext,
        precision: str = "float32",
        cache: Path | None = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        if not batches:
            raise UsageError("expected a micro-batch of at least one size, found none")
        self._graph, self._objective, self._optimizer = graph, objective, optimizer
        self._batches = sorted(batches, key=lambda batch: batch.rows)
        self._weights = weights
        self._casting, self._cache, self._seed, self._device = casting, cache, seed, device
        self._watch = Stopwatch(device)
        self._setting = [_FORMAT, precision, device, torch.__version__, *_machine(device)]
        self._optimizer_kind = optimizer_kind(optimizer)
        self._figures: dict[str, PartFigures] = {}
        self.measured = 0

    def profile(self, cuts: Sequence[int] | None = None) -> Profile:
        """Profile the layers, or the runs of layers between some cuts.

        What two layers take together differs a little from the sum of what each takes; so once it
        is known where a model is cut, its shards are worth a profile of their own.

        Args:
            cuts: numbers of the layers that parts begin at, from 0, and the number of layers.

        Raises:
            TrainError: the optimiser cannot update parameters one by one.
            UsageError: the cuts do not cover the model.
        """
        layers = len(self._graph.layers)
        edges = tuple(range(layers + 1)) if cuts is None else tuple(cuts)
        if edges[:1] != (0,) or edges[-1] != layers or list(edges) != sorted(set(edges)):
            raise UsageError(f"expected ascending cuts from 0 to {layers}, found {list(edges)}")
        with steady(1, self._device):
            walks = [self._walk(batch, edges) for batch in self._batches]
        return profile_of(self._graph, edges, walks)

    def _walk(self, batch: MicroBatch, edges: tuple[int, ...]) -> Walk:
        """Go through the parts in order, running those of a kind that is not known."""
        named = zip(self._graph.inputs, batch.inputs, strict=True)
        inputs: dict[str, Any] = dict(named)
        values: dict[str, Any] = {}
        recent: OrderedDict[str, list[Any]] = OrderedDict()
        walk = Walk(batch.rows, [], [], [], [])
        for first, last in pairwise(edges):
            stage = self._graph.stage(first, last)
            reads = {name: {**values, **inputs}[name] for name in stage.reads}
            kind = self._kind(stage, reads, batch, last == edges[-1])
            figures = self._recall(kind)
            if figures is None:
                figures, written = self._measure(stage, reads, batch)
                self._keep(kind, figures)
                recent[kind] = list(written.values())
                while len(recent) > _KINDS_AT_HAND:
                    recent.popitem(last=False)
            made = recent.get(kind) or [self._made_up(each) for each in figures.writes]
            sources = list(reads.values())
            values |= {
                name: value if shape.source < 0 else sources[shape.source]
                for name, value, shape in zip(stage.writes, made, figures.writes, strict=True)
            }
            live = set(self._graph.live(last))
            values = {name: value for name, value in values.items() if name in live}
            walk.kinds.append(kind)
            walk.figures.append(figures)
            walk.reads.append(stage.reads)
            walk.writes.append(stage.writes)
        return walk

    def _kind(self, stage: Stage, reads: Mapping[str, Any], batch: MicroBatch, ends: bool) -> str:
        kind = kind_of(stage, reads, self._casting())
        # The loss is not among the operations listed, and a part without a list is like no other.
        place = [stage.first, stage.last, self._graph.why] if ends or kind is None else []
        own = _code_of(self._objective) if ends else ""
        if kind is None:
            return f"unlisted {stage.first} {stage.last} {batch.rows}"
        parts = [kind, place, own, batch.rows, self._optimizer_kind, self._setting]
        return fingerprint(parts)

    def _measure(
        self, stage: Stage, reads: Mapping[str, Any], batch: MicroBatch
    ) -> tuple[PartFigures, dict[str, Any]]:
        """Give a part its weights, run it, and drop them."""
        specs = (*stage.parameters, *stage.buffers)
        weights = dict(self._tensors(specs))
        stage.bind(weights)
        run = PartPass(
            stage, reads, batch, self._objective, self._casting, self._seed, self._device
        )
        self.measured += 1
        return measure_part(run, self._optimizer, weights.values(), self._watch)

    def _tensors(self, specs: Sequence[TensorSpec]) -> Mapping[str, Tensor]:
        if self._weights is None:
            return {spec.name: self._random(spec) for spec in specs}
        made = self._weights([spec.name for spec in specs])
        return {name: tensor.detach().to(self._device) for name, tensor in made.items()}

    def _random(self, spec: TensorSpec) -> Tensor:
        tensor = torch.zeros(spec.shape, dtype=spec.torch_dtype, device=self._device)
        if not tensor.is_floating_point():
            return tensor
        if tensor.dim() < 2:  # scales and variances: not 0
            return tensor.fill_(1.0)
        draws = torch.Generator(self._device)
        draws.manual_seed(derive_seed(self._seed, PILOT, spec.name))
        return tensor.normal_(0.0, math.prod(spec.shape[1:]) ** -0.5, generator=draws)

    def _made_up(self, shape: ValueShape) -> Any:
        """Return a value of the right shape in place of one that was not computed."""
        if not shape.dtype:
            return 0
        return self._random(TensorSpec("value", (*shape.shape,), shape.dtype, False))

    def _recall(self, kind: str) -> PartFigures | None:
        if kind not in self._figures and self._cache and " " not in kind:
            with suppress(FileNotFoundError, msgspec.MsgspecError):
                data = (self._cache / f"{kind}.json").read_bytes()
                self._figures[kind] = msgspec.json.decode(data, type=PartFigures)
        return self._figures.get(kind)

    def _keep(self, kind: str, figures: PartFigures) -> None:
        self._figures[kind] = figures
        if self._cache and " " not in kind:
            write_atomic(self._cache / f"{kind}.json", msgspec.json.encode(figures))


def _code_of(objective: Callable[[Any, Any], Tensor]) -> str:
    """Return what tells losses apart, as far as their names do."""
    named = getattr(objective, "__qualname__", None)
    return named if isinstance(named, str) else repr(type(objective))


def _machine(device: str) -> list[str]:
    if torch.device(device).type == "cuda":
        return [platform.node(), torch.cuda.get_device_name(device)]
    return [platform.node(), platform.processor()]
