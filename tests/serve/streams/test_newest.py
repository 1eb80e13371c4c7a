"""Of what comes, the newest is handed on; the rest is counted."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.serve.streams.newest import Newest


@given(st.lists(st.booleans(), max_size=40))
def test_nothing_is_lost_from_the_count(puts):
    newest = Newest()
    put = taken = dropped = 0
    last = None
    for is_put in puts:
        if is_put:
            put += 1
            last = put
            newest.put(put)
        elif last is not None:
            value, missed = newest.take()
            assert value == last
            taken, dropped, last = taken + 1, dropped + missed, None
        else:
            with pytest.raises(LookupError):
                newest.take()
        assert taken + dropped + newest.unread == put


def test_who_waits_is_told():
    async def run():
        newest = Newest()
        waiting = asyncio.ensure_future(newest.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        newest.put("a")
        await waiting
        assert newest.take().value == "a"
        again = asyncio.ensure_future(newest.wait())
        await asyncio.sleep(0)
        assert not again.done()
        again.cancel()

    asyncio.run(run())
