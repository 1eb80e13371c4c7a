"""Modules built without memory for their weights, which can be made later, one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from gristmill.core.errors import TrainError, UsageError
from gristmill.core.seeds import derive_seed
from gristmill.train.draws import WEIGHTS
from gristmill.train.graphs.tape import Disguise, Place, Tape


class Deferred:
    """A module whose weights are known only by how they are made.

    Building records the operations that `factory` performs; `materialise` replays those that a
    weight depends on, each random one seeded by its number as `draws.seeded` does. So a model
    larger than memory can be built in parts, and every part has the bits of the whole.

    Attributes:
        module: on the meta device.
    """

    def __init__(self, module: nn.Module, tape: Tape, places: Mapping[str, Place]) -> None:
        self.module = module
        self._tape = tape
        self._places = dict(places)

    @classmethod
    def of(cls, factory: Callable[[], nn.Module], seed: int) -> Self:
        """Build `factory()` on the meta device.

        Raises:
            TrainError: it needs the data of a tensor in a way that cannot be recorded, as through
                numpy, or loads them from elsewhere into memory that is not there.
        """

        def seed_draw(number: int) -> None:
            torch.default_generator.manual_seed(derive_seed(seed, WEIGHTS, number))

        tape = Tape(seed_draw)
        try:
            with torch.random.fork_rng(devices=[]), Disguise(tape), tape:
                module = factory()
        except (RuntimeError, TypeError, NotImplementedError) as error:
            raise TrainError(
                f"the model cannot be built without memory for its weights: {error}",
                fix="build it with torch operations only (no numpy on tensors), or give it memory",
            ) from error
        places = _places(module, tape)
        return cls(_without_data(module), tape, places)

    def materialise(
        self, names: Iterable[str], into: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Make some parameters and buffers.

        Needs memory for them and, one after the other, for what each is computed from.

        Args:
            names: as in the module's state dict; buffers and tensors that are kept as plain
                attributes, by the path to them, too.
            into: tensors to write them into, by name. New ones are made where it has none.

        Returns:
            All of `names`, with the bits that `draws.seeded(factory, seed)` gives them.

        Raises:
            UsageError: an unknown name.
        """
        wanted = list(dict.fromkeys(names))
        unknown = [name for name in wanted if name not in self._places]
        if unknown:
            raise UsageError(f"the model has no parameter or buffer called {', '.join(unknown)}")
        given = into or {}
        made: dict[str, Tensor] = {}
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            for name, tensor in self._tape.replay({name: self._places[name] for name in wanted}):
                if name in given:
                    made[name] = given[name].copy_(tensor)
                else:
                    made[name] = tensor.clone()
        return {name: made[name] for name in wanted}


def _places(module: nn.Module, tape: Tape) -> dict[str, Place]:
    places: dict[str, Place] = {}
    for path, part in module.named_modules(remove_duplicate=False):
        held = {**part._parameters, **part._buffers, **vars(part)}
        for attribute, tensor in held.items():
            if isinstance(tensor, Tensor):
                places[f"{path}.{attribute}".strip(".")] = tape.place(tensor)
    return places


def _without_data(module: nn.Module) -> nn.Module:
    """Put tensors that hold data on the meta device too; tied ones stay tied."""
    hollow: dict[int, Tensor] = {}
    for part in module.modules():
        tables: list[dict[str, Any]] = [part._parameters, part._buffers, vars(part)]
        for held in tables:
            for attribute, tensor in list(held.items()):
                if isinstance(tensor, Tensor) and not tensor.is_meta:
                    held[attribute] = hollow.setdefault(id(tensor), _meta(tensor))
    return module


def _meta(tensor: Tensor) -> Tensor:
    empty = torch.empty_like(tensor, device="meta", requires_grad=False)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(empty, requires_grad=tensor.requires_grad)
    return empty
