"""Errors of a library call that name the file on the command line that they are about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gristmill.core.errors import DataError, LabelError, TrainError


@contextmanager
def about(path: Path | str) -> Iterator[None]:
    """Name `path` in an error about data that does not name it yet.

    A library that is handed a frame cannot know the file's name; it names the row at most.
    """
    try:
        yield
    except (DataError, LabelError, TrainError) as error:
        if str(path) not in (error.where or ""):
            error.where = ", ".join([str(path), *filter(None, [error.where])])
        raise
