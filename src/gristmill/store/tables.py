"""The tables of the store, for SQLAlchemy Core; the same on SQLite and PostgreSQL.

runs 1──n executions n──n artifacts        (through `links`: what a step read and wrote)
elements n──1 artifacts                     (what a step called once per element gave for one)
runs 1──n enclosures n──1 artifacts         (what is kept beside results: logs, source, changes)
models 1──n versions, promotions            (the registry)
models 1──n monitorings                     (what was found in production, and what was done)

What is history only grows: `store.guards` has the database itself refuse anything else.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()
SCHEMA_VERSION = "7"
"""Layout of the tables; `store.migrations` brings an older one up to it."""
UNSEALED = frozenset({"4", "5"})
"""Layouts that lack seals; 4 lacks indexes as well."""
READABLE = frozenset({*UNSEALED, "6", SCHEMA_VERSION})
"""Layouts that hold the same for a reader: those before today's lack guards."""

_AutoKey = BigInteger().with_variant(Integer, "sqlite")

settings = Table(
    "settings",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("pipeline", Text, nullable=False),
    Column("status", String(16), nullable=False),  # running, done, failed, stopped
    Column("started", Float, nullable=False),  # seconds since 1970, UTC
    Column("ended", Float),
    Column("seed", BigInteger),
    Column("environment", Text, nullable=False),  # JSON: Python, packages, git commit
)

executions = Table(
    "executions",
    metadata,
    Column("id", _AutoKey, primary_key=True, autoincrement=True),
    Column("run", String(32), ForeignKey("runs.id"), nullable=False),
    Column("pipeline", Text, nullable=False),
    Column("step", String(200), nullable=False),
    Column("key", String(64), nullable=False),
    Column("status", String(16), nullable=False),  # done, cached, failed, blocked, stopped
    Column("why", Text, nullable=False),
    Column("reach", Text, nullable=False),  # JSON: parts, packages, params of this execution
    Column("started", Float, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("message", Text),
    Index("executions_by_key", "key", "status"),
    Index("executions_by_step", "pipeline", "step", "id"),
    Index("executions_by_run", "run"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("codec", String(200), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("rows", BigInteger),
    Column("summary", Text, nullable=False),  # JSON: what the object says of itself
    Column("created", Float, nullable=False),
    Index(
        "artifacts_by_age", text("created DESC"), "digest", "kind"
    ),  # a page is found in it alone
)

links = Table(
    "links",
    metadata,
    Column("execution", _AutoKey, ForeignKey("executions.id"), primary_key=True),
    Column("role", String(8), primary_key=True),  # input or output
    Column("name", String(200), primary_key=True),
    Column("artifact", String(64), ForeignKey("artifacts.digest"), nullable=False),
    Index("links_by_artifact", "artifact", "role", "execution"),
)

elements = Table(
    "elements",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("digest", String(64), nullable=False),  # of the result
    Column("codec", String(200), nullable=False),
    Column("artifact", String(64), ForeignKey("artifacts.digest"), nullable=False),
    Column("number", Integer),  # of the result in the artifact, where that is a pack
    Column("run", String(32), nullable=False),
    Column("step", String(200), nullable=False),
    Column("created", Float, nullable=False),
)

versions = Table(
    "versions",
    metadata,
    Column("model", String(200), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("artifact", String(64), ForeignKey("artifacts.digest"), nullable=False),
    Column("run", String(32)),
    Column("created", Float, nullable=False),
    UniqueConstraint("model", "artifact", name="one_version_per_artifact"),
)

promotions = Table(
    "promotions",
    metadata,
    Column("id", _AutoKey, primary_key=True, autoincrement=True),
    Column("model", String(200), nullable=False),
    Column("version", Integer, nullable=False),
    Column("verdict", String(16), nullable=False),  # promote, hold, reject, rollback
    Column("reasons", Text, nullable=False),  # JSON list
    Column("author", String(200), nullable=False),
    Column("at", Float, nullable=False),
    Column("alias", String(200), nullable=False, server_default="champion"),
    Column("replaced", Integer),  # the version that the alias named before, if any
    Column("forced", Integer, nullable=False, server_default="0"),
    Column("evidence", Text, nullable=False, server_default="{}"),  # JSON: what was compared
    Column("seal", String(64), nullable=False, server_default=""),  # see `store.seals`
    Index("promotions_by_model", "model", "id"),
)

enclosures = Table(
    "enclosures",
    metadata,
    Column("run", String(32), ForeignKey("runs.id"), primary_key=True),
    Column("step", String(200), primary_key=True),  # empty for what belongs to the whole run
    Column("role", String(40), primary_key=True),  # log, source, changes
    Column("artifact", String(64), ForeignKey("artifacts.digest"), nullable=False),
    Index("enclosures_by_artifact", "artifact"),
)

monitorings = Table(
    "monitorings",
    metadata,
    Column("id", _AutoKey, primary_key=True, autoincrement=True),
    Column("model", String(200), nullable=False),
    Column("version", Integer),
    Column("at", Float, nullable=False),  # seconds since 1970, UTC
    Column("action", String(16), nullable=False),  # as store.monitorings.Deed
    Column("reasons", Text, nullable=False),  # JSON list
    Column("findings", Text, nullable=False),  # JSON list
    Column("run", String(32)),  # of the pipeline, once it has ended
    Index("monitorings_by_model", "model", "id"),
)
