from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from gristmill.core.errors import UsageError
from gristmill.validate.statistics.sql import run_sql

pytest.importorskip("duckdb")
FRAME = pl.DataFrame({"a": [1, 2, None], "b": ["x", "y", "y"]})


def test_a_query_reads_the_table() -> None:
    found = run_sql(FRAME, "SELECT b, count(*) AS n, sum(a) AS s FROM data GROUP BY b ORDER BY b")
    assert found["b"].to_list() == ["x", "y"]
    assert found["n"].to_list() == [1, 2]
    assert run_sql(FRAME[:0], "WITH t AS (SELECT * FROM data) SELECT * FROM t").height == 0


@pytest.mark.parametrize(
    "query",
    [
        "COPY data TO '{path}'",
        "SELECT * FROM read_text('{path}')",
        "SELECT * FROM '{path}'",
        "ATTACH '{path}.db'",
        "SELECT 1; SELECT 2",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "SELECT * FROM FRAME",
        "SELECT * FROM 'https://example.org/x.csv'",
        "DROP TABLE data",
        "SELECT nothing FROM data",
        "",
    ],
)
def test_a_query_can_do_nothing_else(query: str, tmp_path: Path) -> None:
    path = tmp_path / "secret.csv"
    path.write_text("secret\n1\n")
    with pytest.raises(UsageError, match="expected one SELECT over the table 'data'"):
        run_sql(FRAME, query.format(path=path))
    assert sorted(tmp_path.iterdir()) == [path]
    assert path.read_text() == "secret\n1\n"


def test_columns_without_a_type_go_through() -> None:
    frame = FRAME.with_columns(nothing=pl.lit(None))
    assert run_sql(frame, "SELECT nothing FROM data WHERE a > 1")["nothing"].to_list() == [None]


def test_nothing_of_duckdb_is_left_at_the_end() -> None:
    code = (
        "import polars as pl\n"
        "from gristmill.validate.statistics.sql import run_sql\n"
        "run_sql(pl.DataFrame({'a': [1]}), 'SELECT a FROM data')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
