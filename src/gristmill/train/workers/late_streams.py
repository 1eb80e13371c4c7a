"""The streams of a device that there is not: its memory is the host's, its copies come late.

For tests, where no GPU is. A copy is made when somebody waits for it and not before, so whatever
relies on a copy that it did not wait for finds other bytes; and what nobody has written yet is
full of NaNs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import torch
from torch import Tensor

from gristmill.train.workers.streams import Copies, Mark

_NAN = 0xFF
"""Four of these bytes are a float32 that is no number."""


class LateMark:
    """A place in a lane's queue of copies.

    Args:
        lane: whose.
        number: of copies before it.
    """

    def __init__(self, lane: Lane, number: int) -> None:
        self._lane, self._number = lane, number
        self._asked = False

    def reached(self) -> bool:
        """Say whether the copies have been made; make one more if that is asked again and again."""
        reached = self._lane.done >= self._number
        if not reached and self._asked:
            self._lane.go_on()
        self._asked = True
        return reached

    def wait(self) -> None:
        """Make the copies."""
        while self._lane.done < self._number:
            self._lane.go_on()


class Lane:
    """Copies in order, each made when it is waited for.

    Attributes:
        done: how many were made.
    """

    def __init__(self) -> None:
        self.done = 0
        self._waiting: deque[tuple[Copies, tuple[Mark, ...]]] = deque()

    def add(self, copies: Copies, after: Iterable[Mark]) -> LateMark:
        """Queue copies."""
        self._waiting.append((copies, tuple(after)))
        return LateMark(self, self.done + len(self._waiting))

    def go_on(self) -> None:
        """Make the first copies in the queue."""
        copies, after = self._waiting[0]
        for mark in after:
            mark.wait()
        with torch.no_grad():
            for target, source in copies:
                target.copy_(source)
        self._waiting.popleft()
        self.done += 1


class LateStreams:
    """Streams whose device is the CPU, with memory apart from the records'."""

    device = torch.device("cpu")
    said = ""

    def __init__(self) -> None:
        self._up, self._down = Lane(), Lane()

    def room(self, nbytes: int) -> Tensor:
        """Return memory full of NaNs, aligned to 512 bytes."""
        whole = torch.full((nbytes + 512,), _NAN, dtype=torch.uint8)
        start = -whole.data_ptr() % 512
        return whole[start : start + nbytes]

    def up(self, copies: Copies, after: Iterable[Mark] = ()) -> Mark:
        """Queue copies that are made when they are waited for."""
        return self._up.add(copies, after)

    def down(self, copies: Copies, after: Iterable[Mark]) -> Mark:
        """Queue copies that are made when they are waited for."""
        return self._down.add(copies, after)

    def follow(self, mark: Mark) -> None:
        """Make the copies that were marked: what is computed next wants them."""
        mark.wait()

    def computed(self) -> Mark:
        """Return a mark that is reached: the CPU has computed when a call returns."""
        return LateMark(Lane(), 0)
