"""When two parts of a model cost the same: same operations, same shapes, same wiring.

A part is run on the meta device, where tensors have shapes and no memory, and every operation is
written down. Parts with equal lists are of one kind; one of them is measured for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from gristmill.core.fingerprint import fingerprint
from gristmill.train.graphs.stage import Stage


class _Listed(TorchDispatchMode):
    """Within the block, lists operations; tensors are numbered as they come up."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[str] = []
        self._numbers: dict[int, int] = {}
        self._alive: list[Tensor] = []  # so that no identity is used twice

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run the operation and write it down."""
        result = func(*args, **(kwargs or {}))
        self.operations.append(repr((str(func), *tree_map(self._word, (args, kwargs, result)))))
        return result

    def _word(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return repr(value)
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._numbers)
            self._alive.append(value)
        return (self._numbers[id(value)], str(value.dtype), value.shape, value.stride())


def kind_of(
    stage: Stage, values: Mapping[str, Any], casting: AbstractContextManager[object]
) -> str | None:
    """Return a fingerprint that parts of equal cost share; None if it cannot be told.

    It cannot for parts that do not run on the meta device: those that branch on data, for one.

    Args:
        stage: the part; it is bound to tensors without memory.
        values: what it reads, by name; only shapes and dtypes count.
        casting: the block that forward passes run in.
    """
    specs = (*stage.parameters, *stage.buffers)
    weights = {
        spec.name: torch.empty(spec.shape, dtype=spec.torch_dtype, device="meta") for spec in specs
    }
    reads = [values[name] for name in stage.reads]
    listed = _Listed()
    try:
        stage.bind(weights)
        with casting, torch.no_grad(), listed:
            stage(
                {name: _meta(value) for name, value in zip(stage.reads, reads, strict=True)},
                training=True,
            )
    except Exception:
        return None
    shapes = [(each.shape, each.dtype, each.trainable) for each in specs]
    inputs = [_described(name, value) for name, value in zip(stage.reads, reads, strict=True)]
    return fingerprint([listed.operations, shapes, inputs, len(stage.writes)])


def _meta(value: Any) -> Any:
    return torch.empty_like(value, device="meta") if isinstance(value, Tensor) else value


def _described(name: str, value: Any) -> str:
    """Say what of a value read counts: gradients go to values, but not to the model's inputs."""
    source = "input" if name.startswith("input.") else "value"
    if not isinstance(value, Tensor):
        return f"{source} {value!r}"
    return f"{source} {value.dtype} {tuple(value.shape)} {value.stride()}"
