"""A schema compiled for one record at a time: the guard at a server's door."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from gristmill.validate.rows.cells import cell_check
from gristmill.validate.rows.limits import RARE, table_limits
from gristmill.validate.schemas.schema import Schema

_ABSENT = object()


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with a record.

    Attributes:
        code: as in findings: "missing_column", "new_column", "wrong_type", "out_of_range" ...
        feature: the field.
        value: what it held; None where it was missing.
        expected: what the schema says, in words.
    """

    code: str
    feature: str
    value: object
    expected: str

    def __str__(self) -> str:
        found = "nothing" if self.value is None else repr(self.value)
        return f"{self.feature}: expected {self.expected}, found {found}"


class Guard:
    """Checks records (one dictionary each) against a schema, in microseconds.

    The same limits as in `check_rows`, cell by cell; what needs other rows (repeated keys) or SQL
    rules is left to it. A field that the schema does not know is a fault of code "new_column".
    """

    def __init__(
        self, schema: Schema, *, environment: str | None = None, rare: float = RARE
    ) -> None:
        """Compile a schema.

        Args:
            schema: what a record must look like.
            environment: one of the schema's environments, such as "serving".
            rare: limits that tolerate more than this share are not held against a record.

        Raises:
            UsageError: the schema knows no such environment.
        """
        limits = table_limits(schema, environment, rare)
        required = {name for name, spec in schema.active(environment).items() if spec.required}
        self._checks = [
            (name, cell_check(limit), name in required) for name, limit in limits.items()
        ]
        self._known = limits.keys()

    def admits(self, record: Mapping[str, object]) -> bool:
        """Tell whether nothing is wrong with a record."""
        return not self.check(record)

    def check(self, record: Mapping[str, object]) -> list[Fault]:
        """List what is wrong with a record, in the order of the schema."""
        faults: list[Fault] = []
        get = record.get
        for name, check, required in self._checks:
            value = get(name, _ABSENT)
            if value is _ABSENT:
                if required:
                    faults.append(Fault("missing_column", name, None, "a value"))
                continue
            verdict = check(value)
            if verdict is not None:
                faults.append(Fault(verdict[0], name, value, verdict[1]))
        if not self._known >= record.keys():
            faults.extend(self._unknown(record))
        return faults

    def _unknown(self, record: Mapping[str, object]) -> Iterator[Fault]:
        for name in record:
            if name not in self._known:
                yield Fault("new_column", name, record[name], "no such field")
