"""Many small parcels in one artifact: a thousand results cost a few files, not thousands.

pack.json     for each parcel its codec, and where each of its files begins and how long it is
pack.bin      all files, one after the other
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from gristmill.store.codecs import Encoded
from gristmill.store.parcels import Parcel

PACK = "pack"
"""The codec of such an artifact."""
SMALL_BYTES = 1 << 18
_INDEX, _DATA = "pack.json", "pack.bin"
# Values that do not need their files once they are read.
_READ_WHOLE = frozenset({"json", "struct", "structs", "table", "array"})


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    """A parcel's codec; path below its folder -> offset and bytes."""

    codec: str
    files: dict[str, tuple[int, int]]


def is_small(parcel: Parcel) -> bool:
    """Say whether a parcel is one to be packed with others."""
    return parcel.codec.partition(":")[0] in _READ_WHOLE and parcel.bytes_ <= SMALL_BYTES


def write_pack(parcels: Iterable[Parcel], folder: Path) -> Encoded:
    """Write parcels into an empty folder."""
    entries, offset = [], 0
    with (folder / _DATA).open("wb") as file:
        for parcel in parcels:
            places = {}
            for name, data in parcel.files.items():
                places[name] = (offset, len(data))
                offset += file.write(data)
            entries.append(_Entry(parcel.codec, places))
    (folder / _INDEX).write_bytes(msgspec.json.encode(entries))
    return Encoded(PACK, PACK, len(entries), {"parcels": len(entries)})


class Pack:
    """The parcels in a folder that `write_pack` wrote.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: Path) -> None:
        self._entries = msgspec.json.decode((folder / _INDEX).read_bytes(), type=list[_Entry])
        self._data = folder / _DATA

    def __len__(self) -> int:
        return len(self._entries)

    def bytes_(self, number: int) -> int:
        """Return how many bytes the files of a parcel have."""
        return sum(size for _, size in self._entries[number].files.values())

    def __getitem__(self, number: int) -> Parcel:
        entry = self._entries[number]
        files = {}
        with self._data.open("rb") as file:
            for name, (offset, size) in entry.files.items():
                file.seek(offset)
                files[name] = file.read(size)
        return Parcel(entry.codec, files)
