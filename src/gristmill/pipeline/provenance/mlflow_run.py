"""A run of ours in an MLflow server that the user has: figures, settings, steps, the model."""

from __future__ import annotations

import json
import math
import os
import posixpath
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gristmill.core.environment import environment
from gristmill.core.errors import GristmillError, UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.core.quantities import format_bytes, format_count
from gristmill.pipeline.provenance.mlflow_server import (
    check_address,
    first_line,
    no_server,
    translated,
)
from gristmill.store.bundle import Bundle
from gristmill.store.registry import Registry

if TYPE_CHECKING:
    from gristmill.store.runs import Artifact, Execution, RunLog, RunRecord
    from gristmill.store.signature import Field

_Value = TypeVar("_Value")
_OF_THE_RUN = "(run)"
"""Stands for a step in the tag of the run itself."""
RUN, STEP, WHOLE = "gristmill.run", "gristmill.step", "gristmill.exported"
_STATUS = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
_ENDED = {"done": "FINISHED", "cached": "FINISHED", "failed": "FAILED"}
_MANNERS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_TIMEOUT, _TRIES_AGAIN = "MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_SECONDS = 15
_AT_FIRST = {_TIMEOUT: "10", _TRIES_AGAIN: "0"}
"""Until something has answered: a wrong address is to be said at once."""
_LATER = {_TIMEOUT: str(_SECONDS), _TRIES_AGAIN: "1"}
_BYTES_A_SECOND = 1e6
"""What a server puts away at the least, before it says that it has a file."""
_NOT_A_NAME = re.compile(r"[^\w\-. /]")
_LONGEST = 500
"""Characters of a parameter that every version of MLflow takes."""
_LONGEST_TAG = 5000
_LONGEST_NAME = 250
_AT_ONCE = 100
_TYPES = {"string": "string", "int": "long", "float": "double", "bool": "boolean"}


