"""An error inside a process, as text: its class may not exist in the process that is told."""

from __future__ import annotations

import traceback

import msgspec

from gristmill.core import errors
from gristmill.core.errors import GristmillError


class Failure(msgspec.Struct, frozen=True):
    """An error that was raised in another process.

    Attributes:
        kind: name of the error's class.
        text: what it says.
        where: for an error of ours: what it is about.
        fix: for an error of ours: what to do about it.
        trace: its traceback.
    """

    kind: str
    text: str
    where: str | None = None
    fix: str | None = None
    trace: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Describe an error that was caught."""
        trace = "".join(traceback.format_exception(error))
        if isinstance(error, GristmillError):
            return cls(type(error).__name__, error.message, error.where, error.fix, trace)
        return cls(type(error).__name__, str(error), trace=trace)

    def to_error(
        self, otherwise: type[GristmillError], process: str, where: str | None = None
    ) -> GristmillError:
        """Return the error to raise in the process that is told, with the traceback as a note.

        An error of ours (core.errors) keeps its class, any other becomes an `otherwise`.

        Args:
            otherwise: class of the error.
            process: what the error comes from, as `a worker process`.
            where: for an error that is none of ours: what it is about.
        """
        known = getattr(errors, self.kind, None)
        if isinstance(known, type) and issubclass(known, GristmillError):
            error = known(self.text, where=self.where, fix=self.fix)
        else:
            said = f"{self.kind}: {self.text}" if self.text else self.kind
            error = otherwise(said, where=self.where or where, fix=self.fix)
        error.add_note(f"in {process}:\n{self.trace}")
        return error
