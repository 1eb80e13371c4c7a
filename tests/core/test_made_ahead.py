"""Items made by another thread while the ones before them are used."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from gristmill.core.made_ahead import made_ahead

PATIENCE_SECONDS = 60.0


class Stop(Exception):  # noqa: N818
    """Ends the making."""


def test_the_next_item_is_made_while_one_is_used() -> None:
    made = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    used = []
    for number in made_ahead(items(), "maker"):
        if number + 1 < len(made):
            assert made[number + 1].wait(PATIENCE_SECONDS)
            assert not any(event.is_set() for event in made[number + 2 :])
        used.append(number)
    assert used == [0, 1, 2]
    assert list(made_ahead(iter(()), "maker")) == []
    assert list(made_ahead(iter([None, None]), "maker")) == [None, None]


def test_what_the_making_raises_comes_where_its_item_would() -> None:
    def items() -> Iterator[int]:
        yield 0
        yield 1
        raise Stop

    found = made_ahead(items(), "maker")
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(Stop):
        next(found)


def test_who_stops_early_leaves_no_thread() -> None:
    rest = made_ahead(iter(range(1000)), "maker-left")
    assert next(rest) == 0
    rest.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("maker-left")]