@dataclass
class MlflowRun:
    """What is in the server now.

    Attributes:
        run: MLflow's id of the run.
        experiment: id of its experiment.
        url: of the server.
        known: whether it was there already, whole.
        models: name in the registry -> version, of bundles that are registered here, too.
        aliases: `model@alias` that were set.
        refused: model or `model@alias` whose name MLflow does not allow -> why.
    """

    run: str
    experiment: str
    url: str
    known: bool = False
    models: dict[str, str] = field(default_factory=dict)
    aliases: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def export_to_mlflow(
    log: RunLog,
    record: RunRecord,
    uri: str,
    *,
    experiment: str = "",
    files: Path | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> MlflowRun:
    """Log a run into an MLflow server: a run with a nested run for each step.

    Exported again, a run is found by its tags and nothing is there twice; what a first try did not
    get done is done. Aliases are set anew, as they are here now.

    Args:
        log: the record of the project.
        record: the run.
        uri: of the tracking server, as MLflow has it.
        experiment: its name; the project's by default.
        files: a folder that is logged beside: the page, packages, logs.
        say: is told what is being sent.

    Raises:
        ModuleNotFoundError: MLflow is not installed.
        UsageError: the address is none, or the run is going on.
        GristmillError: the server cannot be reached, or refuses.
        StoreError: a bundle is no longer in the store, or damaged.
    """
    check_address(uri)
    if record.status == "running" and log.project.is_locked(f"run-{record.id}"):
        raise UsageError(f"run {record.id} is going on", fix="export it when it has ended")
    theirs = frozenset(os.environ)
    with environment(_MANNERS, but=theirs), translated(uri):
        export = _Export(log, record, uri, say, theirs)
        with environment(_AT_FIRST, but=theirs):
            place = export.experiment(experiment or log.project.name)
        with environment(_LATER, but=theirs):
            return export.go(place, files)


class _Export:
    def __init__(
        self,
        log: RunLog,
        record: RunRecord,
        uri: str,
        say: Callable[[str], object],
        theirs: frozenset[str],
    ) -> None:
        from mlflow import MlflowClient

        self.log, self.record, self.uri, self.say, self.theirs = log, record, uri, say, theirs
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, made if need be."""
        found = self.client.get_experiment_by_name(name)
        if found is None:
            return str(self.client.create_experiment(name))
        if not found.experiment_id:
            raise no_server(self.uri, "it knows an experiment without a number")
        if found.lifecycle_stage != "active":
            raise GristmillError(
                f"the experiment {name!r} has been deleted there",
                where=self.uri,
                fix=f"`mlflow experiments restore --experiment-id {found.experiment_id}`, or "
                "name another with --experiment",
            )
        return str(found.experiment_id)

    def go(self, place: str, files: Path | None) -> MlflowRun:
        executions = self.log.of_run(self.record.id)
        run, known = self._run(
            place, _OF_THE_RUN, self.record.id, self._tags(), self.record.started
        )
        told = MlflowRun(run, place, self.uri, known)
        if not known:
            self._log(run, executions)
            for number, execution in enumerate(executions, 1):
                self.say(f"step {number} of {len(executions)}: {execution.step}")
                self._log_step(place, run, execution)
            if files is not None:
                self._upload(run, files, "gristmill")
        for execution in executions:
            result = self.log.artifact(execution.output) if execution.output else None
            if result is not None and result.kind == "bundle":
                self._log_model(told, execution.step, result)
        if not known:
            self.client.set_tag(run, WHOLE, "whole")
            ended = _STATUS.get(self.record.status, "KILLED")
            self.client.set_terminated(run, ended, _millis(self.record.ended))
        return told

    def _upload(self, run: str, folder: Path, path: str) -> None:
        sizes = [each.stat().st_size for each in folder.rglob("*") if each.is_file()]
        self.say(f"files: {path}, {format_count(len(sizes))}, {format_bytes(sum(sizes))}")
        patience = {_TIMEOUT: f"{_SECONDS + max(sizes, default=0) / _BYTES_A_SECOND:.0f}"}
        try:
            with environment(patience, but=self.theirs):
                self.client.log_artifacts(run, str(folder), path)
        except OSError as error:
            if error.errno is None:  # of the network
                raise
            place = self.client.get_run(run).info.artifact_uri
            raise GristmillError(
                f"the files of this server's runs belong in {place}, which cannot be written from "
                f"here: {error.strerror}",
                where=self.uri,
                fix="start it with `mlflow server --artifacts-destination FOLDER`: it takes "
                "them itself, and name a new experiment with --experiment",
            ) from error

    def _run(
        self, place: str, step: str, name: str, tags: Mapping[str, str], started: float
    ) -> tuple[str, bool]:
        """Return the run with these tags, made if need be, and whether it was there, whole."""
        wanted = f"tags.`{RUN}` = '{self.record.id}' and tags.`{STEP}` = '{_quoted(step)}'"
        found = self.client.search_runs([place], wanted, max_results=1)
        if found:
            return str(found[0].info.run_id), found[0].data.tags.get(WHOLE) == "whole"
        marked = {RUN: self.record.id, STEP: _quoted(step), **tags}
        made = self.client.create_run(place, _millis(started), marked, run_name=name)
        return str(made.info.run_id), False

    def _tags(self) -> dict[str, str]:
        told = self.record.environment
        tags = {
            "mlflow.source.name": self.record.pipeline,
            "mlflow.source.type": "LOCAL",
            "gristmill.project": self.log.project.name,
            "gristmill.version": str(told.get("gristmill")),
            "gristmill.python": str(told.get("python")),
        }
        if told.get("commit"):
            tags["mlflow.source.git.commit"] = str(told["commit"])
        return tags

    def _log(self, run: str, executions: Sequence[Execution]) -> None:
        """Log what belongs to the whole run: settings and figures by step, digests as tags."""
        params: dict[str, str] = {}
        metrics: dict[str, float] = {}
        tags: dict[str, str] = {}
        for each in executions:
            params |= {f"{each.step}.{name}": value for name, value in _settings(each).items()}
            metrics |= {f"{each.step}.{name}": value for name, value in self._figures(each).items()}
            if each.output:
                tags[f"gristmill.artifact.{each.step}"] = each.output
        self._batch(run, params, metrics, tags, self.record.ended or self.record.started)

    def _log_step(self, place: str, parent: str, execution: Execution) -> None:
        tags = {"mlflow.parentRunId": parent}
        run, known = self._run(place, execution.step, execution.step, tags, execution.started)
        if known:
            return
        told = {
            "gristmill.status": execution.status,
            "gristmill.why": execution.why,
            "gristmill.key": execution.key,
            "gristmill.code": ", ".join(sorted(execution.reach.get("parts", {}))),
            **{f"gristmill.input.{name}": digest for name, digest in execution.inputs.items()},
        }
        told |= {"gristmill.artifact": execution.output} if execution.output else {}
        told |= {"gristmill.message": execution.message} if execution.message else {}
        ended = execution.started + execution.seconds
        figures = self._figures(execution)
        self._batch(run, _settings(execution), figures, told | {WHOLE: "whole"}, ended)
        status = _ENDED.get(execution.status, "KILLED")
        self.client.set_terminated(run, status, _millis(ended))

    def _figures(self, execution: Execution) -> dict[str, float]:
        found: dict[str, float] = {"seconds": execution.seconds}
        if execution.output:
            artifact = self.log.artifact(execution.output)
            found |= {"rows": float(artifact.rows)} if artifact.rows is not None else {}
            metrics = artifact.summary.get("metrics")
            if isinstance(metrics, dict):
                found |= {
                    name: _figure(value) for name, value in metrics.items() if _is_number(value)
                }
        return found

    def _batch(
        self,
        run: str,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        at: float,
    ) -> None:
        """Log many values; the same ones again, at the same time, leave the server as it is."""
        from mlflow.entities import Metric, Param, RunTag

        entries: dict[str, list[Any]] = {
            "metrics": [Metric(k, v, _millis(at), 0) for k, v in _named(metrics).items()],
            "params": [Param(k, v[:_LONGEST]) for k, v in _named(params).items()],
            "tags": [RunTag(k, v[:_LONGEST_TAG]) for k, v in _named(tags).items()],
        }
        for kind, values in entries.items():
            for start in range(0, len(values), _AT_ONCE):
                self.client.log_batch(run, **{kind: values[start : start + _AT_ONCE]})

    def _log_model(self, told: MlflowRun, step: str, artifact: Artifact) -> None:
        path = _name(step)
        if not told.known:
            bundle = Bundle.open(self.log.files(artifact.digest))
            with tempfile.TemporaryDirectory() as folder:
                described = json.dumps(mlmodel(bundle, told.run, path), indent=2)
                (Path(folder) / "MLmodel").write_text(described)
                self._upload(told.run, Path(folder), path)
            self._upload(told.run, bundle.folder, f"{path}/bundle")
        for known in Registry(self.log.project).versions_of(artifact.digest):
            self._register(told, known.model, known.version, path, artifact)

    def _register(
        self, told: MlflowRun, model: str, version: int, path: str, artifact: Artifact
    ) -> None:
        with self._taking_a_no(told, model):
            self._create_model(model)
            number = self._version(told.run, model, version, path, artifact)
            told.models[model] = number
            for alias in _aliases(Registry(self.log.project), model, version):
                with self._taking_a_no(told, f"{model}@{alias}"):
                    self.client.set_registered_model_alias(model, alias, number)
                    told.aliases.append(f"{model}@{alias}")

    def _create_model(self, model: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _version(self, run: str, model: str, version: int, path: str, artifact: Artifact) -> str:
        """Return the number there of a version, which is made if need be."""
        # Asked for by digest: a name may hold what MLflow's searches cannot have in a text.
        same = f"tags.`gristmill.artifact` = '{artifact.digest}'"
        for known in self.client.search_model_versions(same):
            if known.name == model:
                return str(known.version)
        source = f"{self.client.get_run(run).info.artifact_uri}/{path}"
        tags = {"gristmill.artifact": artifact.digest, "gristmill.version": str(version)}
        tags["gristmill.fingerprint"] = str(artifact.summary.get("fingerprint"))
        made = self.client.create_model_version(model, source, run, tags, await_creation_for=0)
        return str(made.version)

    @contextmanager
    def _taking_a_no(self, told: MlflowRun, name: str) -> Iterator[None]:
        """Note down that the server does not allow a name, and go on."""
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            told.refused[name] = first_line(error)


def mlmodel(bundle: Bundle, run: str, path: str) -> dict[str, Any]:
    """Return what MLflow's file `MLmodel` says of a bundle, its signature with it.

    MLflow does not run the model: `gristmill serve` and `gristmill predict` do, from `bundle/`.
    """
    manifest = bundle.manifest
    return {
        "artifact_path": path,
        "run_id": run,
        "flavors": {
            "gristmill": {
                "bundle": "bundle",
                "fingerprint": bundle.fingerprint,
                "format": manifest.format,
                "name": manifest.name,
                "task": manifest.task,
                "classes": manifest.classes,
                "environment": manifest.environment,
            }
        },
        "signature": {
            "inputs": json.dumps(schema_of(manifest.signature.inputs)),
            "outputs": json.dumps(schema_of(manifest.signature.outputs)),
        },
        "metadata": {"lineage": manifest.lineage, "metrics": manifest.metrics},
    }


def schema_of(fields: Sequence[Field]) -> list[dict[str, Any]]:
    """Return fields as MLflow's schema: all of them tensors, or all columns."""
    if all(each.kind not in _TYPES for each in fields):
        return [
            {
                "type": "tensor",
                "name": each.name,
                "tensor-spec": {"dtype": each.dtype or "uint8", "shape": [-1, *_sizes(each)]},
            }
            for each in fields
        ]
    return [{**_column(each), "name": each.name, "required": each.required} for each in fields]


def _column(field_: Field) -> dict[str, Any]:
    if field_.kind in _TYPES:
        return {"type": _TYPES[field_.kind]}
    whole = (field_.dtype or "uint8").lstrip("u").startswith("int")
    nested: dict[str, Any] = {"type": "long" if whole else "double"}
    for _ in _sizes(field_):
        nested = {"type": "array", "items": nested}
    return nested


def _sizes(field_: Field) -> list[int]:
    return [-1 if size is None else size for size in field_.shape or []]


def _aliases(registry: Registry, model: str, version: int) -> list[str]:
    return [alias for alias, live in registry.aliases(model).items() if live.version == version]


def _settings(execution: Execution) -> dict[str, str]:
    return {name: str(text) for name, text in execution.reach.get("shown", {}).items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _figure(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number beyond all floats
        return math.inf if value > 0 else -math.inf


def _named(values: Mapping[str, _Value]) -> dict[str, _Value]:
    """Return values by keys that MLflow takes; those that it would take for one stay apart."""
    named: dict[str, _Value] = {}
    for text, value in values.items():
        name = _name(text)
        if name in named:
            name = f"{name[: _LONGEST_NAME - 9]}_{fingerprint(text)[:8]}"
        named[name] = value
    return named


def _name(text: str) -> str:
    """Return a text as MLflow takes it for a key: a path that is the same when normalised."""
    name = _NOT_A_NAME.sub("_", text)[:_LONGEST_NAME]
    if name == posixpath.normpath(name) and not name.startswith(("/", "..")) and name != ".":
        return name
    return f"_{name.replace('/', '_')}"[:_LONGEST_NAME]


def _quoted(text: str) -> str:
    """Return a text as it may stand between single quotes in a search."""
    return text.replace("'", "_")


def _millis(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)
