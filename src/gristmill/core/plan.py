"""The plan of a costly operation: what will run, on how much, for how long.

Every stage describes its work as a tree of nodes. `explain` prints the tree before anything runs;
afterwards the same tree carries the actual figures beside the estimates.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gristmill.core.quantities import format_bytes, format_count, format_seconds


class Cost(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rows, bytes and seconds of one node; None where not known."""

    rows: int | None = None
    bytes_: int | None = None
    seconds: float | None = None


class Plan(msgspec.Struct):
    """One node of a plan.

    Attributes:
        what: the operation, by its name.
        action: `run`, `cached`, `blocked` or a word of the stage's own.
        why: the reason for the action, in plain words.
        where: the device, process or engine it runs on.
        estimated: what is expected, from earlier runs or a cost model.
        actual: what was measured, once it has run.
        children: the nodes whose results this one needs, or the parts it is made of.
    """

    what: str
    action: str = "run"
    why: str = ""
    where: str = ""
    estimated: Cost = Cost()
    actual: Cost | None = None
    children: list[Plan] = []

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Plan]]:
        """Yield every node with its depth, parents first."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)

    def to_json(self) -> bytes:
        """Serialise; `Plan.from_json` gives the same plan back."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> Plan:
        """Read what `to_json` wrote.

        Raises:
            msgspec.ValidationError: the JSON is not a plan.
        """
        return msgspec.json.decode(data, type=cls)

    def __str__(self) -> str:
        lines = []
        for depth, node in self.walk():
            text = f"{'  ' * depth}{node.what}  {node.action}"
            figures = [describe(node.estimated), describe(node.actual) if node.actual else ""]
            if any(figures):
                text += "  " + " -> ".join(figure for figure in figures if figure)
            lines.append(text + (f"  ({node.why})" if node.why else ""))
        return "\n".join(lines)


def describe(cost: Cost) -> str:
    """Print a cost in a few words: `5,572 rows, 1.2 MB, 3.1 s`."""
    parts = []
    if cost.rows is not None:
        parts.append(f"{format_count(cost.rows)} rows")
    if cost.bytes_ is not None:
        parts.append(format_bytes(cost.bytes_))
    if cost.seconds is not None:
        parts.append(format_seconds(cost.seconds))
    return ", ".join(parts)
