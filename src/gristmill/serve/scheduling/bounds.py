"""How much may run together, and how much may wait."""

from __future__ import annotations

import math

import msgspec

from gristmill.core.errors import UsageError


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of batches and of the queue.

    Attributes:
        batch_rows: most rows of a batch.
        batch_work: most work of a batch; a row that has more runs alone.
        queue_rows: most rows that may wait.
        queue_work: most work that may wait.
        queue_bytes: most bytes that may wait.

    Raises:
        UsageError: a bound is not positive.
    """

    batch_rows: int = 64
    batch_work: float = math.inf
    queue_rows: int = 4096
    queue_work: float = math.inf
    queue_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not getattr(self, name) > 0:
                raise UsageError(f"expected {name} above 0, found {getattr(self, name)}")
