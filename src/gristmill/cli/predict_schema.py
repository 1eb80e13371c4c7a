"""A bundle's schema as the further check of batch prediction, which knows nothing of schemas."""

from __future__ import annotations

from contextvars import Context
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from gristmill.core.errors import UsageError
from gristmill.core.fingerprint import fingerprint

if TYPE_CHECKING:
    import polars as pl

    from gristmill.store.bundle import Bundle
    from gristmill.validate.schemas.schema import Schema

_FILE = "schema.toml"
_SERVING = "serving"


@dataclass(frozen=True)
class SchemaGuard:
    """Holds rows to a schema; sent to other processes as its text.

    Attributes:
        text: of the schema.
        environment: one of its environments; None for none.
    """

    text: str
    environment: str | None

    @property
    def mark(self) -> str:
        """Fingerprint of the schema and the environment."""
        return fingerprint((self.text, self.environment))

    def __call__(self, rows: pl.DataFrame, /) -> dict[int, str]:
        """Return what is wrong with some rows, by their place; keys count within these rows."""
        import polars as pl

        from gristmill.data.table import ROW_ID
        from gristmill.validate.checks.report import REASONS
        from gristmill.validate.rows.row_check import check_rows

        places = pl.int_range(rows.height, dtype=pl.Int64, eager=True).alias(ROW_ID)
        numbered = rows.with_columns(places)
        schema = _parsed(self.text)
        # In a context of its own, so that it shows no progress beside that of the prediction.
        checked = Context().run(check_rows, schema, numbered, environment=self.environment)
        pairs = checked.bad.select(ROW_ID, REASONS).iter_rows()
        return {place: f"schema: {', '.join(reasons)}" for place, reasons in pairs}


def schema_guard(bundle: Bundle, environment: str | None) -> SchemaGuard:
    """Return the check of a bundle's schema, as one of its environments.

    Raises:
        UsageError: the bundle has no schema, or it knows no such environment.
        DataError: the schema cannot be read.
    """
    if _FILE not in bundle.manifest.files:
        raise UsageError(
            f"expected {_FILE} in the bundle, found none",
            where=str(bundle.folder),
            fix="leave out --schema, or write the bundle again with its schema",
        )
    text = bundle.read(_FILE).decode()
    schema = _parsed(text)
    if environment is None and _SERVING in schema.environments:
        environment = _SERVING
    schema.active(environment)
    return SchemaGuard(text, environment)


@lru_cache(maxsize=2)
def _parsed(text: str) -> Schema:
    from gristmill.validate.schemas.schema import Schema

    return Schema.parse(text, where=_FILE)
