"""Whether a model's own code does the same in training and in evaluation.

A module learns the mode from its attribute `training`. Code that never reads it, between parts that
return alike in both modes, is the same program in both: one export stands for the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import fx, nn

_FLAG = "training"


class ModeReads:
    """What read the mode within a block.

    Attributes:
        seen: whether anything did.
    """

    def __init__(self) -> None:
        self.seen = False

    @contextmanager
    def noted(self, overlooked: Callable[[], bool]) -> Iterator[None]:
        """Note each time that a module's `training` is read, unless it is to be overlooked."""

        def read(module: nn.Module) -> Any:
            of_tracer = type(module) is nn.Module or isinstance(module, fx.GraphModule)
            self.seen = self.seen or not (of_tracer or overlooked())
            try:
                return vars(module)[_FLAG]
            except KeyError:
                raise AttributeError(_FLAG) from None

        def write(module: nn.Module, value: bool) -> None:
            vars(module)[_FLAG] = value

        # A property of the class comes before what the instance has of that name.
        setattr(nn.Module, _FLAG, property(read, write))
        try:
            yield
        finally:
            delattr(nn.Module, _FLAG)


def plain_modes(module: nn.Module) -> bool:
    """Say whether the modes of a model differ in the flags of its modules and nothing else.

    They may differ in more where a class has its own `train`, or its own notion of `training`.
    """
    return not any(
        "train" in vars(part) or any({"train", _FLAG} & vars(base).keys() for base in _own(part))
        for part in module.modules()
    )


def _own(module: nn.Module) -> Iterator[type]:
    return (base for base in type(module).__mro__ if base not in (nn.Module, object))
