"""What a change reaches, and what a result needs, along one axis of a sliding window.

Output o of a window with kernel k, stride s, padding p and dilation d reads the inputs
o·s − p + d·j for j = 0 … k − 1. With the span k' = d·(k − 1) + 1, a change of the inputs
[begin, end) can reach the outputs

    [ max(0, ⌈(begin + p − k' + 1) / s⌉),  min(O, ⌊(end − 1 + p) / s⌋ + 1) )

and the outputs [lo, hi) need the inputs [lo·s − p, (hi − 1)·s − p + k'). Both are the tightest
interval unless the window skips pixels (dilation beyond 1, or a stride beyond the span): then they
may hold a few that no window touches, never one too few.
"""

from __future__ import annotations

from typing import NamedTuple


class Window(NamedTuple):
    """A sliding window along one axis, in pixels."""

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    @property
    def span(self) -> int:
        """Pixels from the first that a window reads to the last, both included."""
        return self.dilation * (self.kernel - 1) + 1

    def outputs(self, length: int, padding_end: int | None = None) -> int:
        """Outputs along an axis of `length` pixels; `padding_end` where the far side differs."""
        far = self.padding if padding_end is None else padding_end
        return max(0, (length + self.padding + far - self.span) // self.stride + 1)


def reached(begin: int, end: int, window: Window, length_out: int) -> tuple[int, int]:
    """Outputs [lo, hi) that a change of the inputs [begin, end) may alter; (0, 0) for none."""
    if end <= begin:
        return 0, 0
    first = -((window.span - 1 - begin - window.padding) // window.stride)
    lo = max(0, first)
    hi = min(length_out, (end - 1 + window.padding) // window.stride + 1)
    return (lo, hi) if lo < hi else (0, 0)


def needed(lo: int, hi: int, window: Window) -> tuple[int, int]:
    """Inputs [begin, end) that the outputs [lo, hi) read.

    Not clipped: what is below 0, or at the input's length and beyond, is padding. (0, 0) for none.
    """
    if hi <= lo:
        return 0, 0
    begin = lo * window.stride - window.padding
    return begin, (hi - 1) * window.stride - window.padding + window.span
