"""Requests that a bundle has to get right before it may answer real ones: good ones and bad."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from gristmill.core.errors import DataError
from gristmill.serve.protocols.instances import sample_of

if TYPE_CHECKING:
    from gristmill.store.bundle import Bundle
    from gristmill.store.signature import Field


class StoredRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request, and what is expected of it.

    Attributes:
        name: for reports.
        instances: records by field name; or
        body: what is sent as it stands.
        expect: whether it is to be answered, or refused with an explanation (HTTP 4xx).
        label: the class that the first record must get; empty: any.
    """

    name: str = ""
    instances: list[dict[str, object]] = []
    body: str = ""
    expect: Literal["answer", "refusal"] = "answer"
    label: str = ""

    @property
    def payload(self) -> bytes:
        """What is sent: plain JSON."""
        if self.body:
            return self.body.encode()
        return msgspec.json.encode({"instances": self.instances})


def read_requests(path: Path) -> list[StoredRequest]:
    """Read stored requests from JSON Lines.

    Raises:
        DataError: the file cannot be read, or a line is none; says which.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            request = msgspec.json.decode(line, type=StoredRequest)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(
                f"this is no stored request: {error}",
                where=where,
                fix='write {"instances": [{"text": "hello"}]}; "expect": "refusal" if it is bad',
            ) from error
        if bool(request.body) == bool(request.instances):
            raise DataError("expected either instances or body", where=where)
        found.append(request if request.name else msgspec.structs.replace(request, name=where))
    return found


def made_up_requests(bundle: Bundle) -> list[StoredRequest]:
    """Return requests made from a bundle's signature: one to answer, and ones to refuse."""
    record = sample_of(bundle.signature.inputs)
    if any(value is None for value in record.values()):
        return []  # tensors too large for JSON; who has such a model stores requests of its own
    good = [
        StoredRequest("a record", [record]),
        StoredRequest("three records", [record] * 3),
    ]
    return [*good, *_bad_requests(bundle.signature.inputs, record)]


def _bad_requests(fields: list[Field], record: Mapping[str, object]) -> Iterator[StoredRequest]:
    def bad(name: str, instance: Mapping[str, object]) -> StoredRequest:
        return StoredRequest(name, [dict(instance)], expect="refusal")

    yield StoredRequest("half a document", body='{"instances": [{"', expect="refusal")
    yield StoredRequest("no records", body='{"instances": 3}', expect="refusal")
    for each in fields:
        others = {name: value for name, value in record.items() if name != each.name}
        if each.required:
            yield bad(f"without {each.name!r}", others)
        yield bad(f"{each.name!r} of another type", {**others, each.name: {"no": "value"}})
