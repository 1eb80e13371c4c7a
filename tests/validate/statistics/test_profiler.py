from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.validate import profile

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.none() | st.text(alphabet="ab é\ufffd", max_size=4),
            "flag": st.none() | st.booleans(),
            "count": st.none() | st.integers(-5, 5),
        }
    ),
    min_size=1,
    max_size=40,
)
SCHEMA = {"text": pl.String, "flag": pl.Boolean, "count": pl.Int64}


@given(ROWS, st.integers(1, 40))
@settings(max_examples=80, deadline=None)
def test_figures_are_those_of_plain_python_in_any_partition(
    rows: list[dict[str, object]], partition_rows: int
) -> None:
    stats = profile(pl.DataFrame(rows, schema=SCHEMA), partition_rows=partition_rows)
    assert stats.rows == len(rows)
    assert stats.duplicates.value == len(rows) - len(
        {tuple(row[name] for name in SCHEMA) for row in rows}
    )
    for name, feature in stats.features.items():
        cells = [row[name] for row in rows if row[name] is not None]
        assert feature.missing == len(rows) - len(cells)
        assert feature.distinct_count.value == len(set(cells))
        assert feature.distinct_count.exact
    texts = [row["text"] for row in rows if row["text"] is not None]
    text = stats.features["text"]
    assert text.empty == texts.count("")
    assert text.broken == sum("\ufffd" in cell for cell in texts)
    if texts:
        assert text.values.counts() == dict(Counter(texts))
        assert text.lengths.high == max(map(len, texts))
    flags = [row["flag"] for row in rows if row["flag"] is not None]
    if flags:
        assert stats.features["flag"].values.counts() == dict(
            Counter("true" if flag else "false" for flag in flags)
        )


def test_two_days_add_up_to_one_pass_over_both(orders: Callable[..., pl.DataFrame]) -> None:
    monday, tuesday = orders(700, seed=1), orders(900, seed=2)
    added = profile(monday) + profile(tuesday)
    whole = profile(pl.concat([monday, tuesday]))
    assert added.describe() == _nearly(whole.describe())


def test_a_column_of_one_day_only_is_missing_on_the_other() -> None:
    both = profile(pl.DataFrame({"a": [1, 2]})) + profile(pl.DataFrame({"b": ["x"]}))
    assert both.rows == 3
    assert (both.features["a"].missing, both.features["b"].missing) == (1, 2)


def test_a_column_that_changes_type_is_still_one_column() -> None:
    both = profile(pl.DataFrame({"a": [1, 2]})) + profile(pl.DataFrame({"a": ["x"]}))
    assert both.features["a"].kind == "mixed"
    assert both.features["a"].kinds == {"int": 2, "string": 1}
    whole = profile(pl.DataFrame({"a": [1, 2]})) + profile(pl.DataFrame({"a": [1.0]}))
    assert whole.features["a"].kind == "float"
    assert whole.features["a"].distinct_count.value == 2


def test_pandas_frames_and_files_give_the_same_figures(
    orders: Callable[..., pl.DataFrame], tmp_path
) -> None:
    frame = orders(200).select("order_id", "hour", "paid")
    frame.write_csv(tmp_path / "orders.csv")
    expected = profile(frame).describe()
    assert profile(tmp_path / "orders.csv").describe() == expected
    assert profile(pd.DataFrame(frame.to_dict(as_series=False))).describe() == expected


def test_every_way_in_gives_the_same_figures(orders: Callable[..., pl.DataFrame], tmp_path) -> None:
    frame = orders(300).select("order_id", "hour", "paid", "price")
    expected = _nearly(profile(frame).describe())
    frame.write_parquet(tmp_path / "orders.parquet")
    frame.write_ndjson(tmp_path / "orders.jsonl")
    frame.write_ipc(tmp_path / "orders.arrow")
    ways = [frame.lazy(), frame.to_arrow(), *sorted(tmp_path.iterdir())]
    for way in ways:
        assert profile(way).describe() == expected
    for i, part in enumerate(frame.iter_slices(110)):
        part.write_csv(tmp_path / f"part{i}.csv")
    files = sorted(tmp_path.glob("part*.csv"))
    assert len(files) == 3
    assert profile(files).describe() == expected
    assert profile(tmp_path / "part*.csv").describe() == expected


