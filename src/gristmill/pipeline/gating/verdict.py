"""What the gate says, kept with its reasons."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import msgspec

VERDICT_FILE = "verdict.json"
Answer: TypeAlias = Literal["promote", "hold", "reject"]
FROM_WORST: tuple[Answer, ...] = ("reject", "hold", "promote")


class Verdict(msgspec.Struct, frozen=True):
    """What the gate decided, and why.

    Attributes:
        verdict: `promote`, `hold` (not shown to be better) or `reject` (shown not to be).
        reasons: one sentence each, with the figures.
        candidate: the candidate's name.
        notes: what bears on it without deciding it: base rates, slices that are too thin to speak.
        evidence: the figures, as plain JSON values, for the record.
    """

    verdict: Answer
    reasons: list[str]
    candidate: str = ""
    notes: list[str] = []
    evidence: dict[str, Any] = {}

    @property
    def passed(self) -> bool:
        """Whether what depends on the gate may go on."""
        return self.verdict == "promote"

    def __str__(self) -> str:
        lines = [f"{self.verdict.upper()} {self.candidate}".rstrip()]
        lines += [f"  - {reason}" for reason in self.reasons]
        return "\n".join([*lines, *(f"    {note}" for note in self.notes)])

    def save(self, folder: Path) -> None:
        """Write the verdict as JSON."""
        (folder / VERDICT_FILE).write_bytes(msgspec.json.encode(self))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        return msgspec.json.decode((folder / VERDICT_FILE).read_bytes(), type=cls)

    def describe(self) -> dict[str, object]:
        """Return the verdict and its reasons."""
        return {"verdict": self.verdict, "reasons": self.reasons, "candidate": self.candidate}
