"""Which whole numbers a graph may be asked: those that look up rows of a table must be in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from numpy.typing import NDArray

from gristmill.store.graph import GraphSpec, Ref
from gristmill.store.signature import Field

_LOOKS_UP = ("aten.embedding.default", "aten._embedding_bag.default")
_PASSES_ON = {
    "aten._to_copy.default",
    "aten.alias.default",
    "aten.clone.default",
    "aten.expand.default",
    "aten.permute.default",
    "aten.select.int",
    "aten.slice.Tensor",
    "aten.squeeze.dim",
    "aten.squeeze.dims",
    "aten.unsqueeze.default",
    "aten.view.default",
}
"""What gives on the numbers that it is given, or some of them."""


def bounded(
    fields: Sequence[Field], graph: GraphSpec, weights: Mapping[str, NDArray[Any]]
) -> list[Field]:
    """Return fields with the limits that their graph's tables set, where they have none.

    Without them a number beyond a table would be refused by the model, not at the door.

    Args:
        fields: one for each of the graph's inputs.
        graph: the graph.
        weights: its weights, by name.
    """
    source = {given.name: given.name for given in graph.inputs}
    rows: dict[str, int] = {}
    for node in graph.nodes:
        if node.op in _PASSES_ON and isinstance(node.args[0], Ref):
            source[node.name] = source.get(node.args[0].name, "")
        elif node.op in _LOOKS_UP:
            table, looked_up = node.args[:2]
            if isinstance(table, Ref) and isinstance(looked_up, Ref) and table.name in weights:
                asked = source.get(looked_up.name, "")
                size = len(weights[table.name])
                rows[asked] = min(size, rows.get(asked, size))
    return [
        _within(field, rows[given.name]) if given.name in rows else field
        for field, given in zip(fields, graph.inputs, strict=True)
    ]


def _within(field: Field, rows: int) -> Field:
    low = 0.0 if field.min is None else field.min
    high = rows - 1.0 if field.max is None else field.max
    return msgspec.structs.replace(field, min=low, max=high)
