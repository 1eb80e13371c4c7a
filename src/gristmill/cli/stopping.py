"""Ctrl-C as a wish to end well: work stops at its next good place, and what is done is kept."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stopping_well() -> Iterator[Callable[[], bool]]:
    """Lend a function that says whether Ctrl-C or SIGTERM has come; a second one breaks off.

    So does one that comes before the function is first called: nothing is done that could be kept.
    For the main thread.
    """
    asked = begun = False

    def ask(_: int, __: FrameType | None) -> None:
        nonlocal asked
        if asked or not begun:
            raise KeyboardInterrupt
        asked = True

    def stopped() -> bool:
        nonlocal begun
        begun = True
        return asked

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
