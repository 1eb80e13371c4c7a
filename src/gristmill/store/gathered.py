"""A list or a dict whose members were stored one by one: what a step gave element by element.

It says where its members are, so a result of which one element changed costs one element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gristmill.core.scratch import Scratch
from gristmill.store.codecs import Encoded, decode
from gristmill.store.packs import Pack
from gristmill.store.parcels import Parcel, pack_files

GATHERED = "gathered"
"""The codec of such a value."""
_FILE = "gathered.json"


class Member(msgspec.Struct, frozen=True, array_like=True):
    """Where a member is.

    Attributes:
        digest: that of the artifact that it is, or would be.
        codec: what reads it.
        artifact: the artifact that holds it: its own, or a pack.
        number: its number in the pack; None where the artifact is its own.
    """

    digest: str
    codec: str
    artifact: str
    number: int | None = None


@dataclass(frozen=True)
class Gathered:
    """The members in order.

    Attributes:
        members: where they are.
        names: of the members, where they are a dict; None where they are a list.
    """

    members: Sequence[Member]
    names: Sequence[str] | None = None

    def save(self, folder: Path) -> Encoded:
        """Write it into an empty folder."""
        (folder / _FILE).write_bytes(msgspec.json.encode(self))
        count = len(self.members)
        return Encoded(GATHERED, "list", count, {"elements": count})


class Members:
    """Reads members. What a pack or folder was checked for once is not checked again.

    Args:
        files: gives the checked content of an artifact.
    """

    def __init__(self, files: Callable[[str], Path]) -> None:
        self._files = files
        self._folders: dict[str, Path] = {}
        self._pack: tuple[str, Pack] | None = None

    def value(self, member: Member) -> object:
        """Return the member itself."""
        if member.number is None:
            return decode(member.codec, self._folder(member.artifact))
        with Scratch() as scratch:
            return self.parcel(member).unpack(scratch)

    def parcel(self, member: Member) -> Parcel:
        """Return the member as bytes."""
        folder = self._folder(member.artifact)
        if member.number is None:
            return pack_files(folder, member.codec)
        if self._pack is None or self._pack[0] != member.artifact:
            self._pack = member.artifact, Pack(folder)
        return self._pack[1][member.number]

    def all_of(self, gathered: Gathered) -> object:
        """Return the list or dict."""
        values = [self.value(member) for member in gathered.members]
        names = gathered.names
        return values if names is None else dict(zip(names, values, strict=True))

    def _folder(self, artifact: str) -> Path:
        if artifact not in self._folders:
            self._folders[artifact] = self._files(artifact)
        return self._folders[artifact]


def read_gathered(folder: Path) -> Gathered:
    """Read what `Gathered.save` wrote."""
    return msgspec.json.decode((folder / _FILE).read_bytes(), type=Gathered)
