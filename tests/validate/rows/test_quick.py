from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.validate.rows.cells import cell_check
from gristmill.validate.rows.limits import Limits
from gristmill.validate.rows.quick import quick

LIMITS = [
    Limits("int", low=-2, high=9),
    Limits("int"),
    Limits("int", domain=frozenset({1, 2})),
    Limits("int", domain=frozenset({1, 2}), high=1),
    Limits("float", low=0.5, nan=False, infinite=False),
    Limits("float", high=7.5),
    Limits("string", shortest=1, longest=3),
    Limits("string", whole_text=True),
    Limits("string", domain=frozenset({"a", "\u00c3\u00a9"}), whole_text=True),
    Limits("string", pattern="[a-z]+"),
    Limits("bool"),
    Limits("int", nulls=frozenset({"1"})),
]
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 12), st.integers(), st.floats(),
    st.sampled_from(["a", "", "abcd", "\u00e9", "\u00c3\u00a9", "7", 2**63, -(2**63)]),
    st.just([1]),
)  # fmt: skip


@pytest.mark.parametrize(
    "limits", LIMITS, ids=lambda limits: f"{limits.kind}{LIMITS.index(limits)}"
)
def test_what_goes_the_short_way_is_good(limits: Limits) -> None:
    accepts = quick(limits)

    @given(VALUES)
    def agrees(value: Any) -> None:
        if accepts is not None and accepts(value):
            assert _slow(limits)(value) is None

    agrees()


def _slow(limits: Limits) -> Any:
    """The full check: a null word that no value has switches the short way off."""
    from dataclasses import replace

    return cell_check(replace(limits, nulls=limits.nulls | {"no such value"}))


def test_there_is_a_short_way_for_the_usual_columns() -> None:
    assert quick(Limits("int", low=0))(3)  # type: ignore[misc]
    assert quick(Limits("string", domain=frozenset({"a"})))("a")  # type: ignore[misc]
    assert quick(Limits("time")) is None
    assert quick(Limits("string", pattern="a")) is None
