"""Whether there is more to do than can be in time, and what those who matter more need then."""

from __future__ import annotations

from gristmill.serve.scheduling.request import Request

_SECONDS = 1.0
"""For how long something that came to pass is taken for how things are."""


class Overload:
    """What is known of requests while not all can be in time; forgotten within a second.

    Attributes:
        until: when it ends if nobody is refused before.
        reach: the smallest priority number among those refused since it began: who matters more
            than that is not overloaded.
    """

    def __init__(self) -> None:
        self.until = float("-inf")
        self.reach = 0
        self._given: dict[int, tuple[float, float]] = {}

    def refused(self, request: Request, now: float) -> None:
        """Take note of a request that could not be in time for what waits already."""
        fresh = now >= self.until
        self.reach = request.priority if fresh else min(self.reach, request.priority)
        self.until = max(self.until, min(request.deadline, now + _SECONDS))

    def came(self, request: Request, now: float) -> None:
        """Take note of a request that may be let in, and how much time it has."""
        seconds = request.deadline - now
        least, until = self._given.get(request.priority, (seconds, now))
        if seconds <= least or now >= until:
            self._given[request.priority] = (seconds, now + _SECONDS)

    def given(self, priority: int, now: float) -> float:
        """Return the least seconds that requests of smaller numbers have; infinity if none came."""
        times = (
            seconds
            for number, (seconds, until) in self._given.items()
            if number < priority and now < until
        )
        return min(times, default=float("inf"))
