"""A run in a real MLflow server, by a real client; skipped where MLflow is not installed."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gristmill.core.errors import GristmillError
from gristmill.store.bundle import Bundle, Field
from gristmill.store.project import Project
from gristmill.store.registry import Registry
from gristmill.store.runs import RunLog

INSTALLED = importlib.util.find_spec("mlflow") is not None
pytestmark = [
    pytest.mark.mlflow,
    pytest.mark.xdist_group("mlflow"),
    pytest.mark.skipif(not INSTALLED, reason="MLflow is not installed: make engines"),
]
PIPELINE = """
from pathlib import Path
from gristmill import step
from gristmill.store.bundle import Bundle

@step
def rows(count: int = 3) -> list[int]:
    print("counting")
    return list(range(count))

@step
def train(rows: list[int], path: Path = Path("spam")) -> Bundle:
    return Bundle.open(path)

@step
def fails(rows: list[int]):
    raise ValueError("it's no good")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an MLflow server with a database and artifacts of its own."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1"]
    words += ["--artifacts-destination", str(folder / "artifacts"), "--port", str(port)]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *words],
            cwd=folder,
            env=os.environ | quiet,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 240
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the MLflow server did not start:\n{log.read_text(errors='replace')[-3000:]}")


@pytest.fixture
def ran(user: Any, spam_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunLog]:
    """A project with a run: a bundle, registered and promoted, and a step that failed."""
    monkeypatch.chdir(user.root)
    (user.root / "spam").symlink_to(spam_bundle.folder)
    (user.root / "gristmill.toml").write_text(f'name = "{user.root.parent.name}"\n')
    result = user.write(pipeline=PIPELINE).run(settings={"rows": {"count": 4}})
    with Project(user.root) as project:
        registry = Registry(project)
        registry.register("spam", result.executions["train"].output)
        for alias in ("champion", "v1"):  # MLflow keeps the second kind for itself
            registry.decide("spam", 1, "promote", ["first"], alias=alias)
        yield RunLog(project)


def test_a_run_its_steps_its_model_and_its_aliases_are_there_and_once(
    ran: RunLog, server: str, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    from gristmill.pipeline.provenance.mlflow_run import export_to_mlflow

    record = ran.run("last")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "index.html").write_text("page")
    first = export_to_mlflow(ran, record, server, files=tmp_path / "files")
    assert not first.known
    again = export_to_mlflow(ran, record, server, files=tmp_path / "files")
    assert (again.run, again.known) == (first.run, True)
    assert again.models == first.models == {"spam": "1"}
    assert again.aliases == first.aliases == ["spam@champion"]
    assert set(first.refused) == {"spam@v1"}

    client = MlflowClient(server)
    runs = client.search_runs([first.experiment])
    named = {each.info.run_name: each for each in runs}
    assert set(named) == {record.id, "rows", "train", "fails"}
    assert len(runs) == 4
    top = named[record.id]
    assert top.info.status == "FAILED"
    assert top.data.params["rows.count"] == "4"
    assert top.data.metrics["rows.rows"] == 4
    executions = {each.step: each for each in ran.of_run(record.id)}
    assert top.data.tags["gristmill.artifact.train"] == executions["train"].output
    for name, status in (("rows", "FINISHED"), ("train", "FINISHED"), ("fails", "FAILED")):
        assert named[name].info.status == status
        assert named[name].data.tags["mlflow.parentRunId"] == first.run
        assert named[name].data.tags["gristmill.key"] == executions[name].key
    assert "it's no good" in named["fails"].data.tags["gristmill.message"]
    assert len(client.search_model_versions("name = 'spam'")) == 1
    live = client.get_model_version_by_alias("spam", "champion")
    assert live.tags["gristmill.artifact"] == executions["train"].output


def test_the_model_comes_back_whole_with_its_signature(
    ran: RunLog, server: str, tmp_path: Path, spam_bundle: Bundle
) -> None:
    from mlflow import MlflowClient

    from gristmill.pipeline.provenance.mlflow_run import export_to_mlflow

    logged = export_to_mlflow(ran, ran.run("last"), server)
    place = MlflowClient(server).download_artifacts(logged.run, "train", str(tmp_path))
    assert Bundle.open(Path(place) / "bundle").fingerprint == spam_bundle.fingerprint
    described = json.loads((Path(place) / "MLmodel").read_bytes())
    assert described["flavors"]["gristmill"]["fingerprint"] == spam_bundle.fingerprint
    models = pytest.importorskip("mlflow.models")  # it needs pandas
    signature = models.Model.load(str(Path(place) / "MLmodel")).signature
    assert signature.inputs.input_names() == [
        each.name for each in spam_bundle.manifest.signature.inputs
    ]
    assert signature.outputs.input_names() == [
        each.name for each in spam_bundle.manifest.signature.outputs
    ]


def test_an_export_that_was_broken_off_goes_on_where_it_was(
    ran: RunLog, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    from gristmill.pipeline.provenance import mlflow_run

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    record = ran.run("last")
    with monkeypatch.context() as patch:
        patch.setattr(mlflow_run._Export, "_log_model", broken)
        with pytest.raises(KeyboardInterrupt):
            mlflow_run.export_to_mlflow(ran, record, server)
    logged = mlflow_run.export_to_mlflow(ran, record, server)
    assert not logged.known
    assert set(logged.models) == {"spam"}
    client = MlflowClient(server)
    assert len(client.search_runs([logged.experiment])) == 4
    assert client.get_run(logged.run).info.status == "FAILED"
    assert mlflow_run.export_to_mlflow(ran, record, server).known


def test_a_server_that_is_not_there_is_an_error_in_words(
    ran: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gristmill.pipeline.provenance.mlflow_run import export_to_mlflow

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(GristmillError, match="cannot be used"):
            export_to_mlflow(ran, ran.run("last"), address)


@pytest.mark.parametrize(
    ("fields", "types"),
    [
        ([Field("x", "tensor", dtype="float32", shape=[3])], ["tensor"]),
        ([Field("x", "image", shape=[2, 2, 3]), Field("n", "int")], ["array", "long"]),
        (
            [Field("s", "string"), Field("b", "bool"), Field("f", "float")],
            ["string", "boolean", "double"],
        ),
    ],
)
def test_every_kind_of_field_has_a_type_in_mlflow(fields: list[Field], types: list[str]) -> None:
    from gristmill.pipeline.provenance.mlflow_run import schema_of

    spec = schema_of(fields)
    assert [each["type"] for each in spec] == types
    schema = pytest.importorskip("mlflow.types").Schema.from_json(json.dumps(spec))
    assert schema.input_names() == [each.name for each in fields]
