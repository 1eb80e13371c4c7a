from __future__ import annotations

import math

import polars as pl
import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from gristmill.core.errors import DataError
from gristmill.validate.schemas.schema import Schema
from gristmill.validate.statistics.profiler import profile
from gristmill.validate.tfdv.messages import read_message
from gristmill.validate.tfdv.statistics_files import (
    TfdvStatistics,
    export_statistics,
    import_statistics,
    to_dataset,
)

Kind = statistics_pb2.FeatureNameStatistics
TABLE = pl.DataFrame(
    {
        "n": [0, 1, 2, 3, None],
        "f": [0.5, math.nan, 2.0, 0.0, math.inf],
        "s": ["é", "b", "b", None, "a"],
        "b": [True, False, True, True, None],
        "l": [["x"], ["y", "z"], [], None, ["x"]],
        "d": [[[1, 2]], [[3], [4]], [[5]], None, [[6]]],
        "e": pl.Series([None] * 5, dtype=pl.Float64),
        "t": pl.Series(["2024-01-01"] * 5).str.to_date(),
    }
)


def exported(statistics, folder, **options):
    export_statistics(statistics, folder / "stats.pb", **options)
    return read_message(folder / "stats.pb", statistics_pb2.DatasetFeatureStatisticsList).datasets


@pytest.fixture
def features(tmp_path):
    (made,) = exported(profile(TABLE, name="day"), tmp_path)
    assert (made.name, made.num_examples) == ("day", 5)
    return {each.path.step[0]: each for each in made.features}


def test_types(features):
    found = {name: Kind.Type.Name(each.type) for name, each in features.items()}
    assert found == {
        "n": "INT", "f": "FLOAT", "s": "STRING", "b": "INT", "l": "STRING", "d": "INT",
        "e": "STRING", "t": "STRING",
    }  # fmt: skip


def test_counts(features):
    common = features["n"].num_stats.common_stats
    assert (common.num_non_missing, common.num_missing, common.tot_num_values) == (4, 1, 4)
    assert (common.min_num_values, common.max_num_values, common.avg_num_values) == (1, 1, 1)
    assert len(common.num_values_histogram.buckets) == 10


def test_numbers(features):
    figures = features["n"].num_stats
    assert (figures.mean, figures.min, figures.max, figures.num_zeros) == (1.5, 0, 3, 1)
    assert figures.std_dev == pytest.approx(math.sqrt(1.25))
    assert figures.median == 1
    assert [h.type for h in figures.histograms] == [0, 1]


def test_nan_and_infinity_as_tfdv_has_them(features):
    figures = features["f"].num_stats
    assert figures.mean == math.inf
    assert math.isnan(figures.std_dev)
    assert (figures.min, figures.max) == (0.0, math.inf)
    assert figures.common_stats.num_non_missing == 5
    assert [h.num_nan for h in figures.histograms] == [1, 1]


def test_texts(features):
    figures = features["s"].string_stats
    assert figures.unique == 3
    assert figures.avg_length == pytest.approx(5 / 4)
    assert [(v.value, v.frequency) for v in figures.top_values] == [("b", 2), ("é", 1), ("a", 1)]
    ranks = [(b.low_rank, b.high_rank, b.label) for b in figures.rank_histogram.buckets]
    assert ranks == [(0, 0, "b"), (1, 1, "é"), (2, 2, "a")]


def test_bools_are_zeros_and_ones(features):
    figures = features["b"].num_stats
    assert (figures.min, figures.max, figures.num_zeros, figures.mean) == (0, 1, 1, 0.75)


def test_lists(features):
    common = features["l"].string_stats.common_stats
    assert (common.num_non_missing, common.num_missing) == (4, 1)
    assert (common.min_num_values, common.max_num_values, common.tot_num_values) == (0, 2, 4)
    assert not common.presence_and_valency_stats


def test_nested_lists(features):
    levels = features["d"].num_stats.common_stats.presence_and_valency_stats
    assert [(v.num_non_missing, v.min_num_values, v.max_num_values) for v in levels] == [
        (4, 1, 2),
        (5, 1, 2),
    ]


def test_an_empty_column_has_counts_only(features):
    common = features["e"].string_stats.common_stats
    assert (common.num_non_missing, common.num_missing) == (0, 5)
    assert not features["e"].string_stats.rank_histogram.buckets


def test_integers_beyond_64_bits_are_texts(tmp_path):
    table = pl.DataFrame({"n": pl.Series([2**63 + 5], dtype=pl.UInt64)})
    assert exported(profile(table), tmp_path)[0].features[0].type == Kind.STRING


