"""One anomaly in TFDV's words."""

from __future__ import annotations

import msgspec


class TfdvAnomaly(msgspec.Struct, frozen=True):
    """What TFDV calls a reason of an anomaly.

    Attributes:
        feature: the column; None for the data set as a whole.
        type: a name of `AnomalyInfo.Type`, as "SCHEMA_MISSING_COLUMN"; "data_missing" where there
            are no examples.
        short: a few words.
        description: a sentence with the figures.
    """

    feature: str | None
    type: str
    short: str
    description: str


def reason(type_: str, short: str, description: str = "") -> TfdvAnomaly:
    """Make an anomaly of a feature that is named later."""
    return TfdvAnomaly(None, type_, short, description or short)


def six_digits(number: float) -> str:
    """Spell a number with up to six significant digits."""
    return f"{number:.6g}"
