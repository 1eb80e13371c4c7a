from __future__ import annotations

import polars as pl
import pytest

from gristmill.core.errors import UsageError
from gristmill.validate.statistics.slicing import Slicer

FRAME = pl.DataFrame(
    {
        "paid": ["Cash", "Card", None, "Cash"],
        "fare": [10.0, 30.0, 25.0, None],
        "hour": [1, 2, 1, 2],
        "slice": ["own", "own", "own", "own"],
    }
)


def _fares(slicer: Slicer, frame: pl.DataFrame = FRAME) -> dict[str, list[float | None]]:
    return {name: part["fare"].to_list() for name, part in slicer.parts(frame)}


def test_slices_by_value() -> None:
    assert _fares(Slicer(["paid"])) == {
        "paid = Card": [30.0],
        "paid = Cash": [10.0, None],
        "paid is missing": [25.0],
    }
    assert _fares(Slicer([("paid", "hour")]))["paid = Cash, hour = 2"] == [None]
    assert list(_fares(Slicer(["hour", "slice"]))) == ["hour = 1", "hour = 2", "slice = own"]


def test_slices_by_expression() -> None:
    assert _fares(Slicer(["fare > 20"])) == {"fare > 20": [30.0, 25.0]}
    case = "CASE WHEN fare > 20 THEN 'dear' WHEN fare > 0 THEN 'cheap' END"
    assert _fares(Slicer([case])) == {f"{case} = cheap": [10.0], f"{case} = dear": [30.0, 25.0]}


@pytest.mark.parametrize("ids", [None, ["a", "b", "c", "d"]])
def test_slices_by_query(ids: list[str] | None) -> None:
    pytest.importorskip("duckdb")
    frame = FRAME if ids is None else FRAME.with_columns(row_id=pl.Series(ids))
    query = (
        "SELECT row_id, 'first' AS slice FROM data WHERE hour = 1 "
        "UNION ALL SELECT row_id, 'all' FROM data"
    )
    assert _fares(Slicer([query]), frame) == {
        "all": [10.0, 30.0, 25.0, None],
        "first": [10.0, 25.0],
    }


def test_slices_are_bounded_and_the_rest_is_told() -> None:
    slicer = Slicer(["hour", "fare"], max_slices=1)
    frame = pl.DataFrame({"hour": [1, 2, 2, 3], "fare": [1.0, 2.0, 3.0, 4.0]})
    assert _fares(slicer, frame) == {"hour = 2": [2.0, 3.0], "fare = 1.0": [1.0]}
    assert _fares(slicer, frame[3:]) == {}
    assert slicer.left_out == {"hour": 3, "fare": 4}
    assert slicer.names == ["hour = 2", "fare = 1.0"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nothing", "expected a column, an expression or a query to slice by, found 'nothing'"),
        ("fare >", "expected a column, an expression or a query"),
        (("paid", "z"), "expected a column to slice by, found 'z'"),
        ("max(fare)", "expected one value per row, found 1"),
        ("select 1 as x from data", "expected a query that returns row_id and slice"),
        ("select 'x' as row_id, 's' as slice from data", "expected the table's row ids"),
    ],
)
def test_a_slice_that_cannot_be_cut_is_an_error(spec: str | tuple[str, ...], message: str) -> None:
    pytest.importorskip("duckdb")
    with pytest.raises(UsageError, match=message):
        list(Slicer([spec]).parts(FRAME))
    with pytest.raises(UsageError, match="plain values"):
        list(Slicer(["l"]).parts(pl.DataFrame({"l": [[1]]})))


def test_arguments_are_checked() -> None:
    with pytest.raises(UsageError, match="at least one slice"):
        Slicer([])
    with pytest.raises(UsageError, match="different slice specifications"):
        Slicer(["a", "a"])
    with pytest.raises(UsageError, match="max_slices of at least 1, found 0"):
        Slicer(["a"], 0)
