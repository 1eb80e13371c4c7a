"""Which sizes of inputs a captured model takes.

The capture follows one path through the model's code. Where the code itself branches on a size, the
path holds for some sizes only; these conditions are kept and checked, for the model would have done
something else beyond them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gristmill.core.errors import TrainError

Shape = tuple[int | None, ...]
"""Sizes of an input, None where any will do."""


@dataclass(frozen=True)
class Condition:
    """What the model's code asked of sizes, and found true of the example.

    Args:
        expression: a sympy expression.
        sources: symbol to the inputs and dimensions that have its value.
    """

    expression: Any
    sources: Mapping[Any, tuple[tuple[str, int], ...]]

    def holds(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Return whether it is true of these inputs, or not decided by them."""
        sizes: dict[Any, int] = {}
        for symbol, sources in self.sources.items():
            for name, dim in sources:
                if name in shapes:
                    sizes[symbol] = shapes[name][dim]
        if len(sizes) < len(self.sources):
            return True
        return bool(self.expression.subs(sizes))

    def __str__(self) -> str:
        names = {
            symbol: f"{sources[0][0]}.shape[{sources[0][1]}]"
            for symbol, sources in self.sources.items()
        }
        text = str(self.expression)
        for symbol, name in names.items():
            text = text.replace(str(symbol), name)
        return text


class InputSizes:
    """Checks inputs of a captured model; shapes that were checked before cost next to nothing.

    Args:
        shapes: of the inputs by name; those without one are not checked.
        conditions: on sizes that may vary.
    """

    def __init__(
        self, shapes: Mapping[str, Shape] | None = None, conditions: Iterable[Condition] = ()
    ) -> None:
        self.shapes = dict(shapes or {})
        self.conditions = tuple(conditions)
        self._seen: set[tuple[Any, ...]] = set()

    def check(self, values: Mapping[str, Any]) -> None:
        """Look at the inputs among `values`.

        Raises:
            TrainError: an input has another number of dimensions than the example, another size
                in one that the model fixes, or one for which the model's code does something else.
        """
        if not self.shapes:
            return
        found = tuple(values[name].shape if name in values else None for name in self.shapes)
        if found in self._seen:
            return
        shapes = {
            name: tuple(shape)
            for name, shape in zip(self.shapes, found, strict=True)
            if shape is not None
        }
        for name, shape in shapes.items():
            _check_shape(name, shape, self.shapes[name])
        for condition in self.conditions:
            if not condition.holds(shapes):
                sizes = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
                raise TrainError(
                    f"the model was captured for inputs with {condition}, found {sizes}",
                    fix="capture the model with such an example, or keep inputs to those sizes",
                )
        self._seen.add(found)


def _check_shape(name: str, found: tuple[int, ...], expected: Shape) -> None:
    if len(found) == len(expected) and all(
        wanted is None or size == wanted for size, wanted in zip(found, expected, strict=True)
    ):
        return
    wanted = ", ".join("any" if size is None else str(size) for size in expected)
    raise TrainError(
        f"expected shape [{wanted}], found {list(found)}",
        where=name,
        fix="pad or cut the input to that size, or capture the model with such an input",
    )
