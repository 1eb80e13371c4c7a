"""How much longer than whole frames a stream may take for finding out that less would not do."""

from __future__ import annotations

_PLANNING, _LOOKING = 0.02, 0.005
_RATE = 0.1
_CLOSE, _CLOSELY, _CLOSE_RATE, _STEEP = 0.75, 32, 0.5, 6
_STALL = 2.0
_AUDITS = 2.0
_GAIN_RATE, _SOON = 0.2, 16
_SHORTEST, _LONGEST = 0.1, 4.0
_LEAST, _MOST = 2e-3, 16e-3
"""Seconds that have to be made up for at least: what it takes to try, beside a small network."""


class Allowance:
    """Sees to it that looking for changes and planning cost a stream little where they do not pay.

    To look at a frame and to plan it take time even if all is then computed, and a plan may take
    longer than was predicted. What planned frames save is put by, up to the time of one whole
    frame, and what they lose is taken from that. When nothing is left, frames are computed whole
    without planning; each puts 2 % of its time by, and once what was lost is made up for, planning
    is tried again. Meanwhile frames are looked at as often as 0.5 % of their time allows: most of
    them beside a large network, one in some beside a small one, and the one behind a still one.

    What audits take is paid for by what planned frames save beyond that, two whole frames of it
    beforehand, or else afterwards: as much may be owed, up to two whole frames, as sixteen planned
    frames like the last ones save. Beyond that it has to be made up for likewise. So a stream whose
    planned frames save nothing rests for 50 frames after each audit, and one that gains goes on.

    So in all, stalls of the machine apart, a stream takes at most 2.5 % longer than whole frames
    would, and a few whole frames. What has to be made up for is a tenth of a whole frame at first,
    for a planned frame may take long because kernels are prepared for it, and twice as much each
    time, up to four: where planning never pays, it is tried with one frame in 200, and beside a
    network that takes less than 4 ms once in 0.8 s of them.

    Where planned frames take nearly as long as whole ones are thought to, one in 33 is computed
    whole to measure that, for the first time after five: the machine may have been busier at first.
    Of those that take half as long it is one in 360, for it may have been twice as busy.

    Args:
        whole: seconds of a whole frame, as they were measured; corrected by those that are done.
    """

    def __init__(self, whole: float) -> None:
        self._whole = self._left = whole
        self._owed = self._least
        self._debt = self._gain = 0.0
        self._looking = 0.0
        self._unseen = 0
        self._calm = False
        self._close = _CLOSELY - 5.0

    @property
    def plans(self) -> bool:
        """Whether the next frame is to be planned, if it is not a still one."""
        return self._left >= 0.0 and self._debt <= self._bearable and self._close < _CLOSELY

    @property
    def looks(self) -> bool:
        """Whether changes of the next frame are to be found; where not, all of it counts as one."""
        affords = self._looking <= _LOOKING * self._whole * (self._unseen + 1)
        return affords or self._calm or self.plans

    def looked(self, seconds: float) -> None:
        """Take in how long it took to find the changes of a frame."""
        self._looking += _RATE * (seconds - self._looking) if self._looking else seconds
        self._unseen = 0

    def still(self, seconds: float) -> None:
        """Take in how long it took to find that nothing has changed."""
        self._calm = seconds < self._whole
        self._save(seconds)

    def planned(self, seconds: float) -> None:
        """Take in how long a planned frame took, with finding its changes."""
        self._close += min(1.0, (seconds / (_CLOSE * self._whole)) ** _STEEP)
        self._gain += _GAIN_RATE * (self._whole - seconds - self._gain)
        self._save(seconds)
        if self._left < 0.0:
            self._left = -self._owed
            self._owed = min(2.0 * self._owed, max(_LONGEST * self._whole, _MOST))

    def audited(self, seconds: float) -> None:
        """Take in how long it took to audit a frame, besides."""
        self._debt += seconds

    def passed(self, seconds: float) -> None:
        """Take in how long a frame took that was computed whole without planning, or looking."""
        rate = _RATE if self._close < _CLOSELY else _CLOSE_RATE
        self._whole += rate * (min(seconds, _STALL * self._whole) - self._whole)
        if self._debt > self._bearable:
            self._debt -= _PLANNING * self._whole
        else:
            self._left += _PLANNING * self._whole
        self._close = 0.0
        self._calm = False
        self._unseen += 1

    @property
    def _bearable(self) -> float:
        """Seconds that may be owed for audits: what planned frames like the last ones soon save."""
        return min(_AUDITS * self._whole, _SOON * max(self._gain, 0.0))

    @property
    def _least(self) -> float:
        return max(_SHORTEST * self._whole, _LEAST)

    def _save(self, seconds: float) -> None:
        saved = self._whole - seconds
        paid = min(max(saved, 0.0), max(self._debt, 0.0))
        self._debt -= paid
        self._left += saved - paid
        if self._left >= self._whole:
            over = self._left - self._whole
            self._debt = max(self._debt - over, -_AUDITS * self._whole)
            self._left = self._whole
            self._owed = self._least
