"""Accepting proposed edits: the schema changes, and a record says who took what, and why.

The record is written first. Each entry holds fingerprints of the schema's text before and after
the change; one whose change was not made, because the process died between the two writes, is known
by what follows: the next entry, or the file, still is where the schema was before.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import msgspec

from gristmill.core.atomic import write_atomic
from gristmill.core.author import current_user
from gristmill.core.errors import UsageError
from gristmill.core.fingerprint import fingerprint_bytes
from gristmill.validate.schemas.edit import Edit, shown
from gristmill.validate.schemas.edit_safety import Safety, safety, switches_off
from gristmill.validate.schemas.edited import edit_text, value_at
from gristmill.validate.schemas.schema import Schema
from gristmill.validate.schemas.schema_text import plain

_TYPE_CODES = ("wrong_type", "empty_column", "missing_column")


class Proposal(msgspec.Struct, frozen=True):
    """An edit with the finding that proposes it."""

    edit: Edit
    code: str
    message: str = ""


class Acceptance(msgspec.Struct, frozen=True):
    """One accepted edit: when (ISO 8601, UTC), by whom, for which finding, and how safe.

    `before` and `after` are fingerprints of the schema's text around all edits taken at once.
    """

    at: str
    author: str
    code: str
    finding: str
    safety: Safety
    feature: str | None
    key: str
    old: object
    new: object
    before: str
    after: str


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
            names = ", ".join(sorted({str(x) for x in there if x is not None})) or "(none)"
            raise UsageError(f"no proposed edit has the {what} {odd!r}", fix=f"use one of {names}")
    return [
        each
        for place, each in enumerate(proposals)
        if all(not wanted or there[place] in wanted for _, wanted, there in known)
    ]


def refuse_unfit(text: str, proposals: Sequence[Proposal], *, where: str = "schema") -> None:
    """Refuse edits that must not be made in a schema's text, or were proposed for another one.

    Raises:
        UsageError: an edit answers a type, an empty or a missing column by switching the check
            off, or the schema says by now something else than what the edit would change.
    """
    schema = Schema.parse(text, where=where)
    for each in proposals:
        if each.code in _TYPE_CODES and switches_off(each.edit):
            raise UsageError(
                f"{each.code} of {each.edit.feature!r} is not answered by switching the check off",
                where=where,
                fix="mend the data, or edit the type in the schema by hand",
            )
        now, then = value_at(schema, each.edit), plain(each.edit.old)
        if now != then:
            raise UsageError(
                f"the schema says {shown(now)} now, and said {shown(then)} when this was proposed: "
                f"{each.edit}",
                where=where,
                fix="check the data again, and accept from the new report",
            )


def accept(
    path: str | Path,
    proposals: Sequence[Proposal],
    *,
    author: str | None = None,
    at: datetime | None = None,
) -> list[Acceptance]:
    """Make proposed edits in a schema file and record them beside it (`record_path`).

    Raises:
        UsageError: the file cannot be read, an edit is unfit (see `refuse_unfit`) or cannot be
            made (see `edit_text`).
    """
    path = Path(path)
    with _one_at_a_time(path):
        before = _text_of(path)
        refuse_unfit(before, proposals, where=str(path))
        after = edit_text(before, [each.edit for each in proposals], where=str(path))
        moment = (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
        states = (_state(before), _state(after))
        taken = [_entry(each, author or current_user(), moment, states) for each in proposals]
        _append(record_path(path), taken)
        write_atomic(path, after.encode())
    return taken


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Let one process at a time change what is in a schema's folder; a lock dies with its holder.

    The folder is locked: the schema itself is another file after each change.
    """
    if not path.parent.is_dir():
        yield
        return
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def record_path(path: str | Path) -> Path:
    """Return where the record of a schema's accepted edits is: JSON Lines beside the schema."""
    path = Path(path)
    return path.with_name(f"{path.stem}.accepted.jsonl")


def read_record(path: str | Path) -> list[Acceptance]:
    """Read the record of a schema, oldest first; empty where nothing was accepted.

    Left out are entries whose change was not made, or taken back by putting back the file.

    Raises:
        UsageError: the record or the schema cannot be read.
    """
    file = record_path(path)
    if not file.exists():
        return []
    *lines, _cut_short = file.read_bytes().split(b"\n")
    try:
        entries = msgspec.json.Decoder(Acceptance).decode_lines(b"\n".join(lines))
    except msgspec.MsgspecError as error:
        raise UsageError(f"the record cannot be read: {error}", where=str(file)) from error
    return _made(entries, _state(_text_of(Path(path))))


def _made(entries: list[Acceptance], state: str) -> list[Acceptance]:
    """The entries after which the schema was another: before the next ones, or in the end."""
    made: list[Acceptance] = []
    together = groupby(entries, lambda entry: (entry.at, entry.author, entry.before, entry.after))
    for (_, _, before, after), group in reversed([(key, list(group)) for key, group in together]):
        if before == after or before != state:
            made = group + made
        state = before
    return made


def _append(file: Path, entries: list[Acceptance]) -> None:
    """Add lines that are on the disk when this returns; what a dying process cut short goes."""
    with file.open("a+b") as record:
        record.seek(0)
        record.truncate(record.read().rfind(b"\n") + 1)
        record.write(b"".join(msgspec.json.encode(each) + b"\n" for each in entries))
        record.flush()
        os.fsync(record.fileno())


def _entry(proposal: Proposal, author: str, moment: str, states: tuple[str, str]) -> Acceptance:
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
        before=states[0],
        after=states[1],
    )


def _text_of(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the schema cannot be read: {error}", where=str(path)) from error


def _state(text: str) -> str:
    return fingerprint_bytes(text.encode())
