"""The engine that runs everything right here: for tests, debuggers and small work."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

from gristmill.core.errors import GristmillError, StepError
from gristmill.engine.failures import as_ours, check_count, name_of
from gristmill.engine.mapping import Mapping
from gristmill.engine.outcome import Outcome
from gristmill.engine.protocol import Actor

T = TypeVar("T")
R = TypeVar("R")


class Inline(Mapping):
    """Runs work in the calling thread, one item at a time."""

    name = "inline"
    shares_files = True
    parallelism = 1

    def attempts(
        self, fn: Callable[[T], R], items: Iterable[T], /
    ) -> Generator[Outcome[R], None, None]:
        """See `Engine.attempts`. Any callable will do."""
        for number, item in enumerate(items):
            where = f"{name_of(fn)}, item {number}"
            outcome: Outcome[R]
            try:
                outcome = Outcome(_run(lambda item=item: fn(item), where))  # type: ignore[misc]
            except GristmillError as error:
                outcome = Outcome(error=error)
            yield outcome

    def workers(
        self,
        n: int,
        factory: Callable[[int], object],
        /,
        *,
        cpus: float | None = None,
        gpus: float = 0,
    ) -> list[Actor]:
        """See `Engine.workers`. A call has run when `call` returns."""
        check_count(n)
        where = name_of(factory)
        return [
            InlineActor(_run(lambda rank=rank: factory(rank), f"{where}, worker {rank}"), rank)  # type: ignore[misc]
            for rank in range(n)
        ]

    def close(self) -> None:
        """Nothing is left running."""


class InlineActor:
    """An object called in the calling thread."""

    def __init__(self, target: object, rank: int) -> None:
        self._target, self._rank = target, rank
        self._closed = False

    def call(self, method: str, /, *args: Any) -> Future[Any]:
        """See `Actor.call`."""
        future: Future[Any] = Future()
        where = f"worker {self._rank}, {method}"
        if self._closed:
            future.set_exception(StepError("the worker is closed", where=where))
            return future
        try:
            future.set_result(_run(lambda: getattr(self._target, method)(*args), where))
        except Exception as error:  # handed to whoever asks the future
            future.set_exception(error)
        return future

    def close(self) -> None:
        """Refuse further calls."""
        self._closed = True


def _run(work: Callable[[], R], where: str) -> R:
    try:
        return work()
    except (Exception, SystemExit) as error:
        ours = as_ours(error, where)
        if ours is error:
            raise
        raise ours from error
