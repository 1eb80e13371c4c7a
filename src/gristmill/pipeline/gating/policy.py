"""What a candidate must show, as data."""

from __future__ import annotations

from typing import Literal

import msgspec

from gristmill.core.errors import UsageError
from gristmill.core.paired import METRICS, SMALLER_IS_BETTER


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a candidate must show.

    Attributes:
        metric: the figure that decides: accuracy, precision, recall, f1, auc, log_loss, brier, mae
            or mse.
        floor: what the candidate's figure must reach; for those of which less is better, what it
            must not be above. None: no floor.
        min_gain: the margin: how far ahead of every incumbent it must be, so that noise does not
            change the champion every week.
        beyond_interval: the whole interval of the paired gain must lie above `min_gain`; otherwise
            its centre has to, and a candidate within the interval is held, not rejected.
        min_rows: fewer rows of evidence than this hold every candidate.
        level: coverage of intervals.
        slice_loss: the most that a slice may lose; None: slices are not looked at.
        without_incumbent: what becomes of a candidate whose incumbent can no longer be run: `hold`
            it, or judge it `alone` by the floor and by what always answering the same would reach.
        schema_changes: what becomes of one that asks for other inputs than its incumbent, so that
            requests which are answered today would not be: `hold` or `allow`.

    Raises:
        UsageError: there is no such metric, or a number is out of its range.
    """

    metric: str = "f1"
    floor: float | None = None
    min_gain: float = 0.0
    beyond_interval: bool = True
    min_rows: int = 100
    level: float = 0.95
    slice_loss: float | None = 0.05
    without_incumbent: Literal["hold", "alone"] = "hold"
    schema_changes: Literal["hold", "allow"] = "hold"

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise UsageError(
                f"unknown metric {self.metric!r}", where="policy", fix=f"use {', '.join(METRICS)}"
            )
        if not 0 < self.level < 1:
            raise UsageError(
                f"expected a level between 0 and 1, found {self.level}", where="policy"
            )
        for name, value in (("min_gain", self.min_gain), ("slice_loss", self.slice_loss or 0.0)):
            if value < 0:
                raise UsageError(f"expected {name} of at least 0, found {value}", where="policy")

    @property
    def smaller_is_better(self) -> bool:
        """Whether less of the metric is better."""
        return self.metric in SMALLER_IS_BETTER

    def reaches_floor(self, figure: float) -> bool:
        """Tell whether a figure is good enough to look at."""
        if self.floor is None:
            return True
        return figure <= self.floor if self.smaller_is_better else figure >= self.floor
