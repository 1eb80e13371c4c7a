"""What a running step may ask for: a folder for work in progress, a line of output."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from gristmill.core.progress import current

_workdir: ContextVar[Path | None] = ContextVar("gristmill_workdir", default=None)


def workdir() -> Path:
    """Return the step's folder for work in progress.

    It is named by the step's key, so a run after a kill finds there what the killed one left (a
    checkpoint, half a search); it is removed when the step is done. Outside of a run it is a new
    temporary folder.
    """
    return _workdir.get() or Path(tempfile.mkdtemp(prefix="gristmill-"))


def say(text: str) -> None:
    """Print a line of the step's own, under the step."""
    for line in text.splitlines():
        current().say(f"    {line}")


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Make `folder` what `workdir` returns within the block."""
    token = _workdir.set(folder)
    try:
        yield
    finally:
        _workdir.reset(token)
