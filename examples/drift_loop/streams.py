"""The two data sets of this example, as rows that arrive period by period.

The data say no more of time than the year, and the order of a file is none of time (one of the
census begins with people in dormitories and prisons): a year's rows are shuffled and dealt into
parts. The first year is what is known before anything is served; the others are replayed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from gristmill import data

LABEL = "label"
"""The column of the true class, "no" or "yes"; all others but the row id are inputs."""

_DAYS = 365
_SEASONS = ("winter", "spring", "summer", "autumn")
_ACCIDENTS = {
    "latitude": pl.col("Start_Lat"),
    "longitude": pl.col("Start_Lng"),
    "miles": pl.col("Distance(mi)"),
    "fahrenheit": pl.col("Temperature(F)"),
    "humidity": pl.col("Humidity(%)"),
    "visibility": pl.col("Visibility(mi)"),
    "weekday": pl.col("day_of_week_acc"),
    "daylight": (pl.col("Nautical_Twilight") == "Day").cast(pl.Int64),
    "season": pl.col("season_acc").replace_strict(
        _SEASONS, range(len(_SEASONS)), return_dtype=pl.Int64
    ),
}
_CENSUS = (
    *("AGEP", "SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG"),
    *("MIL", "ANC", "NATIVITY", "DEAR", "DEYE", "DREM", "SEX", "RAC1P"),
)


@dataclass(frozen=True)
class Period:
    """Rows that arrive between two looks at the model.

    Attributes:
        name: as "2019 1/4".
        middle: a moment in the middle of it, UTC.
        rows: table of `row_id`, inputs (numbers and codes) and `label`.
    """

    name: str
    middle: dt.datetime
    rows: pl.DataFrame


@dataclass(frozen=True)
class Stream:
    """A data set in the order of time.

    Attributes:
        question: what the model answers with "yes" or "no".
        history: what is known before the first row is served.
        periods: what is replayed.
        left_out: rows of the data set with an empty cell, which the model does not take.
    """

    question: str
    history: pl.DataFrame
    periods: list[Period]
    left_out: int = 0


def us_accidents(rows: int | None, parts: int, seed: int) -> Stream:
    """Accidents of 2016 to 2021: from year to year others are reported, and other ones severe."""
    table = data.load("us_accidents")
    return accidents_stream(table, rows, parts, seed)


def acs(rows: int | None, parts: int, seed: int) -> Stream:
    """Census records of 2015 to 2018: people change little in three years."""
    first, later = data.load("acs_employment_2015"), data.load("acs_employment_2016_2018")
    labels = data.load("acs_employment_2016_2018_labels").select("id", "employed")
    table = pl.concat([first, later.join(labels, on="id")], how="diagonal_relaxed")
    return census_stream(table, rows, parts, seed)


STREAMS: Mapping[str, Callable[[int | None, int, int], Stream]] = {
    "us_accidents": us_accidents,
    "acs": acs,
}


def accidents_stream(table: pl.DataFrame, rows: int | None, parts: int, seed: int) -> Stream:
    """Return accidents as a stream; see `us_accidents`."""
    columns = [value.alias(name) for name, value in _ACCIDENTS.items()]
    return _stream(
        "is the accident severe?", table, "year_acc", "target", columns, rows, parts, seed
    )


def census_stream(table: pl.DataFrame, rows: int | None, parts: int, seed: int) -> Stream:
    """Return census records as a stream; see `acs`."""
    columns = [pl.col(name).cast(pl.String).cast(pl.Float64).cast(pl.Int64) for name in _CENSUS]
    return _stream("is the person employed?", table, "year", "employed", columns, rows, parts, seed)


def _stream(
    question: str,
    table: pl.DataFrame,
    year: str,
    target: str,
    columns: list[pl.Expr],
    rows: int | None,
    parts: int,
    seed: int,
) -> Stream:
    """Cut a table into periods of at most `rows` rows, `parts` of them a year."""
    truth = pl.when(pl.col(target) == 1).then(pl.lit("yes")).otherwise(pl.lit("no")).alias(LABEL)
    read = table.select(pl.col(year).alias("year"), *columns, truth)
    whole = read.drop_nulls()
    years = [_shuffled(each, rows, parts, seed) for each in _years(whole)]
    history, *later = years
    numbers = whole["year"].unique().sort().to_list()
    periods = [
        Period(
            f"{number} {part + 1}/{parts}", _middle(number, part, parts), _part(each, part, parts)
        )
        for number, each in zip(numbers[1:], later, strict=True)
        for part in range(parts)
    ]
    return Stream(question, history, periods, read.height - whole.height)


def _years(table: pl.DataFrame) -> list[pl.DataFrame]:
    ordered = table.sort("year", maintain_order=True)
    return [each.drop("year") for each in ordered.partition_by("year", maintain_order=True)]


def _shuffled(year: pl.DataFrame, rows: int | None, parts: int, seed: int) -> pl.DataFrame:
    drawn = np.random.default_rng(seed).permutation(year.height)
    return data.with_row_id(year[drawn[: None if rows is None else rows * parts]])


def _middle(year: int, part: int, parts: int) -> dt.datetime:
    noon = dt.datetime(year, 1, 1, 12, tzinfo=dt.UTC)
    return noon + dt.timedelta(days=int(_DAYS * (part + 0.5) / parts))


def _part(year: pl.DataFrame, part: int, parts: int) -> pl.DataFrame:
    start, end = (year.height * edge // parts for edge in (part, part + 1))
    return year[start:end]
