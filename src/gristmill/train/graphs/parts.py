"""Parts of a model that stay whole while the rest is exported.

Each such part's forward is replaced, in a copy of the model, by one operation that the export
records. What the operation returns is found by running the part's own code on tensors without data.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from gristmill.core.errors import TrainError
from gristmill.train.graphs.blocks import comparable
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


class Gap(Enum):
    """What stands in the place of an argument that differs from call to call."""

    TENSOR = "tensor"
    SIZE = "size"


@dataclass(frozen=True)
class Arguments:
    """Arguments of a call, with gaps where tensors and sizes go.

    Args:
        leaves: flattened.
        structure: how they nest.
    """

    leaves: tuple[Any, ...]
    structure: Any

    @classmethod
    def of(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Arguments, list[Any]]:
        """Return the arguments with gaps, and what is to fill these."""
        leaves, structure = pytree.tree_flatten((args, kwargs))
        gaps = tuple(_gap(leaf) for leaf in leaves)
        fillings = [leaf for leaf, gap in zip(leaves, gaps, strict=True) if isinstance(gap, Gap)]
        return cls(gaps, structure), fillings

    def filled(self, tensors: Iterable[Any], sizes: Iterable[Any]) -> tuple[Any, Any]:
        """Return positional and keyword arguments."""
        left = {Gap.TENSOR: iter(tensors), Gap.SIZE: iter(sizes)}
        leaves = [next(left[leaf]) if isinstance(leaf, Gap) else leaf for leaf in self.leaves]
        args, kwargs = pytree.tree_unflatten(leaves, self.structure)
        return args, kwargs

    def __deepcopy__(self, memo: dict[int, Any]) -> Arguments:
        """Return itself: it never changes."""
        return self

    @property
    def alone(self) -> bool:
        """Whether there is one argument only."""
        return len(self.leaves) == 1

    @property
    def sized(self) -> bool:
        """Whether sizes are among them."""
        return Gap.SIZE in self.leaves

    @property
    def kind(self) -> Hashable:
        """What calls with the same arguments but for the gaps share."""
        return str(self.structure), comparable(self.leaves)


def _gap(leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        return Gap.TENSOR
    return Gap.SIZE if isinstance(leaf, torch.SymInt) else leaf


@dataclass
class PartCall:
    """One call of a part: its arguments, and what it returns.

    Args:
        path: of the part.
        arguments: with gaps for tensors and sizes.
        tensor_leaves: which leaves of its output are tensors.
        single: whether it returns one tensor.
        output: its output with other leaves than tensors in their places.
    """

    path: str
    parts: Parts
    arguments: Arguments
    tensor_leaves: list[int] = field(default_factory=list)
    single: bool = False
    output: tuple[list[Any], Any] = ((), None)  # type: ignore[assignment]

    def take(self, output: Any) -> list[Tensor]:
        """Note the structure of the part's output and return its tensors."""
        leaves, structure = pytree.tree_flatten(output)
        self.single = isinstance(output, Tensor)
        self.tensor_leaves = [at for at, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
        self.output = (leaves, structure)
        return [leaves[at] for at in self.tensor_leaves]

    @property
    def kind(self) -> Hashable:
        """What its output shares with others that differ in the sizes of their tensors only."""
        leaves = [
            leaf.dtype if isinstance(leaf, Tensor) else comparable(leaf) for leaf in self.output[0]
        ]
        return self.single, str(self.output[1]), tuple(leaves)

    def rebuilt(self, tensors: list[Tensor]) -> Any:
        """Return the output with `tensors` in it."""
        leaves, structure = list(self.output[0]), self.output[1]
        for at, tensor in zip(self.tensor_leaves, tensors, strict=True):
            leaves[at] = tensor
        return pytree.tree_unflatten(leaves, structure)


class _Probed(NamedTuple):
    """A call of a part whose output was found by running its code, and the shapes it has."""

    call: PartCall
    tensors: list[Tensor]
    ints: list[Any]
    shapes: list[Any]


class Parts:
    """A model ready for export, with parts that stay whole.

    Args:
        shadow: the model without data.
        opaque: paths of the parts.
        kinds: for those of which there may be several of a kind: which kind.
        training: which mode.

    Attributes:
        traced: the module to export.
        calls: what was called, by number.
        inside: whether a part runs at the moment.
    """

    def __init__(
        self,
        shadow: Shadow,
        opaque: frozenset[str],
        kinds: Mapping[str, Hashable],
        training: bool,
    ) -> None:
        self.shadow = shadow
        self._kinds = kinds
        self._returned: dict[Hashable, tuple[PartCall, list[tuple[Any, torch.dtype]]]] = {}
        self.calls: dict[int, PartCall] = {}
        self.inside = False
        self._training = training
        self._probed: list[_Probed] = []
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
        _part_aliases(self.traced, set())

    def _replace(self, part: nn.Module, path: str) -> None:
        # Hooks run with the part itself, in the stage; the export must not see them too.
        part._forward_hooks.clear()
        part._forward_pre_hooks.clear()
        part.forward = lambda *args, **kwargs: self._call(path, args, kwargs)

    def _call(self, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        arguments, fillings = Arguments.of(args, kwargs)
        call = PartCall(path, self, arguments)
        number = len(self.calls)
        self.calls[number] = call
        tensors = [filling for filling in fillings if isinstance(filling, Tensor)]
        ints = [filling for filling in fillings if not isinstance(filling, Tensor)]
        _ACTIVE[number] = call
        self.inside = True
        try:
            made = torch.ops.gristmill.part(tensors, ints, number)
        finally:
            self.inside = False
            del _ACTIVE[number]
        return call.rebuilt(list(made))

    def outputs(self, call: PartCall, tensors: list[Tensor], ints: list[Any]) -> list[Tensor]:
        """Return tensors without data for what a part returns."""
        if call.path not in self._kinds:
            return self._outputs(call, tensors, ints)
        # Blocks of one kind that are called alike return alike.
        shapes = tuple((str(tensor.shape), tensor.dtype) for tensor in tensors)
        key = (self._kinds[call.path], call.arguments.kind, shapes, str(ints))
        if key not in self._returned:
            made = self._outputs(call, tensors, ints)
            self._returned[key] = (call, [(tensor.shape, tensor.dtype) for tensor in made])
        alike, known = self._returned[key]
        call.single, call.tensor_leaves, call.output = (
            alike.single,
            alike.tensor_leaves,
            alike.output,
        )
        return [torch.empty(size, dtype=kind, device=self.shadow.device) for size, kind in known]

    def _outputs(self, call: PartCall, tensors: list[Tensor], ints: list[Any]) -> list[Tensor]:
        part = self.shadow.module.get_submodule(call.path)
        known = _known(part, tensors) if call.arguments.alone and not ints else None
        if known is not None:
            return call.take(known)
        probes: list[_Way] = [partial(self._by_probes, apart) for apart in (True, False)]
        errors = []
        by_symbols = type(part).__module__ in _COUNTING
        for way in [self._by_symbols, *probes] if by_symbols else [*probes, self._by_symbols]:
            try:
                made = way(part, call, tensors, ints)
            except Exception as error:
                errors.append(error)
            else:
                if not by_symbols:
                    self._probed.append(_Probed(call, tensors, ints, [t.shape for t in made]))
                return made
        raise errors[0]

    def modeless(self) -> bool:
        """Say whether all parts would have returned tensors of the same kinds in the other mode."""
        self.shadow.module.train(not self._training)
        try:
            return all(map(self._alike, self._probed))
        finally:
            self.shadow.module.train(self._training)

    def busy(self) -> bool:
        """Say whether a part runs at the moment."""
        return self.inside

    def _alike(self, one: _Probed) -> bool:
        part = self.shadow.module.get_submodule(one.call.path)
        other = PartCall(one.call.path, self, one.call.arguments)
        shapes = list(map(str, one.shapes))
        for apart in (True, False):
            # What a run raises it would raise in an export, too: the next way is tried.
            with suppress(Exception):
                made = self._sizes(apart, part, other, one.tensors, one.ints)
                found = [str(torch.Size(sizes)) for sizes, _ in made]
                return one.call.kind == other.kind and found == shapes
        return False

    def _by_symbols(
        self, part: nn.Module, call: PartCall, tensors: list[Tensor], ints: list[Any]
    ) -> list[Tensor]:
        """Run the part on tensors whose sizes are symbols."""
        args, kwargs = call.arguments.filled(tensors, ints)
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
        made = self._sizes(apart, part, call, tensors, ints)
        return [torch.empty(sizes, dtype=t.dtype, device=t.device) for sizes, t in made]

    def _sizes(
        self, apart: bool, part: nn.Module, call: PartCall, tensors: list[Tensor], ints: list[Any]
    ) -> list[tuple[list[Any], Tensor]]:
        """Return the sizes of what a part returns, each with an example."""
        probes = [_Probe(step, apart) for step in (0, 1)]
        outputs = [probe.run(self.shadow, part, call, tensors, ints) for probe in probes]
        return [
            (
                [
                    _follow(dim, pair, tensors, probes)
                    for dim, pair in enumerate(zip(one.shape, other.shape, strict=True))
                ],
                one,
            )
            for one, other in zip(*outputs, strict=True)
        ]


def _part_aliases(module: nn.Module, seen: set[int]) -> None:
    """Give modules that hang in several places a copy in each; the export loses count otherwise."""
    for name, child in module._modules.items():
        if child is None:
            continue
        if id(child) in seen:
            child = copy.copy(child)
            child._modules = dict(child._modules)
            module._modules[name] = child
        seen.add(id(child))
        _part_aliases(child, seen)


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
        args, kwargs = call.arguments.filled(inputs, [self.size(size) for size in ints])
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
