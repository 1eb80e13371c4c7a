from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.validate.rows.guard import Guard
from gristmill.validate.rows.row_check import check_rows, iter_row_checks
from gristmill.validate.schemas.feature_spec import FeatureSpec, SpecKind
from gristmill.validate.schemas.schema import Schema
from gristmill.validate.schemas.table_spec import RuleSpec, TableSpec

SCHEMA = Schema(
    features={
        "id": FeatureSpec("int", min_present=1.0, unique=True),
        "fare": FeatureSpec("float", min=0.0, max=100.0),
        "tips": FeatureSpec("float"),
        "paid": FeatureSpec("string", domain=("card", "cash")),
    },
    rules={"tips below fare": RuleSpec(holds="tips <= fare")},
)


def test_rows_are_split_with_their_reasons() -> None:
    table = pl.DataFrame(
        {
            "id": ["1", "2", "2", "x", None, "6"],
            "fare": [1.0, 2.0, 300.0, 4.0, 5.0, 6.0],
            "tips": [0.0, 3.0, 0.0, None, 0.0, 0.0],
            "paid": ["card", "cash", "cash", "cash", "card", "Crypto"],
        }
    )
    checked = check_rows(SCHEMA, table)
    assert checked.good.to_dicts() == [
        {"row_id": 0, "id": 1, "fare": 1.0, "tips": 0.0, "paid": "card"}
    ]
    assert dict(zip(checked.bad["row_id"], checked.bad["reasons"].to_list(), strict=True)) == {
        1: ["rule_broken: tips below fare"],
        2: ["out_of_range: fare", "duplicate_key: id"],
        3: ["wrong_type: id"],
        4: ["missing_values: id"],
        5: ["unseen_value: paid"],
    }
    assert checked.bad["id"].to_list() == ["2", "2", "x", None, "6"]  # as they came
    assert checked.rows == 6
    assert checked.counts()["duplicate_key: id"] == 1


