"""Environment variables for a while: what libraries and processes to be born are told by them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def environment(settings: Mapping[str, str], *, but: Collection[str] = ()) -> Iterator[None]:
    """Set variables within the block; afterwards they are as they were.

    Args:
        settings: the variables.
        but: names of those to leave alone, such as what a user has set.
    """
    ours = {name: value for name, value in settings.items() if name not in but}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