def test_no_text_of_a_partition_is_kept_alive_but_the_samples() -> None:
    frame = pl.DataFrame({"t": [f"{i:06d}" * 40 for i in range(20_000)]})
    sample = profile(frame).sample
    assert _held(frame[:10]["t"]) > 20_000 * 240
    assert _held(sample.frame["t"]) < 2 * sample.rows * 240
    assert _held((sample + sample).frame["t"]) < 2 * sample.rows * 240


def _held(texts: pl.Series) -> int:
    """The bytes that a column of texts keeps alive, shared or not."""
    buffers = texts.to_arrow(compat_level=pl.CompatLevel.newest()).buffers()
    return sum(buffer.size for buffer in buffers if buffer is not None)


def test_the_row_id_is_no_feature() -> None:
    stats = profile(pl.DataFrame({"row_id": [5, 6], "a": [1, 1]}))
    assert list(stats.features) == ["a"]
    assert stats.duplicates.value == 1


def test_nothing_is_profiled_as_nothing() -> None:
    stats = profile(pl.DataFrame({"a": [], "b": []}, schema={"a": pl.Int64, "b": pl.String}))
    assert stats.rows == 0
    assert json.dumps(stats.describe())
    assert stats.features["a"].kind == "empty"


def test_partitions_of_no_rows_are_refused() -> None:
    with pytest.raises(UsageError, match="expected partition_rows of at least 1, found 0"):
        profile(pl.DataFrame({"a": [1]}), partition_rows=0)


