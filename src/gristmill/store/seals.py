"""Seals: each decision holds a digest of itself and of the one before, so that changes show.

A chain of digests as of Haber and Stornetta, "How to time-stamp a digital document" (1991), one for
each model. A decision that is changed, taken away or put in between does not fit its seal, or the
next one does not. What nobody can tell from the log alone is that its end was cut off, or that all
of it was sealed anew: for that, somebody must have noted down a seal (`gristmill history --seal`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from gristmill.core.fingerprint import fingerprint
from gristmill.store.tables import promotions, versions

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

_SEALED = (
    "model", "version", "verdict", "reasons", "author", "at", "alias", "replaced", "forced",
    "evidence",
)  # fmt: skip
"""The columns that a seal is of; never others, or every seal so far would be broken."""
DECISIONS: tuple[ColumnElement[Any], ...] = tuple(promotions.c[name] for name in _SEALED)
"""What a log is read by where the seals, which older layouts lack, are not asked for."""


@dataclass(frozen=True, slots=True)
class SealedLog:
    """The seals of a model's log, oldest first.

    Attributes:
        seals: one for each decision.
        broken: places in the log, from 0, of the decisions that do not fit theirs.
    """

    seals: list[str]
    broken: list[int]


def seal_of(row: Mapping[str, Any], artifact: str, before: str) -> str:
    """Return the seal of a decision: 32 hex digits.

    Args:
        row: the decision as the table has it.
        artifact: digest of what the version is, which the decision is about.
        before: the seal of the model's decision before; empty for the first one.
    """
    return fingerprint([before, artifact, *(row[name] for name in _SEALED)])


def seal_anew(
    rows: Iterable[Mapping[str, Any]], artifacts: Mapping[tuple[str, int], str]
) -> Iterator[dict[str, Any]]:
    """Yield decisions with seals, each following the model's one before.

    Args:
        rows: decisions as the table has them, oldest first.
        artifacts: model and version -> digest.
    """
    newest: dict[str, str] = {}
    for row in rows:
        model = row["model"]
        artifact = artifacts.get((model, row["version"]), "")
        newest[model] = seal_of(row, artifact, newest.get(model, ""))
        yield {**row, "seal": newest[model]}


def next_seal(connection: Connection, row: Mapping[str, Any]) -> str:
    """Return the seal of a decision that is about to be added, by the only one who adds any."""
    mine = promotions.c.model == row["model"]
    newest = select(promotions.c.seal).where(mine).order_by(promotions.c.id.desc()).limit(1)
    decided = (versions.c.model == row["model"]) & (versions.c.version == row["version"])
    artifact = connection.execute(select(versions.c.artifact).where(decided)).scalar()
    return seal_of(row, artifact or "", connection.execute(newest).scalar() or "")


def read_seals(connection: Connection, model: str, first: int | None = None) -> SealedLog:
    """Return the seals of a model's log, or of its first lines, each held against its decision."""
    named = (versions.c.model == promotions.c.model) & (versions.c.version == promotions.c.version)
    query = (
        select(*DECISIONS, promotions.c.seal, versions.c.artifact)
        .outerjoin(versions, named)
        .where(promotions.c.model == model)
        .order_by(promotions.c.id)
        .limit(first)
    )
    seals: list[str] = []
    broken: list[int] = []
    for place, row in enumerate(map(dict, connection.execute(query).mappings())):
        if row["seal"] != seal_of(row, row["artifact"] or "", seals[-1] if seals else ""):
            broken.append(place)
        seals.append(row["seal"])
    return SealedLog(seals, broken)


def seal_all(connection: Connection) -> None:
    """Seal the decisions of a database that had no seals."""
    query = select(promotions.c.id, *DECISIONS).order_by(promotions.c.id)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    for row in seal_anew(rows, artifacts_of_versions(connection)):
        change = update(promotions).where(promotions.c.id == row["id"]).values(seal=row["seal"])
        connection.execute(change)


def artifacts_of_versions(connection: Connection) -> dict[tuple[str, int], str]:
    """Return model and version -> digest, of all that are registered."""
    query = select(versions.c.model, versions.c.version, versions.c.artifact)
    return {(model, version): digest for model, version, digest in connection.execute(query)}
