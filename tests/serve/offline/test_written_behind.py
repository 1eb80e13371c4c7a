"""Pieces written by another thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from gristmill.serve.offline.written_behind import Abandoned, written_behind

PATIENCE_SECONDS = 60.0


class Stop(Exception):  # noqa: N818
    """Ends a block."""


def test_pieces_are_written_in_order_while_later_ones_are_made() -> None:
    written: list[int] = []
    first = threading.Event()

    def write(pieces: Iterator[int]) -> None:
        for piece in pieces:
            written.append(piece)
            first.set()

    with written_behind(write) as put:
        put(1)
        assert first.wait(PATIENCE_SECONDS)
        put(2)
        put(3)
    assert written == [1, 2, 3]


def test_a_block_that_raises_abandons_the_writer() -> None:
    ended: list[str] = []

    def write(pieces: Iterator[int]) -> None:
        try:
            for _ in pieces:
                pass
        except Abandoned:
            ended.append("abandoned")
            raise

    with pytest.raises(Stop), written_behind(write):
        raise Stop
    assert ended == ["abandoned"]


def test_what_the_writer_raises_ends_the_block() -> None:
    failed = threading.Event()
    put_after_it: list[int] = []

    def write(pieces: Iterator[int]) -> None:
        next(pieces)
        failed.set()
        raise Stop

    def run(more: int) -> None:
        with written_behind(write) as put:
            put(0)
            assert failed.wait(PATIENCE_SECONDS)
            for piece in range(more):
                put(piece)
                put_after_it.append(piece)

    for more in (0, 1_000_000):
        failed.clear()
        with pytest.raises(Stop):
            run(more)
    assert len(put_after_it) < 1_000_000


def test_few_pieces_wait_for_a_writer_that_is_behind() -> None:
    taken, go_on = list[int](), threading.Event()
    put_so_far = list[int]()

    def write(pieces: Iterator[int]) -> None:
        assert go_on.wait(PATIENCE_SECONDS)
        taken.extend(pieces)

    def run() -> None:
        with written_behind(write) as put:
            for piece in range(20):
                put(piece)
                put_so_far.append(piece)

    running = threading.Thread(target=run)
    running.start()
    while not put_so_far:
        running.join(0.001)
    running.join(0.2)
    waiting = len(put_so_far)
    go_on.set()
    running.join(PATIENCE_SECONDS)
    assert 0 < waiting < 10
    assert taken == put_so_far == list(range(20))
