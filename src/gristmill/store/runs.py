"""What happened: runs, the executions of their steps, and what each read and wrote."""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import msgspec
from sqlalchemy import ColumnElement, insert, select, update

from gristmill.core.atomic import naming
from gristmill.core.errors import UsageError
from gristmill.store.artifacts import check_content
from gristmill.store.codecs import Encoded, class_of, codecs_within, decode, encode
from gristmill.store.database import among, insert_into, plain_rows
from gristmill.store.gathered import GATHERED, Members, read_gathered
from gristmill.store.tables import artifacts, executions, links, runs

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

    from gristmill.store.project import Project

OUTPUT = "result"
FINISHED = ("done", "cached")
_COLUMNS = len(executions.c)


class Artifact(msgspec.Struct, frozen=True):
    """One stored result: its digest and what is known of it without opening it."""

    digest: str
    kind: str
    codec: str
    bytes_: int
    rows: int | None
    summary: dict[str, Any]


class Execution(msgspec.Struct, frozen=True):
    """One step of one run.

    Attributes:
        reach: JSON-able: `parts`, `packages` and `params` that went into the key.
        inputs: name of the parameter -> digest of the artifact.
        output: digest of the result, None where there is none.
    """

    id: int
    run: str
    step: str
    key: str
    status: str
    why: str
    reach: dict[str, Any]
    started: float
    seconds: float
    message: str | None = None
    inputs: dict[str, str] = {}
    output: str | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a pipeline; times in seconds since 1970, UTC."""

    id: str
    pipeline: str
    status: str
    started: float
    ended: float | None
    environment: dict[str, Any]


class RunLog:
    """The record of a project's runs."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._database = project.database
        self._codecs: dict[str, str] = {}

    def start(self, pipeline: str, environment: Mapping[str, Any]) -> str:
        """Begin a run and return its id."""
        run = time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + secrets.token_hex(2)
        row = {
            "id": run,
            "pipeline": pipeline,
            "status": "running",
            "started": time.time(),
            "environment": json.dumps(environment),
        }
        with self._database.write() as connection:
            connection.execute(insert(runs).values(row))
        return run

    def finish(self, run: str, status: str) -> None:
        """End a run as `done`, `failed` or `stopped`."""
        change = update(runs).where(runs.c.id == run).values(status=status, ended=time.time())
        with self._database.write() as connection:
            connection.execute(change)

    def keep(self, value: object) -> Artifact:
        """Store a value and return its artifact; the same content is stored once."""
        with self.draft() as folder:
            encoded = encode(value, folder)
            artifact = self.put(folder, encoded)
        self.note(artifact)
        return artifact

    def note(self, artifact: Artifact) -> None:
        """Write down an artifact that `put` has stored."""
        with self._database.write() as connection:
            note_artifacts(connection, [artifact])

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Yield an empty folder for the files of a value that is to be stored."""
        root = self.project.work_folder("drafts")
        with (
            tempfile.TemporaryDirectory(dir=root) as name,
            naming(self.project.home, Path(name)),
        ):
            yield Path(name)

    def put(self, folder: Path, encoded: Encoded) -> Artifact:
        """Move the files of an encoded value into the store; `note` tells the database."""
        digest, bytes_ = self.project.artifacts.put(folder, encoded.codec)
        return Artifact(digest, encoded.kind, encoded.codec, bytes_, encoded.rows, encoded.summary)

    def load(self, digest: str) -> object:
        """Read a stored value back, after checking its files against what was stored.

        Raises:
            StoreError: the artifact is gone or damaged.
        """
        artifact = self.artifact(digest)
        content = self.files(artifact.digest)
        if artifact.codec == GATHERED:
            return Members(self.files).all_of(read_gathered(content))
        return decode(artifact.codec, content)

    def files(self, digest: str) -> Path:
        """Return an artifact's one file, or the folder of its files, which have been checked.

        Raises:
            StoreError: the artifact is gone or damaged.
        """
        content = self.project.artifacts.get(digest)
        check_content(content, digest)
        return content

    def artifact(self, prefix: str) -> Artifact:
        """Find an artifact by its digest or the first digits of it.

        Raises:
            UsageError: no artifact, or more than one, begins with these digits.
        """
        query = select(artifacts).where(artifacts.c.digest.startswith(prefix, autoescape=True))
        with self._database.read() as connection:
            found = connection.execute(query.limit(2)).all()
        if len(found) != 1:
            problem = "no artifact begins" if not found else "several artifacts begin"
            raise UsageError(f"{problem} with {prefix!r}", fix="give more digits, or list `runs`")
        return _artifact(found[0])

    def artifacts(self, wanted: ColumnElement[bool]) -> list[Artifact]:
        """Return the artifacts that a condition on the table picks, in any order."""
        with self._database.read() as connection:
            return find_artifacts(connection, wanted)

    def classes(self, digests: Iterable[str]) -> tuple[type | str, ...]:
        """Return the classes in which artifacts, and their members, come back.

        What a step calls on its inputs is code of these. See `class_of` for those not loaded here.
        """
        wanted = set(digests)
        self._learn_codecs(wanted - self._codecs.keys())
        found = {
            codec
            for digest in wanted & self._codecs.keys()
            for codec in self._codecs_of(digest, self._codecs[digest])
        }
        classes = (class_of(codec) for codec in sorted(found))
        return tuple(dict.fromkeys(one for one in classes if one is not None))

    def _learn_codecs(self, unknown: Set[str]) -> None:
        if unknown:
            query = select(artifacts.c.digest, artifacts.c.codec)
            with self._database.read() as connection:
                known = among(artifacts.c.digest, unknown, connection)
                rows = connection.execute(query.where(known))
                self._codecs.update((row.digest, row.codec) for row in rows)

    def _codecs_of(self, digest: str, codec: str) -> set[str]:
        if codec not in ("group", "list", GATHERED) or not self.project.artifacts.exists(digest):
            return {codec}
        folder = self.project.artifacts.get(digest)
        if codec == GATHERED:
            return {member.codec for member in read_gathered(folder).members}
        return set(codecs_within(codec, folder))

    def record(self, execution: Execution, pipeline: str) -> int:
        """Write down one execution with its inputs and its output; return its id."""
        return self.record_all([execution], pipeline)[0]

    def record_all(self, done: Sequence[Execution], pipeline: str) -> list[int]:
        """Write down executions in one transaction; return their ids."""
        if not done:
            return []
        with self._database.write() as connection:
            return [_record(connection, execution, pipeline) for execution in done]

    def find_result(self, key: str) -> Execution | None:
        """Return the newest finished execution with this key whose result is still in the store.

        Its `inputs` are left out: this is asked once per step of every run.
        """
        wanted = (executions.c.key == key) & (executions.c.status == "done")
        found = self._with_results(wanted, limit=3)
        return next((one for one in found if self.is_stored(one)), None)

    def recent_results(self, pipeline: str, limit: int) -> dict[str, Execution]:
        """Return the newest executions of a pipeline that have a result, by their key.

        One query answers for most steps of a run in which little has changed.
        """
        wanted = (executions.c.pipeline == pipeline) & executions.c.status.in_(FINISHED)
        return {found.key: found for found in self._with_results(wanted, limit)}

    def is_stored(self, execution: Execution) -> bool:
        """Say whether the result of an execution is still in the store."""
        return execution.output is not None and self.project.artifacts.exists(execution.output)

    def _with_results(self, wanted: ColumnElement[bool], limit: int) -> list[Execution]:
        query = (
            select(executions, links.c.artifact.label(OUTPUT), artifacts.c.codec)
            .join(links, (links.c.execution == executions.c.id) & (links.c.role == "output"))
            .join(artifacts, artifacts.c.digest == links.c.artifact)
            .where(wanted)
            .order_by(executions.c.id.desc())
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        self._codecs.update((row.result, row.codec) for row in rows)
        return [_execution(row, {}, row.result) for row in rows]

    def verdicts(self) -> dict[str, str]:
        """Return what each stored verdict of a gate says, by the verdict's digest."""
        query = select(artifacts.c.digest, artifacts.c.summary).where(artifacts.c.kind == "verdict")
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return {digest: json.loads(summary)["verdict"] for digest, summary in rows}

    def last(self, pipeline: str, step: str, *, status: str | None = None) -> Execution | None:
        """Return the newest execution of a step that gave a result."""
        wanted = (executions.c.pipeline == pipeline) & (executions.c.step == step)
        statuses = FINISHED if status is None else (status,)
        found = self.select(wanted & executions.c.status.in_(statuses), limit=1)
        return found[0] if found else None

    def of_run(self, run: str) -> list[Execution]:
        """Return the executions of a run, in the order they happened."""
        return self.select(executions.c.run == run)[::-1]

    def runs(self, limit: int = 20) -> list[RunRecord]:
        """Return the newest runs, newest first."""
        query = select(runs).order_by(runs.c.started.desc()).limit(limit)
        with self._database.read() as connection:
            return [_run(row) for row in connection.execute(query).mappings()]

    def run(self, prefix: str) -> RunRecord:
        """Find a run by its id, the first characters of it, or the word `last`.

        Raises:
            UsageError: there is no such run.
        """
        query = select(runs).order_by(runs.c.started.desc()).limit(1)
        if prefix != "last":
            query = query.where(runs.c.id.startswith(prefix, autoescape=True))
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise UsageError(f"there is no run {prefix!r}", fix="list them with `gristmill runs`")
        return _run(row)

    def select(self, wanted: ColumnElement[bool], limit: int | None = None) -> list[Execution]:
        """Return the executions that a condition on the table picks, newest first."""
        with self._database.read() as connection:
            return find_executions(connection, wanted, limit=limit)


