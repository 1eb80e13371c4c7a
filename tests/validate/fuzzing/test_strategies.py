from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.validate.fuzzing.edges import edge_cells
from gristmill.validate.fuzzing.strategies import cells, plain_row
from gristmill.validate.fuzzing.tables import table_of
from gristmill.validate.rows.guard import Guard
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.schema import Schema

SPECS = [
    FeatureSpec("int", min=-5, max=9),
    FeatureSpec("int", domain=(1, 2, 12)),
    FeatureSpec("int", negative=False),
    FeatureSpec("int", min=-9, max=-3),
    FeatureSpec("float", min=0.25, max=0.5),
    FeatureSpec("float"),
    FeatureSpec("string", domain=("a", "b")),
    FeatureSpec("string", min_length=2, max_length=4),
    FeatureSpec("string", pattern="[A-Z]{2}-[0-9]{1,3}"),
    FeatureSpec("bool"),
    FeatureSpec("time", earliest="2020-01-01", latest="2021-01-01T00:00:00+02:00"),
    FeatureSpec("bytes"),
    FeatureSpec("any"),
    FeatureSpec("float", nesting=1, min_values=3, max_values=3, max=1.0),
    FeatureSpec("string", nesting=2, domain=("x",), min_values=1),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.type}-{SPECS.index(spec)}")
def test_cells_keep_their_limits(spec: FeatureSpec) -> None:
    guard = Guard(Schema(features={"x": spec}))

    @settings(max_examples=50, deadline=None)
    @given(cells(spec).filter(lambda cell: cell is not None))
    def keeps(cell: object) -> None:
        assert guard.check({"x": cell}) == []
        assert table_of([{"x": cell}], Schema(features={"x": spec})).height == 1

    keeps()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.type}-{SPECS.index(spec)}")
def test_the_plain_row_keeps_the_schema_unless_a_pattern_must_be_met(spec: FeatureSpec) -> None:
    schema = Schema(features={"x": spec})
    assert Guard(schema).check(plain_row(schema)) == []


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.type}-{SPECS.index(spec)}")
def test_edges_have_names_and_fit_in_tables(spec: FeatureSpec) -> None:
    edges = dict(edge_cells(spec))
    assert edges["missing"] is None
    schema = Schema(features={"x": spec})
    for cell in edges.values():
        assert table_of([{"x": cell}], schema)["x"].null_count() in (0, 1)


def test_edges_lie_at_and_beyond_the_limits() -> None:
    edges = dict(edge_cells(FeatureSpec("int", min=1, max=12)))
    assert (edges["least"], edges["below the least"]) == (1, 0)
    assert (edges["greatest"], edges["above the greatest"]) == (12, 13)


@given(st.lists(st.integers() | st.none(), min_size=1, max_size=4))
def test_a_column_with_a_misfit_is_text(column: list[int | None]) -> None:
    schema = Schema(features={"x": FeatureSpec("int")})
    fits = all(cell is None or -(2**63) <= cell < 2**63 for cell in column)
    table = table_of([{"x": cell} for cell in column], schema)
    assert table["x"].to_list() == (
        column if fits else [None if c is None else str(c) for c in column]
    )
