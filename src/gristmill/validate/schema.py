"""The schema of a table: a small text file that a person edits and git diffs well."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import msgspec

from gristmill.core.atomic import write_atomic
from gristmill.core.errors import UsageError

if TYPE_CHECKING:
    from gristmill.data.table import TableLike
    from gristmill.validate.report import Report
    from gristmill.validate.statistics import Statistics

FORMAT = 1
SpecKind = Literal["string", "int", "float", "bool", "time", "any"]
Severity = Literal["error", "warning", "info"]
_NUMERIC = ("int", "float")
_FILE = "schema.toml"


class FeatureSpec(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What one column must look like. Shares are fractions in [0, 1] of present cells.

    Attributes:
        type: "string", "int", "float", "bool", "time", or "any" where nothing is known.
        required: whether the column must be there at all.
        min_present: least share of rows with a value; at 1.0 every missing cell counts.
        domain: the values allowed (strings and ints).
        max_unseen: share of values outside the domain that is still fine.
        min, max: bounds of ints and floats, inclusive.
        negative: whether numbers below zero may occur; if not, one of them is a finding.
        max_not_finite: share of NaN and infinite numbers that is still fine.
        min_length, max_length: bounds of text lengths, in characters.
        max_outside: share of numbers or lengths beyond their bounds that is still fine.
        max_broken: share of texts with a broken encoding that is still fine.
        unique: whether a value may occur only once (a key).
        varies: whether a constant column is a mistake.
        drift: Jensen-Shannon distance to the baseline that matters.
        not_in: environments whose data does not have this column.
    """

    type: SpecKind
    required: bool = True
    min_present: float = 0.0
    domain: tuple[str | int, ...] | None = None
    max_unseen: float = 0.0
    min: int | float | None = None
    max: int | float | None = None
    negative: bool = True
    max_not_finite: float = 0.0
    min_length: int | None = None
    max_length: int | None = None
    max_outside: float = 0.0
    max_broken: float = 0.0
    unique: bool = False
    varies: bool = False
    drift: float = 0.1
    not_in: tuple[str, ...] = ()


class TableSpec(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the table as a whole must look like.

    Attributes:
        min_rows: fewer rows than this are a finding.
        max_duplicates: share of rows that may repeat an earlier one; None: any.
        inferred_from_rows: how many rows the schema was inferred from; duplicates become likelier
            in larger tables, and the allowed share grows with it.
    """

    min_rows: int = 1
    max_duplicates: float | None = None
    inferred_from_rows: int | None = None


class Edit(msgspec.Struct, frozen=True):
    """A proposed change of the schema: set `key` of `feature` from `old` to `new`.

    Without a feature the key is one of the table; with the key "" the whole feature is added.
    """

    feature: str | None
    key: str
    old: object
    new: object

    def __str__(self) -> str:
        place = "table" if self.feature is None else f"features.{self.feature}"
        if not self.key:
            return f"[{place}] add, type = {_shown(_plain(self.new).get('type'))}"
        return f"[{place}] {self.key} = {_shown(self.new)} (was {_shown(self.old)})"


class Schema(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The features of a table and what is expected of each.

    Attributes:
        features: by column name, in the order of the table.
        table: what is expected of the table as a whole.
        environments: name and meaning of each place where such data appears (training, serving).
        severity: finding code -> severity, where the default is not wanted.
    """

    features: dict[str, FeatureSpec]
    table: TableSpec = TableSpec()
    environments: dict[str, str] = {}
    severity: dict[str, Severity] = {}
    format: int = FORMAT

    @classmethod
    def infer(cls, statistics: Statistics) -> Schema:
        """Infer a schema that a clean sample of the same source passes (see `validate.infer`)."""
        from gristmill.validate.infer import infer_schema

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
        from gristmill.validate.schema_text import parse_schema

        return parse_schema(text, where)

    @property
    def text(self) -> str:
        """The schema as TOML, one table per feature; equal schemas give equal text."""
        from gristmill.validate.schema_text import format_schema

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
        from gristmill.validate.schema_text import parse_schema

        document: dict[str, dict[str, object]] = msgspec.to_builtins(self)
        for edit in edits:
            _edit(document, edit)
        import tomli_w

        return parse_schema(tomli_w.dumps(_without_none(document)), "edited schema")

    def check(
        self,
        data: TableLike | Statistics,
        *,
        baseline: TableLike | Statistics | None = None,
        environment: str | None = None,
    ) -> Report:
        """Check a table, or its statistics, and report what is wrong (see `validate.checker`)."""
        from gristmill.validate.checker import check

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
        return [_field(name, spec) for name, spec in active.items() if spec.type != "any"]

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


def _shown(value: object) -> str:
    return msgspec.json.encode(value).decode()
