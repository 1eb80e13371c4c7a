"""A forward pass as a straight list of calls, cut into layers.

    call     one operation of torch, or one call of a part of the module that stays whole
    value    what a call makes, a model input ("input.0") or a parameter or buffer ("tensor:NAME")
    layer    a run of consecutive calls; values that one layer makes and a later one reads cross
             the cuts between them

A program has one list of calls for training and one for evaluation; they share layers and the
names of all values that cross cuts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

TENSOR = "tensor:"
"""Prefix of the value name of a parameter or buffer."""
INPUT = "input."
"""Prefix of the value name of a model input, followed by its position."""


@dataclass(frozen=True, slots=True)
class Ref:
    """Stands for a value in the arguments of a call."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """One step of a forward pass.

    Args:
        name: the value that it makes.
        target: an operation (`aten.add.Tensor`, `operator.mul`), or the path of a module.
        args: arguments; `Ref` stands for values, in lists, tuples and dicts too.
        kwargs: keyword arguments.
        module: whether `target` is a module.
        tensors: names of the parameters and buffers that a called module holds.
        mutates: names of the buffers that the call changes in training.
        reassigns: those of them that it replaces instead of writing into.
        spoils: values among its arguments that it changes in place.
        aliases: values among its arguments that share memory with what it makes.
        draws: random draws in training.
        varying: whether the number of draws depends on the data.
        asks: whether it asks for the value of a tensor, to branch on it.
        grad: whether autograd records it.
        scalar: whether it makes a number, which never crosses a cut but is worked out anew.
        packed: whether it makes a tuple or list, which never crosses a cut either.
        floating: whether what it makes can have a gradient.
    """

    name: str
    target: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    module: bool = False
    tensors: tuple[str, ...] = ()
    mutates: tuple[str, ...] = ()
    reassigns: tuple[str, ...] = ()
    spoils: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    draws: int = 0
    varying: bool = False
    asks: bool = False
    grad: bool = True
    scalar: bool = False
    packed: bool = False
    floating: bool = True

    @property
    def may_draw(self) -> bool:
        """Whether it draws, or has branches of which not all may have been seen."""
        return self.draws > 0 or self.varying or self.asks

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of all values that the call reads, parameters and buffers included."""
        held = [TENSOR + name for name in self.tensors]
        return tuple(dict.fromkeys([*refs((self.args, self.kwargs)), *held]))


@dataclass(frozen=True, slots=True)
class Size:
    """A dimension of the model's inputs, as the calls that work out sizes know it.

    Args:
        value: a tensor value whose dimension it is.
        dim: which dimension.
    """

    value: str
    dim: int


@dataclass(frozen=True)
class Program:
    """The calls of one mode, in order, and what the model returns.

    Args:
        calls: in the order in which the module's forward makes them.
        output: what the model returns, with `Ref` for values.
        sizes: for a scalar call that reads a size: the tensors and dimensions that have it too.
    """

    calls: tuple[Call, ...]
    output: Any
    sizes: Mapping[str, tuple[Size, ...]] = field(default_factory=dict)

    def renamed(self, names: Mapping[str, str]) -> Program:
        """Copy the program with other names for some of its values."""

        def new(name: str) -> str:
            return names.get(name, name)

        def put(name: str) -> Ref:
            return Ref(new(name))

        calls = [
            replace(
                call,
                name=new(call.name),
                args=replace_refs(call.args, put),
                kwargs=replace_refs(call.kwargs, put),
                spoils=tuple(map(new, call.spoils)),
                aliases=tuple(map(new, call.aliases)),
            )
            for call in self.calls
        ]
        sizes = {
            new(name): tuple(Size(new(size.value), size.dim) for size in known)
            for name, known in self.sizes.items()
        }
        return Program(tuple(calls), replace_refs(self.output, put), sizes)


def refs(tree: Any) -> Iterator[str]:
    """Yield the names of the values in nested arguments, in order."""
    if isinstance(tree, Ref):
        yield tree.name
    elif isinstance(tree, (list, tuple)):
        for item in tree:
            yield from refs(item)
    elif isinstance(tree, Mapping):
        for item in tree.values():
            yield from refs(item)
    elif isinstance(tree, slice):
        yield from refs((tree.start, tree.stop, tree.step))


def replace_refs(tree: Any, put: Callable[[str], Any]) -> Any:
    """Copy nested arguments with `put(name)` in the place of each value."""
    if isinstance(tree, Ref):
        return put(tree.name)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(replace_refs(item, put) for item in tree))
    if isinstance(tree, (list, tuple)):
        return type(tree)(replace_refs(item, put) for item in tree)
    if isinstance(tree, Mapping):
        return {key: replace_refs(item, put) for key, item in tree.items()}
    if isinstance(tree, slice):
        return slice(*(replace_refs(item, put) for item in (tree.start, tree.stop, tree.step)))
    return tree
