"""What a process and its nursery and workers say to each other.

To a worker: a tuple (method of the target, arguments...), which is answered by a `Reply`, or one of
`Build` (answered too), `Peer`, `Forget` and `Free` (not answered unless they fail).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from gristmill.core.errors import TrainError
from gristmill.core.processes.failure import Failure
from gristmill.train.workers.value_handle import Handle


class Surroundings(NamedTuple):
    """What a new worker takes over from the process that asks for it.

    Attributes:
        environment: environment variables.
        folder: working directory.
        paths: where to import from.
        threads: threads of numeric libraries.
        cores: numbers of the cores it may run on; empty: any.
    """

    environment: dict[str, str]
    folder: str
    paths: list[str]
    threads: int
    cores: tuple[int, ...]


class Ready(NamedTuple):
    """From the nursery: all modules are loaded, or `failure` says why not."""

    failure: str | None


class Start(NamedTuple):
    """To the nursery: fork a worker. Comes with the worker's socket and the pipe for its death."""

    number: int
    surroundings: Surroundings


class Started(NamedTuple):
    """From the nursery: the worker runs (with a pidfd of it), or `failure` says why not."""

    number: int
    pid: int
    failure: str | None = None


class Build(NamedTuple):
    """Make `factory(rank, pool, values)` the target.

    Comes with the file descriptors of the worker's own value pool and, where `pool_bytes` is not 0,
    of the pool of records. `factory` is pickled by itself, once for all workers.
    """

    factory: bytes
    rank: int
    number: int
    values_bytes: int
    pool_bytes: int


class Peer(NamedTuple):
    """Values of worker `number` can be read in the pool whose descriptor comes with this."""

    number: int
    values_bytes: int


class Forget(NamedTuple):
    """Values of worker `number` will not be read again."""

    number: int


class Free(NamedTuple):
    """These values of the worker's own are not needed any more."""

    handles: tuple[Handle, ...]


class Reply(NamedTuple):
    """What came of a message.

    Attributes:
        value: what the method returned.
        start: when it was called, by `time.monotonic`, which all processes of a machine share.
        end: when it returned.
        failure: the error it raised instead.
        awaited: False for the failure of a message that has no answer otherwise.
    """

    value: Any
    start: float
    end: float
    failure: Failure | None = None
    awaited: bool = True

    def get(self, where: str = "a worker") -> Any:
        """Return the value.

        Raises:
            GristmillError: the worker's own error, or a `TrainError` that says what it was.
        """
        if self.failure is not None:
            raise self.failure.to_error(TrainError, "a worker process", where)
        return self.value
