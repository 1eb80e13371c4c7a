"""What runs in Ray's worker processes: the work of one item, and the object behind an actor."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gristmill.engine.remote_attempt import Shipment, packed_attempt, remembered
from gristmill.engine.versions import Versions


@dataclass(frozen=True)
class Work:
    """A function on its way to the workers.

    Attributes:
        key: names it among all functions of a driver.
        shipment: a reference to the `Shipment` in Ray's object store. In a list: Ray fetches what
            is an argument itself with every task, and what lies in one when it is asked for.
    """

    key: str
    shipment: Sequence[Any]


def run_item(work: Work, item: bytes, where: str) -> bytes:
    """Call the function with an item; the outcome is pickled."""
    _die_of_sigterm()

    def call() -> Any:
        return remembered(work.key, lambda: _function(work))(pickle.loads(item))  # noqa: S301

    return packed_attempt(call, where, _dumps)


def versions_here() -> Versions:
    """Return what this worker has installed."""
    return Versions.here()


class Hosted:
    """An object that lives in a process of its own, whose methods are called by name."""

    def __init__(self) -> None:
        _die_of_sigterm()

    def place(self) -> tuple[str, int]:
        """Return the node and the number of the process that the object lives in."""
        import ray

        return ray.get_runtime_context().get_node_id(), os.getpid()

    def build(self, factory: Shipment, rank: int, where: str) -> bytes:
        """Make `factory(rank)` the object; the outcome has no value."""

        def build() -> None:
            self._target = factory.unpack()(rank)

        return packed_attempt(build, where, _dumps)

    def call(self, method: str, args: bytes, where: str) -> bytes:
        """Call a method of the object; the outcome is pickled."""
        return packed_attempt(
            lambda: getattr(self._target, method)(*pickle.loads(args)),  # noqa: S301
            where,
            _dumps,
        )


def _die_of_sigterm() -> None:
    """Let a SIGTERM end this process, as any other death: Ray tries elsewhere what it was at.

    Ray's own answer is a `SystemExit` in the middle of the function, which cannot be told from one
    that the function raises.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _function(work: Work) -> Callable[[Any], Any]:
    import ray

    shipment: Shipment = ray.get(work.shipment[0])
    return shipment.unpack()


def _dumps(value: Any) -> bytes:
    """Pickle also what is defined in a notebook."""
    from ray import cloudpickle

    return bytes(cloudpickle.dumps(value))
