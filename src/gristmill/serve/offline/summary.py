"""What a batch prediction did."""

from __future__ import annotations

import msgspec


class PredictionSummary(msgspec.Struct, frozen=True, omit_defaults=False):
    """What a batch prediction did.

    Attributes:
        out: the file, or the folder of Parquet files.
        rows: rows in.
        written: rows out: as many, unless bad ones were dropped.
        bad: rows that broke the signature or the schema, or that the model has no answer to.
        labels: how many rows got each label.
        bundle: the bundle's fingerprint.
        input: the data's fingerprint.
        resumed: rows that an earlier, unfinished run had done.
        seconds: duration of this run.
        warned: rows that broke the schema, and were answered as that was asked for.
        unreadable: lines of text files that are no rows, and were set aside.
        quarantine: where bad rows went; None where that was not asked for.
    """

    out: str
    rows: int
    written: int
    bad: int
    labels: dict[str, int]
    bundle: str
    input: str
    resumed: int
    seconds: float
    warned: int = 0
    unreadable: int = 0
    quarantine: str | None = None
