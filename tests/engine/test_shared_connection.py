from __future__ import annotations

from gristmill.engine.shared_connection import SharedConnection


def test_the_last_one_to_leave_closes_it() -> None:
    closed: list[str] = []
    shared = SharedConnection(closed.append)
    assert shared.join() is None
    shared.leave(None)
    assert not shared.is_used
    shared.opened("one")
    users = [shared.join(), shared.join()]
    assert shared.is_used
    shared.leave(users.pop())
    assert closed == []
    shared.leave(users.pop())
    assert (closed, shared.open, shared.is_used) == (["one"], None, False)


def test_who_used_one_that_ended_by_itself_does_not_close_the_next() -> None:
    closed: list[list[int]] = []
    shared = SharedConnection(closed.append)
    shared.opened(before := [1])
    assert shared.join() is before
    after = shared.opened([1])  # equal, and another
    shared.join()
    shared.leave(before)
    assert shared.is_used
    assert closed == []
    shared.leave(after)
    assert closed == [after]
