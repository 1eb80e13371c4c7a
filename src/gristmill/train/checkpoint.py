"""The state of a training run on disk: one file that appears whole or not at all.

A checkpoint is a safetensors file: tensors named `model.<name>`, `best.<name>` and
`optimizer.<parameter>.<name>`, and in its header, as JSON, everything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gristmill.core.atomic import write_atomic
from gristmill.core.errors import TrainError
from gristmill.core.fingerprint import fingerprint
from gristmill.core.progress import current
from gristmill.train.history import EpochRecord

State = dict[str, Tensor]
_FILE = "checkpoint.safetensors"
_HEADER = "gristmill"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run as it was at the end of an epoch.

    Attributes:
        model: the module's state dict.
        optimizer: the optimiser's state, by parameter number and name.
        best: the state dict of the best epoch so far; the same object as `model` if that is now.
        history: one record of each epoch so far.
    """

    model: State
    optimizer: dict[int, dict[str, Any]]
    best: State
    history: list[EpochRecord]


class _Header(msgspec.Struct, frozen=True):
    """What a checkpoint says beside its tensors."""

    run: str
    history: list[EpochRecord]
    best_is_last: bool
    scalars: dict[str, float | int | bool | None]
    digest: str


class CheckpointFile:
    """The checkpoint of one run.

    Args:
        folder: where it lies; made if missing.
        run: fingerprint of everything that the run's result depends on.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self.path = folder / _FILE
        self.run = run

    def save(self, snapshot: Snapshot) -> None:
        """Put `snapshot` in the place of what was there, atomically and synced."""
        tensors, scalars = _flatten(snapshot)
        header = _Header(
            run=self.run,
            history=snapshot.history,
            best_is_last=snapshot.best is snapshot.model,
            scalars=scalars,
            digest=_digest(tensors),
        )
        meta = {_HEADER: msgspec.json.encode(header).decode()}
        write_atomic(self.path, save(tensors, metadata=meta))

    def load(self) -> Snapshot | None:
        """Return the last snapshot, or None (and say why) where there is none to go on from."""
        if not self.path.exists():
            return None
        try:
            header, tensors = _read(self.path)
        except (SafetensorError, msgspec.MsgspecError, KeyError, OSError) as error:
            self.say_unused(f"it cannot be read ({error})")
            return None
        if header.run != self.run:
            self.say_unused("it is of another run (model, data, settings or torch version differ)")
            return None
        if header.digest != _digest(tensors):
            self.say_unused("its contents do not match its checksum")
            return None
        return _unflatten(header, tensors)

    def say_unused(self, why: str) -> None:
        """Tell the user why training does not go on from this file."""
        current().say(f"checkpoint {self.path} is not used: {why}; training starts afresh")


def state_copy(state: Mapping[str, Tensor]) -> State:
    """Return a copy of a state dict in host memory, sharing nothing with the module."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in state.items()}


def _flatten(snapshot: Snapshot) -> tuple[State, dict[str, Any]]:
    tensors = {f"model.{name}": tensor for name, tensor in snapshot.model.items()}
    if snapshot.best is not snapshot.model:
        tensors |= {f"best.{name}": tensor for name, tensor in snapshot.best.items()}
    scalars: dict[str, Any] = {}
    for number, entries in snapshot.optimizer.items():
        for name, value in entries.items():
            key = f"optimizer.{number}.{name}"
            if isinstance(value, Tensor):
                tensors[key] = value.detach().to("cpu")
            elif value is None or isinstance(value, bool | int | float):
                scalars[key] = value
            else:
                raise TrainError(
                    f"optimiser state {name!r} is a {type(value).__qualname__}; "
                    f"only tensors and numbers can be kept in a checkpoint",
                    fix="train without checkpoint=, or with another optimiser",
                )
    return {name: tensor.contiguous() for name, tensor in tensors.items()}, scalars


def _unflatten(header: _Header, tensors: State) -> Snapshot:
    model = _under("model.", tensors)
    optimizer: dict[int, dict[str, Any]] = {}
    for key, value in (
        _under("optimizer.", tensors) | _under("optimizer.", header.scalars)
    ).items():
        number, name = key.split(".", 1)
        optimizer.setdefault(int(number), {})[name] = value
    best = model if header.best_is_last else _under("best.", tensors)
    return Snapshot(model, optimizer, best, header.history)


def _under(prefix: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key.removeprefix(prefix): value for key, value in entries.items() if key.startswith(prefix)
    }


def _read(path: Path) -> tuple[_Header, State]:
    with safe_open(path, framework="pt") as file:
        header = msgspec.json.decode((file.metadata() or {})[_HEADER], type=_Header)
        return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _digest(tensors: State) -> str:
    return fingerprint(
        {
            name: (str(tensor.dtype), list(tensor.shape), _bytes(tensor))
            for name, tensor in tensors.items()
        }
    )


def _bytes(tensor: Tensor) -> Any:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()


def state_fingerprint(state: Mapping[str, Tensor]) -> str:
    """Return the fingerprint of a state dict: names, dtypes, shapes and bits."""
    return _digest(dict(state))
