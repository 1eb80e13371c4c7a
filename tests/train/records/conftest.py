"""Pools, stores and pagers that are closed whatever a test does."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gristmill.train.records.page_event import PageEvent
from gristmill.train.records.pager import Pager
from gristmill.train.records.pool import Pool
from gristmill.train.records.record_store import RecordStore

PATIENCE_SECONDS = 60.0


@pytest.fixture
def pool() -> Iterator[Pool]:
    """Ten blocks."""
    with Pool.create(10 * 4096) as pool:
        yield pool


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RecordStore]:
    """An empty folder of a run."""
    with RecordStore(tmp_path / "run") as store:
        yield store


@pytest.fixture
def pager(pool: Pool, store: RecordStore) -> Iterator[Pager]:
    """A pager of `pool` and `store`, with threads."""
    with Pager(pool, store) as pager:
        yield pager


@pytest.fixture
def until() -> Callable[[Pager, str], PageEvent]:
    """Run the event loop of a pager until an event of this kind comes, and return it."""

    def wait(pager: Pager, kind: str) -> PageEvent:
        deadline = time.monotonic() + PATIENCE_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(pager, selectors.EVENT_READ)
            while time.monotonic() < deadline:
                selector.select(0.5)
                for event in pager.poll():
                    if event.kind == kind:
                        return event
        raise AssertionError(f"no {kind} within {PATIENCE_SECONDS} s")

    return wait
