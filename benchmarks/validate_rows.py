"""What checking rows costs: a table at once, and one record at a server's door.

CPU seconds of all threads; medians. The first argument may be a folder with `taxi_train.csv.gz`
(the Chicago taxi sample of TFX); without it data like it is made. TFDV's figure was recorded, since
it does not install beside us.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator

import polars as pl

import validate_profile
from claims import RECORDED, Claim, claim, main
from gristmill.validate import Guard, Schema, check_rows, profile

TFDV_MICROSECONDS = 123_000.0
_RUNS = 5
_RECORDS = 2_000


def measure(quick: bool) -> Iterator[Claim]:
    table, told = validate_profile.taxi()
    schema = Schema.infer(profile(table))
    rows = 100_000 if quick else 1_000_000
    big = pl.concat([table] * (rows // table.height + 1)).head(rows)
    how = f"schema inferred from {table.height:,} rows x {table.width} columns, {told}"
    spent = statistics.median(cpu_of_rows(schema, big) for _ in range(_RUNS))
    yield claim(
        "rows checked in memory", rows / spent / 1e6, "M rows/CPU s",
        f"{rows:,} rows, good and bad parted; {how}; peer TFDV {RECORDED}",
        goal=">= 1", peer=1 / TFDV_MICROSECONDS,
    )  # fmt: skip
    yield claim(
        "one record against a compiled schema", per_record(schema, table), "microseconds",
        f"{_RECORDS:,} records of {table.width} fields; {how}; peer TFDV {RECORDED}",
        goal="<= 20", peer=TFDV_MICROSECONDS,
    )  # fmt: skip


def cpu_of_rows(schema: Schema, table: pl.DataFrame) -> float:
    """CPU seconds to part the good rows of a table from the bad."""
    start = time.process_time()
    checked = check_rows(schema, table)
    spent = time.process_time() - start
    if checked.rows != table.height:
        raise RuntimeError(f"expected {table.height} rows checked, found {checked.rows}")
    return spent


def per_record(schema: Schema, table: pl.DataFrame) -> float:
    """Microseconds of CPU per record, the median over runs."""
    guard, records = Guard(schema), table.head(_RECORDS).to_dicts()
    spent = []
    for _ in range(_RUNS):
        start = time.process_time()
        for record in records:
            guard.check(record)
        spent.append(time.process_time() - start)
    return 1e6 * statistics.median(spent) / len(records)


if __name__ == "__main__":
    validate_profile.FOLDER = validate_profile.folder_in(sys.argv)
    sys.exit(main(measure))
