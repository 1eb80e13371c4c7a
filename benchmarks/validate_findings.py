"""False alarms on clean data, and how much of bad data is found.

Clean: two disjoint random parts of one table; the schema and the baseline come from the first, the
second is checked. Bad: the second part is corrupted first. A run alarms where a finding is an
error. With a folder of taxi data (`--folder`, holding taxi_train.csv.gz and taxi_eval.csv.gz) that
data takes part; the others come from the catalogue of example data.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from claims import RECORDED, Claim, as_text, claim, write
from gristmill.core.errors import DataError
from gristmill.core.seeds import derive_seed
from gristmill.data.catalog import load
from gristmill.data.table import ROW_ID
from gristmill.validate import Schema, profile

Rng = np.random.Generator
Corruption = Callable[[pl.DataFrame, Rng], pl.DataFrame]

SPLITS = 1000
SMALLEST, LARGEST = 200, 10_000
SIZES = ((10_000, 5_000), (5_000, 1_000), (2_000, 500), (500, 500), (5_000, 200), (200, 200))
SEEDS = 10
EVIDENTLY = "Evidently 0.7 defaults"
EVIDENTLY_CAUGHT, EVIDENTLY_TRIED = 8, 11
TFDV_CLEAN_ALARMS = 1.0
"""TFDV's Jensen-Shannon check at 0.01 alarmed on the clean split that was recorded."""


def measure(quick: bool, folder: Path | None) -> Iterator[Claim]:
    tables = dict(known_tables(folder))
    if tables:
        yield from clean_claims(tables, 40 if quick else SPLITS)
    yield from power_claims(tables, 1 if quick else SEEDS, SIZES[:2] if quick else SIZES)
    yield from year_claims()


def known_tables(folder: Path | None) -> Iterator[tuple[str, pl.DataFrame]]:
    if folder is not None:
        parts = [
            pl.read_csv(folder / f"taxi_{part}.csv.gz", infer_schema_length=None)
            for part in ("train", "eval")
        ]
        yield "taxi", pl.concat(parts, how="vertical_relaxed")
    frame = fetched("adult")
    if frame is not None:
        yield "adult", frame


def fetched(name: str) -> pl.DataFrame | None:
    """Return an example data set; None, with a word why, where it cannot be had."""
    try:
        return load(name).drop(ROW_ID)
    except DataError as error:
        print(f"{name} left out: {error}", file=sys.stderr)
        return None


def clean_claims(tables: dict[str, pl.DataFrame], splits: int) -> Iterator[Claim]:
    alarms, runs = 0, 0
    for name, frame in tables.items():
        codes: Counter[str] = Counter()
        mine = 0
        each = splits // len(tables)
        for seed in range(each):
            rng = np.random.default_rng(derive_seed(0, "clean", name, seed))
            one, two = split(frame, sizes(rng, frame.height), rng)
            found = errors(one, two)
            mine += bool(found)
            codes.update(found)
        print(f"clean {name}: {mine} of {each} alarm; {dict(codes.most_common())}")
        alarms, runs = alarms + mine, runs + each
    how = f"{runs} disjoint random splits of {' and '.join(tables)} data, sizes {SMALLEST} to "
    how += f"{LARGEST:,} each; share with any error; peer TFDV's Jensen-Shannon limit of 0.01 on "
    how += f"one clean split {RECORDED}"
    yield claim(
        "clean splits that alarm", 100 * alarms / max(1, runs), "%", how,
        goal="<= 1", peer=100 * TFDV_CLEAN_ALARMS,
    )  # fmt: skip


def sizes(rng: Rng, rows: int) -> tuple[int, int]:
    """Draw two sizes, evenly in their logarithm; both shrink where the table has fewer rows."""
    low, high = np.log([SMALLEST, LARGEST])
    one, two = np.exp(rng.uniform(low, high, 2))
    fit = min(1.0, rows / (one + two))
    return int(one * fit), int(two * fit)


def split(
    frame: pl.DataFrame, rows: tuple[int, int], rng: Rng
) -> tuple[pl.DataFrame, pl.DataFrame]:
    order = rng.permutation(frame.height)
    return frame[order[: rows[0]]], frame[order[rows[0] : sum(rows)]]


