"""The schema of a table: a small text file that a person edits and git diffs well."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from gristmill.core.atomic import write_atomic
from gristmill.core.errors import UsageError
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.schemas.feature_spec import FeatureSpec, Severity
from gristmill.validate.schemas.table_spec import RuleSpec, TableSpec

if TYPE_CHECKING:
    import datetime as dt

    from gristmill.engine.protocol import Engine
    from gristmill.validate.checks.report import Report
    from gristmill.validate.checks.subject import Checkable
    from gristmill.validate.drifts.comparators import Measures
    from gristmill.validate.skipped import OnError
    from gristmill.validate.statistics.statistics import Statistics

FORMAT = 1
_FILE = "schema.toml"


class Schema(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The features of a table and what is expected of each.

    Attributes:
        features: by column name, in the order of the table.
        table: what is expected of the table as a whole.
        environments: name and meaning of each place where such data appears (training, serving).
        severity: finding code -> severity, where the default is not wanted.
        rules: name -> rule over one or several columns.
    """

    features: dict[str, FeatureSpec]
    table: TableSpec = TableSpec()
    environments: dict[str, str] = {}
    severity: dict[str, Severity] = {}
    rules: dict[str, RuleSpec] = {}
    format: int = FORMAT

    @classmethod
    def infer(cls, statistics: Statistics) -> Schema:
        """Infer a schema that a clean sample of the same source passes (see `schemas.infer`)."""
        from gristmill.validate.schemas.infer import infer_schema

        return infer_schema(statistics)

    @classmethod
    def read(cls, path: str | Path) -> Schema:
        """Read a schema from a TOML file.

        Raises:
            UsageError: no such file, not TOML, an unknown key, a value of the wrong type, or a
                contradiction; the message names the file, the line and the key.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"the schema cannot be read: {error.strerror or error}",
                where=str(path),
                fix="infer one from clean data: gristmill validate infer DATA -o SCHEMA",
            ) from error
        except UnicodeDecodeError as error:
            raise UsageError("expected a schema in UTF-8 text", where=str(path)) from error
        if not text.strip():
            raise UsageError("the schema is empty", where=str(path), fix="infer it again")
        return cls.parse(text, where=str(path))

    @classmethod
    def parse(cls, text: str, *, where: str = "schema") -> Schema:
        """Parse the text of a schema; raises as `read` does."""
        from gristmill.validate.schemas.reader import parse_schema

        return parse_schema(text, where)

    @property
    def text(self) -> str:
        """The schema as TOML, one table per feature; equal schemas give equal text."""
        from gristmill.validate.schemas.schema_text import format_schema

        return format_schema(self)

    def write(self, path: str | Path) -> None:
        """Write the schema as TOML, whole or not at all."""
        write_atomic(Path(path), self.text.encode())

    def diff(self, other: Schema) -> str:
        """Return what would turn this schema into `other`: a unified diff of their texts, or ''."""
        lines = difflib.unified_diff(
            self.text.splitlines(), other.text.splitlines(), "current", "proposed", lineterm="", n=2
        )
        return "\n".join(lines)

    def apply(self, edits: Sequence[Edit]) -> Schema:
        """Return the schema with edits made.

        Raises:
            UsageError: an edit names a feature or key that does not exist, or leads to a
                contradiction.
        """
        from gristmill.validate.schemas.edited import edited_schema

        return edited_schema(self, edits)

    def check(
        self,
        data: Checkable,
        *,
        baseline: Checkable | None = None,
        environment: str | None = None,
        serving: Checkable | None = None,
        now: dt.datetime | None = None,
        tfdv_measures: Measures | None = None,
        engine: Engine | str | None = None,
        on_error: OnError = "raise",
    ) -> Report:
        """Check a table, or its statistics, and report what is wrong.

        See `gristmill.validate.check` for the arguments.
        """
        from gristmill.validate.checks.checker import check

        return check(
            self,
            data,
            baseline=baseline,
            environment=environment,
            serving=serving,
            now=now,
            tfdv_measures=tfdv_measures,
            engine=engine,
            on_error=on_error,
        )

    def active(self, environment: str | None = None) -> dict[str, FeatureSpec]:
        """Return the features of one environment; of the whole schema with None.

        Raises:
            UsageError: the schema knows no such environment.
        """
        if environment is None:
            return dict(self.features)
        if environment not in self.environments:
            raise UsageError(
                f"unknown environment {environment!r}",
                fix=f"use one of {', '.join(sorted(self.environments)) or '(none declared)'}, or "
                "declare it under [environments] in the schema",
            )
        return {name: spec for name, spec in self.features.items() if _is_in(environment, spec)}

    def signature_fields(self, environment: str | None = None) -> list[dict[str, object]]:
        """Return what a model's input signature needs, one plain dict per feature.

        Keys: name, kind ("string", "int", "float", "bool"), required, max_length, domain (list of
        strings, only where nothing unseen is allowed), min, max (only where nothing outside is
        allowed, or 0.0 where negative numbers are not). Times are strings (ISO 8601);
        lists, bytes and features of type "any" are left out.
        """
        from gristmill.validate.schemas.signature import fields_of

        return fields_of(self.active(environment))

    def save(self, folder: Path) -> None:
        """Write `schema.toml` into a folder."""
        self.write(folder / _FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        return msgspec.convert(msgspec.to_builtins(cls.read(folder / _FILE)), cls)

    def describe(self) -> dict[str, object]:
        """Summarise the features and their types, JSON-able."""
        types = {name: spec.type for name, spec in self.features.items()}
        return {"features": types, "environments": sorted(self.environments)}


def _is_in(environment: str, spec: FeatureSpec) -> bool:
    if spec.only_in:
        return environment in spec.only_in
    return environment not in spec.not_in
