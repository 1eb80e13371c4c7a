"""An answer that is known before it is true: the device is still at work on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gristmill.train.workers.streams import Mark


class Later:
    """What a target's method returns when its reply must wait for a device.

    The worker goes on to the next message meanwhile; replies stay in order.

    Args:
        value: of the reply.
        marks: that must be reached before it is sent.
    """

    def __init__(self, value: Any, marks: Iterable[Mark]) -> None:
        self.value = value
        self._marks = list(marks)

    def reached(self) -> bool:
        """Say whether the reply may be sent."""
        while self._marks and self._marks[0].reached():
            del self._marks[0]
        return not self._marks

    def wait(self) -> None:
        """Wait until the reply may be sent; raises what the device has to say of its work."""
        for mark in self._marks:
            mark.wait()
        self._marks.clear()