def errors(baseline: pl.DataFrame, current: pl.DataFrame) -> list[str]:
    """Return `code feature` of every error that a check of `current` finds."""
    statistics = profile(baseline)
    report = Schema.infer(statistics).check(current, baseline=statistics)
    return [f"{f.code} {f.feature}" for f in report.findings if f.severity == "error"]


def power_claims(
    tables: dict[str, pl.DataFrame], seeds: int, pairs: Iterable[tuple[int, int]]
) -> Iterator[Claim]:
    pairs = list(pairs)
    for name, frame in tables.items():
        found: dict[str, list[float]] = {}
        for title, corruption in CORRUPTIONS[name].items():
            found[title] = [power(name, title, frame, corruption, pair, seeds) for pair in pairs]
            shown = "  ".join(f"{100 * share:3.0f} %" for share in found[title])
            print(f"{name:6} {title:32} {shown}")
        print(f"{'':40}" + "  ".join(f"{a}/{b}" for a, b in pairs))
        whole = [shares[0] for shares in found.values()]
        how = f"share of {seeds} seeds x {len(found)} corruptions of {name} data found, "
        how += f"baseline {pairs[0][0]:,} rows, checked {pairs[0][1]:,}"
        peer = 100 * EVIDENTLY_CAUGHT / EVIDENTLY_TRIED if name == "taxi" else None
        if peer is not None:
            how += f"; peer {EVIDENTLY} on 11 corruptions of the same data {RECORDED}"
        yield claim(
            f"corruptions of {name} data found", 100 * float(np.mean(whole)), "%", how,
            goal=">= 100", peer=peer,
        )  # fmt: skip


def power(
    name: str,
    title: str,
    frame: pl.DataFrame,
    corruption: Corruption,
    rows: tuple[int, int],
    seeds: int,
) -> float:
    hits = 0
    for seed in range(seeds):
        rng = np.random.default_rng(derive_seed(0, "power", name, title, seed))
        one, two = split(frame, rows, rng)
        hits += bool(errors(one, corruption(two, rng)))
    return hits / seeds


def year_claims() -> Iterator[Claim]:
    accidents = fetched("us_accidents")
    if accidents is not None:
        moved = by_year(accidents, "year_acc", (2016, 2017, 2019, 2020, 2021))
        yield claim(
            "US accidents: later years told from 2016", 100 * moved, "%",
            "share of the years 2017, 2019, 2020, 2021 with an error, checked against 2016",
            goal=">= 100",
        )  # fmt: skip
    before, after = fetched("acs_employment_2015"), fetched("acs_employment_2016_2018")
    if before is not None and after is not None:
        # Ids count on from year to year, and so are no feature; labels come with 2015 alone.
        parts = [part.drop("id", "employed", strict=False) for part in (before, after)]
        census = pl.concat(parts, how="vertical_relaxed")
        moved = by_year(census, "year", (2015, 2016, 2017, 2018))
        yield claim(
            "ACS employment: years told from 2015", 100 * moved, "%",
            "share of the years 2016, 2017, 2018 with an error, checked against 2015; hardly "
            "anything has changed", goal="<= 0",
        )  # fmt: skip


def by_year(frame: pl.DataFrame, column: str, years: tuple[int, ...]) -> float:
    parts = [frame.filter(pl.col(column) == year).drop(column) for year in years]
    found = [errors(parts[0], part) for part in parts[1:]]
    for year, codes in zip(years[1:], found, strict=True):
        print(f"{column} {year} against {years[0]}: {', '.join(codes) or 'silent'}")
    return sum(bool(codes) for codes in found) / len(found)


def scaled(column: str, factor: float) -> Corruption:
    return lambda frame, _: frame.with_columns(pl.col(column) * factor)


def replaced(column: str, old: str, new: str, share: float) -> Corruption:
    def corrupt(frame: pl.DataFrame, rng: Rng) -> pl.DataFrame:
        chosen = pl.Series(rng.random(frame.height) < share) & (frame[column] == old)
        return frame.with_columns(pl.when(chosen).then(pl.lit(new)).otherwise(column).alias(column))

    return corrupt


