"""Gradients of replicas in shared memory: each replica adds up and applies those of its part.

A reduce-scatter without messages (cf. ZeRO, Rajbhandari et al. 2020, section 5): every replica
copies its gradients to memory that all can read; then replica r adds up, in the order of replicas,
those of the parameters of part r, and updates these. Weights need no gathering where all replicas
map the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import Parameter

from gristmill.core.errors import TrainError
from gristmill.train.graphs.tensor_spec import TensorSpec
from gristmill.train.records.layout import LayoutEntry, RecordLayout

_PRESENT = ""
"""Name of the tensor that says which parameters have a gradient, uint8[parameters]."""


@dataclass(frozen=True, slots=True)
class GradientLayout:
    """Where the gradients of a stage lie in a replica's memory, part by part.

    Attributes:
        parts: names of the parameters that each replica adds up.
        record: where they lie.
        runs: for each part the (first byte, byte behind the last, dtype) of consecutive gradients
            of one dtype.
    """

    parts: tuple[tuple[str, ...], ...]
    record: RecordLayout
    runs: tuple[tuple[tuple[int, int, str], ...], ...]

    @classmethod
    def of(cls, parameters: Sequence[TensorSpec], replicas: int) -> GradientLayout:
        """Divide parameters into parts of about equal bytes; none is cut."""
        parts = divided(parameters, replicas)
        ordered = [each for part in parts for each in part]
        present = TensorSpec(_PRESENT, (len(ordered),), "uint8", False)
        record = RecordLayout.of([present, *ordered])
        entries = {entry.name: entry for entry in record.entries}
        runs = tuple(tuple(_runs([entries[each.name] for each in part])) for part in parts)
        return cls(tuple(tuple(each.name for each in part) for part in parts), record, runs)


def divided(parameters: Sequence[TensorSpec], parts: int) -> list[list[TensorSpec]]:
    """Divide parameters into parts of about equal bytes, the largest first (Graham 1969)."""
    found: list[list[TensorSpec]] = [[] for _ in range(parts)]
    sizes = [0] * parts
    for each in sorted(parameters, key=lambda spec: -spec.nbytes):
        least = sizes.index(min(sizes))
        found[least].append(each)
        sizes[least] += each.nbytes
    return [sorted(part, key=lambda spec: spec.dtype) for part in found]


class Gradients:
    """The gradients of one replica, in memory that all replicas can read.

    Args:
        layout: where they lie.
        area: the memory, uint8[layout.record.nbytes], zeroed before its first use.
    """

    def __init__(self, layout: GradientLayout, area: Tensor) -> None:
        self._layout = layout
        views = layout.record.views(area)
        self._present = views.pop(_PRESENT).numpy()
        self._views = views
        self._flat = [
            [area[first:last].view(getattr(torch, dtype)) for first, last, dtype in runs]
            for runs in layout.runs
        ]

    def publish(self, parameters: Mapping[str, Parameter]) -> None:
        """Copy the gradients of all parameters here, and drop them there.

        Raises:
            TrainError: one is sparse.
        """
        found = {name: parameters[name].grad for name in self._views}
        given = {name: each for name, each in found.items() if each is not None}
        for name, gradient in given.items():
            if gradient.layout is not torch.strided:
                raise TrainError(
                    "replicas add dense gradients, found a sparse one",
                    where=name,
                    fix="make the layer with sparse=False, or train without replicas",
                )
        self._present[:] = [each is not None for each in found.values()]
        if given:
            torch._foreach_copy_([self._views[name] for name in given], list(given.values()))
        for parameter in parameters.values():
            parameter.grad = None

    def total(self, part: int, others: Sequence[Gradients]) -> dict[str, Tensor]:
        """Add up a part's gradients, this replica's and those of the later ones, in order.

        The sums lie in this replica's memory (or in that of the first that has a gradient), where
        nobody else looks at this part.

        Returns:
            the sums by parameter, of those of which any replica has a gradient.
        """
        names = self._layout.parts[part]
        everyone = [self, *others]
        start = sum(map(len, self._layout.parts[:part]))
        present = [each._present[start : start + len(names)] for each in everyone]
        if all(each.all() for each in present):
            for other in others:
                for mine, more in zip(self._flat[part], other._flat[part], strict=True):
                    mine.add_(more)
            return {name: self._views[name] for name in names}
        return dict(_one_by_one(names, everyone, list(zip(*present, strict=True))))


def _one_by_one(
    names: Sequence[str], everyone: Sequence[Gradients], present: Sequence[Sequence[int]]
) -> Iterator[tuple[str, Tensor]]:
    """Yield the sums where replicas have gradients of different parameters."""
    for name, there in zip(names, present, strict=True):
        views = [each._views[name] for each, has in zip(everyone, there, strict=True) if has]
        for more in views[1:]:
            views[0].add_(more)
        if views:
            yield name, views[0]


def _runs(entries: Sequence[LayoutEntry]) -> Iterator[tuple[int, int, str]]:
    for dtype, group in groupby(entries, key=lambda entry: entry.dtype):
        run = list(group)
        yield run[0].offset, run[-1].offset + run[-1].nbytes, dtype
