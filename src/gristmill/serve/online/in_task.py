"""An answer that needs a coroutine, for who is told instead of waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gristmill.serve.online.endpoint import Answered, Told


def in_task(
    answering: Coroutine[Any, Any, Answered], told: Told, tasks: set[asyncio.Task[Answered]]
) -> Callable[[], None]:
    """Let a coroutine answer in a task.

    Args:
        answering: the coroutine.
        told: hears once what comes of it, unless it is called off.
        tasks: holds the task until then: the loop itself keeps none alive.

    Returns:
        what calls it off.
    """
    task = asyncio.ensure_future(answering)
    tasks.add(task)
    task.add_done_callback(partial(_ended, told, tasks))
    return partial(_call_off, task)


def _ended(told: Told, tasks: set[asyncio.Task[Answered]], task: asyncio.Task[Answered]) -> None:
    tasks.discard(task)
    if not task.cancelled():
        error = task.exception()
        told(error if isinstance(error, Exception) else task.result())


def _call_off(task: asyncio.Task[Answered]) -> None:
    task.cancel()
