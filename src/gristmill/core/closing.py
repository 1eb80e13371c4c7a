"""What has to be closed, and is by a `with` block."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closing:
    """A base for what holds processes, files or locks: a `with` block closes it at its end."""

    def close(self) -> None:
        """Let everything go; to be overridden."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
