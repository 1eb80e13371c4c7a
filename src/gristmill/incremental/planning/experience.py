"""How predictions have met what frames then took."""

from __future__ import annotations

from gristmill.incremental.planning.plan import Plan

MARGIN = 0.03
"""How much cheaper than a whole frame a plan must be, as a share of the whole."""
_RATE = 0.1
_FADE = 0.01
_LEAST, _MOST = 0.5, 2.0


class Experience:
    """Ratios of seconds taken to seconds predicted, of planned frames and of whole ones.

    A table measured on warm caches flatters rectangles, and a machine may be busier than it was.
    Frames that cost about as much as a whole one count in full, still ones hardly; a single stall
    counts as twice its prediction at most. While only whole frames are done, what planned ones
    were like fades, so that they are tried again.

    Attributes:
        planned: seconds taken over seconds predicted, of planned frames.
        whole: the same of whole frames.
    """

    def __init__(self) -> None:
        self.planned = 1.0
        self.whole = 1.0

    @property
    def favour(self) -> float:
        """What a plan's predicted seconds may be multiplied with, compared with a whole frame's."""
        return self.whole / self.planned

    def limit(self, whole: float, margin: float = MARGIN) -> float:
        """Return up to how many predicted seconds a plan is cheaper than a whole frame.

        Args:
            whole: predicted seconds of a whole frame.
            margin: how much cheaper it must be, as a share of the whole.
        """
        return whole * (1.0 - margin) * self.favour

    def foreseen(self, plan: Plan) -> float:
        """Return the seconds that a plan should take, by how predictions were met so far."""
        return plan.predicted * (self.whole if plan.whole else self.planned)

    def observe(self, plan: Plan, seconds: float) -> None:
        """Take in how long a plan took, in seconds."""
        if plan.predicted <= 0.0:
            return
        ratio = min(_MOST, max(_LEAST, seconds / plan.predicted))
        if plan.whole:
            self.whole += _RATE * (ratio - self.whole)
            self.planned += _FADE * (1.0 - self.planned)
        else:
            weight = min(1.0, plan.predicted / plan.dense)
            self.planned += _RATE * weight * (ratio - self.planned)
