"""What endpoints over several endpoints have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from gristmill.core.fingerprint import fingerprint
from gristmill.serve.routing.members import check_members, is_ready, problems_of
from gristmill.serve.watch.metrics import Sample

if TYPE_CHECKING:
    from gristmill.serve.online.endpoint import Answered, Call, Endpoint
    from gristmill.serve.runners.rows import Rows
    from gristmill.store.bundle import Field


class Composite:
    """An endpoint over endpoints that are asked and answer the same.

    Args:
        name: what requests call it.
        members: at least one; closed with it.

    Raises:
        ServeError: the members do not fit together.

    Attributes:
        kind: which kind of route it is; empty where it is none of its own.
    """

    kind: ClassVar[str] = ""

    def __init__(self, name: str, members: Sequence[Endpoint]) -> None:
        check_members(name, members)
        self.name, self.members = name, tuple(members)

    @property
    def inputs(self) -> tuple[Field, ...]:
        """Fields of a request: those of the first member."""
        return self.members[0].inputs

    @property
    def outputs(self) -> tuple[Field, ...]:
        """Fields of an answer."""
        return self.members[0].outputs

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of `probs`."""
        return self.members[0].classes

    @property
    def fingerprint(self) -> str:
        """Of all members; that of a single one is its own."""
        found = [str(getattr(member, "fingerprint", "")) for member in self.members]
        return found[0] if len(found) == 1 else fingerprint(found)

    @property
    def ready(self) -> bool:
        """Whether it can answer: by default, whether all members can."""
        return all(map(is_ready, self.members))

    @property
    def problems(self) -> tuple[str, ...]:
        """Why processes of its members cannot be started, one line each."""
        return problems_of(self.members)

    def about(self) -> dict[str, object]:
        """Return what the server tells of this route; nothing where it is none of its own."""
        if not self.kind:
            return {}
        names = [member.name for member in self.members]
        return {"kind": self.kind, "models": names, "says": self.says()}

    def says(self) -> str:
        """Return in a few words what it does with its members."""
        return f"{self.kind} of {', '.join(member.name for member in self.members)}"

    async def answer(self, rows: Rows, call: Call) -> Answered:
        """Answer checked rows; to be overridden."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close all members."""
        await asyncio.gather(*(member.close() for member in self.members))

    def samples(self) -> Iterator[Sample]:
        """Yield what the metrics page shows of this route: the figures of its members."""
        for member in self.members:
            source = getattr(member, "samples", None)
            if source is not None:
                yield from source()
