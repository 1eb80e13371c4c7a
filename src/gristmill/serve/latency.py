"""How long a batch takes: a straight line in its work, fitted as the server runs."""

from __future__ import annotations

_FORGET = 0.98


class LatencyModel:
    """Seconds of a batch as `fixed + per_item x work`, by least squares that forgets.

    Every observation multiplies the weight of the earlier ones by 0.98, so that about the last
    fifty batches count. Both coefficients are kept at or above zero. While all batches had the same
    size the line is flat.
    """

    def __init__(self) -> None:
        self._weight = self._x = self._y = self._xx = self._xy = 0.0

    def observe(self, work: float, seconds: float) -> None:
        """Take in one batch: its work (items) and how long it ran (seconds)."""
        self._weight = self._weight * _FORGET + 1.0
        self._x = self._x * _FORGET + work
        self._y = self._y * _FORGET + seconds
        self._xx = self._xx * _FORGET + work * work
        self._xy = self._xy * _FORGET + work * seconds

    def coefficients(self) -> tuple[float, float]:
        """Return (fixed seconds, seconds per item); zeros before the first observation."""
        if not self._weight:
            return 0.0, 0.0
        spread = self._weight * self._xx - self._x**2
        if spread <= 1e-9 * self._weight * self._xx:
            return self._y / self._weight, 0.0
        slope = (self._weight * self._xy - self._x * self._y) / spread
        fixed = (self._y - slope * self._x) / self._weight
        if slope < 0.0:
            return self._y / self._weight, 0.0
        if fixed < 0.0:
            return 0.0, self._xy / self._xx
        return fixed, slope

    def seconds(self, work: float) -> float:
        """Return how long a batch of this much work should take, in seconds; 0 for no work."""
        if work <= 0:
            return 0.0
        fixed, slope = self.coefficients()
        return fixed + slope * work