def test_files_with_broken_lines_go_through(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('id,fare,tips,paid\n1,1,0,card\n2,1,0\n3,x,0,"cash"\n')
    checked = check_rows(SCHEMA, path)
    assert checked.good["id"].to_list() == [1]
    assert checked.bad["reasons"].to_list() == [["wrong_type: fare"]]
    assert checked.unreadable["line"].to_list() == [3]


def test_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,fare,tips,paid\n")
    checked = check_rows(SCHEMA, path)
    assert (checked.rows, checked.good.columns) == (0, ["row_id", "id", "fare", "tips", "paid"])


@pytest.mark.parametrize(
    ("cells", "reasons"),
    [
        ([[1, 2], [], None, [1, 2, 3, 4]], [[], ["value_count: x"], [], ["value_count: x"]]),
        ([[1, 9], [2], [None], [3]], [["out_of_range: x"], [], [], []]),
        ([[[1]], [[2]], None, [[3]]], [["nesting: x"], ["nesting: x"], [], ["nesting: x"]]),
        ([1, 2, None, 3], [["nesting: x"], ["nesting: x"], [], ["nesting: x"]]),
    ],
)
def test_lists(cells: list[object], reasons: list[list[str]]) -> None:
    spec = FeatureSpec("int", nesting=1, min_values=1, max_values=3, max=5)
    checked = check_rows(Schema(features={"x": spec}), pl.DataFrame({"x": cells}, strict=False))
    told = dict(zip(checked.bad["row_id"], checked.bad["reasons"].to_list(), strict=True))
    assert [told.get(row, []) for row in range(4)] == reasons


def test_arrays_are_lists() -> None:
    column = pl.Series("x", [[1, 2], [3, 9]], dtype=pl.Array(pl.Int64, 2))
    spec = FeatureSpec("int", nesting=1, min_values=2, max_values=2, max=5)
    checked = check_rows(Schema(features={"x": spec}), column.to_frame())
    assert checked.bad["reasons"].to_list() == [["out_of_range: x"]]


def test_environments_choose_columns_and_rules() -> None:
    schema = Schema(
        features={"x": FeatureSpec("int", max=1), "y": FeatureSpec("int", not_in=("serving",))},
        environments={"serving": "", "training": ""},
        rules={"r": RuleSpec(holds="x > 5", environments=("training",))},
    )
    table = pl.DataFrame({"x": [1]})
    assert check_rows(schema, table, environment="serving").bad.height == 0
    assert check_rows(schema, table).bad["reasons"].to_list() == [["rule_broken: r"]]


def test_cells_off_their_type_pass_where_many_are_tolerated() -> None:
    table = pl.DataFrame({"x": ["1", "7h", "9"]})
    rare, many = (
        Schema(features={"x": FeatureSpec("int", max=3, max_mistyped=share)})
        for share in (0.005, 0.05)
    )
    assert check_rows(rare, table).bad["reasons"].to_list() == [
        ["wrong_type: x"],
        ["out_of_range: x"],
    ]
    assert check_rows(many, table).bad["reasons"].to_list() == [["out_of_range: x"]]


def _slow(table: pl.DataFrame) -> list[list[str]]:
    """Row by row, with the plainest code: the reasons of every row."""
    seen: set[int] = set()
    reasons = []
    for row in table.iter_rows(named=True):
        found = []
        if row["id"] is None:
            found.append("missing_values: id")
        if row["fare"] is not None and not 0 <= row["fare"] <= 100:
            found.append("out_of_range: fare")
        if row["paid"] not in (None, "card", "cash"):
            found.append("unseen_value: paid")
        if row["id"] in seen:
            found.append("duplicate_key: id")
        if row["id"] is not None:
            seen.add(row["id"])
        if None not in (row["tips"], row["fare"]) and row["tips"] > row["fare"]:
            found.append("rule_broken: tips below fare")
        reasons.append(found)
    return reasons


ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(0, 20),
        st.none() | st.floats(-50, 150),
        st.none() | st.floats(-10, 10),
        st.none() | st.sampled_from(["card", "cash", "Card"]),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(ROWS, st.integers(1, 7))
def test_the_same_as_row_by_row(rows: list[tuple[object, ...]], size: int) -> None:
    kinds = {"id": pl.Int64, "fare": pl.Float64, "tips": pl.Float64, "paid": pl.String}
    table = pl.DataFrame(rows, schema=kinds, orient="row")
    checked = check_rows(SCHEMA, table)
    told = dict(zip(checked.bad["row_id"], checked.bad["reasons"].to_list(), strict=True))
    assert [sorted(told.get(row, [])) for row in range(table.height)] == [
        sorted(reasons) for reasons in _slow(table)
    ]
    parts = list(iter_row_checks(SCHEMA, table, rows=size))
    assert pl.concat([part.bad for part in parts]).equals(checked.bad)
    assert sum(part.rows for part in parts) == table.height


def test_only_the_outermost_list_has_a_number_of_elements() -> None:
    spec = FeatureSpec("int", nesting=2, min_values=2, max_values=2)
    table = pl.DataFrame({"x": [[[1], [2, 3, 4]], [[1, 2]], [[1], None]]})
    assert check_rows(Schema(features={"x": spec}), table).bad["row_id"].to_list() == [1]


def test_keys_are_remembered_over_all_parts_and_columns() -> None:
    table = pl.DataFrame({"a": [1, 1, 2, 1, None, None], "b": ["x", "y", "x", "x", "x", "x"]})
    schema = Schema(
        features={"a": FeatureSpec("int"), "b": FeatureSpec("string")},
        table=TableSpec(key=("a", "b")),
    )
    parts = list(iter_row_checks(schema, table, rows=2))
    assert [part.bad["reasons"].to_list() for part in parts] == [[], [["duplicate_key"]], []]


CELLS = {
    "int": ["1", " 7 ", "7.0", "7.5", "-3", "", "x", "NA", "9" * 30, str(2**63 - 1), "1e3", "+4"],
    "float": ["1", "-3", " 2.5", "", "nan", "inf", "1e400", "x", ".5", "1_0", "0x1", "\u0663"],
    "bool": ["true", "1", "0", "no", "YES", "maybe", "", "t"],
    "time": ["2024-01-01", "2024-01-01T10:00:00Z", "2024-13-01", "2023-12-31 10:00", "x", ""],
    "string": ["a", "bb", "dddddd", "", "\ufffd", "\u00e9", "\u00c3\u00a9", "A"],
}
SPECS = [
    FeatureSpec("int", min_present=1.0, min=0, max=50, max_outside=0.0, negative=False),
    FeatureSpec("int", domain=(1, 7), max_unseen=0.0),
    FeatureSpec("int", null_values=("NA", 7)),
    FeatureSpec("float", min=-1, max=5, max_outside=0.0, max_nan=0.0, max_infinite=0.0),
    FeatureSpec("float", null_values=("x", -3), min_present=1.0),
    FeatureSpec("bool", min_present=1.0),
    FeatureSpec("time", earliest="2024-01-01", latest="2024-12-31"),
    FeatureSpec("string", min_length=1, max_length=5, max_outside=0.0, max_broken=0.0),
    FeatureSpec("string", pattern="[a-z]+", max_unmatched=0.0),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.type}{SPECS.index(spec)}")
def test_a_check_rows_and_a_guard_agree_on_every_cell(spec: FeatureSpec) -> None:
    schema = Schema(features={"x": spec}, table=TableSpec(exact=True))
    guard = Guard(schema)

    @settings(deadline=None, max_examples=40)
    @given(st.lists(st.none() | st.sampled_from(CELLS[spec.type]), min_size=1, max_size=6))
    def test(cells: list[str | None]) -> None:
        table = pl.DataFrame({"x": pl.Series(cells, dtype=pl.String)})
        expected = [row for row, cell in enumerate(cells) if not guard.admits({"x": cell})]
        assert check_rows(schema, table).bad["row_id"].to_list() == expected
        assert schema.check(table).rows["row_id"].to_list() == expected

    test()


@pytest.mark.parametrize("kind", ["int", "bool", "float", "string"])
def test_typed_numbers_are_read_alike(kind: SpecKind) -> None:
    spec = FeatureSpec(kind, null_values=(0,), min_present=1.0)
    schema = Schema(features={"x": spec}, table=TableSpec(exact=True))
    for column in ([0.0, 1.0, 2.5, None], [0, 1, 2, 2**63 - 1], [True, False, None]):
        table = pl.DataFrame({"x": column})
        found = schema.check(table).rows["row_id"].to_list()
        assert check_rows(schema, table).bad["row_id"].to_list() == found
        guard = Guard(schema)
        assert [n for n, cell in enumerate(column) if not guard.admits({"x": cell})] == found
