"""What a node has of the pool: which tensors, of which version, and what goes to make room."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from gristmill.train.records.key import Key
from gristmill.train.records.layout import TENSOR_ALIGNMENT, RecordLayout

Extent: TypeAlias = tuple[int, int]
"""(first byte, byte behind the last) of the pool."""


@dataclass(slots=True)
class _Copy:
    """A record on the node.

    Attributes:
        offset, nbytes: where it lies, there as in the pool.
        versions: of each tensor that is there.
    """

    offset: int
    nbytes: int
    versions: dict[str, int] = field(default_factory=dict)


class NodeCopies:
    """Copies of records in a node's memory, at the same offsets as in the pool.

    So an order means the same there as here. Memory is taken on the node only where something lies,
    and given back where copies were used longest ago.

    Args:
        most: bytes that copies may take together, where the records of one task leave that.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._copies: dict[Key, _Copy] = {}  # used longest ago first
        self._holes: list[Extent] = []

    def lacking(
        self,
        key: Key,
        offset: int,
        layout: RecordLayout,
        version: int,
        names: Collection[str] | None = None,
    ) -> list[Extent]:
        """Return what of a record has to be sent, which is taken to be there from now on.

        Args:
            key: of the record.
            offset: where it lies in the pool now.
            layout: of the record.
            version: that it has.
            names: of the tensors that are needed; None for all.
        """
        copy = self._copies.get(key)
        if copy is None or copy.offset != offset:
            self._drop(key)
            self._clear(offset, layout.nbytes)
            copy = _Copy(offset, layout.nbytes)
        self._copies.pop(key, None)
        self._copies[key] = copy
        wanted = [
            entry
            for entry in layout.entries
            if copy.versions.get(entry.name) != version and (names is None or entry.name in names)
        ]
        copy.versions |= dict.fromkeys((entry.name for entry in wanted), version)
        return joined((offset + each.offset, each.nbytes) for each in wanted)

    def place(self, key: Key, offset: int, layout: RecordLayout, version: int) -> None:
        """Note that a record is made on the node itself."""
        self.lacking(key, offset, layout, version)

    def changed(self, key: Key, version: int, but: Collection[str] = ()) -> None:
        """Note that a record has another version now, there too, except for some tensors."""
        versions = self._copies[key].versions
        versions |= {name: version for name in versions if name not in but}

    def stale(self, key: Key) -> None:
        """Note that a record may have changed elsewhere without a new version."""
        self._copies[key].versions.clear()

    def forget(self, trial: int) -> None:
        """Drop a trial's records."""
        for key in [each for each in self._copies if each[0] == trial]:
            self._drop(key)

    def holes(self, keep: Collection[Key]) -> list[Extent]:
        """Return what the node is to give back before it takes in anything else.

        Args:
            keep: records that the task at hand needs.
        """
        taken = sum(copy.nbytes for copy in self._copies.values())
        for key in [each for each in self._copies if each not in keep]:
            if taken <= self._most:
                break
            taken -= self._copies[key].nbytes
            self._drop(key)
        found, self._holes = self._holes, []
        return found

    def _clear(self, offset: int, nbytes: int) -> None:
        """Drop whatever lies where a record comes to lie."""
        for key, copy in list(self._copies.items()):
            if copy.offset < offset + nbytes and offset < copy.offset + copy.nbytes:
                self._drop(key)

    def _drop(self, key: Key) -> None:
        copy = self._copies.pop(key, None)
        if copy is not None:
            self._holes.append((copy.offset, copy.offset + copy.nbytes))


def joined(pieces: Iterable[tuple[int, int]]) -> list[Extent]:
    """Return extents of (offset, bytes) in ascending order, one where only padding is between."""
    found: list[Extent] = []
    for offset, nbytes in pieces:
        if found and offset - found[-1][1] < TENSOR_ALIGNMENT:
            found[-1] = (found[-1][0], offset + nbytes)
        else:
            found.append((offset, offset + nbytes))
    return found
