"""What a running step may ask for: a folder for work in progress, a line of output."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from gristmill.core.progress import current
from gristmill.core.redaction import redacted

_workdir: ContextVar[Callable[[], Path] | None] = ContextVar("gristmill_workdir", default=None)


def workdir() -> Path:
    """Return the step's folder for work in progress.

    It is named by the step's key, so a run after a kill finds there what the killed one left (a
    checkpoint, half a search); it is removed when the step is done. In a step that is called once
    per element, and outside of a run, it is a new temporary folder.
    """
    made = _workdir.get()
    return Path(tempfile.mkdtemp(prefix="gristmill-")) if made is None else made()


def say(text: str) -> None:
    """Print a line of the step's own, under the step."""
    for line in text.splitlines():
        current().say(f"    {redacted(line)}")


@contextmanager
def working_in(made: Callable[[], Path]) -> Iterator[None]:
    """Make the folder that `made` gives what `workdir` returns within the block."""
    token = _workdir.set(made)
    try:
        yield
    finally:
        _workdir.reset(token)
