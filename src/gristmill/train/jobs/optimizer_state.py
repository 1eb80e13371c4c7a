"""What an optimiser remembers of each parameter, as named tensors in a record.

Torch's optimisers keep a dictionary for each parameter. Its tensors are given places in a record's
memory, where the optimiser then changes them. A byte beside them tells whether there is any state
yet: a parameter that never got a gradient has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from gristmill.core.errors import TrainError
from gristmill.train.graphs.tensor_spec import TensorSpec
from gristmill.train.jobs.trial_spec import OptimizerFactory

_PRESENT = "gristmill.present"


class StateSpecs:
    """Tells which tensors an optimiser keeps for a parameter, by trying it on one of zeros.

    A parameter of each distinct shape is tried once; only one is in memory at a time.
    """

    def __init__(self, optimizer: OptimizerFactory) -> None:
        self._optimizer = optimizer
        self._known: dict[tuple[tuple[int, ...], str], list[TensorSpec]] = {}

    def of(self, parameters: Sequence[TensorSpec]) -> list[TensorSpec]:
        """Return the state of some parameters, each tensor named `<parameter>/<key>`.

        Raises:
            TrainError: the optimiser keeps something else than tensors.
        """
        trainable = [each for each in parameters if each.trainable]
        return [
            TensorSpec(f"{each.name}/{kept.name}", kept.shape, kept.dtype, False)
            for each in trainable
            for kept in self._kept(each)
        ]

    def _kept(self, parameter: TensorSpec) -> list[TensorSpec]:
        kind = (tuple(parameter.shape), parameter.dtype)
        if kind not in self._known:
            self._known[kind] = self._try(parameter)
        return self._known[kind]

    def _try(self, parameter: TensorSpec) -> list[TensorSpec]:
        zeros = Parameter(torch.zeros(parameter.shape, dtype=parameter.torch_dtype))
        optimizer = self._optimizer([zeros])
        zeros.grad = torch.zeros_like(zeros)
        try:
            optimizer.step()
        except TypeError as error:
            raise TrainError(
                f"{type(optimizer).__name__} cannot update parameters one by one: {error}",
                fix="use an optimiser whose step() takes no closure",
            ) from error
        kept = [
            TensorSpec(key, tuple(value.shape), str(value.dtype).removeprefix("torch."), False)
            for key, value in _tensors(optimizer, zeros).items()
        ]
        return [*kept, TensorSpec(_PRESENT, (1,), "uint8", False)] if kept else []


def no_state(views: Mapping[str, Tensor]) -> None:
    """Mark a new record as one that holds no state yet."""
    for key, view in views.items():
        if key.endswith(_PRESENT):
            view.zero_()


def host_keys(optimizer: OptimizerFactory, device: torch.device) -> frozenset[str]:
    """Return the keys of what an optimiser keeps on the host for parameters on a device.

    Most count their steps there, since Python reads the number at each update.
    """
    zeros = Parameter(torch.zeros(1, 1, device=device))
    made = optimizer([zeros])
    zeros.grad = torch.zeros_like(zeros)
    made.step()
    kept = _tensors(made, zeros)
    # Of a device that stands in for one, what the host keeps is told by its shape.
    alike = device.type == "cpu"
    on_host = {key for key, value in kept.items() if value.is_cpu and not (alike and value.dim())}
    return frozenset({_PRESENT, *on_host})


def bind_state(
    optimizer: Optimizer, parameters: Mapping[str, Parameter], views: Mapping[str, Tensor]
) -> None:
    """Let an optimiser find its state in a record's memory; it has none where none is present."""
    places = _by_parameter(views)
    for name, parameter in parameters.items():
        kept = dict(places.get(name, {}))
        if kept and kept.pop(_PRESENT).item():
            optimizer.state[parameter] = kept
        else:
            optimizer.state.pop(parameter, None)


def keep_state(
    optimizer: Optimizer, parameters: Mapping[str, Parameter], views: Mapping[str, Tensor]
) -> None:
    """Move state that an update has just made into a record's memory."""
    places = _by_parameter(views)
    for name, parameter in parameters.items():
        made = _tensors(optimizer, parameter)
        kept = dict(places.get(name, {}))
        if not made or kept.pop(_PRESENT).item():
            continue
        for key, value in made.items():
            kept[key].copy_(value)
        optimizer.state[parameter].update(kept)
        places[name][_PRESENT].fill_(1)


def owner_of(path: str) -> str:
    """Return the parameter that a state tensor named `<parameter>/<key>` belongs to."""
    return path.rsplit("/", 1)[0]


def _by_parameter(views: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    found: dict[str, dict[str, Tensor]] = {}
    for path, view in views.items():
        found.setdefault(owner_of(path), {})[path.rsplit("/", 1)[1]] = view
    return found


def _tensors(optimizer: Optimizer, parameter: Parameter) -> dict[str, Tensor]:
    kept: dict[str, Any] = optimizer.state.get(parameter, {})
    for key, value in kept.items():
        if value is not None and not isinstance(value, Tensor):
            raise TrainError(
                f"{type(optimizer).__name__} keeps {key!r} as {type(value).__name__}; only tensors "
                f"can be kept in a record",
                fix="use an optimiser that keeps tensors, as all of torch's do but LBFGS",
            )
    return {key: value for key, value in kept.items() if value is not None}
