from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from gristmill.validate import FeatureSpec, Schema, profile
from gristmill.validate.schemas.infer import infer_feature
from gristmill.validate.statistics.feature import Feature


def _infer(cells: object, name: str = "x") -> FeatureSpec:
    return infer_feature(name, Feature.of(pl.Series(cells)))


def test_every_kind_is_inferred(orders: Callable[..., pl.DataFrame]) -> None:
    schema = Schema.infer(profile(orders()))
    assert {name: spec.type for name, spec in schema.features.items()} == {
        "order_id": "int",
        "price": "float",
        "hour": "int",
        "paid": "string",
        "note": "string",
        "gift": "bool",
        "day": "time",
    }
    assert schema.features["order_id"].unique
    assert not schema.features["price"].unique
    assert schema.features["paid"].domain == ("card", "cash", "voucher")
    assert schema.features["paid"].max_unseen == 0.0
    assert schema.features["hour"].domain == tuple(range(24))
    assert 0.86 < schema.features["price"].min_present < 0.90
    assert schema.table.inferred_from_rows == 2000


def test_presence_leaves_room_for_chance() -> None:
    assert 0.98 < _infer(["a", "b"] * 500).min_present < 1.0
    assert _infer(["a", "b"] * 5).min_present < 0.6


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("draw", ["normal", "exponential", "lognormal", "uniform"])
def test_ranges_hold_a_fresh_sample(seed: int, draw: str) -> None:
    rng = np.random.default_rng(seed)
    spec = _infer(getattr(rng, draw)(size=2000))
    fresh = getattr(rng, draw)(size=2000)
    assert spec.min is not None
    assert spec.max is not None
    assert ((fresh < spec.min) | (fresh > spec.max)).mean() <= spec.max_outside


def test_ranges_of_light_tails_are_tight() -> None:
    spec = _infer(np.random.default_rng(0).normal(size=5000))
    assert -20 < spec.min < -4
    assert 4 < spec.max < 20
    assert spec.negative


def test_zero_is_a_wall_where_numbers_lean_on_it() -> None:
    waits = np.random.default_rng(0).exponential(size=1000)
    assert not _infer(waits, "wait_seconds").negative
    assert _infer(np.random.default_rng(0).normal(3, 0.5, size=1000), "wait_seconds").negative


def test_only_what_is_counted_says_that_nothing_is_below_zero() -> None:
    incomes = np.random.default_rng(0).exponential(size=1000)
    assert not _infer(incomes, "unit_price").negative
    for name in ("income", "income_usd"):
        spec = _infer(incomes, name)
        assert (spec.negative, spec.min, spec.max_outside) == (True, 0.0, 0.005)


def test_a_cap_may_move_a_little_and_a_natural_wall_may_not() -> None:
    ages = np.minimum(np.random.default_rng(0).uniform(0, 120, 5000), 94.0)
    assert 95 < _infer(ages, "age").max < 97
    assert _infer(np.minimum(ages, 10.0), "share").max == 10.0
    stars = np.random.default_rng(0).choice(60, 5000).clip(0, 50)
    assert _infer(stars, "stars").max == 51


def test_rare_values_open_a_domain() -> None:
    common, rare = ["a"] * 900 + ["b"] * 97, ["c", "d", "e"]
    assert _infer(common + rare).max_unseen == pytest.approx(0.0191)
    assert _infer(common + ["b"] * 3).max_unseen == 0.005
    assert _infer(["a"] * 600 + ["b"] * 400).max_unseen == 0.0
    assert _infer(["a"] * 1000).max_unseen == 0.005
    assert _infer([1] * 600 + [2] * 400).max_unseen == 0.005
    assert _infer([1] * 6000 + [2] * 4000).max_unseen == 0.0


def test_free_text_has_lengths_and_no_domain() -> None:
    spec = _infer([f"message number {i} {'x' * (i % 40)}" for i in range(500)])
    assert spec.domain is None
    assert spec.min_length is not None
    assert spec.max_length > 55
    assert not spec.unique


@pytest.mark.parametrize(
    ("name", "cells", "unique"),
    [
        ("user_id", [f"u{i}" for i in range(200)], True),
        ("code", [f"{i:012d}" for i in range(200)], True),
        ("n", list(range(200)), True),
        ("seconds", [i * 977 for i in range(200)], False),
        ("user_id", ["u1", *(f"u{i}" for i in range(199))], False),
    ],
)
def test_keys_are_told_from_columns_without_repeats(
    name: str, cells: list[object], unique: bool
) -> None:
    assert _infer(cells, name).unique is unique


def test_empty_and_mixed_columns_expect_nothing_of_cells() -> None:
    empty = infer_feature("x", Feature.of(pl.Series([None, None], dtype=pl.String)))
    assert empty == FeatureSpec(type="any", required=False)
    mixed = Feature.of(pl.Series([1])) + Feature.of(pl.Series(["a"]))
    assert infer_feature("x", mixed) == FeatureSpec(type="any")


def test_tolerated_faults_stay_tolerated() -> None:
    spec = _infer([float("nan")] * 20 + list(np.random.default_rng(0).normal(size=980)))
    assert 0.02 < spec.max_nan < 0.05
    assert _infer(["caf\ufffd"] * 20 + [f"tea {i}" for i in range(980)]).max_broken > 0.02


