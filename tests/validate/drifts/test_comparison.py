from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from gristmill.validate.drifts.comparison import Comparison, Told, compare
from gristmill.validate.schemas.comparator import Comparator
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.table_spec import TableSpec
from gristmill.validate.statistics.profiler import profile
from gristmill.validate.statistics.statistics import Statistics

ROWS = 3000


def trips(seed: int, rows: int = ROWS) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    miles = np.round(rng.gamma(2.0, 2.0, rows), 2) + 0.1
    return pl.DataFrame(
        {
            "miles": miles,
            "fare": np.round(3 + 2.1 * miles + rng.normal(0, 0.5, rows), 2),
            "hour": rng.integers(0, 24, rows),
            "paid": rng.choice(["cash", "card", "free"], rows, p=[0.6, 0.35, 0.05]),
            "tips": np.where(rng.random(rows) < 0.5, 0.0, np.round(rng.gamma(2.0, 1.5, rows), 2)),
            "start_time": rng.integers(1_500_000_000, 1_530_000_000, rows),
            "note": [f"{'x' * n}{n}" for n in rng.integers(3, 60, rows)],
        }
    )


def specs(frame: pl.DataFrame) -> dict[str, FeatureSpec]:
    return {name: FeatureSpec(type="any") for name in frame.columns}


def compared(
    after: pl.DataFrame | Callable[[pl.DataFrame], pl.DataFrame],
    told: dict[str, Told] | None = None,
    table: TableSpec | None = None,
    **changes: FeatureSpec,
) -> Comparison:
    before = trips(0)
    now = after(trips(1)) if callable(after) else after
    features = specs(before) | changes
    return compare(profile(before), profile(now), features, table or TableSpec(), told)


def codes(found: Comparison) -> list[tuple[str, str | None]]:
    return [(shift.code, shift.feature) for shift in found.shifts]


@pytest.mark.parametrize(("seed", "rows"), [(s, n) for s in range(2, 8) for n in (200, 1000, 6000)])
def test_clean_tables_are_silent(seed: int, rows: int) -> None:
    found = compared(trips(seed, rows))
    assert codes(found) == []
    assert [drift.feature for drift in found.drifts] == trips(0, 1).columns


def test_a_table_of_many_columns_keeps_its_level() -> None:
    rng = np.random.default_rng(0)
    sides = [pl.DataFrame(rng.normal(size=(300, 400)), orient="row") for _ in range(2)]
    one, two = (profile(side) for side in sides)
    assert compare(one, two, specs(sides[0]), TableSpec()).shifts == []


def test_another_unit_is_named() -> None:
    found = compared(
        lambda f: f.with_columns(pl.col("miles") * 1.609344),
        miles=FeatureSpec(type="float", unit="mile"),
    )
    assert codes(found) == [("unit_change", "miles")]
    assert "x 1.60934: miles to kilometres?, expected mile (median " in found.shifts[0].message


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        (pl.col("fare") * 100, "a factor of 100"),
        (pl.col("fare") / 60, "a factor of 60 (such as minutes to seconds), undone"),
        ((pl.col("fare") - 32) / 1.8, "Fahrenheit to Celsius"),
        (pl.col("fare") * 1.8 + 32, "Celsius to Fahrenheit"),
        (-pl.col("fare"), "a factor of -1 (the sign)"),
    ],
)
def test_units_of_many_kinds(expression: pl.Expr, name: str) -> None:
    found = compared(lambda f: f.with_columns(fare=expression))
    assert codes(found) == [("unit_change", "fare")]
    assert name in found.shifts[0].message


def test_a_scale_that_is_no_unit_is_a_drift() -> None:
    assert codes(compared(lambda f: f.with_columns(pl.col("fare") * 1.37))) == [("drift", "fare")]


@pytest.mark.parametrize(("old", "new"), [(10.0, 11.0), (0.5, -0.5)])
@pytest.mark.parametrize("rows", [300, 5000])
def test_a_rise_of_a_deviation_is_no_other_unit(old: float, new: float, rows: int) -> None:
    """Though a tenth more is nearly yards for metres, and a fall through 0 the other sign."""
    rng = np.random.default_rng(0)
    one, two = (pl.DataFrame({"x": rng.normal(mean, 1, rows)}) for mean in (old, new))
    found = compare(profile(one), profile(two), specs(one), TableSpec())
    assert codes(found) == [("drift", "x")]


