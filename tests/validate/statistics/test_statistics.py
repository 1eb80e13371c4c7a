from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import DataError
from gristmill.validate import Statistics, profile

Orders = Callable[..., pl.DataFrame]


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_saving_is_the_same_to_the_byte_and_loading_gives_it_back(
    orders: Orders, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        folder.mkdir()
    profile(orders()).save(folders[0])
    profile(orders()).save(folders[1])
    loaded = Statistics.load(folders[0])
    loaded.save(folders[2])
    assert _files(folders[0]) == _files(folders[1]) == _files(folders[2])
    assert loaded.describe() == profile(orders()).describe()


def test_many_distinct_texts_save_the_same_bytes(tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": [f"message {i}" for i in range(9000)]})
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        profile(frame).save(tmp_path / name)
    assert _files(tmp_path / "one") == _files(tmp_path / "two")


def test_loaded_statistics_can_be_added_to(orders: Orders, tmp_path: Path) -> None:
    profile(orders(300, seed=1)).save(tmp_path)
    total = Statistics.load(tmp_path) + profile(orders(200, seed=2))
    assert total.rows == 500
    assert total.features["order_id"].distinct_count.value == 500


def test_damaged_statistics_are_refused(orders: Orders, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected saved statistics, found something unreadable"):
        Statistics.load(tmp_path)
    profile(orders()).save(tmp_path)
    sketches = tmp_path / "sketches.bin"
    sketches.write_bytes(sketches.read_bytes()[:-10])
    with pytest.raises(DataError, match="lie outside"):
        Statistics.load(tmp_path)


@pytest.mark.parametrize(
    ("format_", "message", "fix"),
    [
        (9, "expected statistics of format 2, found format 9 of a newer version", "that wrote"),
        (1, "expected statistics of format 2, found format 1 of an older version", "profile the"),
    ],
)
def test_another_version_is_refused(
    orders: Orders, tmp_path: Path, format_: int, message: str, fix: str
) -> None:
    profile(orders()).save(tmp_path)
    figures = tmp_path / "statistics.json"
    figures.write_text(figures.read_text().replace('"format": 2', f'"format": {format_}'))
    with pytest.raises(DataError, match=message) as caught:
        Statistics.load(tmp_path)
    assert caught.value.where == str(tmp_path)
    assert fix in caught.value.fix


def test_merging_is_associative_to_the_byte_for_counts(orders: Orders, tmp_path: Path) -> None:
    one, two, three = (profile(orders(200, seed=seed).select("hour", "paid")) for seed in (1, 2, 3))
    left, right = (one + two) + three, one + (two + three)
    assert left.repeats.to_bytes() == right.repeats.to_bytes()
    for name, feature in left.features.items():
        assert feature.distinct.to_bytes() == right.features[name].distinct.to_bytes()
        assert feature.top() == right.features[name].top()


def test_every_part_survives_saving(tmp_path: Path, orders: Orders) -> None:
    frame = orders(300).with_columns(
        tags=pl.concat_list("paid", "paid"),
        vector=pl.concat_list([pl.col("hour").cast(pl.Float64)] * 8),
        big=pl.lit(2**64 - 1, dtype=pl.UInt64),
    )
    made = profile(frame, weight="hour", slices=["paid"], cross_features=True)
    made.save(tmp_path)
    loaded = Statistics.load(tmp_path)
    assert loaded.describe() == made.describe()
    assert loaded.features["big"].numbers.high == 2**64 - 1
    assert loaded.features["vector"].embedding is not None
    assert loaded.sample.to_bytes() == made.sample.to_bytes()
    assert (loaded + made).rows == 600


def test_integers_of_any_size_survive_saving(tmp_path: Path) -> None:
    made = profile(pl.DataFrame({"n": [str(2**100), "1"]}), kinds={"n": "int"})
    made.save(tmp_path)
    assert Statistics.load(tmp_path).features["n"].numbers.high == 2**100


CELLS = {
    "number": st.none() | st.floats(-1e6, 1e6),
    "count": st.none() | st.integers(-3, 2**53),
    "text": st.none() | st.sampled_from(["a", "b", "", "-", "Ünter", "longer text of words"]),
    "flag": st.none() | st.booleans(),
    "tags": st.none() | st.lists(st.sampled_from(["x", "y"]), max_size=3),
}
SCHEMA = {"number": pl.Float64, "count": pl.Int64, "text": pl.String, "flag": pl.Boolean}


@given(st.lists(st.fixed_dictionaries(CELLS), min_size=1, max_size=30), st.data())
@settings(max_examples=60, deadline=None)
def test_any_tree_of_merges_over_any_partition_describes_the_same(rows, data) -> None:
    frame = pl.DataFrame(rows, schema=SCHEMA | {"tags": pl.List(pl.String)})
    places = data.draw(st.permutations(range(frame.height)))
    cuts = sorted(data.draw(st.sets(st.integers(1, frame.height), max_size=5)) | {frame.height})
    starts = [0, *cuts]
    parts = [
        profile(frame[list(places[start:end])]) for start, end in zip(starts, cuts, strict=False)
    ]
    while len(parts) > 1:
        one = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
        two = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
        parts.append(one + two)
    whole = profile(frame)
    assert _nearly(parts[0].describe()) == whole.describe()
    assert parts[0].repeats.to_bytes() == whole.repeats.to_bytes()
    assert parts[0].sample.to_bytes() == whole.sample.to_bytes()


def _nearly(value: object) -> object:
    """Figures to nine digits: sums of floats depend on the order of adding in the last ones."""
    if isinstance(value, dict):
        return {key: _nearly(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_nearly(item) for item in value]
    # Deviations of numbers up to 2**53 are roots of what is lost at 2**-52 of their squares.
    return pytest.approx(value, rel=1e-7, abs=1e-7) if isinstance(value, float) else value