def shuffled(column: str) -> Corruption:
    return lambda frame, rng: frame.with_columns(frame[column][rng.permutation(frame.height)])


def emptied(column: str, share: float = 0.1) -> Corruption:
    def corrupt(frame: pl.DataFrame, rng: Rng) -> pl.DataFrame:
        kept = pl.Series(rng.random(frame.height) >= share)
        return frame.with_columns(pl.when(kept).then(column).alias(column))

    return corrupt


def repeated(share: float = 0.05) -> Corruption:
    def corrupt(frame: pl.DataFrame, rng: Rng) -> pl.DataFrame:
        more = rng.choice(frame.height, round(share * frame.height), replace=False)
        return pl.concat([frame, frame[more]])

    return corrupt


def one_bucket(column: str) -> Corruption:
    """Move what lies in the middle of ten equal-mass buckets into the next."""

    def corrupt(frame: pl.DataFrame, _: Rng) -> pl.DataFrame:
        present = frame[column].drop_nulls()
        low, high = (present.quantile(rank) or 0 for rank in (0.4, 0.5))
        inside, moved = pl.col(column).is_between(low, high), pl.col(column) + (high - low)
        return frame.with_columns(pl.when(inside).then(moved).otherwise(column).alias(column))

    return corrupt


def filled(column: str, value: float, share: float = 0.05) -> Corruption:
    def corrupt(frame: pl.DataFrame, rng: Rng) -> pl.DataFrame:
        chosen = pl.Series(rng.random(frame.height) < share)
        return frame.with_columns(pl.when(chosen).then(value).otherwise(column).alias(column))

    return corrupt


def swapped(one: str, two: str) -> Corruption:
    return lambda frame, _: frame.with_columns(pl.col(one).alias(two), pl.col(two).alias(one))


def constant(column: str, value: object) -> Corruption:
    return lambda frame, _: frame.with_columns(
        pl.lit(value).cast(frame[column].dtype).alias(column)
    )


def floored(column: str) -> Corruption:
    return lambda frame, _: frame.with_columns(pl.col(column).floor())


def later(column: str, seconds: int) -> Corruption:
    return lambda frame, _: frame.with_columns(pl.col(column) + seconds)


TAXI: dict[str, Corruption] = {
    "miles to kilometres": scaled("trip_miles", 1.609344),
    "30 % of Cash to Credit Card": replaced("payment_type", "Cash", "Credit Card", 0.3),
    "fare shuffled": shuffled("fare"),
    "10 % of trip_seconds missing": emptied("trip_seconds"),
    "5 % of rows repeated": repeated(),
    "one bucket of trip_seconds moved": one_bucket("trip_seconds"),
    "-1 in 5 % of trip_seconds": filled("trip_seconds", -1),
    "latitude and longitude swapped": swapped("pickup_latitude", "pickup_longitude"),
    "tips and miles swapped": swapped("tips", "trip_miles"),
    "tips all zero": constant("tips", 0.0),
    "payment_type constant": constant("payment_type", "Cash"),
    "times ten years later": later("trip_start_timestamp", 10 * 365 * 86_400),
    "fare without decimals": floored("fare"),
    "seconds to minutes": scaled("trip_seconds", 1 / 60),
}
ADULT: dict[str, Corruption] = {
    "hours in minutes": scaled("hours_per_week", 60),
    "30 % of Male to Female": replaced("sex", "Male", "Female", 0.3),
    "age shuffled": shuffled("age"),
    "10 % of age missing": emptied("age"),
    "5 % of rows repeated": repeated(),
    "one bucket of age moved": one_bucket("age"),
    "999 in 5 % of age": filled("age", 999),
    "age and hours swapped": swapped("age", "hours_per_week"),
    "capital_gain all zero": constant("capital_gain", 0),
    "labels with a full stop": lambda f, _: f.with_columns(pl.col("income") + "."),
}
CORRUPTIONS = {"taxi": TAXI, "adult": ADULT}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a quick look, under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the claims here")
    parser.add_argument("--folder", type=Path, help="where taxi_train.csv.gz and its sister lie")
    options = parser.parse_args()
    found = list(measure(options.quick, options.folder))
    print(as_text(found))
    if options.json:
        write(found, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