def test_swapped_columns_name_each_other() -> None:
    found = compared(lambda f: f.rename({"miles": "fare", "fare": "miles"}))
    assert codes(found) == [("swapped_columns", "miles"), ("swapped_columns", "fare")]
    assert found.shifts[0].message == (
        "the column looks as 'fare' did in the baseline: 'miles', 'fare' have changed places"
    )


def test_three_columns_in_a_circle() -> None:
    found = compared(lambda f: f.rename({"miles": "fare", "fare": "tips", "tips": "miles"}))
    assert codes(found) == [(("swapped_columns"), name) for name in ("miles", "fare", "tips")]


def test_zeros_constants_and_lost_decimals() -> None:
    found = compared(
        lambda f: f.with_columns(
            tips=pl.lit(0.0), paid=pl.lit("cash"), fare=pl.col("fare").floor(), hour=pl.lit(7)
        )
    )
    assert codes(found) == [
        ("lost_decimals", "fare"),
        ("constant_column", "hour"),
        ("constant_column", "paid"),
        ("all_zero", "tips"),
    ]
    assert found.shifts[0].message.startswith("all 3,000 numbers are whole numbers; in the base")
    assert found.shifts[2].message.startswith("all 3,000 values are 'cash'; in the baseline ")


@pytest.mark.parametrize("value", [-1, 999, 0])
def test_stand_ins_for_missing_values(value: int) -> None:
    rng = np.random.default_rng(5)
    chosen = pl.Series(rng.random(ROWS) < 0.05)
    found = compared(
        lambda f: f.with_columns(fare=pl.when(chosen).then(float(value)).otherwise("fare"))
    )
    assert codes(found) == [("sentinel_value", "fare")]
    assert found.shifts[0].count == chosen.sum()
    assert found.shifts[0].message.startswith(f"{value} stands in ")


