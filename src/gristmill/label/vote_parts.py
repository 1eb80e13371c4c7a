"""Votes on a table larger than memory: a folder with the votes of each of its partitions."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, overload

import msgspec

from gristmill.core.errors import LabelError
from gristmill.label.votes import Votes, stack

_HEADER = "parts.json"


class _Header(msgspec.Struct, frozen=True):
    classes: tuple[str, ...]
    names: tuple[str, ...]
    fingerprints: tuple[str, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True)
class VotePart:
    """The votes on one partition, read where they are used. Small, and can be pickled.

    Attributes:
        folder: where they are, as `Votes.save` writes them.
    """

    folder: Path

    def read(self) -> Votes:
        """Load them.

        Raises:
            DataError: this machine does not see the folder.
            LabelError: there are no votes in it.
        """
        from gristmill.data.pieces import check_seen

        check_seen(self.folder)
        return Votes.load(self.folder)


@dataclass(frozen=True)
class VoteParts(Sequence[VotePart]):
    """The votes of m sources on all partitions of a table, in order, on disk.

    Attributes:
        folder: with a folder `00000` and so on for each part.
        names, fingerprints: of the sources.
        classes: the k class names.
        rows: of each part.
        notes: what `apply_in_parts` recomputed and why. Not stored.
    """

    folder: Path
    names: tuple[str, ...]
    fingerprints: tuple[str, ...]
    classes: tuple[str, ...]
    rows: tuple[int, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> VotePart: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[VotePart]: ...
    def __getitem__(self, index: int | slice) -> VotePart | Sequence[VotePart]:
        places = range(len(self))[index]
        if isinstance(places, int):
            return VotePart(part_folder(self.folder, places))
        return [VotePart(part_folder(self.folder, place)) for place in places]

    def __repr__(self) -> str:
        return (
            f"VoteParts({sum(self.rows)} rows in {len(self)} parts, {len(self.names)} sources, "
            f"{len(self.classes)} classes)"
        )

    def votes(self) -> Iterator[Votes]:
        """Yield the votes of one part after the other."""
        return (part.read() for part in self)

    def whole(self) -> Votes:
        """Return all votes, in memory.

        Raises:
            LabelError: there are no parts.
        """
        return stack(list(self.votes()))

    def describe(self) -> dict[str, object]:
        """Return a JSON-able summary: rows, parts, classes, and each source's fingerprint."""
        sources = zip(self.names, self.fingerprints, strict=True)
        return {
            "kind": "votes in parts",
            "rows": sum(self.rows),
            "parts": len(self),
            "classes": list(self.classes),
            "sources": [{"name": name, "fingerprint": mark} for name, mark in sources],
            "notes": list(self.notes),
        }

    def write_header(self) -> None:
        """Write into the folder what its parts have in common."""
        header = _Header(self.classes, self.names, self.fingerprints, self.rows)
        (self.folder / _HEADER).write_bytes(msgspec.json.encode(header))

    def save(self, folder: Path | str) -> None:
        """Copy all parts into an empty folder."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Open a folder that `apply_in_parts` or `save` wrote; no votes are read.

        Raises:
            LabelError: it is no such folder.
        """
        folder = Path(folder).absolute()
        try:
            header = msgspec.json.decode((folder / _HEADER).read_bytes(), type=_Header)
        except (OSError, msgspec.DecodeError) as error:
            raise LabelError(
                f"these are no votes in parts: {error}", where=str(folder),
                fix="name a folder that apply_in_parts wrote",
            ) from error  # fmt: skip
        return cls(folder, header.names, header.fingerprints, header.classes, header.rows)


def is_replaceable(target: Path) -> bool:
    """Tell whether new votes may take the place of what is there: of votes, or of nothing."""
    return target.is_dir() and ((target / _HEADER).exists() or not any(target.iterdir()))


def part_folder(folder: Path, number: int) -> Path:
    """Return where in a folder of parts the votes of one are."""
    return folder / f"{number:05d}"