def test_categories_that_are_numbers(tmp_path, schema_of):
    schema = schema_of('feature { name: "n" type: INT int_domain { is_categorical: true } }')
    feature = exported(profile(TABLE), tmp_path, schema=schema)[0].features[0]
    assert feature.type == Kind.INT
    assert [b.label for b in feature.string_stats.rank_histogram.buckets] == ["3", "2", "1", "0"]


def test_slices_are_data_sets(tmp_path):
    table = pl.DataFrame({"k": ["a", "b", "a"], "n": [1, 2, 3]})
    found = exported(profile(table, slices=["k"]), tmp_path)
    assert found[0].num_examples == 3
    assert [each.num_examples for each in found[1:]] == [2, 1]
    assert len({each.name for each in found}) == 3


def test_weights(tmp_path):
    table = pl.DataFrame({"n": [1, 3, None], "s": ["a", "b", "b"], "w": [1.0, 3.0, 2.0]})
    (made,) = exported(profile(table, weight="w"), tmp_path)
    assert made.weighted_num_examples == 6
    found = {each.path.step[0]: each for each in made.features}
    assert found["n"].num_stats.weighted_numeric_stats.mean == 2.5
    weighted = found["n"].num_stats.common_stats.weighted_common_stats
    assert (weighted.num_non_missing, weighted.num_missing) == (4, 2)
    top = found["s"].string_stats.weighted_string_stats.top_values
    assert [(v.value, v.frequency) for v in top] == [("b", 5), ("a", 1)]


def test_cross_features(tmp_path):
    table = pl.DataFrame({"a": [1, 2, 3], "b": [2, 4, 6]})
    (crossed,) = exported(profile(table, cross_features=True), tmp_path)[0].cross_features
    assert (crossed.path_x.step[0], crossed.path_y.step[0], crossed.count) == ("a", "b", 3)
    assert crossed.num_cross_stats.correlation == pytest.approx(1.0)
    assert crossed.num_cross_stats.covariance == pytest.approx(4 / 3)


def test_several_tables_in_one_file(tmp_path):
    found = exported([profile(TABLE, name="a"), profile(TABLE, name="b")], tmp_path)
    assert [each.name for each in found] == ["a", "b"]


def test_what_tfdv_recorded_comes_back(tmp_path):
    export_statistics(profile(TABLE, name="day"), tmp_path / "stats.pbtxt")
    (found,) = import_statistics(tmp_path / "stats.pbtxt")
    assert (found.name, found.rows, found.features["n"].missing) == ("day", 5, 1)
    numbers = found.features["n"].numbers
    assert (numbers.n, numbers.mean, numbers.low, numbers.high, numbers.zeros) == (4, 1.5, 0, 3, 1)
    assert numbers.std == pytest.approx(math.sqrt(1.25))
    assert isinstance(numbers.low, int)
    assert found.features["f"].numbers.nan == 1
    assert found.features["f"].numbers.pos_inf == 1
    assert found.features["s"].values.counts() == {"b": 2, "a": 1, "é": 1}
    assert to_dataset(found) == found.message


def test_it_can_be_a_baseline(tmp_path):
    table = pl.DataFrame({"n": [i % 50 for i in range(2000)], "s": ["a", "b"] * 1000})
    export_statistics(profile(table), tmp_path / "stats.pb")
    (before,) = import_statistics(tmp_path / "stats.pb")
    schema = Schema.infer(profile(table))
    assert schema.check(table, baseline=before).ok
    shifted = table.with_columns(pl.col("n") // 5)
    found = schema.check(shifted, baseline=before).findings
    assert any(each.feature == "n" for each in found)


def test_duplicates_are_not_known(tmp_path):
    export_statistics(profile(TABLE), tmp_path / "stats.pb")
    (found,) = import_statistics(tmp_path / "stats.pb")
    assert isinstance(found, TfdvStatistics)
    assert (found.duplicates.low, found.duplicates.high) == (0.0, 4.0)


def test_a_list_of_nothing(tmp_path):
    (tmp_path / "s.pbtxt").write_text("# empty\n")
    with pytest.raises(DataError, match="the statistics list holds no data set"):
        import_statistics(tmp_path / "s.pbtxt")


def test_figures_that_contradict_each_other(tmp_path):
    (tmp_path / "s.pbtxt").write_text(
        'datasets { num_examples: 3 features { path { step: "x" } num_stats {'
        " common_stats { num_non_missing: 4 } } } }"
    )
    with pytest.raises(DataError, match="4 cells of 'x' in a data set of 3 examples"):
        import_statistics(tmp_path / "s.pbtxt")
