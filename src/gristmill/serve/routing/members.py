"""Endpoints that stand behind one name: whether they fit together, who is to blame for an error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gristmill.core.errors import ServeError
from gristmill.serve.refusal import Refusal

if TYPE_CHECKING:
    import asyncio

    from gristmill.serve.online.endpoint import Endpoint
    from gristmill.store.bundle import Field

_SERVER_ERROR = 500


def check_members(name: str, members: Sequence[Endpoint]) -> None:
    """Check that endpoints can stand behind one name.

    Raises:
        ServeError: there is none, two share a name, or they differ in what they are asked or
            answer.
    """
    if not members:
        raise ServeError("expected one or more models, found none", where=f"route {name!r}")
    names = [member.name for member in members]
    if len(set(names)) != len(names):
        raise ServeError(
            f"expected models of different names, found {', '.join(names)}",
            where=f"route {name!r}",
            fix="put one behind a name of its own: Swappable(NAME, MODEL)",
        )
    for member in members[1:]:
        check_alike(name, members[0], member)


def check_alike(name: str, first: Endpoint, other: Endpoint) -> None:
    """Check that two endpoints are asked and answer the same.

    Raises:
        ServeError: they are not; says in what they differ.
    """
    for what in ("inputs", "outputs"):
        mine, theirs = (sorted(map(_form, getattr(e, what))) for e in (first, other))
        if mine != theirs:
            raise ServeError(
                f"{other.name!r} has {what} {_shown(theirs)}, but {first.name!r} {_shown(mine)}",
                where=f"route {name!r}",
                fix="give it a route of its own: clients would have to ask it differently",
            )
    if first.classes != other.classes:
        raise ServeError(
            f"{other.name!r} knows classes {', '.join(other.classes)}, but {first.name!r} "
            f"{', '.join(first.classes)}",
            where=f"route {name!r}",
            fix="train both on the same classes, in the same order",
        )


def is_ready(endpoint: object) -> bool:
    """Say whether an endpoint can answer at all; one that does not say so can."""
    return bool(getattr(endpoint, "ready", True))


def problems_of(endpoints: Iterable[object]) -> tuple[str, ...]:
    """Return why processes of endpoints cannot be started, one line each, none twice."""
    found = (line for endpoint in endpoints for line in getattr(endpoint, "problems", ()))
    return tuple(dict.fromkeys(found))


def is_our_fault(error: BaseException) -> bool:
    """Say whether an error tells against the model, not against the request or a shutdown."""
    if isinstance(error, Refusal):
        return error.status >= _SERVER_ERROR and error.code != "stopping"
    return isinstance(error, Exception)


def forget(tasks: Iterable[asyncio.Task[object]]) -> None:
    """Cancel tasks that nobody waits for any more, whatever they end with."""
    for task in tasks:
        task.add_done_callback(_taken)
        task.cancel()


def _taken(task: asyncio.Task[object]) -> None:
    if not task.cancelled():
        # Else asyncio would complain of an error that nobody has looked at.
        task.exception()


def _form(field: Field) -> tuple[str, str]:
    """Return name and form of a field: what rows that fit one model must have to fit another."""
    words: list[str] = [field.kind, *([field.dtype] if field.dtype else [])]
    if field.shape is not None:
        words.append("x".join("?" if size is None else str(size) for size in field.shape))
    if not field.required:
        words.append("optional")
    return field.name, " ".join(words)


def _shown(fields: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name} ({form})" for name, form in fields)
