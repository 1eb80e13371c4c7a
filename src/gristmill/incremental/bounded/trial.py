"""Whether letting differences wait pays for a stream, by what its frames take."""

from __future__ import annotations

_FRAMES = 48
_SETTLING = 32
_SAMPLE = 4
_MARGIN = 1.05
_REST, _LONGEST = 64, 4096


class Trial:
    """Weighs frames in which differences wait against what exact ones would have taken.

    Comparing takes time, what is let through lies in more and smaller places, and layers that are
    reached everywhere have nothing left to save: where that is so, exact frames are quicker, and
    the better answers, too. So for 48 frames differences wait; if these took 5 per cent longer than
    exact frames should have, the next 64 are exact. Then it is tried again, and each time that it
    does not pay the rest is twice as long, up to 4096 frames. Before all that are 32 frames that
    count for nothing: in these the audits find out how large thresholds may be.

    Attributes:
        waits: whether differences wait at present.
    """

    def __init__(self) -> None:
        self.waits = True
        self._frames = -_SETTLING
        self._taken = self._exact = 0.0
        self._rest = _REST

    @property
    def wants_sample(self) -> bool:
        """Whether the next frame in which differences wait is to be weighed: every fourth is."""
        return self._frames >= 0 and self._frames % _SAMPLE == 0

    def weigh(self, taken: float, exact: float) -> None:
        """Take in the seconds that a frame took, and those that an exact one should have taken."""
        self._taken += taken
        self._exact += exact

    def count(self) -> None:
        """Count a frame; after the last of a trial or of a rest, `waits` is decided anew."""
        self._frames += 1
        if self._frames < (_FRAMES if self.waits else self._rest):
            return
        if not self.waits:
            self.waits, self._rest = True, min(2 * self._rest, _LONGEST)
        elif self._taken > _MARGIN * self._exact:
            self.waits = False
        else:
            self._rest = _REST
        self._frames, self._taken, self._exact = 0, 0.0, 0.0
