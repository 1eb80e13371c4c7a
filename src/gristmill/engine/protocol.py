"""What an engine is: `attempts` and `map` for work on data, `workers` for work with state."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

from gristmill.engine.outcome import Outcome

T = TypeVar("T")
R = TypeVar("R")


class Actor(Protocol):
    """An object that lives with one worker and keeps its state between calls."""

    def call(self, method: str, /, *args: Any) -> Future[Any]:
        """Ask for `method(*args)`; calls of one actor run one after the other, in order.

        The future's `result()` raises what the method raised: a `GristmillError` as itself, any
        other error as a `StepError` that names the method.
        """

    def close(self) -> None:
        """End the actor now, even in the middle of a call. May be called again."""


@runtime_checkable
class Engine(Protocol):
    """A place where work runs. Use it in a `with` block, which ends its workers.

    Attributes:
        name: its kind: `local`, `inline`, `ray` or `spark`.
        parallelism: how many items are worked on at once.
        shares_files: whether its workers run on this machine, and so see the same files.
    """

    name: str
    parallelism: int
    shares_files: bool

    def attempts(
        self, fn: Callable[[T], R], items: Iterable[T], /
    ) -> Generator[Outcome[R], None, None]:
        """Yield what came of `fn(item)` for each item, in the order of the items.

        Lazy: items are taken only a few ahead of the outcomes that have been asked for; closing
        the generator ends what is under way. A failed item does not stop the others. An error of
        the function fails its item at once; where its worker or node died, the engine tries again
        elsewhere, at most three times in all. The error is a `StepError` that names the item by its
        number, or the function's own where that is a `GristmillError`.

        Raises:
            UsageError: the function cannot be sent to where work runs; raised by the call itself.
        """

    def map(self, fn: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        """Yield the values of `attempts`, up to the first item that failed.

        Raises:
            UsageError: as `attempts`.
            GristmillError: the first outcome's that is an error. Results of earlier items are
                yielded first; what is under way then ends.
        """

    def workers(
        self,
        n: int,
        factory: Callable[[int], object],
        /,
        *,
        cpus: float | None = None,
        gpus: float = 0,
    ) -> list[Actor]:
        """Start `n` actors around `factory(0)`, ..., `factory(n - 1)`.

        Args:
            n: how many.
            factory: makes the object of a rank, where it lives.
            cpus: processors that a cluster keeps for each until all are closed; None keeps none.
            gpus: accelerators that it keeps for each. One machine keeps nothing in any case.

        Raises:
            UsageError: `n` is less than 1, the factory cannot be sent, or the engine has no actors.
            StepError: a factory raised; a `GristmillError` comes as itself.
        """

    def close(self) -> None:
        """End all workers and actors of this engine. May be called again."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
