"""Items of which the next one is made while the last one is used."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def made_ahead(items: Iterator[Item], name: str) -> Iterator[Item]:
    """Yield items in their order; a thread of its own makes the next one meanwhile.

    What the making raises is raised where the item would have come. Who stops early waits for the
    one under way.

    Args:
        items: what makes them; nobody else may use it.
        name: of the thread.
    """
    end = object()
    with ThreadPoolExecutor(1, name) as maker:
        coming = maker.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = maker.submit(next, items, end)
            yield item  # type: ignore[misc]
