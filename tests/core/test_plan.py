from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.plan import Cost, Plan, describe

TREE = Plan(
    "train",
    "run",
    "labels changed",
    "cpu",
    Cost(rows=5572, seconds=3.1),
    Cost(seconds=2.9, bytes_=1_200_000),
    [Plan("label", "cached"), Plan("split", "run", children=[Plan("load")])],
)


def test_printed_as_a_tree_with_estimates_and_actual_figures():
    assert str(TREE) == (
        "train  run  5,572 rows, 3.10 s -> 1.20 MB, 2.90 s  (labels changed)\n"
        "  label  cached\n"
        "  split  run\n"
        "    load  run"
    )


def test_walk_is_parents_first():
    assert [(d, node.what) for d, node in TREE.walk()] == [
        (0, "train"),
        (1, "label"),
        (1, "split"),
        (2, "load"),
    ]


PLANS = st.recursive(
    st.builds(Plan, what=st.text(), why=st.text()),
    lambda inner: st.builds(
        Plan,
        what=st.text(),
        estimated=st.builds(Cost, rows=st.none() | st.integers(0, 2**53)),
        children=st.lists(inner, max_size=3),
    ),
    max_leaves=6,
)


@given(PLANS)
def test_json_gives_the_same_plan_back(plan):
    assert Plan.from_json(plan.to_json()) == plan


def test_not_a_plan():
    with pytest.raises(msgspec.ValidationError, match="required field `what`"):
        Plan.from_json(b"{}")


def test_children_are_not_shared():
    one, other = Plan("a"), Plan("b")
    one.children.append(other)
    assert other.children == []


def test_describe():
    assert describe(Cost()) == ""
    assert describe(Cost(rows=5572, bytes_=1_200_000, seconds=3.1)) == "5,572 rows, 1.20 MB, 3.10 s"
