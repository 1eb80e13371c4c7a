"""The schema of a table: a small text file that a person edits and git diffs well."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from gristmill.core.atomic import write_atomic
from gristmill.core.errors import UsageError
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.schemas.feature_spec import FeatureSpec, Severity
from gristmill.validate.schemas.table_spec import RuleSpec, TableSpec

if TYPE_CHECKING:
    from gristmill.data.table import TableLike
    from gristmill.validate.checks.report import Report
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
        """Infer a schema that a clean sample of the same source passes (see `validate.infer`)."""
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
                fix="infer one from clean data: gristmill validate DATA --infer SCHEMA",
            ) from error
        except UnicodeDecodeError as error:
            raise UsageError("expected a schema in UTF-8 text", where=str(path)) from error
        if not text.strip():
            raise UsageError("the schema is empty", where=str(path), fix="infer it again")
        return cls.parse(text, where=str(path))

    @classmethod
    def parse(cls, text: str, *, where: str = "schema") -> Schema:
        """Parse the text of a schema; raises as `read` does."""
        from gristmill.validate.schemas.schema_text import parse_schema

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

    def apply(self, edits: list[Edit]) -> Schema:
        """Return the schema with edits made.

        Raises:
            UsageError: an edit names a feature or key that does not exist, or leads to a
                contradiction.
        """
        from gristmill.validate.schemas.schema_text import parse_schema

        document: dict[str, dict[str, object]] = msgspec.to_builtins(self)
        for edit in edits:
            _edit(document, edit)
        import tomlkit

        return parse_schema(tomlkit.dumps(_without_none(document)), "edited schema")

    def check(
        self,
        data: TableLike | Statistics,
        *,
        baseline: TableLike | Statistics | None = None,
        environment: str | None = None,
    ) -> Report:
        """Check a table, or its statistics, and report what is wrong (see `validate.checker`)."""
        from gristmill.validate.checks.checker import check

        return check(self, data, baseline=baseline, environment=environment)

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
        return {n: spec for n, spec in self.features.items() if environment not in spec.not_in}

    def signature_fields(self, environment: str | None = None) -> list[dict[str, object]]:
        """Return what a model's input signature needs, one plain dict per feature.

        Keys: name, kind ("string", "int", "float", "bool"), required, max_length, domain (list of
        strings, only where nothing unseen is allowed), min, max (only where nothing outside is
        allowed, or 0.0 where negative numbers are not). Times are strings (ISO 8601);
        features of type "any" are left out.
        """
        active = self.active(environment)
        return [
            _field(name, spec) for name, spec in active.items() if spec.type not in ("any", "bytes")
        ]

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


def _field(name: str, spec: FeatureSpec) -> dict[str, object]:
    strict = spec.type == "string" and spec.domain is not None and not spec.max_unseen
    least = _limit(spec, spec.min)
    return {
        "name": name,
        "kind": "string" if spec.type == "time" else spec.type,
        "required": spec.required and spec.min_present > 0,
        "max_length": None if spec.max_outside else spec.max_length,
        "domain": [str(value) for value in spec.domain or ()] if strict else None,
        "min": 0.0 if least is None and not spec.negative else least,
        "max": _limit(spec, spec.max),
    }


def _limit(spec: FeatureSpec, bound: float | None) -> float | None:
    """A bound that a single record can be refused by; a tolerated one is no such bound."""
    return None if bound is None or spec.max_outside else float(bound)


def _edit(document: dict[str, dict[str, object]], edit: Edit) -> None:
    if edit.feature is None:
        document.setdefault("table", {})[edit.key] = edit.new
    elif not edit.key:
        document["features"][edit.feature] = _plain(edit.new)
    elif edit.feature not in document["features"]:
        raise UsageError(f"the schema has no feature {edit.feature!r} to edit")
    else:
        _plain(document["features"][edit.feature])[edit.key] = edit.new


def _plain(value: object) -> dict[str, object]:
    plain: dict[str, object] = value if isinstance(value, dict) else msgspec.to_builtins(value)
    return plain


def _without_none(value: object) -> dict[str, object]:
    return {
        key: _without_none(item) if isinstance(item, dict) else item
        for key, item in _plain(value).items()
        if item is not None
    }