class Ties(NamedTuple):
    """What executions read and wrote, by their number.

    Attributes:
        inputs: by the name of the parameter.
        outputs: the result.
    """

    inputs: dict[int, dict[str, str]]
    outputs: dict[int, str]

    @classmethod
    def of_links(cls, rows: Iterable[tuple[int, str, str, str]]) -> Self:
        """Sort out rows of the table of links: execution, role, name and artifact."""
        inputs: dict[int, dict[str, str]] = {}
        outputs: dict[int, str] = {}
        for execution, role, name, artifact in rows:
            if role == "input":
                inputs.setdefault(execution, {})[name] = artifact
            else:
                outputs[execution] = artifact
        return cls(inputs, outputs)


def find_executions(
    connection: Connection,
    wanted: ColumnElement[bool],
    *,
    limit: int | None = None,
    ties: Ties | None = None,
) -> list[Execution]:
    """Return the executions that a condition on the table picks, newest first.

    Args:
        connection: to the database.
        wanted: the condition.
        limit: at most so many.
        ties: what they read and wrote, where that is known already.
    """
    query = select(executions).where(wanted).order_by(executions.c.id.desc()).limit(limit)
    rows = plain_rows(connection, query)
    inputs, outputs = ties or _ties(connection, [row[0] for row in rows])
    return [_execution(row, inputs.get(row[0], {}), outputs.get(row[0])) for row in rows]


