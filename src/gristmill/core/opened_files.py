"""Which files Python opens for reading while something runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

_opened: ContextVar[set[str] | None] = ContextVar("gristmill_opened_files", default=None)


@contextmanager
def noting_opened_files() -> Iterator[set[str]]:
    """Yield a set that receives the path of every file that is opened for reading in the block.

    Seen is what goes through Python's own `open` and `os.open`, in this thread; not what a package
    written in another language opens for itself.
    """
    _listen()
    opened: set[str] = set()
    token = _opened.set(opened)
    try:
        yield opened
    finally:
        _opened.reset(token)


@cache
def _listen() -> None:
    """Ask Python to tell of audited events; it cannot be asked to stop."""
    sys.addaudithook(_note)


def _note(event: str, details: tuple[object, ...]) -> None:
    if event != "open":
        return
    opened = _opened.get()
    if opened is None:
        return
    path, _, flags = details
    reads = isinstance(flags, int) and flags & os.O_ACCMODE == os.O_RDONLY
    if reads and isinstance(path, str | os.PathLike):
        opened.add(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100 - called very often
