"""What a process opens once and several engines use: the last one to leave closes it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

C = TypeVar("C")


class SharedConnection(Generic[C]):
    """A connection of this process, and how many use it.

    Args:
        close: ends a connection; called holding `lock`.

    Attributes:
        lock: held by who looks at the connection, opens it or joins it.
        open: the connection; None where nothing is open.
    """

    def __init__(self, close: Callable[[C], None]) -> None:
        self.lock = threading.Lock()
        self.open: C | None = None
        self._close, self._users = close, 0

    @property
    def is_used(self) -> bool:
        """Whether anybody uses it."""
        return self._users > 0

    def opened(self, connection: C) -> C:
        """Take a connection that nobody uses yet, in place of one that has ended by itself."""
        self.open, self._users = connection, 0
        return connection

    def join(self) -> C | None:
        """Count one more user, and return what it uses; None where nothing is open."""
        self._users += self.open is not None
        return self.open

    def leave(self, connection: C | None) -> None:
        """Count one user less, and close the connection if that was the last one.

        Args:
            connection: what `join` returned; one that was replaced since is nobody's concern.
        """
        with self.lock:
            if connection is None or self.open is not connection:
                return
            self._users -= 1
            if self._users == 0:
                self.open = None
                self._close(connection)
