"""Logs joined are the log of all that they saw."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from gristmill.data.read_log import ReadLog

EVENTS = st.lists(
    st.one_of(
        st.builds(lambda code, count, line: lambda log: log.note(code, "seen", count, line),
                  st.sampled_from("abc"), st.integers(1, 3), st.integers(1, 9)),
        st.builds(lambda line, text: lambda log: log.reject(line, text, "odd"),
                  st.integers(1, 99), st.binary(max_size=3)),
        st.builds(lambda: lambda log: [log.reject(1, b"x", "many") for _ in range(700)]),
        st.builds(lambda: lambda log: log.reject_more(2)),
    )
)  # fmt: skip


@given(st.lists(EVENTS))
def test_logs_of_parts_added_up_are_the_log_of_the_whole(
    parts: list[list[Callable[[ReadLog], object]]],
) -> None:
    whole, joined, seen = ReadLog(), ReadLog(), ReadLog()
    whole.where = joined.where = "file.csv"
    for events in parts:
        for event in events:
            event(whole)
            event(seen)
        joined.add(seen.taken())
        assert (seen.notes, seen.unreadable_count, seen.unreadable.height) == ([], 0, 0)
    assert joined.notes == whole.notes
    assert joined.unreadable_count == whole.unreadable_count
    assert joined.unreadable.equals(whole.unreadable)
