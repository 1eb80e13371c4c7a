"""A model whose weights pass through memory: each stage answers all batches before the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.serve.runners.body import Values, lengths_of
from gristmill.serve.runners.dense import batches, cut_rows, joined, tensor_of
from gristmill.serve.runners.graph import check_inputs
from gristmill.serve.runners.rows import Ragged
from gristmill.serve.runners.stage_run import StageRun
from gristmill.serve.runners.stages import Stage
from gristmill.serve.runners.threads import THREADS
from gristmill.store.graph import GraphSpec


class StageWeights(Protocol):
    """Lends the weights of one stage at a time; stages are asked for in order, round and round."""

    def group(self, at: int, /) -> AbstractContextManager[Mapping[str, Tensor]]:
        """Lend the weights of a stage by name, not to be written to, for the length of a block."""

    def close(self) -> None:
        """Let everything go."""


class Batching(Protocol):
    """How rows are cut.

    Attributes:
        batch_rows: rows that go through a stage together.
        batch_elements: elements of a batch of rows of different lengths, padding among them.
        rows: rows that pass through a stage while its weights are there.
    """

    @property
    def batch_rows(self) -> int:
        """Return the most rows of a batch."""

    @property
    def batch_elements(self) -> int:
        """Return the most elements of a batch."""

    @property
    def rows(self) -> int:
        """Return the most rows between two readings of the weights."""


class StreamedBody:
    """Runs a graph stage by stage; one call at a time, others wait.

    Batches are computed as `DenseBody` does. Where they are cut at the same rows, and on as many
    threads, answers are bit for bit the same: the same operators see the same numbers.

    Args:
        spec: the graph.
        stages: of it, in order.
        weights: lends theirs.
        ragged: of each output, whether its rows are as long as those of the inputs.
        batching: how rows are cut.
        threads: of one operator; None leaves PyTorch's number alone.
    """

    kind = "streamed"

    def __init__(
        self,
        spec: GraphSpec,
        stages: Sequence[Stage],
        weights: StageWeights,
        ragged: Sequence[bool],
        batching: Batching,
        threads: int | None = 1,
    ) -> None:
        self._spec, self._weights, self._ragged = spec, weights, ragged
        self._runs = [StageRun(stage) for stage in stages]
        self._batching, self._threads = batching, threads
        # One thread of its own: what kernels and allocators keep for a thread is kept once.
        self._pool = ThreadPoolExecutor(1, "gristmill-streamed")

    def __call__(self, inputs: Sequence[Values], rows: int) -> list[Values]:
        """Return each output for `rows` rows of the inputs, in order."""
        lengths = lengths_of(inputs)
        order = np.arange(rows) if lengths is None else np.argsort(lengths, kind="stable")
        parts = self._pool.submit(self._computed, inputs, lengths, order).result()
        back = np.argsort(order, kind="stable")
        return [joined(found, back) for found in zip(*parts, strict=True)]

    def close(self) -> None:
        """Let the weights go, once no call is under way."""
        self._pool.shutdown()
        self._weights.close()

    def _computed(
        self,
        inputs: Sequence[Values],
        lengths: NDArray[np.int64] | None,
        order: NDArray[np.int64],
    ) -> list[list[Values]]:
        parts: list[list[Values]] = []
        with THREADS.use(self._threads), torch.inference_mode():
            for places in self._rounds(order, lengths):
                parts += self._pass(inputs, lengths, places)
        return parts

    def _rounds(
        self, order: NDArray[np.int64], lengths: NDArray[np.int64] | None
    ) -> Iterator[list[NDArray[np.int64]]]:
        """Yield the batches, each as its rows' places, that pass through the stages together."""
        held: list[NDArray[np.int64]] = []
        for places in self._batches(order, lengths):
            if held and sum(map(len, held)) + len(places) > self._batching.rows:
                yield held
                held = []
            held.append(places)
        if held:
            yield held

    def _batches(
        self, order: NDArray[np.int64], lengths: NDArray[np.int64] | None
    ) -> Iterator[NDArray[np.int64]]:
        size = self._batching.batch_rows
        if lengths is None:
            yield from (order[start : start + size] for start in range(0, len(order), size))
            return
        for places in batches(lengths[order], order, self._batching.batch_elements):
            yield from (places[start : start + size] for start in range(0, len(places), size))

    def _pass(
        self,
        inputs: Sequence[Values],
        lengths: NDArray[np.int64] | None,
        places: Sequence[NDArray[np.int64]],
    ) -> list[list[Values]]:
        """Take batches through all stages; return each one's outputs."""
        held: list[dict[str, Any]] = [self._begun(inputs, lengths, each) for each in places]
        for at, run in enumerate(self._runs):
            with self._weights.group(at) as weights:
                for batch, values in enumerate(held):
                    held[batch] = run(values, weights)
        return [
            [
                cut_rows(found[name].numpy(), lengths[mine]) if ragged and lengths is not None
                else found[name].numpy()
                for name, ragged in zip(self._spec.outputs, self._ragged, strict=True)
            ]
            for found, mine in zip(held, places, strict=True)
        ]  # fmt: skip

    def _begun(
        self,
        inputs: Sequence[Values],
        lengths: NDArray[np.int64] | None,
        places: NDArray[np.int64],
    ) -> dict[str, Any]:
        longest = 0 if lengths is None else int(lengths[places].max())
        tensors = [
            tensor_of(
                each.select(places).padded(longest) if isinstance(each, Ragged) else each[places]
            )
            for each in inputs
        ]
        check_inputs(self._spec.inputs, tensors)
        return {given.name: each for given, each in zip(self._spec.inputs, tensors, strict=True)}