def find_artifacts(connection: Connection, wanted: ColumnElement[bool]) -> list[Artifact]:
    """Return the artifacts that a condition on the table picks, in any order."""
    return [_artifact(row) for row in plain_rows(connection, select(artifacts).where(wanted))]


def _artifact_row(artifact: Artifact) -> dict[str, Any]:
    return {
        "digest": artifact.digest,
        "kind": artifact.kind,
        "codec": artifact.codec,
        "bytes": artifact.bytes_,
        "rows": artifact.rows,
        "summary": json.dumps(artifact.summary),
        "created": time.time(),
    }


def note_artifacts(connection: Connection, kept: Sequence[Artifact]) -> None:
    """Write down artifacts that are not known yet; several machines may do it at once."""
    fresh = {artifact.digest: _artifact_row(artifact) for artifact in kept}
    if fresh:
        known = insert_into(artifacts, connection).on_conflict_do_nothing()
        # In one order everywhere: two writers of the same rows must not wait in a circle.
        connection.execute(known, [fresh[digest] for digest in sorted(fresh)])


def _artifact(row: Sequence[Any]) -> Artifact:
    digest, kind, codec, bytes_, rows, summary = row[:6]
    return Artifact(digest, kind, codec, bytes_, rows, _decoded(summary))


def _decoded(text: str) -> Any:
    """Return what `json.dumps` wrote, which is more than JSON: NaN, infinities, long integers."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text)


def _record(connection: Connection, execution: Execution, pipeline: str) -> int:
    row = {
        "run": execution.run,
        "pipeline": pipeline,
        "step": execution.step,
        "key": execution.key,
        "status": execution.status,
        "why": execution.why,
        "reach": json.dumps(execution.reach),
        "started": execution.started,
        "seconds": execution.seconds,
        "message": execution.message,
    }
    key = connection.execute(insert(executions).values(row)).inserted_primary_key
    number = int(key[0]) if key else 0
    ties = _links(number, execution)
    if ties:
        connection.execute(insert(links), ties)
    return number


def _links(number: int, execution: Execution) -> list[dict[str, Any]]:
    ties = [("input", name, digest) for name, digest in execution.inputs.items()]
    if execution.output:
        ties.append(("output", OUTPUT, execution.output))
    return [
        {"execution": number, "role": role, "name": name, "artifact": digest}
        for role, name, digest in ties
    ]


def _ties(connection: Connection, numbers: Sequence[int]) -> Ties:
    columns = links.c.execution, links.c.role, links.c.name, links.c.artifact
    query = select(*columns).where(among(links.c.execution, numbers, connection))
    return Ties.of_links(plain_rows(connection, query))


def _execution(row: Sequence[Any], inputs: dict[str, str], output: str | None) -> Execution:
    """Make an execution of a row that begins with the columns of the table, in their order.

    Taken apart by place, for a long chain has thousands: by name takes three times as long.
    """
    number, run, _, step, key, status, why, reach, started, seconds, message = row[:_COLUMNS]
    return Execution(
        number, run, step, key, status, why, _decoded(reach), started, seconds, message,
        inputs, output,
    )  # fmt: skip


def _run(row: RowMapping) -> RunRecord:
    return RunRecord(
        row["id"], row["pipeline"], row["status"], row["started"], row["ended"],
        json.loads(row["environment"]),
    )  # fmt: skip