@pytest.mark.parametrize("value", [9999.0, -500.0, 123_456.0])
def test_a_few_equal_numbers_far_beyond_the_baseline_stand_for_none(value: float) -> None:
    def spoilt(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(
            fare=pl.when(pl.int_range(pl.len()) < 25).then(value).otherwise("fare")
        )

    found = compared(spoilt)
    assert codes(found) == [("sentinel_value", "fare")]
    assert found.shifts[0].count == 25
    # In both tables it is no news.
    before, after = (profile(spoilt(trips(seed))) for seed in (0, 1))
    assert compare(before, after, specs(trips(0, 1)), TableSpec()).shifts == []


def test_what_was_told_of_cells_is_not_told_again() -> None:
    def minus(frame: pl.DataFrame) -> pl.DataFrame:
        chosen = pl.Series(np.random.default_rng(5).random(ROWS) < 0.05)
        return frame.with_columns(fare=pl.when(chosen).then(-1.0).otherwise("fare"))

    count = int((minus(trips(1))["fare"] == -1).sum())
    assert codes(compared(minus, {"fare": Told(moved=count)})) == []


def test_missing_cells_both_ways() -> None:
    def gaps(frame: pl.DataFrame) -> pl.DataFrame:
        kept = pl.Series(np.random.default_rng(5).random(frame.height) > 0.1)
        return frame.with_columns(pl.when(kept).then("hour").alias("hour"))

    found = compared(gaps)
    assert codes(found) == [("presence_change", "hour")]
    assert found.shifts[0].message.startswith("the share of missing cells rose from 0 % to ")
    assert codes(compared(gaps, {"hour": Told(missing=300)})) == []
    features = specs(trips(0, 1))
    back = compare(profile(gaps(trips(0))), profile(trips(1)), features, TableSpec())
    assert codes(back) == [("presence_change", "hour")]
    assert "fell from" in back.shifts[0].message


def test_not_a_number_is_followed_like_missing_cells() -> None:
    chosen = pl.Series(np.random.default_rng(5).random(ROWS) < 0.1)
    found = compared(
        lambda f: f.with_columns(fare=pl.when(chosen).then(float("nan")).otherwise("fare"))
    )
    assert ("presence_change", "fare") in codes(found)
    assert "NaN cells rose" in found.shifts[0].message


@pytest.mark.parametrize(("seconds", "words"), [(-(10**9), "older"), (315_360_000, "far behind")])
def test_times_that_cannot_be_the_next(seconds: int, words: str) -> None:
    found = compared(lambda f: f.with_columns(pl.col("start_time") + seconds))
    assert codes(found) == [("stale_time", "start_time")]
    assert words in found.shifts[0].message
    assert "all moved by" in found.shifts[0].message


def test_repeated_rows() -> None:
    found = compared(lambda f: pl.concat([f, f.head(150)]))
    assert codes(found) == [("new_duplicates", None)]
    assert found.shifts[0].count == 150


def test_growth_outside_of_its_bounds() -> None:
    found = compared(lambda f: f.head(1000), table=TableSpec(min_growth=0.8, max_growth=1.25))
    assert codes(found) == [("row_count_change", None)]
    assert found.shifts[0].message == (
        "1,000 rows, 0.333 for each of the baseline's 3,000; expected at least 0.8"
    )


def test_a_value_of_a_rare_kind_is_caught_by_its_share() -> None:
    found = compared(
        lambda f: f.with_columns(
            paid=pl.when(pl.int_range(pl.len()) % 5 == 0).then(pl.lit("card")).otherwise("paid")
        )
    )
    assert codes(found) == [("drift", "paid")]
    assert "most: card: " in found.shifts[0].message


def test_limits_of_a_comparator_hold_above_chance() -> None:
    close = Comparator(infinity_norm=0.001, jensen_shannon=1e-5, normalized_abs_difference=0.001)
    spec = FeatureSpec(type="string", drift_comparator=close)
    assert codes(compared(trips(1), paid=spec)) == []
    moved = trips(1).with_columns(
        paid=pl.when(pl.int_range(pl.len()) % 4 == 0).then(pl.lit("card")).otherwise("paid")
    )
    found = compared(moved, paid=replace_drift(spec))
    assert codes(found) == [("drift", "paid")] * 3
    assert "drift_comparator.infinity_norm" in str(found.shifts[0].edit)


def replace_drift(spec: FeatureSpec) -> FeatureSpec:
    return FeatureSpec(type="string", drift=1.0, drift_comparator=spec.drift_comparator)


def test_tfdvs_own_figures_are_plain_limits() -> None:
    spec = FeatureSpec(type="string", drift_comparator=Comparator(jensen_shannon=0.01))
    before, after = profile(trips(0)), profile(trips(1))
    found = compare(
        before,
        after,
        specs(trips(0, 1)) | {"paid": spec},
        TableSpec(comparators="tfdv"),
        tfdv_measures=lambda _old, _new, _limits: {"jensen_shannon": 0.7},
    )
    assert [shift.message for shift in found.shifts] == [
        "the Jensen-Shannon divergence is 0.7, above its limit of 0.01"
    ]


def test_a_baseline_without_the_column_is_told_where_a_limit_asks_for_it() -> None:
    spec = FeatureSpec(type="float", drift_comparator=Comparator(jensen_shannon=0.01))
    before, after = profile(trips(0).drop("fare")), profile(trips(1))
    found = compare(before, after, {"fare": spec, "miles": FeatureSpec(type="float")}, TableSpec())
    assert codes(found) == [("control_missing", "fare")]


def test_nothing_is_compared_with_an_empty_table() -> None:
    empty: Statistics = profile(trips(0).head(0))
    assert compare(empty, profile(trips(1)), specs(trips(0, 1)), TableSpec()) == Comparison()
    assert replace(empty, name="other").rows == 0


def test_a_part_of_the_baseline_was_cut_short() -> None:
    found = compared(trips(0).head(1800))
    assert codes(found) == [("truncated_table", None)]
    assert found.shifts[0].message == (
        "all rows are in the baseline too, of whose 3,000 rows 1,200 (40 %) are gone: "
        "was the table cut short?"
    )


def test_a_shuffled_column_is_told_from_the_samples_of_rows() -> None:
    order = np.random.default_rng(9).permutation(ROWS)
    found = compared(lambda f: f.with_columns(f["fare"][order]))
    assert [code for code, _ in codes(found)] == ["broken_correlation"]
