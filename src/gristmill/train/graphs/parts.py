"""Parts of a model that stay whole while the rest is exported.

Each such part's forward is replaced, in a copy of the model, by one operation that the export
records. What the operation returns is found by running the part's own code on tensors without data.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from gristmill.core.errors import TrainError
from gristmill.train.graphs.watch import Shadow

_LIBRARY = torch.library.Library("gristmill", "FRAGMENT")
_LIBRARY.define("part(Tensor[] tensors, SymInt[] ints, int number) -> Tensor[]")
_ACTIVE: dict[int, PartCall] = {}
_Way = Callable[[nn.Module, "PartCall", list[Tensor], list[Any]], list[Tensor]]


_COUNTING = {
    f"torch.nn.modules.{name}"
    for name in ("conv", "pooling", "padding", "upsampling", "fold", "flatten", "pixelshuffle")
}
"""Modules whose output sizes are computed from those of the input."""
_KEEPING = {
    f"torch.nn.modules.{name}"
    for name in ("activation", "dropout", "batchnorm", "instancenorm", "normalization")
}
"""Modules whose output has the size of the input, with exceptions."""


@dataclass
class PartCall:
    """One call of a part: where its arguments come from, and what it returns.

    Args:
        path: of the part.
        leaves: its arguments, flattened.
        structure: how they nest.
        tensor_leaves: which leaves of its output are tensors.
        single: whether it returns one tensor.
        output: its output with other leaves than tensors in their places.
    """

    path: str
    parts: Parts
    leaves: list[Any]
    structure: Any
    tensor_leaves: list[int] = field(default_factory=list)
    single: bool = False
    output: tuple[list[Any], Any] = ((), None)  # type: ignore[assignment]

    def arguments(self, tensors: list[Any], ints: list[Any]) -> tuple[Any, Any]:
        """Return positional and keyword arguments with the given tensors and sizes in them."""
        left, sizes = iter(tensors), iter(ints)
        filled = []
        for leaf in self.leaves:
            if isinstance(leaf, Tensor):
                filled.append(next(left))
            elif isinstance(leaf, torch.SymInt):
                filled.append(next(sizes))
            else:
                filled.append(leaf)
        args, kwargs = pytree.tree_unflatten(filled, self.structure)
        return args, kwargs

    def take(self, output: Any) -> list[Tensor]:
        """Note the structure of the part's output and return its tensors."""
        leaves, structure = pytree.tree_flatten(output)
        self.single = isinstance(output, Tensor)
        self.tensor_leaves = [at for at, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
        self.output = (leaves, structure)
        return [leaves[at] for at in self.tensor_leaves]

    def rebuilt(self, tensors: list[Tensor]) -> Any:
        """Return the output with `tensors` in it."""
        leaves, structure = list(self.output[0]), self.output[1]
        for at, tensor in zip(self.tensor_leaves, tensors, strict=True):
            leaves[at] = tensor
        return pytree.tree_unflatten(leaves, structure)


class Parts:
    """A model ready for export, with parts that stay whole.

    Args:
        shadow: the model without data.
        opaque: paths of the parts.
        training: which mode.

    Attributes:
        traced: the module to export.
        calls: what was called, by number.
    """

    def __init__(self, shadow: Shadow, opaque: frozenset[str], training: bool) -> None:
        self.shadow = shadow
        self.calls: dict[int, PartCall] = {}
        shadow.module.train(training)
        memo: dict[int, Any] = {id(t): t for t in shadow.module.parameters()}
        memo |= {id(t): t for t in shadow.module.buffers()}
        self.traced = copy.deepcopy(shadow.module, memo)
        replaced: set[int] = set()
        for path in sorted(opaque):
            part = self.traced.get_submodule(path)
            if id(part) not in replaced:
                replaced.add(id(part))
                self._replace(part, path)

    def _replace(self, part: nn.Module, path: str) -> None:
        # Hooks run with the part itself, in the stage; the export must not see them too.
        part._forward_hooks.clear()
        part._forward_pre_hooks.clear()
        part.forward = lambda *args, **kwargs: self._call(path, args, kwargs)

    def _call(self, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        leaves, structure = pytree.tree_flatten((args, kwargs))
        call = PartCall(path, self, leaves, structure)
        number = len(self.calls)
        self.calls[number] = call
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        ints = [leaf for leaf in leaves if isinstance(leaf, torch.SymInt)]
        _ACTIVE[number] = call
        try:
            made = torch.ops.gristmill.part(tensors, ints, number)
        finally:
            del _ACTIVE[number]
        return call.rebuilt(list(made))

    def outputs(self, call: PartCall, tensors: list[Tensor], ints: list[Any]) -> list[Tensor]:
        """Return tensors without data for what a part returns."""
        part = self.shadow.module.get_submodule(call.path)
        known = _known(part, tensors) if not (call.leaves[1:] or ints) else None
        if known is not None:
            return call.take(known)
        probes: list[_Way] = [partial(self._by_probes, apart) for apart in (True, False)]
        errors = []
        by_symbols = type(part).__module__ in _COUNTING
        for way in [self._by_symbols, *probes] if by_symbols else [*probes, self._by_symbols]:
            try:
                return way(part, call, tensors, ints)
            except Exception as error:
                errors.append(error)
        raise errors[0]

    def _by_symbols(
        self, part: nn.Module, call: PartCall, tensors: list[Tensor], ints: list[Any]
    ) -> list[Tensor]:
        """Run the part on tensors whose sizes are symbols."""
        args, kwargs = call.arguments(tensors, ints)
        made = call.take(part(*args, **kwargs))
        return [
            torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device=t.device) for t in made
        ]

    def _by_probes(
        self, apart: bool, part: nn.Module, call: PartCall, tensors: list[Tensor], ints: list[Any]
    ) -> list[Tensor]:
        """Run the part on two examples of other sizes, and tell by them which sizes follow which.

        Unlike a run on symbols, this fixes no size that the part's own code loops over. Sizes that
        are equal in the example change together unless they are to vary `apart`: often the part
        needs them equal (the batch of two inputs).
        """
        probes = [_Probe(step, apart) for step in (0, 1)]
        outputs = [probe.run(self.shadow, part, call, tensors, ints) for probe in probes]
        made = []
        for one, other in zip(*outputs, strict=True):
            sizes = [
                _follow(dim, pair, tensors, probes)
                for dim, pair in enumerate(zip(one.shape, other.shape, strict=True))
            ]
            made.append(torch.empty(sizes, dtype=one.dtype, device=one.device))
        return made


def _known(part: nn.Module, tensors: list[Tensor]) -> Tensor | None:
    """Return the output of common modules, for which no run is needed to tell its shape."""
    if len(tensors) != 1 or any(part.children()) or part._forward_hooks:
        return None
    (tensor,) = tensors
    if type(part) is nn.Linear:
        return tensor.new_empty((*tensor.shape[:-1], part.out_features))
    if type(part) is nn.Embedding:
        size = (*tensor.shape, part.embedding_dim)
        return torch.empty(size, dtype=part.weight.dtype, device=tensor.device)
    if type(part).__module__ in _KEEPING and not isinstance(part, (nn.GLU, nn.MultiheadAttention)):
        return torch.empty_like(tensor)
    return None


class _Probe:
    """Sizes for an example: each symbol's own size, or a larger one."""

    def __init__(self, step: int, apart: bool) -> None:
        self._step, self._apart = step, apart

    def size(self, size: Any) -> int:
        """Return the size in this example."""
        if isinstance(size, int):
            return size
        hints = size.node.shape_env.backed_var_to_val
        own = {symbol: int(hints[symbol]) for symbol in hints}
        kinds = list(own) if self._apart else sorted(set(own.values()))
        larger = {kind: self._step * (at + 3) for at, kind in enumerate(kinds)}
        chosen = {s: value + larger[s if self._apart else value] for s, value in own.items()}
        return int(size.node.expr.subs(chosen))

    def run(
        self,
        shadow: Shadow,
        part: nn.Module,
        call: PartCall,
        tensors: list[Tensor],
        ints: list[Any],
    ) -> list[Tensor]:
        """Return the tensors that the part makes of the example."""
        inputs = [shadow.like(tensor, map(self.size, tensor.shape)) for tensor in tensors]
        args, kwargs = call.arguments(inputs, [self.size(size) for size in ints])
        return call.take(shadow.observe(lambda: part(*args, **kwargs), part).output)


def _follow(dim: int, pair: tuple[int, int], tensors: list[Tensor], probes: list[_Probe]) -> Any:
    """Return the size that an output dimension follows, given what it was in both examples."""
    if pair[0] == pair[1]:
        return pair[0]
    sizes = [tensor.shape[dim] for tensor in tensors if tensor.ndim > dim]
    for size in (*sizes, *(size for tensor in tensors for size in tensor.shape)):
        if (probes[0].size(size), probes[1].size(size)) == pair:
            return size
    raise TrainError(f"an output size follows none of the input sizes: {pair[0]}, then {pair[1]}")


@torch.library.register_fake("gristmill::part", lib=_LIBRARY)  # type: ignore[untyped-decorator]
def _part_without_data(tensors: list[Tensor], ints: list[Any], number: int) -> list[Tensor]:
    call = _ACTIVE[number]
    return call.parts.outputs(call, tensors, ints)
