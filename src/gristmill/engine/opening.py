"""Engines by name."""

from __future__ import annotations

from gristmill.core.errors import UsageError
from gristmill.engine.inline import Inline
from gristmill.engine.local import LocalProcesses
from gristmill.engine.protocol import Engine

_ABSENT = ("ray", "spark")


def open_engine(engine: str | Engine = "local", *, workers: int | None = None) -> Engine:
    """Return the engine of that name; an engine is returned as it is.

    Args:
        engine: `local` (processes on this machine) or `inline` (right here, one item at a time).
        workers: how many processes `local` may use; by default one per processor.

    Raises:
        UsageError: there is no engine of that name in this version, or `workers` is less than 1.
    """
    if not isinstance(engine, str):
        return engine
    if engine == "local":
        return LocalProcesses(workers)
    if engine == "inline":
        return Inline()
    if engine in _ABSENT:
        raise UsageError(
            f"the engine {engine!r} (gristmill[{engine}]) is not available in this version",
            fix='use engine="local"',
        )
    raise UsageError(f"unknown engine {engine!r}", fix="use 'local' or 'inline'")
