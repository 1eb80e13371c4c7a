"""Every error that Gristmill raises on purpose.

    GristmillError                 exit code 1
    ├── UsageError                 2   the call is wrong: an argument, a missing file, a bad name
    ├── FindingsError              3   the data broke its schema, and the caller asked to stop
    ├── GateError                  4   a gate said hold or reject
    ├── DataError                  5   data could not be read or understood
    ├── LabelError                 5   votes, classes or gold labels that cannot be used
    ├── StepError                  6   a step of a pipeline failed
    ├── StoreError                 7   the project's folder or database cannot be used
    │   └── ReadOnlyError          7   a write was asked of a project opened read-only
    ├── BundleError                8   a bundle is damaged, tampered with or of another make
    ├── TrainError                 9   training cannot start, or cannot go on
    └── ServeError                 10  the server cannot start or cannot answer

A message says what was expected, what was found and where; `fix` says what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar


class GristmillError(Exception):
    """Base of all errors of this package.

    Args:
        message: one sentence that says what is wrong, with the values involved.
        where: file, row, column, step or key that the message is about.
        fix: what the user can do about it, as an instruction.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, where: str | None = None, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f"\n  fix: {self.fix}" if self.fix else ""
        return f"{place}{self.message}{remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments would be lost when an engine hands an error back from a worker.
        return _rebuild, (type(self), self.message, self.where, self.fix)


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception, what it came of, and so on to the first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _rebuild(
    kind: type[GristmillError], message: str, where: str | None, fix: str | None
) -> GristmillError:
    return kind(message, where=where, fix=fix)


class UsageError(GristmillError):
    """The call itself is wrong: an argument, a missing file, an unknown name."""

    exit_code = 2


class FindingsError(GristmillError):
    """The data broke its schema and the caller asked to stop on that."""

    exit_code = 3


class GateError(GristmillError):
    """A gate answered hold or reject."""

    exit_code = 4


class DataError(GristmillError):
    """Data could not be read or understood."""

    exit_code = 5


class LabelError(GristmillError):
    """Votes, classes or gold labels that cannot be used."""

    exit_code = 5


class StepError(GristmillError):
    """A step of a pipeline failed."""

    exit_code = 6


class StoreError(GristmillError):
    """The project's folder or database cannot be used."""

    exit_code = 7


class ReadOnlyError(StoreError):
    """A write was asked of a project that is open read-only."""


class BundleError(GristmillError):
    """A bundle is damaged, tampered with or of another make."""

    exit_code = 8


class TrainError(GristmillError):
    """Training cannot start, or cannot go on."""

    exit_code = 9


class ServeError(GristmillError):
    """The server cannot start, or cannot answer."""

    exit_code = 10