def _nearly(value: object) -> object:
    """Figures to nine digits: sums of floats depend on the order of adding in the last ones."""
    if isinstance(value, dict):
        return {key: _nearly(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_nearly(item) for item in value]
    return pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value


CELLS = st.lists(
    st.none() | st.sampled_from(["1", " 2", "7h", "", "1e3", str(2**70), "-5", "x"]), max_size=30
)


@given(CELLS, st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_cells_that_do_not_parse_are_counted_as_strings(
    cells: list[str | None], partition_rows: int
) -> None:
    frame = pl.DataFrame(
        {"n": cells, "other": range(len(cells))}, schema={"n": pl.String, "other": pl.Int64}
    )
    found = profile(frame, kinds={"n": "int"}, partition_rows=partition_rows).features["n"]
    spelled = [cell for cell in cells if cell not in (None, "")]
    whole = [int(cell) for cell in spelled if cell.strip().lstrip("-").isdigit()]
    strings = [cell for cell in spelled if not cell.strip().lstrip("-").isdigit()]
    kinds = {"int": len(whole), "string": len(strings)}
    assert found.kinds == {kind: n for kind, n in kinds.items() if n}
    assert found.rows == len(cells)
    assert found.missing == len(cells) - len(spelled)
    if whole:
        assert (found.numbers.low, found.numbers.high) == (min(whole), max(whole))
    if strings:
        assert found.values.counts() == dict(Counter(strings))


def test_one_bad_cell_leaves_the_kind_as_it_is() -> None:
    cells = [str(i) for i in range(99)] + ["7h"]
    found = profile(pl.DataFrame({"n": cells}), kinds={"n": "int"}).features["n"]
    assert found.kind == "int"
    assert found.kinds == {"int": 99, "string": 1}


def test_lists_have_valency_and_the_figures_of_their_elements() -> None:
    frame = pl.DataFrame(
        {"tags": [["a", "b"], [], None, ["a"]], "deep": [[[1]], [[2, 3], []], [], None]}
    )
    stats = profile(frame, partition_rows=2)
    tags, deep = stats.features["tags"], stats.features["deep"]
    assert (tags.rows, tags.missing, tags.kinds) == (4, 1, {"string": 3})
    assert tags.values.counts() == {"a": 2, "b": 1}
    assert (tags.valency.levels[0].low, tags.valency.levels[0].high) == (0, 2)
    assert (deep.valency.depth, deep.kind, deep.numbers.high) == (2, "int", 3)


def test_bytes_are_measured_and_those_that_are_no_utf8_counted() -> None:
    found = profile(pl.DataFrame({"b": [b"ab", b"\xff\xfe\xfd", b"ab", None]})).features["b"]
    assert found.kinds == {"bytes": 3}
    assert found.invalid_utf8 == 1
    assert found.values.counts() == {"ab": 2, "0xfffefd": 1}
    assert (found.byte_lengths.low, found.byte_lengths.high) == (2, 3)


def test_lengths_are_in_characters_and_in_bytes() -> None:
    found = profile(pl.DataFrame({"t": ["é", "abc", "日本", "\ufffd"]})).features["t"]
    assert (found.lengths.mean, found.byte_lengths.mean) == (7 / 4, 14 / 4)
    assert found.invalid_utf8 == 1


def test_weights_slices_and_pairs_come_when_asked_for(orders: Callable[..., pl.DataFrame]) -> None:
    frame = orders(300)
    stats = profile(
        frame, weight="hour", slices=["paid", "hour < 6"], cross_features=True, partition_rows=70
    )
    cash = frame.filter(pl.col("paid") == "cash")
    assert stats.slices["paid = cash"].rows == cash.height
    assert stats.slices["hour < 6"].features["hour"].numbers.high == 5
    assert (
        stats.features["price"].weighted.missing
        == frame.filter(pl.col("price").is_null())["hour"].sum()
    )
    assert "price" in stats.pairs.names
    assert (stats.weight, stats.nulls.rows, stats.sample.complete) == ("hour", 300, True)
    plain = profile(frame, sample_rows=0)
    assert (plain.slices, plain.weight, plain.pairs, plain.sample) == ({}, None, None, None)


def test_unknown_weights_are_refused() -> None:
    with pytest.raises(UsageError, match="expected a column of weights, found no column 'w'"):
        profile(pl.DataFrame({"a": [1]}), weight="w")
    with pytest.raises(UsageError, match="expected sample_rows of at least 0, found -1"):
        profile(pl.DataFrame({"a": [1]}), sample_rows=-1)


def test_the_shape_of_texts_is_there_whether_all_are_counted_or_not() -> None:
    few, many = ["AB12"] * 50, [f"user {i}" for i in range(9000)]
    assert profile(pl.DataFrame({"t": few})).features["t"].text.cells == 50
    both = profile(pl.DataFrame({"t": few})) + profile(pl.DataFrame({"t": many}))
    assert both.features["t"].text.cells == 9050
    assert profile(pl.DataFrame({"t": [1]})).features["t"].text is None


@given(st.integers(0, 2**32), st.integers(1, 5))
@settings(max_examples=10, deadline=None)
def test_large_columns_agree_with_numpy_within_their_bounds(seed: int, pieces: int) -> None:
    rng = np.random.default_rng(seed)
    numbers = rng.lognormal(size=50_000)
    numbers[rng.random(50_000) < 0.01] = 0.0
    stats = profile(pl.DataFrame({"x": numbers}), partition_rows=50_000 // pieces)
    figures = stats.features["x"].numbers
    assert (figures.n, figures.low, figures.high) == (50_000, numbers.min(), numbers.max())
    assert figures.zeros == (numbers == 0).sum()
    assert figures.mean == pytest.approx(numbers.mean(), rel=1e-12)
    assert figures.std == pytest.approx(numbers.std(), rel=1e-12)
    ranks = [0.05, 0.5, 0.95]
    found = np.searchsorted(np.sort(numbers), figures.quantiles.quantiles(ranks), "right") / 50_000
    assert np.abs(found - ranks).max() <= 2 * figures.quantiles.rank_error


def test_distinct_counts_lie_within_their_bounds_as_often_as_they_say() -> None:
    held = {"numbers": 0, "texts": 0}
    # Sets without a common value: of overlapping ones the errors are the same errors again.
    for seed in range(60):
        rng = np.random.default_rng(seed)
        numbers = np.unique((rng.lognormal(size=9000) * 10 + 1000 * seed).round(3))
        texts = pl.Series(numbers).cast(pl.String)
        stats = profile(pl.DataFrame({"numbers": numbers, "texts": texts}), sample_rows=0)
        for name in held:
            count = stats.features[name].distinct_count
            held[name] += count.low <= len(numbers) <= count.high
    # 57 are expected; fewer than 51 come once in 500 times, and the seeds are fixed.
    assert min(held.values()) >= 51
