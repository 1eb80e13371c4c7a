"""How long a stream is quiet: nothing comes, and nothing that came is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from gristmill.core.quantities import format_seconds
from gristmill.serve.refusal import Refusal

if TYPE_CHECKING:
    from gristmill.serve.protocol import Limits


class Quiet:
    """Refuses a stream once it was quiet for too long; a message that came by half is none.

    One timer for each stream, which is not touched for each message.

    Args:
        limits: `body_timeout` for the first message, `stream_timeout` for each after it.
        tell: told the refusal, at most once; not after `close`.
    """

    def __init__(self, limits: Limits, tell: Callable[[Refusal], None]) -> None:
        self._limits, self._tell = limits, tell
        self._loop = asyncio.get_running_loop()
        self._since, self._busy, self._name = self._loop.time(), 0, "body_timeout"
        # The first look is in time whichever of the two it turns out to be.
        first = min(limits.body_timeout, limits.stream_timeout)
        self._timer = self._loop.call_later(first, self._look)

    def came(self) -> None:
        """Say that a message is here."""
        self._name = "stream_timeout"
        self._busy += 1

    def answered(self) -> None:
        """Say that one of those that came is answered."""
        self._since = self._loop.time()
        self._busy -= 1

    def close(self) -> None:
        """Look no more."""
        self._timer.cancel()

    @property
    def _seconds(self) -> float:
        found: float = getattr(self._limits, self._name)
        return found

    def _look(self) -> None:
        since = self._loop.time() if self._busy else self._since
        left = since + self._seconds - self._loop.time()
        if left > 0.0:
            self._timer = self._loop.call_later(left, self._look)
            return
        shown = format_seconds(self._seconds)
        self._tell(
            Refusal(
                408,
                "idle_stream",
                f"no message arrived on the stream within {shown} ({self._name})",
                fix=f"open another one when there is something to ask, or raise {self._name} in "
                "the server's limits",
            )
        )
