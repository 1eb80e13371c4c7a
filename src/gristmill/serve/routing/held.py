"""An endpoint that may be exchanged for another one, and how much it is answering."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from gristmill.serve.online.endpoint import Prompt

if TYPE_CHECKING:
    from gristmill.serve.online.endpoint import Answered, Call, Endpoint, Told
    from gristmill.serve.runners.rows import Rows


class Held:
    """An endpoint, the requests that it is answering, and what it is a version of.

    Attributes:
        endpoint: what answers.
        version: what it is a version of.
        busy: requests that it is answering.
        idle: told when it answers none any more, to whoever cleared it before.
    """

    __slots__ = ("_prompt", "busy", "endpoint", "idle", "version")

    def __init__(self, endpoint: Endpoint, version: str) -> None:
        self.endpoint, self.version, self.busy = endpoint, version, 0
        self.idle = asyncio.Event()
        self.idle.set()
        self._prompt = endpoint.ask if isinstance(endpoint, Prompt) else None

    async def answer(self, rows: Rows, call: Call) -> Answered:
        """Answer by the endpoint, counted while it does."""
        self.busy += 1
        try:
            return await self.endpoint.answer(rows, call)
        finally:
            self.leave()

    def ask(self, rows: Rows, call: Call, told: Told) -> Callable[[], None] | None:
        """Ask the endpoint as `endpoint.Prompt` says, counted until it tells or nobody waits."""
        if self._prompt is None:
            return None
        asked = _Asked(self, told)
        try:
            gone = self._prompt(rows, call, asked.hear)
        except BaseException:
            asked.leave()
            raise
        if gone is None:
            asked.leave()
            return None
        asked.gone = gone
        return asked.withdraw

    def leave(self) -> None:
        """Count one request less."""
        self.busy -= 1
        if not self.busy:
            self.idle.set()


class _Asked:
    """A request that was asked without a coroutine; it leaves once, whatever comes of it."""

    __slots__ = ("gone", "held", "told")

    gone: Callable[[], None]

    def __init__(self, held: Held, told: Told) -> None:
        held.busy += 1
        self.held: Held | None = held
        self.told = told

    def hear(self, outcome: Answered | Exception) -> None:
        self.leave()
        self.told(outcome)

    def withdraw(self) -> None:
        self.leave()
        self.gone()

    def leave(self) -> None:
        held, self.held = self.held, None
        if held is not None:
            held.leave()
