"""Accepting proposed edits: the schema changes, and a record says who took what, and why."""

from __future__ import annotations

import getpass
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gristmill.core.errors import UsageError
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.schemas.edited import update_file
from gristmill.validate.schemas.safety import Safety, safety, switches_off

_TYPE_CODES = ("wrong_type", "empty_column", "missing_column")


class Proposal(msgspec.Struct, frozen=True):
    """An edit with the finding that proposes it."""

    edit: Edit
    code: str
    message: str = ""


class Acceptance(msgspec.Struct, frozen=True):
    """One accepted edit: when (ISO 8601, UTC), by whom, for which finding, and how safe."""

    at: str
    author: str
    code: str
    finding: str
    safety: Safety
    feature: str | None
    key: str
    old: object
    new: object


def chosen(
    proposals: Sequence[Proposal],
    *,
    features: Collection[str] = (),
    codes: Collection[str] = (),
    numbers: Collection[int] = (),
) -> list[Proposal]:
    """Return the proposals of these features, codes or numbers (counted from 1); all with none.

    Raises:
        UsageError: a feature, code or number that no proposal has.
    """
    known: list[tuple[str, Collection[object], list[object]]] = [
        ("feature", features, [each.edit.feature for each in proposals]),
        ("code", codes, [each.code for each in proposals]),
        ("number", numbers, list(range(1, len(proposals) + 1))),
    ]
    for what, wanted, there in known:
        odd = next((each for each in wanted if each not in there), None)
        if odd is not None:
            names = ", ".join(sorted({str(each) for each in there})) or "(none)"
            raise UsageError(f"no proposed edit has the {what} {odd!r}", fix=f"use one of {names}")
    return [
        each
        for place, each in enumerate(proposals)
        if all(not wanted or there[place] in wanted for _, wanted, there in known)
    ]


def accept(
    path: str | Path,
    proposals: Sequence[Proposal],
    *,
    author: str | None = None,
    at: datetime | None = None,
) -> list[Acceptance]:
    """Make proposed edits in a schema file and append a record beside it (`record_path`).

    Raises:
        UsageError: an edit answers a type, an empty or a missing column by switching the check
            off, or cannot be made (see `edit_text`).
    """
    path = Path(path)
    for each in proposals:
        if each.code in _TYPE_CODES and switches_off(each.edit):
            raise UsageError(
                f"{each.code} of {each.edit.feature!r} is not answered by switching the check off",
                where=str(path),
                fix="mend the data, or edit the type in the schema by hand",
            )
    update_file(path, [each.edit for each in proposals])
    moment = (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
    taken = [_record(each, author or _user(), moment) for each in proposals]
    with record_path(path).open("ab") as file:
        file.write(b"".join(msgspec.json.encode(each) + b"\n" for each in taken))
    return taken


def record_path(path: str | Path) -> Path:
    """Return where the record of a schema's accepted edits is: JSON Lines beside the schema."""
    path = Path(path)
    return path.with_name(f"{path.stem}.accepted.jsonl")


def read_record(path: str | Path) -> list[Acceptance]:
    """Read the record of a schema, oldest first; empty where nothing was accepted."""
    file = record_path(path)
    if not file.exists():
        return []
    try:
        return msgspec.json.Decoder(Acceptance).decode_lines(file.read_bytes())
    except msgspec.MsgspecError as error:
        raise UsageError(f"the record cannot be read: {error}", where=str(file)) from error


def _record(proposal: Proposal, author: str, moment: str) -> Acceptance:
    edit = proposal.edit
    return Acceptance(
        at=moment,
        author=author,
        code=proposal.code,
        finding=proposal.message,
        safety=safety(edit),
        feature=edit.feature,
        key=edit.key,
        old=msgspec.to_builtins(edit.old),
        new=msgspec.to_builtins(edit.new),
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
