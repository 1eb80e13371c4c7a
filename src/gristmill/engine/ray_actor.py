"""An object in a worker process of a Ray cluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from gristmill.core.errors import StepError
from gristmill.engine.ray_failures import lost
from gristmill.engine.remote_attempt import Shipment, unpacked

_FATE_SECONDS = 60.0
_ASK_AGAIN_SECONDS = 0.5


class RayActor:
    """The handle of an object on some node.

    Calls are sent at once, and a thread of this process waits for their results.

    Args:
        handle: Ray's own handle, of a `Hosted`.
        rank: its number among the actors it was started with.
        ended: called once, when it has been closed.

    Attributes:
        node: Ray's name for the node that it lives on; known when it has been placed.
        pid: the number of its process there.
    """

    node: str
    pid: int

    def __init__(self, handle: Any, rank: int, ended: Callable[[], None]) -> None:
        self._handle, self._rank, self._ended = handle, rank, ended
        self._receiver = ThreadPoolExecutor(1, thread_name_prefix=f"gristmill-ray-actor-{rank}")
        self._closed = False

    def ask_place(self) -> Any:
        """Return Ray's reference to where it lives; ready when it has been given a place."""
        return self._handle.place.remote()

    def build(self, factory: Shipment, where: str) -> Future[Any]:
        """Make what the factory returns for its rank the object that is called."""
        where = f"{where}, worker {self._rank}"
        return self._later(self._handle.build.remote(factory, self._rank, where), where)

    def call(self, method: str, /, *args: Any) -> Future[Any]:
        """See `Actor.call`."""
        from ray import cloudpickle

        where = f"worker {self._rank}, {method}"
        if self._closed:
            return _failed("the worker is closed", where)
        try:
            message = bytes(cloudpickle.dumps(args))
        except Exception as error:  # the arguments' own pickling may raise anything
            return _failed(f"the arguments cannot be sent to a worker: {error}", where)
        return self._later(self._handle.call.remote(method, message, where), where)

    def close(self) -> None:
        """End the process now; calls that wait are cancelled."""
        import ray

        if self._closed:
            return
        self._closed = True
        # First, for the end of the call that runs would begin those that wait.
        self._receiver.shutdown(wait=False, cancel_futures=True)
        ray.kill(self._handle, no_restart=True)
        self._receiver.shutdown()
        self._ended()

    def _later(self, reference: Any, where: str) -> Future[Any]:
        return self._receiver.submit(_received, self._handle, reference, where)


def _received(handle: Any, reference: Any, where: str) -> Any:
    import ray
    from ray.exceptions import ActorUnavailableError

    try:
        message = ray.get(reference)
    except ActorUnavailableError as error:
        raise lost(_fate(handle) or error, where) from None
    except Exception as error:
        raise lost(error, where) from None
    return unpacked(message, where).get()


def _fate(handle: Any) -> Exception | None:
    """Return how an actor that does not answer was lost; None if Ray cannot tell.

    A call fails a second after its connection; that the node is gone, Ray notices later, by the
    health checks that it fails to answer.
    """
    import ray
    from ray.exceptions import ActorUnavailableError

    end = time.monotonic() + _FATE_SECONDS
    while (left := end - time.monotonic()) > 0:
        try:
            ray.get(handle.place.remote(), timeout=left)
        except ActorUnavailableError:
            time.sleep(_ASK_AGAIN_SECONDS)
        except ray.exceptions.GetTimeoutError:
            return None
        except Exception as error:
            return error
        else:  # it answers again
            return None
    return None


def _failed(message: str, where: str) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(StepError(message, where=where))
    return future
