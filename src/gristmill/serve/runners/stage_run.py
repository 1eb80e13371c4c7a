"""One stage of a graph, computed: the same operators in the same order as the whole graph's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from gristmill.core.errors import ServeError
from gristmill.serve.runners.graph import constant, operator_called
from gristmill.serve.runners.stages import Stage
from gristmill.store.graph import Arg, Items, Ref

Values: TypeAlias = dict[str, Any]
Finder: TypeAlias = Callable[[Mapping[str, Any]], Any]
Look: TypeAlias = Callable[[str, Values], None]

_CPU = torch.device("cpu")


class _Call(NamedTuple):
    name: str
    function: Callable[..., Any]
    args: tuple[Finder, ...]
    kwargs: dict[str, Finder]
    freed: tuple[str, ...]


class StageRun:
    """Computes a stage on values by name, for one batch at a time.

    Args:
        stage: the stage.
        operators: return what computes an operator, by its name.
    """

    def __init__(
        self, stage: Stage, operators: Callable[[str], Callable[..., Any]] = operator_called
    ) -> None:
        self._calls = [
            _Call(
                node.name,
                operators(node.op),
                tuple(_finder(arg) for arg in node.args),
                {key: _finder(arg) for key, arg in node.kwargs.items()},
                stage.freed.get(node.name, ()),
            )
            for node in stage.nodes
        ]

    def __call__(
        self,
        values: Values,
        weights: Mapping[str, Tensor],
        look: Look | None = None,
    ) -> Values:
        """Compute the stage.

        Args:
            values: inputs and what earlier stages handed on.
            weights: those that the stage reads; nothing that is returned shares memory with them.
            look: told of each node's name and all values that are held, once it is computed.

        Returns:
            What later stages read, and answers.

        Raises:
            ServeError: an operator can't be computed; names the node.
        """
        held = {**values, **weights}
        name = ""
        try:
            for name, function, args, kwargs, freed in self._calls:
                held[name] = function(
                    *[find(held) for find in args],
                    **{key: find(held) for key, find in kwargs.items()},
                )
                if look is not None:
                    look(name, held)
                for dead in freed:
                    held.pop(dead, None)
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            raise ServeError(f"{error}", where=f"graph, node {name!r}") from error
        lent = {weight.untyped_storage().data_ptr() for weight in weights.values()}
        return {name: _own(value, lent) for name, value in held.items() if name not in weights}


def _own(value: Any, lent: set[int]) -> Any:
    """Return a value that outlives weights which are only lent: a view of one is copied."""
    if isinstance(value, Tensor) and value.untyped_storage().data_ptr() in lent:
        return value.clone()
    if isinstance(value, tuple | list):
        return [_own(each, lent) for each in value]
    return value


def _finder(arg: Arg) -> Finder:
    """Return what finds an argument among the values; constants are made here, once."""
    if isinstance(arg, Ref):
        name = arg.name
        return lambda held: held[name]
    if isinstance(arg, Items) and any(isinstance(item, Ref) for item in arg.items):
        finders = [_finder(item) for item in arg.items]
        return lambda held: [find(held) for find in finders]
    fixed = constant(arg, _CPU)
    return lambda _: fixed
