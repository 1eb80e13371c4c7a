"""Rows that were answered before are not computed again, nor twice at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from gristmill.serve.online.cache import AnswerCache
from gristmill.serve.online.row_keys import own_row, row_keys
from gristmill.serve.runners.rows import Rows

Compute: TypeAlias = Callable[[Rows], Awaitable[Rows]]

_LONGEST = 86_400.0
"""Seconds; an event loop can't wait for ever with a time-out."""


class Deduplication:
    """Answers rows from a cache, from whoever computes them just now, or by computing them.

    Only answers are kept: what failed, was refused or cancelled leaves nothing behind, and
    whoever waited for it computes for itself.

    Args:
        cache: the answers that are kept.
    """

    def __init__(self, cache: AnswerCache) -> None:
        self.cache = cache
        self._computing: dict[bytes, asyncio.Future[Rows | None]] = {}

    async def answer(
        self, rows: Rows, prefix: bytes, compute: Compute, patience: float = float("inf")
    ) -> tuple[Rows, int]:
        """Return the answers to rows, and how many of them were not computed for this call.

        Args:
            rows: at least one.
            prefix: what the answers depend on beside the rows: model and route.
            compute: gives the answers to rows.
            patience: seconds for which to wait for somebody else's computation.

        Raises:
            TimeoutError: somebody else's computation took longer.
            Exception: whatever `compute` raises.
        """
        keys = row_keys(rows, prefix)
        answers: dict[bytes, Rows] = {}
        computed = 0
        until = asyncio.get_running_loop().time() + patience
        left = list(dict.fromkeys(keys))
        while left := [key for key in left if not self._known(key, answers)]:
            # Taken now: once they are done nobody can be asked for them.
            others = {key: self._computing[key] for key in left if key in self._computing}
            own = [key for key in left if key not in others]
            if own:
                answers.update(await self._compute(own, rows, keys, compute))
                computed += len(own)
            if others:
                answers.update(await _follow(others, until))
            left = [key for key in left if key not in answers]
        if len(keys) == 1:
            return answers[keys[0]], 1 - computed
        return Rows.concat([answers[key] for key in keys]), len(keys) - computed

    def _known(self, key: bytes, answers: dict[bytes, Rows]) -> bool:
        answer = self.cache.get(key)
        if answer is not None:
            answers[key] = answer
        return answer is not None

    async def _compute(
        self, own: Sequence[bytes], rows: Rows, keys: list[bytes], compute: Compute
    ) -> dict[bytes, Rows]:
        loop = asyncio.get_running_loop()
        found: dict[bytes, Rows] = {}
        for key in own:
            self._computing[key] = loop.create_future()
        try:
            if len(own) < len(keys):
                rows = rows.select(np.array([keys.index(key) for key in own], np.int64))
            outcome = await compute(rows)
            found = {key: own_row(outcome, place) for place, key in enumerate(own)}
            for key, answer in found.items():
                self.cache.put(key, answer)
        finally:
            for key in own:
                self._computing.pop(key).set_result(found.get(key))
        return found


async def _follow(
    others: Mapping[bytes, asyncio.Future[Rows | None]], until: float
) -> dict[bytes, Rows]:
    """Wait for what others compute, and return what came of it."""
    left = max(until - asyncio.get_running_loop().time(), 0.0)
    _, missing = await asyncio.wait(others.values(), timeout=min(left, _LONGEST))
    if missing:
        raise TimeoutError
    found = {key: future.result() for key, future in others.items()}
    return {key: answer for key, answer in found.items() if answer is not None}
