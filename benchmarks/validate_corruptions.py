"""Ways to spoil a table, as real pipelines do; each takes (current, random draws, baseline)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

Rng = np.random.Generator
Frame = pl.DataFrame
Corruption = Callable[[Frame, Rng, Frame], Frame]


def computed(**columns: pl.Expr) -> Corruption:
    return lambda frame, _rng, _before: frame.with_columns(**columns)


def scaled(column: str, factor: float) -> Corruption:
    return computed(**{column: pl.col(column) * factor})


def moved(column: str, by: float) -> Corruption:
    return computed(**{column: pl.col(column) + by})


def constant(column: str, value: object) -> Corruption:
    return lambda frame, _rng, _before: frame.with_columns(
        pl.lit(value).cast(frame[column].dtype).alias(column)
    )


def swapped(one: str, two: str) -> Corruption:
    return computed(**{two: pl.col(one), one: pl.col(two)})


def shuffled(column: str) -> Corruption:
    return lambda frame, rng, _before: frame.with_columns(
        frame[column][rng.permutation(frame.height)]
    )


def filled(column: str, value: object, share: float, where: str | None = None) -> Corruption:
    """Put a value (None: missing) into a share of the cells, or of those that hold `where`."""

    def corrupt(frame: Frame, rng: Rng, _before: Frame) -> Frame:
        chosen = pl.Series(rng.random(frame.height) < share)
        if where is not None:
            chosen &= frame[column] == where
        cells = pl.col(column).cast(pl.String) if isinstance(value, str) else pl.col(column)
        return frame.with_columns(
            pl.when(chosen).then(pl.lit(value)).otherwise(cells).alias(column)
        )

    return corrupt


def repeated(share: float) -> Corruption:
    def corrupt(frame: Frame, rng: Rng, _before: Frame) -> Frame:
        more = rng.choice(frame.height, round(share * frame.height), replace=False)
        return pl.concat([frame, frame[more]])

    return corrupt


def one_bucket(column: str) -> Corruption:
    """Move what lies in the middle of ten equal-mass buckets into the next."""

    def corrupt(frame: Frame, _rng: Rng, _before: Frame) -> Frame:
        present = frame[column].drop_nulls()
        low, high = (present.quantile(rank) or 0 for rank in (0.4, 0.5))
        inside = pl.col(column).is_between(low, high)
        there = pl.col(column) + (high - low)
        return frame.with_columns(pl.when(inside).then(there).otherwise(column).alias(column))

    return corrupt


def cut_short(_frame: Frame, _rng: Rng, before: Frame) -> Frame:
    """Give the first half of the baseline once more."""
    return before.head(before.height // 2)


_YEAR = 365 * 86_400

TAXI: dict[str, Corruption] = {
    "miles to kilometres": scaled("trip_miles", 1.609344),
    "seconds to minutes": scaled("trip_seconds", 1 / 60),
    "fare in cents": scaled("fare", 100),
    "30 % of Cash to Credit Card": filled("payment_type", "Credit Card", 0.3, where="Cash"),
    "5 % of a new payment_type": filled("payment_type", "Crypto", 0.05),
    "fare shuffled": shuffled("fare"),
    "trip_miles shuffled": shuffled("trip_miles"),
    "10 % of trip_seconds missing": filled("trip_seconds", None, 0.1),
    "5 % of rows repeated": repeated(0.05),
    "one bucket of trip_seconds moved": one_bucket("trip_seconds"),
    "trip_start_hour an hour later": computed(trip_start_hour=(pl.col("trip_start_hour") + 1) % 24),
    "-1 in 5 % of trip_seconds": filled("trip_seconds", -1, 0.05),
    "9,999 in 0.5 % of fare": filled("fare", 9999.0, 0.005),
    "3 % of fare a text NaN": filled("fare", "NaN", 0.03),
    "latitude and longitude swapped": swapped("pickup_latitude", "pickup_longitude"),
    "tips and miles swapped": swapped("tips", "trip_miles"),
    "tips all zero": constant("tips", 0.0),
    "payment_type constant": constant("payment_type", "Cash"),
    "times ten years later": moved("trip_start_timestamp", 10 * _YEAR),
    "times ten years earlier": moved("trip_start_timestamp", -10 * _YEAR),
    "fare without decimals": computed(fare=pl.col("fare").floor()),
    "half of the baseline again": cut_short,
}
ADULT: dict[str, Corruption] = {
    "hours in minutes": scaled("hours_per_week", 60),
    "30 % of Male to Female": filled("sex", "Female", 0.3, where="Male"),
    "5 % of a new workclass": filled("workclass", "Freelance", 0.05),
    "age shuffled": shuffled("age"),
    "10 % of age missing": filled("age", None, 0.1),
    "5 % of rows repeated": repeated(0.05),
    "one bucket of age moved": one_bucket("age"),
    "age ten years later": moved("age", 10),
    "999 in 5 % of age": filled("age", 999, 0.05),
    "999,999,999 in 0.5 % of fnlwgt": filled("fnlwgt", 999_999_999, 0.005),
    "3 % of age a text n/a": filled("age", "n/a", 0.03),
    "age and hours swapped": swapped("age", "hours_per_week"),
    "capital_gain all zero": constant("capital_gain", 0),
    "sex constant": constant("sex", "Male"),
    "labels with a full stop": computed(income=pl.col("income") + "."),
    "half of the baseline again": cut_short,
}
CORRUPTIONS = {"taxi": TAXI, "adult": ADULT}
