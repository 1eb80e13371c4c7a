from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from gristmill.label.functions.failures import Failures
from gristmill.label.votes import FAILED, no_silence


def test_none_give_an_empty_frame() -> None:
    nothing = Failures()
    nothing.add(0, 0, [])
    assert nothing.frame().equals(no_silence())


@given(st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 9))), max_size=12))
def test_each_failure_is_a_row_and_the_first_of_a_function_have_messages(
    added: list[tuple[int, set[int]]],
) -> None:
    """Partitions of ten rows, one after another."""
    failures, told = Failures(), []
    for partition, (source, positions) in enumerate(added):
        found = [(position, f"{partition} {position}") for position in sorted(positions)]
        failures.add(10 * partition, source, found)
        told += [(10 * partition + place, source, FAILED, said) for place, said in found]
    kept = {
        row[:2] for each in range(4) for row in [row for row in told if row[1] == each][:5]
    }  # fmt: skip
    frame = failures.frame()
    assert frame.schema == no_silence().schema
    assert frame.rows() == [
        (*row[:3], row[3] if row[:2] in kept else None) for row in sorted(told)
    ]  # fmt: skip


def test_many_failures_stay_small() -> None:
    failures = Failures()
    failures.add(0, 0, [(position, "x" * 200) for position in range(1000)])
    frame = failures.frame()
    assert frame["message"].null_count() == 995
    assert frame.select(pl.col("row").is_sorted()).item()
