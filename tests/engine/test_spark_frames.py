from __future__ import annotations

import polars as pl
import pytest
from tests.clusters import SPARK

from gristmill.engine.spark_frames import map_frame

pytestmark = SPARK


@pytest.fixture
def texts(spark_engine):
    from pyspark.sql import SparkSession

    session = SparkSession(spark_engine._context)
    rows = [(f"r{i}", "win " * i) for i in range(5)]
    return session.createDataFrame(rows, "row_id string, text string").repartition(2)


@pytest.fixture
def counted():
    """A function inside a function travels by value: workers of Spark do not know this module."""

    def counted(rows: pl.DataFrame) -> pl.DataFrame:
        wins = pl.col("text").str.count_matches("win")
        return rows.select("row_id", wins=wins, more=pl.lit(1))

    return counted


def test_rows_are_mapped_where_they_are(texts, counted):
    found = map_frame(counted, texts, "wins long, row_id string")
    assert found.columns == ["wins", "row_id"]
    assert sorted(map(tuple, found.collect())) == [(i, f"r{i}") for i in range(5)]


def test_rows_may_be_left_out(texts):
    found = map_frame(lambda rows: rows.filter(pl.col("text") == ""), texts, texts.schema)
    assert [tuple(row) for row in found.collect()] == [("r0", "")]


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("row_id string, votes long", "missing: votes"),
        ("row_id date", "does not have the schema's types"),
    ],
)
def test_results_that_do_not_fit(texts, counted, schema, message):
    with pytest.raises(Exception, match=message):
        map_frame(counted, texts, schema).collect()
