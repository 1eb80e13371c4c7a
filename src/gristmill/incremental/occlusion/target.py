"""Which number of a network's results is explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from gristmill.core.errors import UsageError

Scorer: TypeAlias = Callable[[tuple[Tensor, ...]], Tensor]
"""From what the network returns for several frames, [frames, ...] each, to a score of each."""


class Target:
    """Gives each frame a score, the higher the more the network sees what is explained.

    Args:
        chosen: number of an element of the network's first result (a class, for a classifier); a
            function of all results; None for the largest element of the picture as it is.
        outputs: what the network returns for that picture.

    Attributes:
        index: number of the element; None where a function gives the score.
        base: score of the picture as it is.

    Raises:
        UsageError: the first result has no row for the picture, there is no such element, or the
            function gives no number a frame.
    """

    def __init__(self, chosen: int | Scorer | None, outputs: Sequence[Tensor]) -> None:
        self._scorer: Scorer | None = None
        self.index: int | None = None
        if outputs[0].shape[:1] != (1,) or not outputs[0].numel():
            raise UsageError(
                "expected a network whose first result has a row for the one picture, found shape "
                f"{list(outputs[0].shape)}",
                fix="explain a module that returns [1, ...] first",
            )
        first = outputs[0].reshape(-1).to(torch.float32)
        if chosen is None:
            self.index = int(first.argmax())
        elif isinstance(chosen, int):
            if not 0 <= chosen < len(first):
                raise UsageError(
                    f"expected a target of 0 to {len(first) - 1}, found {chosen}",
                    fix="give the number of an element of what the network returns first",
                )
            self.index = chosen
        else:
            self._scorer = chosen
        self.base = float(self.scores(outputs)[0])

    def scores(self, outputs: Sequence[Tensor]) -> Tensor:
        """Return a score of each frame, float32 [frames].

        Args:
            outputs: what the network returns, [frames, ...] each.
        """
        frames = len(outputs[0])
        if self._scorer is None:
            return outputs[0].reshape(frames, -1)[:, self.index].to(torch.float32)
        found: object = self._scorer(tuple(outputs))
        if not isinstance(found, Tensor) or tuple(found.shape) != (frames,):
            what = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise UsageError(
                f"expected the target to give a tensor of shape [{frames}], found {what}",
                fix="return one number for each frame: outputs[0][:, 3], say",
            )
        return found.to(torch.float32)