def test_a_text_is_never_asked_to_be_shorter_than_nothing() -> None:
    # Lengths 2 to 300 with a long tail: the lower tail, extrapolated, would end below zero.
    texts = ["x" * (2 + 298 * number**3 // 400**3) for number in range(400)]
    frame = pl.DataFrame({"text": texts})
    schema = Schema.infer(profile(frame))
    assert schema.features["text"].min_length in (None, 1, 2)
    assert schema.check(frame).findings == []


def test_lengths_are_compared_with_any_bound_that_a_person_writes() -> None:
    frame = pl.DataFrame({"text": [f"text {number}" for number in range(200)]})
    spec = FeatureSpec(type="string", min_length=-3, max_length=5_000_000_000)
    assert Schema(features={"text": spec}).check(frame).findings == []


def test_names_tell_units_and_natural_bounds() -> None:
    cells = np.random.default_rng(0).uniform(-89, 89, size=2000)
    spec = _infer(cells, "pickup_latitude")
    assert (spec.unit, spec.min, spec.max) == ("degree of latitude", -90.0, 90.0)
    assert _infer(cells, "trip_seconds").unit == "second"
    assert _infer(cells, "DistanceKm").unit == "kilometre"
    assert _infer(cells, "platform").unit is None


def test_codes_are_a_domain_and_counts_are_not() -> None:
    codes = [1, 2, 5, 9] * 500
    assert _infer(codes).domain == (1, 2, 5, 9)
    counts = _infer(np.random.default_rng(0).geometric(0.3, size=2000))
    assert counts.domain is None
    assert counts.min == 1


def test_unix_times_go_on_but_not_for_ten_years() -> None:
    start, year = 1_400_000_000, 31_557_600
    spec = _infer(list(range(start, start + year, 10_000)), "trip_start_timestamp")
    assert spec.unit == "unix seconds"
    assert start + 2 * year - 20_000 < spec.max < start + 3 * year
    assert spec.min < start - year + 20_000
    assert _infer(list(range(start, start + year, 10_000)), "amount").unit is None


def test_times_have_a_margin_before_and_none_behind() -> None:
    days = pl.Series(range(19_000, 19_365)).cast(pl.Date)
    spec = infer_feature("day", Feature.of(days))
    assert spec.earliest == "2021-01-09"
    assert spec.latest is None


def test_lists_have_nesting_and_counts() -> None:
    fixed = infer_feature("x", Feature.of(pl.Series([[1.0, 2.0, 3.0]] * 200)))
    assert (fixed.type, fixed.nesting, fixed.min_values, fixed.max_values) == ("float", 1, 3, 3)
    loose = infer_feature("x", Feature.of(pl.Series([[1], [1, 2], [3, 4, 5]] * 100)))
    assert loose.min_values == 0
    assert loose.max_values > 5


def test_decimals_and_zeros_are_expected_where_they_are_the_rule() -> None:
    decimals = _infer(np.random.default_rng(0).normal(size=500))
    assert decimals.fractions
    assert decimals.zeros
    assert not _infer([0.0] * 480 + [1.0] * 20).zeros
    assert not _infer([float(n) for n in range(500)]).fractions


def test_times_as_text_are_no_keys() -> None:
    assert not _infer([f"2024-01-01 {n // 60:02d}:{n % 60:02d}:00" for n in range(1000)]).unique


@pytest.mark.parametrize("seed", range(15))
def test_a_clean_split_passes(seed: int, orders: Callable[..., pl.DataFrame]) -> None:
    both = orders(3000, 0).sample(fraction=1.0, shuffle=True, seed=seed)
    rows = (200, 1000, 1500)[seed % 3]
    schema = Schema.infer(profile(both.head(rows)))
    assert schema.check(both.tail(1500)).findings == []


def test_a_few_bad_cells_do_not_change_the_type() -> None:
    column = pl.Series([str(number % 50) for number in range(1000)] + ["7h"])
    assert infer_feature("x", Feature.of(column, "int")).type == "int"


def test_a_column_that_is_mostly_empty_may_be_wholly_so() -> None:
    assert _infer(["a"] + [None] * 499).min_present == 0.0


@pytest.mark.parametrize(
    ("cell", "pattern"),
    [
        ("{:04d}-AB", r"\d{{4}}\-\p{{Lu}}{{2}}"),
        ("u{:04d}@example.org", r"[^@\s]+@[^@\s]+\.[^@\s]+"),
        (
            "12345678-1234-1234-1234-{:012d}",
            "[0-9a-fA-F]{{8}}(-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}}",
        ),
    ],
)
def test_texts_of_one_shape_have_a_pattern(cell: str, pattern: str) -> None:
    codes = [cell.format(7 * number) for number in range(400)]
    spec = _infer(codes)
    assert spec.pattern == pattern.format()
    assert spec.max_unmatched == 0.0125
    mixed = _infer([*codes[:300], *(f"{'word ' * (n % 9)}{n}" for n in range(100))])
    assert mixed.pattern is None
