"""Parts of a table that could not be worked on, and are in no figure."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

OnError: TypeAlias = Literal["raise", "skip"]
"""What becomes of a part that fails: it ends the work, or is left out and told."""


class SkippedPart(msgspec.Struct, frozen=True):
    """A part that was left out.

    Attributes:
        number: of the part in its table, from 0.
        where: its file and rows.
        rows: how many it has.
        reason: why it failed.
    """

    number: int
    where: str
    rows: int
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"
