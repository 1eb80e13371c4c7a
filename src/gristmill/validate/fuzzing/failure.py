"""What a model unit test found: failures, each with the smallest row that shows it."""

from __future__ import annotations

from typing import Literal

import msgspec

_SHOWN = 50
_ERROR = 200
_CELLS = 6

Wrong = Literal["crashed", "refused a good row", "wrong answer"]


class Failure(msgspec.Struct, frozen=True):
    """One way in which the code under test breaks.

    Attributes:
        wrong: what happened: an unexpected exception, a refusal of a row that keeps the schema, or
            an answer that cannot be right.
        error: the exception's type and message, or what is wrong with the answer.
        where: file and line that raised it; empty where nothing was raised.
        row: the smallest row found that shows it.
        odd: the features in which it differs from a plain good row; none where that fails too.
        keeps_schema: whether the row keeps the schema.
    """

    wrong: Wrong
    error: str
    where: str
    row: dict[str, object]
    odd: list[str]
    keeps_schema: bool

    def __str__(self) -> str:
        told = self.odd or list(self.row)
        cells = ", ".join(f"{name} = {shown(self.row[name])}" for name in told[:_CELLS])
        more = ", ..." if len(told) > _CELLS else ""
        place = f" at {self.where}" if self.where else ""
        return f"{self.wrong}{self._kept} ({cells}{more}): {self.error}{place}"

    @property
    def _kept(self) -> str:
        if self.wrong == "refused a good row":
            return ""
        return (
            " on a row that keeps the schema" if self.keeps_schema else " on a row that breaks it"
        )


class FuzzReport(msgspec.Struct, frozen=True):
    """The outcome of a model unit test.

    Attributes:
        target: what was tested.
        edges: how many edge cases were fed to it.
        drawn: how many random rows.
        failures: what broke it, each once.
        seed: what the random rows were drawn by.
    """

    target: str
    edges: int
    drawn: int
    failures: list[Failure]
    seed: int

    @property
    def ok(self) -> bool:
        """Whether nothing broke."""
        return not self.failures

    @property
    def verdict(self) -> str:
        """One line: `predict: 84 edge cases and 500 random rows, 2 failures`."""
        count = len(self.failures)
        found = "no failure" if not count else f"{count} failure{'s' * (count > 1)}"
        return f"{self.target}: {self.edges:,} edge cases and {self.drawn:,} random rows, {found}"

    def __str__(self) -> str:
        return "\n".join([self.verdict, *(f"  {failure}" for failure in self.failures)])

    def describe(self) -> dict[str, object]:
        """Summarise, JSON-able: cells that JSON does not know are spelled."""
        failures = [
            msgspec.structs.asdict(failure)
            | {"row": {name: spelled(cell) for name, cell in failure.row.items()}}
            for failure in self.failures
        ]
        figures = {"target": self.target, "edges": self.edges, "drawn": self.drawn}
        return figures | {"seed": self.seed, "ok": self.ok, "failures": failures}


def shown(cell: object) -> str:
    """Spell a cell for a message, cut when long."""
    text = repr(cell)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text):,} characters)"


def cut(text: str) -> str:
    """Cut the text of an error, which may quote a whole cell."""
    return text if len(text) <= _ERROR else f"{text[:_ERROR]}…"


def spelled(cell: object) -> object:
    """A cell as JSON can hold it."""
    if cell is None or isinstance(cell, str | bool):
        return cell
    plain = isinstance(cell, int) and abs(cell) < 2**53
    return cell if plain else repr(cell)
