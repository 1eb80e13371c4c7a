"""A model before the gate: the candidate, or one that it would replace."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.store.signature import Field


@dataclass(frozen=True)
class Contender:
    """What a model says of the rows of the evidence.

    Attributes:
        name: for the record, as `v3`.
        answers: [n], as `core.paired.figure_of` wants them for the policy's metric: classes,
            probabilities of the positive class, or numbers; None where it cannot be run.
        inputs: the fields of its requests, where they are known.
        failure: why it cannot be run.
    """

    name: str
    answers: NDArray[Any] | None = None
    inputs: list[Field] = field(default_factory=list)
    failure: str = ""


def broken_requests(candidate: Contender, incumbent: Contender) -> list[str]:
    """Say, a phrase each, which requests the incumbent answers and the candidate would refuse."""
    if not candidate.inputs or not incumbent.inputs:
        return []
    before = {each.name: each for each in incumbent.inputs}
    found = []
    for now in candidate.inputs:
        then = before.get(now.name)
        if then is None:
            if now.required:
                found.append(f"asks for the new field {now.name!r}")
        elif (then.kind, then.dtype, then.shape) != (now.kind, now.dtype, now.shape):
            found.append(f"takes {now.name!r} as {_type(now)}, not as {_type(then)}")
        elif now.required and not then.required:
            found.append(f"asks for {now.name!r}, which could be left out")
        else:
            found += _narrowed(then, now)
    return found


def _narrowed(then: Field, now: Field) -> list[str]:
    """Say in what a field takes less than it did."""
    found = []
    if now.domain is not None:
        lost = None if then.domain is None else sorted(set(then.domain) - set(now.domain))
        if lost is None:
            found.append(f"takes only {len(now.domain)} texts as {now.name!r}, not any")
        elif lost:
            found.append(f"no longer takes {', '.join(map(repr, lost[:3]))} as {now.name!r}")
    if _below(now.max_length, then.max_length):
        found.append(f"takes at most {now.max_length} of {now.name!r}")
    if _below(now.max, then.max):
        found.append(f"takes {now.name!r} up to {now.max:g}")
    if now.min is not None and (then.min is None or now.min > then.min):
        found.append(f"takes {now.name!r} from {now.min:g}")
    return found


def _below(now: float | None, then: float | None) -> bool:
    return now is not None and (then is None or now < then)


def _type(each: Field) -> str:
    shape = "" if each.shape is None else f"{each.dtype or 'uint8'}{each.shape}"
    return f"{each.kind} {shape}".strip()
