"""A value as bytes: the files that a store would keep of it, carried between processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gristmill.core.fingerprint import fingerprint, fingerprint_bytes
from gristmill.core.scratch import Scratch
from gristmill.store.codecs import (
    VALUE_FILE,
    Encoded,
    decode,
    decode_json,
    encode,
    encode_json,
    files_of,
    is_json,
)


@dataclass(frozen=True, slots=True)
class Parcel:
    """The files of a stored value, and the codec that reads them.

    Attributes:
        codec: as in an artifact's index.
        files: path below the value's folder -> content.
    """

    codec: str
    files: dict[str, bytes]

    @property
    def bytes_(self) -> int:
        """How many bytes the files have."""
        return sum(len(data) for data in self.files.values())

    @property
    def digest(self) -> str:
        """The digest of the artifact that would be made of it."""
        files = {name: [fingerprint_bytes(data), len(data)] for name, data in self.files.items()}
        return fingerprint({"codec": self.codec, "files": files})

    def lay_out(self, folder: Path) -> None:
        """Write the files into a folder."""
        for name, data in self.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)

    def unpack(self, scratch: Scratch) -> object:
        """Return the value; its files, if it has some, lie in `scratch` as long as it is used."""
        if self.codec == "json":
            return decode_json(self.files[VALUE_FILE])
        folder = scratch.folder()
        self.lay_out(folder)
        return decode(self.codec, folder)


def pack(value: object) -> tuple[Parcel, Encoded]:
    """Return a value as bytes, and what is worth knowing of it.

    Raises:
        StoreError: the value is of a kind that cannot be stored.
    """
    if is_json(value):
        encoded, data = encode_json(value)
        return Parcel(encoded.codec, {VALUE_FILE: data}), encoded
    with Scratch() as scratch:
        folder = scratch.folder()
        encoded = encode(value, folder)
        return pack_files(folder, encoded.codec), encoded


def pack_files(content: Path, codec: str) -> Parcel:
    """Return a stored value, its folder or its one file, as a parcel."""
    paths = files_of(content, codec)
    return Parcel(codec, {name: path.read_bytes() for name, path in paths.items()})
