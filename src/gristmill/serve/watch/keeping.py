"""How much of what is predicted is kept: a value that can be sent as JSON."""

from __future__ import annotations

import msgspec

from gristmill.core.errors import UsageError

DAY = 86_400.0


class Keeping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of the predictions of one model or route.

    Attributes:
        rate: share of requests whose predictions are kept, above 0 and at most 1.
        key: the field that holds the user's own id of a row: one of the model's inputs, or one
            more that requests may have; empty for the id of the request.
        max_bytes: of the files of each server process; the oldest predictions are dropped.
        max_age: seconds after which predictions, and what was told of them, are dropped.
        tensor_bytes: tensors that are larger, a row, are left out.
        without: fields that are never written down.

    Raises:
        UsageError: a figure that makes no sense.
    """

    rate: float = 1.0
    key: str = ""
    max_bytes: int = 256_000_000
    max_age: float = 30 * DAY
    tensor_bytes: int = 64_000
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 < self.rate <= 1.0:
            raise UsageError(f"expected a share above 0 and at most 1, found {self.rate}")
        for name in ("max_bytes", "max_age"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} must be above 0, found {getattr(self, name)}")
        if self.tensor_bytes < 0:
            raise UsageError(f"tensor_bytes must not be below 0, found {self.tensor_bytes}")

    @property
    def segment_bytes(self) -> int:
        """Size at which a file is full: what is dropped is dropped by the file."""
        return min(4 << 20, max(self.max_bytes // 8, 1))
