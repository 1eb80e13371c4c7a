"""Calls that last until a store answers: they can be interrupted, and do not last for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from gristmill.data.remote_path import AnyPath, RemotePath

T = TypeVar("T")
_PATIENCE_SECONDS = 30.0


def interruptible(call: Callable[[], T]) -> T:
    """Return `call()`, or end at Ctrl-C without it.

    Libraries that are not written in Python see to signals when they return, and a store that says
    nothing may keep them for minutes. Signals reach the main thread alone, so others call directly.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()
    return _begun(call).result()


def watched(read: Callable[[], T], path: AnyPath | None) -> T:
    """Return `read()`, by which Polars reads a file; a store that answers no more is told.

    Polars itself waits for ever for a server that has taken its request. However slow a network
    is, a store is there as long as it answers what is asked beside.

    Raises:
        DataError: the store does not answer.
    """
    if not isinstance(path, RemotePath):
        return read()
    reading = _begun(read)
    while True:
        try:
            return reading.result(_PATIENCE_SECONDS)
        except TimeoutError:
            if reading.done():  # it is what reading raised
                raise
            path.stat()


def _begun(call: Callable[[], T]) -> Future[T]:
    """Call in a thread that nobody waits for when the process ends."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # it is raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, name="gristmill-store", daemon=True).start()
    return future
