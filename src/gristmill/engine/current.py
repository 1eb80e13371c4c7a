"""The engine that stages use where none is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from gristmill.engine.opening import open_engine
from gristmill.engine.protocol import Engine

_current: ContextVar[Engine | None] = ContextVar("gristmill_engine", default=None)


def current_engine() -> Engine | None:
    """Return the engine of the innermost `using_engine` block, None outside of any."""
    return _current.get()


@contextmanager
def using_engine(engine: Engine | str) -> Iterator[Engine]:
    """Make an engine the current one within the block.

    Args:
        engine: an open engine, which stays open, or a name as `open_engine` takes it, whose engine
            is closed at the end of the block.

    Raises:
        UsageError: as `open_engine`.
    """
    opened = open_engine(engine)
    token = _current.set(opened)
    try:
        yield opened
    finally:
        _current.reset(token)
        if opened is not engine:
            opened.close()


@contextmanager
def chosen_engine(engine: Engine | str | None) -> Iterator[Engine | None]:
    """Give a stage the engine that its argument `engine` means.

    Args:
        engine: an open engine, which stays open; a name as `open_engine` takes it, whose engine is
            closed at the end of the block; or None for the current engine, if there is one.

    Raises:
        UsageError: as `open_engine`.
    """
    if engine is None:
        yield _current.get()
        return
    opened = open_engine(engine)
    try:
        yield opened
    finally:
        if opened is not engine:
            opened.close()
