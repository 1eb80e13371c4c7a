"""What nothing is known of: a stretch of the exported program, run as it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree

from gristmill.incremental.graph.operator import Global, Shape


class Source(NamedTuple):
    """Stands for a tensor in a call's arguments.

    Args:
        step: whether it is the result of an earlier step; else an input of the operator.
        number: of the step or of the input.
    """

    step: bool
    number: int


class Step(NamedTuple):
    """One call of the exported program.

    Args:
        function: what is called.
        args: its arguments, with `Source` where results and inputs go.
        kwargs: its named arguments, likewise.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Opaque(Global):
    """Calls whose reach is not known: any change of an input changes everything.

    Args:
        steps: the calls; the last one's result is the output.
        names: of the calls, as a plan shows them.
    """

    def __init__(self, steps: Sequence[Step], names: Sequence[str]) -> None:
        self._steps = tuple(steps)
        self._names = tuple(names)
        self._shapes = lru_cache(maxsize=16)(self._shape)

    @property
    def title(self) -> str:
        """The calls' names."""
        return "+".join(self._names)

    def shape(self, *inputs: Shape) -> Shape:
        """Shape of the output, without what stands for the batch: found by a run without data."""
        return self._shapes(inputs)

    def _shape(self, inputs: tuple[Shape, ...]) -> Shape:
        with FakeTensorMode(allow_non_fake_inputs=True):
            found = self.run(*(torch.empty((1, *shape)) for shape in inputs))
        return tuple(found.shape[1:])

    def run(self, *inputs: Tensor) -> Tensor:
        """Make the calls; several frames one by one, for they were traced for one."""
        frames = len(inputs[0])
        if frames == 1:
            return self._run_one(*inputs)
        parts = (self._run_one(*(each[n : n + 1] for each in inputs)) for n in range(frames))
        return _own_memory(torch.cat(list(parts)))

    def _run_one(self, *inputs: Tensor) -> Tensor:
        # As the program was traced: it may look at a map as one row of numbers.
        given = [each.contiguous() for each in inputs]
        results: list[Any] = []

        def value(leaf: Any) -> Any:
            if not isinstance(leaf, Source):
                return leaf
            return results[leaf.number] if leaf.step else given[leaf.number]

        for step in self._steps:
            args, kwargs = pytree.tree_map(
                value, (step.args, step.kwargs), is_leaf=lambda each: isinstance(each, Source)
            )
            results.append(step.function(*args, **kwargs))
        return _own_memory(results[-1])


def _own_memory(found: Tensor) -> Tensor:
    how = torch.channels_last if found.dim() == 4 else torch.contiguous_format
    return found.clone(memory_format=how)
