"""Plans of trials, made beside the event loop: a model is looked at for seconds, devices are not
to wait for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context

from gristmill.core.closing import Closing
from gristmill.train.jobs.planning import Prepared


class PlannedAside(Closing):
    """Makes the plans of trials one after the other, in a thread of its own.

    One thread, since what it measures should not be disturbed by itself; kernels and files let the
    event loop go on meanwhile. A `with` block waits at its end for the plan that is being made.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="plan")
        self._wanted: dict[Future[Prepared], int] = {}

    @property
    def trials(self) -> set[int]:
        """The trials whose plans are wanted and were not handed out yet."""
        return set(self._wanted.values())

    def want(self, trial: int, make: Callable[[], Prepared]) -> None:
        """Have a trial's plan made.

        Args:
            trial: its number.
            make: makes it; what it raises comes out of `ready`.
        """
        self._wanted[self._thread.submit(copy_context().run, make)] = trial

    def ready(self, *, wait_for_one: bool) -> Iterator[tuple[int, Future[Prepared]]]:
        """Yield the trials whose plans are made, in the order in which they were wanted.

        Args:
            wait_for_one: wait until there is one, if any is wanted.
        """
        if wait_for_one and self._wanted:
            wait(self._wanted, return_when=FIRST_COMPLETED)
        for future in [each for each in self._wanted if each.done()]:
            yield self._wanted.pop(future), future

    def close(self) -> None:
        """Drop what was not begun, and wait for what was."""
        self._thread.shutdown(cancel_futures=True)
