"""Limits on a feature's distance to other data, in the measures that TFDV users know."""

from __future__ import annotations

from typing import Literal

import msgspec

Source = Literal["standard", "quantiles"]


class Comparator(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How far a feature may lie from its baseline (drift) or from serving data (skew).

    A limit left out checks nothing. The counterpart of TFDV's `FeatureComparator`.

    Attributes:
        infinity_norm: largest change of one value's share, in [0, 1].
        jensen_shannon: Jensen-Shannon divergence in bits, in [0, 1].
        normalized_abs_difference: largest change of one value's count over all counts.
        source: which histogram TFDV would compare numbers by.
    """

    infinity_norm: float | None = None
    jensen_shannon: float | None = None
    normalized_abs_difference: float | None = None
    source: Source = "standard"
