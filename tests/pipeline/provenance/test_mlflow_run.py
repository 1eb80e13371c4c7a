"""A run in a real MLflow server, by a real client; skipped where MLflow is not installed."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from msgspec.structs import replace
from tests.ports import reserved_port

from gristmill.core.errors import GristmillError
from gristmill.store.bundle import Bundle, Field
from gristmill.store.project import Project
from gristmill.store.registry import Registry
from gristmill.store.runs import Artifact, RunLog

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
    held = ExitStack()
    port = held.enter_context(reserved_port())
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
        with held:
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


def test_a_model_whose_name_has_quotes_is_registered_once(ran: RunLog, server: str) -> None:
    from gristmill.pipeline.provenance.mlflow_run import export_to_mlflow

    registry = Registry(ran.project)
    artifact = registry.version("spam", 1).artifact
    for model in ("modèle d'été", "a/b"):  # MLflow allows no slash
        registry.register(model, artifact)
        registry.decide(model, 1, "promote", ["first"])
    first = export_to_mlflow(ran, ran.run("last"), server)
    assert first.models == export_to_mlflow(ran, ran.run("last"), server).models
    assert first.models["modèle d'été"] == "1"
    assert "a/b" not in first.models
    assert "a/b" in first.refused


def test_an_experiment_that_was_deleted_is_said(ran: RunLog, server: str) -> None:
    from mlflow import MlflowClient

    from gristmill.pipeline.provenance.mlflow_run import export_to_mlflow

    client = MlflowClient(server)
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(GristmillError, match="'gone' has been deleted there") as told:
        export_to_mlflow(ran, ran.run("last"), server, experiment="gone")
    assert "--experiment" in str(told.value.fix)


def test_what_the_server_refuses_is_said(ran: RunLog, server: str) -> None:
    from gristmill.pipeline.provenance.mlflow_run import export_to_mlflow

    with pytest.raises(GristmillError, match="refuses: INVALID_PARAMETER_VALUE"):
        export_to_mlflow(ran, ran.run("last"), server, experiment="x" * 600)


def test_figures_and_names_that_mlflow_does_not_take_are_there_all_the_same(
    ran: RunLog, server: str
) -> None:
    from mlflow import MlflowClient

    from gristmill.pipeline.provenance.mlflow_run import export_to_mlflow

    long = "n" * 300
    odd = {"f1@5": 1.0, "f1%5": 2.0, f"{long}1": 3.0, f"{long}2": 4.0, "": 5.0, "a//b": 6.0}
    numbers = {"nan": math.nan, "inf": math.inf, "huge": 10**400}
    artifact = Artifact("0" * 32, "odd", "json", 1, None, {"metrics": {**odd, **numbers}})
    ran.note(artifact)
    done = replace(ran.of_run(ran.run("last").id)[0], step="odd", key="k", output=artifact.digest)
    ran.record(done, "pipeline.py")
    logged = export_to_mlflow(ran, ran.run("last"), server)
    client = MlflowClient(server)
    named = {each.info.run_name: each for each in client.search_runs([logged.experiment])}
    metrics = named["odd"].data.metrics
    assert {1.0, 2.0, 3.0, 4.0, 5.0, 6.0} <= set(metrics.values())
    assert math.isnan(metrics["nan"])
    assert metrics["huge"] > 1e300


@pytest.fixture
def stranger() -> Iterator[Callable[[int, str], str]]:
    """Start servers that give the same answer to everything; return their addresses."""
    with ExitStack() as started:

        def start(code: int, body: str) -> str:
            class Same(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    self.send_response(code)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body.encode())

                def log_message(self, *_: object) -> None:
                    pass

            server = ThreadingHTTPServer(("127.0.0.1", 0), Same)
            thread = Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            started.callback(thread.join)
            started.callback(server.server_close)
            started.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield start


@pytest.mark.parametrize(
    ("code", "body", "said"),
    [
        (200, "<html>hello</html>", "this is no MLflow server"),
        (200, "{}", "this is no MLflow server"),
        (404, "nothing here", "this is no MLflow server: it answers 404: nothing here"),
        (401, "who are you", "does not let you in: it answers 401"),
        (503, "busy", "answers with errors only"),
    ],
)
def test_who_answers_but_is_no_mlflow_server_is_named_so(
    ran: RunLog, stranger: Callable[[int, str], str], code: int, body: str, said: str
) -> None:
    from gristmill.pipeline.provenance.mlflow_run import export_to_mlflow

    address = stranger(code, body)
    before = dict(os.environ)
    with pytest.raises(GristmillError, match=said) as told:
        export_to_mlflow(ran, ran.run("last"), address)
    assert (told.value.where, bool(told.value.fix)) == (address, True)
    assert dict(os.environ) == before


def test_a_server_that_is_not_there_and_one_that_does_not_answer(
    ran: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gristmill.pipeline.provenance.mlflow_run import export_to_mlflow

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(GristmillError, match="cannot be reached: Connection refused"):
            export_to_mlflow(ran, ran.run("last"), address)
        taken.listen()
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        with pytest.raises(GristmillError, match="does not answer"):
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
