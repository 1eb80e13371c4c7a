"""Which parts of a span of bytes are taken: best-fit allocation that merges what is given back."""

from __future__ import annotations

from bisect import bisect_left, insort

from gristmill.core.errors import UsageError


class FreeSpace:
    """Takes and gives back runs of a span of `nbytes` bytes.

    Best fit: the smallest hole that is large enough, the lowest of equal ones (Knuth, The Art of
    Computer Programming 1, section 2.5). O(log holes) to find one; holes that touch are merged.

    Attributes:
        taken: offset -> bytes of each run that is taken.
    """

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.taken: dict[int, int] = {}
        self._holes: dict[int, int] = {}  # offset -> bytes
        self._offset_by_end: dict[int, int] = {}
        self._by_size: list[tuple[int, int]] = []  # (bytes, offset), sorted
        self._open(0, nbytes)

    @property
    def largest(self) -> int:
        """Bytes of the largest hole."""
        return self._by_size[-1][0] if self._by_size else 0

    @property
    def free(self) -> int:
        """Bytes of all holes."""
        return sum(self._holes.values())

    def take(self, nbytes: int) -> int | None:
        """Take `nbytes` bytes and return their offset; None where no hole is large enough."""
        place = bisect_left(self._by_size, (nbytes, 0))
        if place == len(self._by_size):
            return None
        offset = self._by_size[place][1]
        self._cut(offset, offset, nbytes)
        return offset

    def take_at(self, offset: int, nbytes: int) -> None:
        """Take the `nbytes` bytes from `offset`.

        Raises:
            UsageError: they are not all free.
        """
        for start, size in self._holes.items():
            if start <= offset and offset + nbytes <= start + size:
                self._cut(start, offset, nbytes)
                return
        raise UsageError(f"{nbytes} bytes from {offset} are not free")

    def give(self, offset: int) -> None:
        """Give back what was taken at `offset`.

        Raises:
            UsageError: nothing was taken there.
        """
        nbytes = self.taken.pop(offset, None)
        if nbytes is None:
            raise UsageError(f"nothing was taken at {offset}")
        end = offset + nbytes
        if end in self._holes:
            nbytes += self._close(end)
        before = self._offset_by_end.get(offset)
        if before is not None:
            nbytes += self._close(before)
            offset = before
        self._open(offset, nbytes)

    def runs(self) -> list[tuple[int, int, bool]]:
        """Return (offset, bytes, taken) of all runs and holes, by offset; they fill the span."""
        taken = [(offset, nbytes, True) for offset, nbytes in self.taken.items()]
        holes = [(offset, nbytes, False) for offset, nbytes in self._holes.items()]
        return sorted(taken + holes)

    def _cut(self, hole: int, offset: int, nbytes: int) -> None:
        end = hole + self._close(hole)
        self._open(hole, offset - hole)
        self._open(offset + nbytes, end - offset - nbytes)
        self.taken[offset] = nbytes

    def _open(self, offset: int, nbytes: int) -> None:
        if nbytes:
            self._holes[offset] = nbytes
            self._offset_by_end[offset + nbytes] = offset
            insort(self._by_size, (nbytes, offset))

    def _close(self, offset: int) -> int:
        nbytes = self._holes.pop(offset)
        del self._offset_by_end[offset + nbytes]
        del self._by_size[bisect_left(self._by_size, (nbytes, offset))]
        return nbytes
