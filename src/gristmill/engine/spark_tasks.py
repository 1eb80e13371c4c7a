"""What runs in Spark's Python processes: the work of one item, and what is installed there."""

from __future__ import annotations

import gc
import os
import pickle
import platform
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gristmill.core.errors import StepError
from gristmill.core.processes.place import thread_limits
from gristmill.engine.remote_attempt import Shipment, packed_attempt, remembered
from gristmill.engine.versions import Versions

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark import Broadcast


@dataclass(frozen=True)
class Place:
    """What a worker is to find around it.

    Attributes:
        code: names of Spark archives with the user's modules, that are imported from first.
        threads: of numeric libraries.
        result_bytes: how large a pickled outcome may be.
    """

    code: tuple[str, ...]
    threads: int
    result_bytes: int


@dataclass(frozen=True)
class Work:
    """A `Shipment` and one item on their way to a worker, both pickled; what is large by broadcast.

    Attributes:
        key: names the function among all of a driver.
    """

    key: str
    function: bytes | Broadcast[bytes]
    item: bytes | Broadcast[bytes]
    where: str
    place: Place


def run_item(work: Work, rows: Iterable[Any]) -> Iterator[bytes]:
    """Call the function with the item; the outcome is pickled. Made for `RDD.mapPartitions`.

    Args:
        work: the item.
        rows: the partition that Spark has for us, which means nothing.
    """
    # A worker process that has not read its input to the end is not used again.
    deque(rows, maxlen=0)

    def call() -> Any:
        function = remembered(work.key, lambda: _arrived(work))
        return function(pickle.loads(_bytes(work.item)))  # noqa: S301

    message = packed_attempt(call, work.where, dumps)
    if len(message) > work.place.result_bytes:
        error = StepError(
            f"the result takes {len(message):,} bytes, and Spark's driver accepts "
            f"{work.place.result_bytes:,}",
            where=work.where,
            fix="use smaller partitions, or raise spark.driver.maxResultSize",
        )
        message = packed_attempt(lambda: _raised(error), work.where)
    yield message


def versions_here(rows: Iterable[Any]) -> Iterator[tuple[str, Versions]]:
    """Tell this worker's host and what it has installed. Made for `RDD.mapPartitions`."""
    deque(rows, maxlen=0)
    yield platform.node(), Versions.here()


def dumps(value: Any) -> bytes:
    """Pickle also what is defined in a notebook or a script."""
    from pyspark import cloudpickle

    return bytes(cloudpickle.dumps(value))


def _arrived(work: Work) -> Callable[[Any], Any]:
    """Make this process ready for a function, and unpickle it."""
    from pyspark import SparkFiles

    os.environ.update(thread_limits(work.place.threads))
    for folder in map(SparkFiles.get, work.place.code):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    shipment: Shipment = pickle.loads(_bytes(work.function))  # noqa: S301
    function = shipment.unpack()
    # Spark collects garbage after every task: what stays is not to be looked at each time.
    gc.freeze()
    return function


def _bytes(message: bytes | Broadcast[bytes]) -> bytes:
    return message if isinstance(message, bytes) else message.value


def _raised(error: Exception) -> None:
    raise error
