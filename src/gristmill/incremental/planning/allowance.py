"""How much longer than whole frames a stream may take for finding out that less would not do."""

from __future__ import annotations

_SHARE = 0.03
_RATE = 0.1
_STALL = 2.0
_SHORTEST, _LONGEST = 0.1, 1.0


class Allowance:
    """Sees to it that planning costs a stream little where it does not pay.

    To plan a frame takes time even if all is then computed, and a plan may take longer than was
    predicted. What planned frames save is put by, up to the time of one whole frame, and what they
    lose is taken from that. When nothing is left, frames are computed whole without planning; each
    puts 3 % of its time by, and once what was lost is made up for, planning is tried again.

    So in all, beside finding changes and stalls of the machine, a stream takes at most 3 % longer
    than whole frames would, and five whole frames: a planned frame may take long because kernels
    are prepared for it, so a tenth of a whole frame is the most that has to be made up for at
    first, and twice as much each time, up to a whole one.

    Args:
        whole: seconds of a whole frame, as they were measured; corrected by those that are done.
    """

    def __init__(self, whole: float) -> None:
        self._whole = self._left = whole
        self._most_owed = _SHORTEST

    @property
    def plans(self) -> bool:
        """Whether the next frame is to be planned."""
        return self._left >= 0.0

    def planned(self, seconds: float) -> None:
        """Take in how long a planned frame took, finding its changes left out."""
        self._left = min(self._left + self._whole - seconds, self._whole)
        if self._left < 0.0:
            self._left = max(self._left, -self._most_owed * self._whole)
            self._most_owed = min(2.0 * self._most_owed, _LONGEST)

    def passed(self, seconds: float) -> None:
        """Take in how long a frame took that was computed whole without planning."""
        self._whole += _RATE * (min(seconds, _STALL * self._whole) - self._whole)
        self._left += _SHARE * self._whole
