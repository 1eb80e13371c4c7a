"""What runs the batches of one model: in the event loop, in a thread, or in another process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from gristmill.serve.runners.rows import Rows

Done: TypeAlias = "Callable[[Rows | Exception, float], None]"
"""Told the answers (or why there are none) and the seconds of the model, in the event loop."""


class Replica(Protocol):
    """One copy of a model; belongs to one event loop.

    Attributes:
        rank: which of the copies it is, from 0.
        depth: how many batches it may hold at a time; they run one after the other. Above 1 only
            where handing a batch over takes long beside running it.
    """

    rank: int
    depth: int

    def start(self, rows: Rows, done: Done) -> None:
        """Run one batch; never raises.

        `done` is called exactly once, in the event loop, possibly before this returns. A `Refusal`
        stands for all requests of the batch; after any other error the batch is run again in
        smaller parts, to find the request that breaks it.
        """

    async def close(self) -> None:
        """End it; batches that are under way are answered first, within reason."""
