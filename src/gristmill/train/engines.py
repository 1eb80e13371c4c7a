"""What training asks of an engine before it uses it."""

from __future__ import annotations

from typing import TypeGuard

from gristmill.engine.inline import Inline
from gristmill.engine.local import LocalProcesses
from gristmill.engine.protocol import Engine


def is_here(engine: Engine | str) -> TypeGuard[Engine]:
    """Say whether the workers of an open engine are on this machine, and see its folders."""
    return isinstance(engine, LocalProcesses | Inline)
