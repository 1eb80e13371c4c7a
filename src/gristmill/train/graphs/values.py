"""Which values cross which cuts, and under which names.

A value that gradients reach and that several later layers read travels as a **chain**: after layer
k has read it, it is called `value@k`, the next reader reads `value@k`, and so on. Its gradient then
comes back through the same chain, each reader adding its own part to the sum of the later ones.
That is the order in which autograd adds them in the whole model (latest reader first); summing them
in the layer that makes the value would round differently. Other values keep one name.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gristmill.train.graphs.program import INPUT, TENSOR, Call, Program, refs


@dataclass(frozen=True)
class Value:
    """A value and the layers that have to do with it.

    Args:
        name: as calls know it.
        made: the layer that makes it, or that owns it if it is a parameter or buffer.
        read: later layers that read it, ascending.
        chained: whether gradients reach it.
    """

    name: str
    made: int
    read: tuple[int, ...]
    chained: bool

    def crosses(self, cut: int) -> bool:
        """Return whether it is made before layer `cut` and read at or after it."""
        return self.made < cut and bool(self.read) and self.read[-1] >= cut

    def name_at(self, cut: int) -> str:
        """Return what the value is called when it crosses `cut`."""
        before = bisect_left(self.read, cut)
        return f"{self.name}@{self.read[before - 1]}" if self.chained and before else self.name

    def read_in(self, first: int, last: int) -> bool:
        """Return whether a layer of [first, last) reads it from an earlier layer than `first`."""
        return self.made < first and bisect_left(self.read, first) < bisect_left(self.read, last)


def value_table(
    modes: Iterable[tuple[Program, tuple[int, ...]]],
    tensors: Mapping[str, bool],
) -> tuple[Value, ...]:
    """List all values that some layer makes and a later one reads, and all tensors.

    Args:
        modes: programs and the layers of their calls; training first.
        tensors: names of all parameters and buffers, and whether gradients reach them.
    """
    made: dict[str, int] = {}
    read: dict[str, set[int]] = {}
    graded = {TENSOR + name for name, trainable in tensors.items() if trainable}
    for program, layers in modes:
        _note(program, layers, made, read, graded)
    for name in tensors:
        made[TENSOR + name] = min(read.get(TENSOR + name, {0}))
    return tuple(
        Value(
            name,
            layer,
            tuple(sorted(at for at in read.get(name, ()) if at > layer)),
            name in graded,
        )
        for name, layer in made.items()
    )


def _note(
    program: Program,
    layers: tuple[int, ...],
    made: dict[str, int],
    read: dict[str, set[int]],
    graded: set[str],
) -> None:
    by_name = {call.name: call for call in program.calls}
    for call, layer in zip(program.calls, layers, strict=True):
        if call.scalar:
            continue
        if call.grad and call.floating and not graded.isdisjoint(call.reads):
            graded.add(call.name)
        made.setdefault(call.name, layer)
        for name in needed(call.reads, by_name, program):
            read.setdefault(name, set()).add(layer)
    for name in needed(refs(program.output), by_name, program):
        read.setdefault(name, set()).add(layers[-1] if layers else 0)


def needed(names: Iterable[str], by_name: Mapping[str, Call], program: Program) -> set[str]:
    """Return the tensor values behind `names`: numbers are replaced by what they are made from.

    A size that can be read off a model input needs no other value; model inputs are left out, for
    they are fed to every stage that reads them.
    """
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        call = by_name.get(name)
        if call is None or not call.scalar:
            found.add(name)
        elif not any(size.value.startswith(INPUT) for size in program.sizes.get(name, ())):
            waiting.extend(call.reads)
    return {name for name in found if not name.startswith(INPUT)}
