"""A list or a dict whose members are artifacts of their own: what a step gave element by element.

It keeps digests, not the members again, so a result of which one element changed costs one element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

GATHERED = "gathered"
"""The codec of such a value."""
_FILE = "gathered.json"


class Member(msgspec.Struct, frozen=True, array_like=True):
    """An artifact, and the codec that reads it."""

    digest: str
    codec: str


@dataclass(frozen=True)
class Gathered:
    """The members in order.

    Attributes:
        members: one artifact each.
        names: of the members, where they are a dict; None where they are a list.
    """

    members: Sequence[Member]
    names: Sequence[str] | None = None

    def save(self, folder: Path) -> None:
        """Write the digests into an empty folder."""
        (folder / _FILE).write_bytes(msgspec.json.encode(self))

    def load(self, read: Callable[[str, str], object]) -> object:
        """Return the list or dict; `read` gives the value of a digest and a codec."""
        values: Any = (read(member.digest, member.codec) for member in self.members)
        return list(values) if self.names is None else dict(zip(self.names, values, strict=True))


def read_gathered(folder: Path) -> Gathered:
    """Read what `Gathered.save` wrote."""
    return msgspec.json.decode((folder / _FILE).read_bytes(), type=Gathered)
