"""How large the thresholds are and when the next audit is, by what the last ones found."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from gristmill.core.errors import UsageError
from gristmill.incremental.bounded.audit import Audit
from gristmill.incremental.bounded.audits import Audits

AUDIT = 100

_FIRST = 5
_HEADROOM = 0.6
_REMEMBERED = 8
_FAST, _SLOW = 4.0, 1.5
_LEAST = 1e-3
_SETTLED = 20
_DOUBT = 2.0
_BUSIER = 2.0


class Steering:
    """Holds the error of one stream's outputs near what its user wants.

    The error grows about as the thresholds do, and, over the first twenty frames or so after all
    values were exact, as the frames. So the scale after an audit is the one at which the most
    sensitive of the last eight audits would have found 0.6 of the error wanted, twenty frames on.
    Down it goes there at once; up at most four times as far until audits are trusted, then half as
    far again. It begins as the error that is wanted.

    The first audits come after 5 frames each, until one finds an error that can be told from none;
    the next after 10, 20 and so on, until they are as far apart as the user allows: then they are
    trusted. An audit that finds more than the error wanted halves the distance. Frames count in
    which something changed and that were not computed whole.

    From 5 frames after the last one on, an audit comes as well where twice the error that is to be
    expected by then could decide which class is the best. And one comes where more than twice as
    much of the frame changed as at most since values were exact before any of those eight whose
    scale was a quarter of this one or more: thresholds that were found while little happened let
    too much wait once somebody enters.

    Args:
        error: wanted, of 1; see `relative_error`.
        audit: the most frames from one audit to the next.

    Raises:
        UsageError: one of them is out of bounds.

    Attributes:
        scale: of the thresholds: what each unit's spread is multiplied with.
        audits: what they found so far.
    """

    def __init__(self, error: float, audit: int) -> None:
        if not 0.0 < error <= 1.0:
            raise UsageError(
                f"expected an error above 0 and at most 1, found {error}",
                fix="0.01 is one per cent; leave it out for streams without any",
            )
        if audit < 1:
            raise UsageError(f"expected an audit every 1 frame or more, found {audit}")
        self.error, self.scale = error, error
        self.audits = Audits()
        self._longest = audit
        self._distance = min(_FIRST, audit)
        self._passed = self._waited = 0
        self._sensitivities: deque[float] = deque(maxlen=_REMEMBERED)
        self._shares: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)
        self._share = 0.0

    def due(self, share: float) -> bool:
        """Count a frame that was not computed whole; whether it is to be audited.

        Args:
            share: of the frame that changed.
        """
        self._passed += 1
        self._waited += 1
        self._share = max(self._share, share)
        alike = [each for scale, each in self._shares if _FAST * scale >= self.scale]
        return self._passed >= self._distance or share > _BUSIER * max(alike, default=1.0)

    def doubts(self, decisive: Callable[[], float]) -> bool:
        """Whether a frame is to be audited that is not due, because its best class is in doubt.

        Args:
            decisive: gives the error by which another class may be the best, see `decisive_error`;
                asked where it could be that.
        """
        if self._waited < _FIRST or not self._sensitivities:
            return False
        growth = min(self._waited, _SETTLED) / _SETTLED
        return decisive() < _DOUBT * growth * self.scale * max(self._sensitivities)

    def renew(self) -> None:
        """Take in that a frame was computed whole: all values are exact."""
        self._waited = 0
        self._share = 0.0

    def learn(self, audit: Audit) -> None:
        """Take in an audit: set the scale, and when the next one is."""
        self.audits.add(audit)
        growth = _SETTLED / min(max(self._waited, 1), _SETTLED)
        due = self._passed >= self._distance
        self._passed = 0
        self._sensitivities.append(growth * audit.error / audit.scale)
        self._shares.append((audit.scale, self._share))
        self.renew()
        sensitivity = max(self._sensitivities)
        highest = audit.scale * (_SLOW if self._distance == self._longest else _FAST)
        fitting = _HEADROOM * self.error / sensitivity if sensitivity > 0.0 else math.inf
        self.scale = max(min(fitting, highest), _LEAST * self.error)
        if audit.error > self.error:
            self._distance = max(min(_FIRST, self._longest), self._distance // 2)
        elif due and (fitting <= highest or self._distance > _FIRST):
            self._distance = min(2 * self._distance, self._longest)
