"""From what a user has in hand (a prediction, a label, a digest, a step) to a stored artifact.

p3f2a91c0-77aa01bc-4021    prediction 4021 of the bundle 3f2a91c0...
labels/4021                row 4021 of the newest result of step `labels`
8d1c22/4021                the same of the artifact whose digest begins so
labels                     the newest result of a step
spam@champion, spam@3      a registered model, by an alias or a version
8d1c22                     an artifact
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from sqlalchemy import select

from gristmill.core.errors import UsageError
from gristmill.store.registry import Registry
from gristmill.store.runs import Artifact, RunLog
from gristmill.store.tables import artifacts, executions, links

_PREDICTION = re.compile(r"p([0-9a-f]{8})-([0-9a-f]{8}|[0-9a-z]+)-(.+)")
_REGISTERED = re.compile(r"(.+)@([^@/]+)")
_DIGEST = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """What an id stands for: an artifact, and a row of it or of its predictions.

    Attributes:
        kind: `prediction`, `row` or `artifact`.
        artifact: the bundle of a prediction; else the artifact itself.
        row: the row id as text, None for a whole artifact.
    """

    kind: str
    artifact: Artifact
    row: str | None = None


def resolve(log: RunLog, text: str) -> Reference:
    """Find what an id stands for.

    Raises:
        UsageError: nothing in this project is called so.
    """
    prediction = _PREDICTION.fullmatch(text)
    if prediction:
        return Reference("prediction", _bundle(log, prediction[1]), prediction[3])
    name, slash, row = text.partition("/")
    artifact = _named(log, name)
    return Reference("row", artifact, row) if slash else Reference("artifact", artifact)


def _bundle(log: RunLog, prefix: str) -> Artifact:
    """Find the bundle whose fingerprint begins with `prefix`."""
    query = select(artifacts.c.digest, artifacts.c.summary).where(artifacts.c.kind == "bundle")
    with log.project.database.read() as connection:
        for digest, summary in connection.execute(query):
            if str(json.loads(summary).get("fingerprint", "")).startswith(prefix):
                return log.artifact(digest)
    raise UsageError(
        f"no bundle of this project has a fingerprint that begins with {prefix!r}",
        fix="go to the project whose pipeline made the bundle",
    )


def _registered(log: RunLog, model: str, which: str) -> Artifact:
    """Find the bundle of a version of a model, which is a number or an alias."""
    registry = Registry(log.project)
    if which.isdigit():
        return log.artifact(registry.version(model, int(which)).artifact)
    aliases = registry.aliases(model)
    if which not in aliases:
        known = ", ".join(aliases) or "none"
        raise UsageError(f"model {model!r} has no alias {which!r}", fix=f"its aliases: {known}")
    return log.artifact(registry.version(model, aliases[which].version).artifact)


def _named(log: RunLog, name: str) -> Artifact:
    registered = _REGISTERED.fullmatch(name)
    if registered:
        return _registered(log, registered[1], registered[2])
    query = (
        select(links.c.artifact)
        .join(executions, executions.c.id == links.c.execution)
        .where((executions.c.step == name) & (links.c.role == "output"))
        .order_by(executions.c.id.desc())
        .limit(1)
    )
    with log.project.database.read() as connection:
        digest = connection.execute(query).scalar()
    if digest is not None:
        return log.artifact(digest)
    if _DIGEST.fullmatch(name):
        return log.artifact(name)
    raise UsageError(
        f"nothing in this project is called {name!r}",
        fix="give a prediction id, STEP, STEP/ROW, MODEL@ALIAS, or the first digits of an "
        "artifact; `gristmill runs last` lists steps and artifacts",
    )
