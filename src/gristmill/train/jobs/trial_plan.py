"""How a trial is cut into shards, and where their tensors lie in records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from gristmill.core.errors import UsageError
from gristmill.train.graphs.layer_graph import LayerGraph
from gristmill.train.graphs.stage import Stage
from gristmill.train.graphs.tensor_spec import TensorSpec
from gristmill.train.jobs.optimizer_state import StateSpecs
from gristmill.train.jobs.trial_spec import TrialSpec
from gristmill.train.records.layout import RecordLayout

WEIGHTS, BUFFERS, STATE = "weights", "buffers", "state"
"""Sections of a shard: parameters and constant buffers; buffers that training changes; what the
optimiser remembers. The second is small and stays in memory."""

Span = tuple[int, int]
"""Numbers of the first shard of a stage, and of the one after its last."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Consecutive layers whose state moves as one.

    Attributes:
        first, last: layers first..last-1 of the graph.
        layouts: where the tensors lie in the record of each section; empty sections are left out.
    """

    first: int
    last: int
    layouts: dict[str, RecordLayout]

    @property
    def nbytes(self) -> dict[str, int]:
        """Bytes of each section."""
        return {section: layout.nbytes for section, layout in self.layouts.items()}


@dataclass(frozen=True)
class TrialPlan:
    """A trial, its model as a graph of layers, and the shards that these are cut into.

    Attributes:
        spec: what is trained.
        graph: the captured model, without weights.
        shards: in order; together they hold every layer once.
        dropped: numbers of the shards whose activations are dropped after the forward pass, and
            made again for the backward pass.
    """

    spec: TrialSpec
    graph: LayerGraph
    shards: tuple[Shard, ...]
    dropped: frozenset[int] = frozenset()

    @classmethod
    def cut(
        cls,
        spec: TrialSpec,
        graph: LayerGraph,
        cuts: Sequence[int] = (),
        dropped: Iterable[int] = (),
    ) -> TrialPlan:
        """Cut a trial before the given layers, and lay its records out.

        Raises:
            UsageError: the cuts do not ascend within the graph.
            TrainError: the optimiser's state cannot be kept in records.
        """
        edges = [0, *cuts, len(graph.layers)]
        if any(one >= other for one, other in pairwise(edges)):
            raise UsageError(
                f"cuts must ascend between 1 and {len(graph.layers) - 1}, found {list(cuts)}"
            )
        states = StateSpecs(spec.optimizer)
        spans = pairwise(edges)
        shards = tuple(_shard(graph.stage(*span), states) for span in spans)
        return cls(spec, graph, shards, frozenset(dropped))

    def stage(self, span: Span) -> Stage:
        """Return a stage of consecutive shards."""
        return self.graph.stage(self.shards[span[0]].first, self.shards[span[1] - 1].last)

    def sections(self, span: Span, *sections: str) -> Iterator[tuple[int, str]]:
        """Yield (shard, section) of those records of a stage that there are."""
        for shard in range(*span):
            for section in sections:
                if section in self.shards[shard].layouts:
                    yield shard, section

    def keeps(self, span: Span) -> bool:
        """Whether a stage keeps its activations for the backward pass."""
        return self.dropped.isdisjoint(range(*span))

    @property
    def nbytes(self) -> int:
        """Bytes of all records."""
        return sum(sum(shard.nbytes.values()) for shard in self.shards)

    @cached_property
    def parameter_order(self) -> tuple[str, ...]:
        """Trainable parameters in the order in which the model lists them."""
        listed = self.graph.stage(0, len(self.graph.layers)).parameters
        return tuple(each.name for each in listed if each.trainable)


def _shard(stage: Stage, states: StateSpecs) -> Shard:
    changing = set(stage.mutates)
    parts: dict[str, list[TensorSpec]] = {
        WEIGHTS: [
            *stage.parameters,
            *(each for each in stage.buffers if each.name not in changing),
        ],
        BUFFERS: [each for each in stage.buffers if each.name in changing],
        STATE: states.of(stage.parameters),
    }
    layouts = {section: RecordLayout.of(specs) for section, specs in parts.items() if specs}
    return Shard(stage.first, stage.last, layouts)
