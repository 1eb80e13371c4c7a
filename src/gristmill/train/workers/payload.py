"""Messages as bytes, between a process and workers that it started itself; never from a file."""

from __future__ import annotations

import pickle
from typing import Any

import cloudpickle

from gristmill.core.errors import TrainError

_PROTOCOL = 5


def dumps(message: object) -> bytes:
    """Pickle a message; functions and classes that no other process can import go by value.

    Those are lambdas, closures and whatever a script or a notebook defines: its `__main__` is
    never run a second time in a worker.

    Raises:
        TrainError: something in it cannot be pickled either way.
    """
    data = _by_reference(message)
    if data is not None and b"__main__" not in data:
        return data
    try:
        return bytes(cloudpickle.dumps(message, protocol=_PROTOCOL))
    except Exception as error:  # an object's own pickling may raise anything
        raise TrainError(
            f"cannot be sent to another process: {type(error).__name__}: {error}",
            fix="keep locks, open files and connections out of what is sent; open them inside",
        ) from error


def loads(data: Any) -> Any:
    """Rebuild what `dumps` made; `data` is any buffer of bytes."""
    return pickle.loads(data)  # noqa: S301 - between our own processes only


def _by_reference(message: object) -> bytes | None:
    # Plain pickle is some ten times as fast, and does for all that is sent while training runs.
    try:
        return pickle.dumps(message, protocol=_PROTOCOL)
    except Exception:
        return None
