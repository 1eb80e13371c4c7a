"""Ctrl-C in a run: what is safe, and how to go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def told_how_to_go_on(folder: Path, safe: Callable[[], str]) -> Iterator[None]:
    """Let Ctrl-C within the block say what is kept.

    Args:
        folder: that the run goes on from.
        safe: says what is safe there.

    Raises:
        KeyboardInterrupt: with a message.
    """
    try:
        yield
    except KeyboardInterrupt:
        told = f"{safe()} safe in {folder}: run the same again to go on from there"
        raise KeyboardInterrupt(told) from None
