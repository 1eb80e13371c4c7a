"""A request that was not answered: the same error on the server's and on the client's side."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gristmill.core.errors import GristmillError, ServeError
from gristmill.serve.runners.records import RecordError

_MOST_SHOWN = 5


class Refusal(ServeError):  # noqa: N818 - what it is, on both sides of the wire
    """The server said no to a request, and why.

    Args:
        status: HTTP status, 400 to 599.
        code: the reason as one stable word, for programs.
        message: the reason as a sentence, for people.
        fix: what the caller can do about it.
        details: the records that are wrong, if that is the reason.
        headers: extra HTTP headers of the answer, such as `Retry-After`.
        where: the request that was refused, on the client's side.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        fix: str | None = None,
        details: Sequence[RecordError] = (),
        headers: Sequence[tuple[str, str]] = (),
        where: str | None = None,
    ) -> None:
        super().__init__(message, where=where, fix=fix)
        self.status, self.code = status, code
        self.details, self.headers = tuple(details), tuple(headers)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  {line}" for line in self._shown())])

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (
            self.status,
            self.code,
            self.message,
            self.fix,
            self.details,
            self.headers,
            self.where,
        )

    def body(self) -> dict[str, object]:
        """Return the error as the plain form's JSON object."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.fix:
            error["fix"] = self.fix
        if self.details:
            error["details"] = [msgspec.to_builtins(detail) for detail in self.details]
        return {"error": error}

    def text(self) -> str:
        """Return the error as one string, as the Open Inference Protocol wants it."""
        remedy = [f"fix: {self.fix}"] if self.fix else []
        return "; ".join([self.message, *self._shown(), *remedy])

    def _shown(self) -> list[str]:
        shown = [f"record {detail.index}: {detail}" for detail in self.details[:_MOST_SHOWN]]
        more = len(self.details) - _MOST_SHOWN
        return [*shown, f"and {more} more"] if more > 0 else shown


def _rebuild(
    status: int,
    code: str,
    message: str,
    fix: str | None,
    details: tuple[RecordError, ...],
    headers: tuple[tuple[str, str], ...],
    where: str | None,
) -> GristmillError:
    return Refusal(status, code, message, fix=fix, details=details, headers=headers, where=where)
