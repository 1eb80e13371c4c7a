"""`gristmill serve serving.toml`, as its user runs it: every kind of route, over real HTTP."""

import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import msgspec
import pytest
from tests.patience import patient

from gristmill.cli.main import run
from gristmill.core.errors import ServeError
from gristmill.serve.client import Client
from gristmill.serve.refusal import Refusal
from gristmill.serve.selection.logged_outcomes import logged_data
from gristmill.serve.server.process import running_server
from gristmill.store.bundle import Bundle
from gristmill.store.project import Project
from gristmill.store.registry import Registry
from gristmill.store.runs import RunLog

PROGRAM = "from gristmill.cli.main import main; main()"
LONG_SECONDS = 60.0
MORE = ["--port", "0", "--json", "--deadline", f"{LONG_SECONDS}s"]

PLAN = """
[models.ham]
bundle = "{twins}/ham"
[models.spam]
bundle = "{twins}/spam"
deadline = "50s"
[models.quiet]
bundle = "{twins}/spam"
hidden = true
[models.live]
registry = "mail"
project = "."
every = 0.02

[routes.best]
kind = "selection"
models = ["ham", "spam"]
policy = {{ name = "thompson", half_life = 50 }}
context = "user"
[routes.some]
kind = "canary"
models = ["ham", "quiet"]
share = 0.5
[routes.beside]
kind = "shadow"
models = ["ham", "spam"]
timeout = "60s"
[routes.all]
kind = "ensemble"
models = ["ham", "spam", "live"]
how = "vote"
at_least = 2
"""


@contextmanager
def command(folder, *options):
    """Run the command in a folder; yield its process and what it said once it was ready."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "serve", *options, *MORE],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            line = process.stdout.readline()
            yield process, json.loads(line) if line else process.stderr.read().decode()
        finally:
            process.kill()


@pytest.fixture(scope="module")
def folder(twins, tmp_path_factory):
    """A project with two registered versions of `mail`, the first one live, and the file."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "serving.toml").write_text(PLAN.format(twins=twins))
    with Project(folder) as project:
        for says in ("ham", "spam"):
            digest = RunLog(project).keep(Bundle.open(twins / says)).digest
            Registry(project).register("mail", digest)
    promote(folder, 1)
    return folder


def promote(folder, version):
    with Project(folder) as project:
        Registry(project).decide("mail", version, "promote", ["better"])


@pytest.fixture(scope="module")
def server(folder):
    with command(folder, "serving.toml", "--log-level", "error") as (process, ready):
        yield ready
        process.send_signal(signal.SIGINT)
        assert process.wait(LONG_SECONDS) == 0
        assert process.stderr.read() == b""


@pytest.fixture
def client(server):
    return Client(server["url"])


def send(client, path, body=None, **headers):
    """Return the JSON of an answer."""
    client._headers = headers
    data = None if body is None else msgspec.json.encode(body)
    return msgspec.json.decode(client.request("GET" if body is None else "POST", path, data))


def label(client, model, user="someone"):
    body = {"instances": [{"text": "hi"}]}
    answer = send(client, f"/v1/models/{model}/predict", body, **{"X-Gristmill-User": user})
    return answer["predictions"][0]["label"]


def until(condition):
    end = time.monotonic() + LONG_SECONDS
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def test_it_says_what_it_serves(server, client):
    assert [(each["name"], each["kind"], each["says"]) for each in server["routes"]] == [
        ("best", "selection", "selection: thompson over ham, spam"),
        ("some", "canary", "canary: 50% of users to quiet, else ham"),
        ("beside", "shadow", "shadow: ham, spam beside"),
        ("all", "ensemble", "ensemble: vote of ham, spam, live"),
    ]
    assert [each["name"] for each in server["models"]] == ["ham", "spam", "live"]
    assert [each["version"] for each in server["models"]] == ["", "", "v1"]
    listed = send(client, "/v1/models")["models"]
    names = ["best", "some", "beside", "all", "ham", "spam", "live"]
    assert [each["name"] for each in listed] == names
    assert listed[0]["route"]["kind"] == "selection"
    assert listed[6]["route"]["version"] == "v1"
    paths = send(client, "/openapi.json")["paths"]
    summary = paths["/v1/models/some/predict"]["post"]["summary"]
    assert summary == "Predict with some (canary: 50% of users to quiet, else ham)"
    index = msgspec.json.decode(client.request("POST", "/v2/repository/index", b""))
    assert [each["name"] for each in index] == names
    assert send(client, "/readyz") == {"ready": True}
    page = client.request("GET", "/").decode()
    assert "canary: 50% of users to quiet, else ham" in page
    with pytest.raises(Refusal, match="expected a path of model"):
        label(client, "quiet")


def test_a_canary_is_the_same_for_the_same_user(client):
    said = [label(client, "some", f"user{number}") for number in range(30)]
    assert said == [label(client, "some", f"user{number}") for number in range(30)]
    assert set(said) == {"ham", "spam"}


def test_a_shadow_only_counts(client):
    assert {label(client, "beside") for _ in range(3)} == {"ham"}
    wanted = 'gristmill_shadow_total{route="beside",shadow="spam",result="different"} 3'
    until(lambda: wanted in client.request("GET", "/metrics").decode())


def test_an_ensemble_says_how_far_its_members_agree(client):
    answer = send(client, "/v1/models/all/predict", {"instances": [{"text": "hi"}]})
    assert answer["predictions"][0]["label"] == "ham"
    assert answer["predictions"][0]["agreement"] == pytest.approx(2 / 3)
    assert len(answer["members"]) == 3


def test_a_selection_learns_of_each_user_what_feedback_says(client):
    for _ in range(40):
        for user, truth in (("anna", "ham"), ("ben", "spam")):
            body = {"instances": [{"text": "hi"}]}
            answer = send(client, "/v1/predict", body, **{"X-Gristmill-User": user})
            piece = {"prediction_id": answer["predictions"][0]["id"], "label": truth}
            wrong = {"feedback": [piece | {"label": truth.upper()}]}
            assert send(client, "/v1/feedback", wrong)["counts"] == {"invalid": 1}
            assert send(client, "/v1/feedback", {"feedback": [piece]})["counts"] == {"joined": 1}
    for user, truth in (("anna", "ham"), ("ben", "spam")):
        said = [label(client, "best", user) for _ in range(20)]
        assert said.count(truth) >= 15
    told = {each.id: "ham" for each in client.predict([{"text": "hi"}], model="best")}
    assert client.tell("best", told, who="anna") == {"joined": 1}


def test_no_figure_is_told_twice(client):
    lines = client.request("GET", "/metrics").decode().splitlines()
    series = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    assert len(series) == len(set(series))
    for model in ("ham", "spam", "quiet", "live"):
        assert f'gristmill_batches_total{{model="{model}"}}' in series


def test_promoted_under_load_without_one_failed_request(client, folder):
    said, errors, stop = [], [], threading.Event()

    def load():
        mine = Client(client.url)
        while not stop.is_set():
            try:
                said.append(label(mine, "live"))
            except ServeError as error:
                errors.append(error)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for version, label_ in ((2, "spam"), (1, "ham"), (2, "spam"), (1, "ham")):
            promote(folder, version)
            before = len(said)
            until(lambda at=before, it=label_: it in said[at:] and len(said) > at + 20)
    finally:
        stop.set()
        for thread in threads:
            thread.join(LONG_SECONDS)
    assert errors == []
    assert until(lambda: label(client, "live") == "ham")
    page = client.request("GET", "/metrics").decode()
    assert 'gristmill_route_version_info{route="live",version="v1"} 1' in page
    assert 'gristmill_route_swaps_total{route="live"} 4' in page


def test_a_second_server_on_the_folder_is_refused(server, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert run(["serve", "serving.toml", "--port", "0"]) == 10
    said = capsys.readouterr().err
    assert f"error: serving: another server uses this folder: process {server['pid']} on" in said
    assert "Traceback" not in said


def test_killed_it_goes_on_where_it_was(twins, tmp_path):
    (tmp_path / "s.toml").write_text(
        f"""
        [models.ham]
        bundle = "{twins}/ham"
        [models.spam]
        bundle = "{twins}/spam"
        [routes.best]
        kind = "selection"
        models = ["ham", "spam"]
        policy = {{ name = "epsilon_greedy", epsilon = 0.2 }}
        """
    )

    def probabilities(client):
        page = client.request("GET", "/metrics").decode().splitlines()
        return [line for line in page if line.startswith("gristmill_selection_probability{")]

    with command(tmp_path, "s.toml") as (process, ready):
        client = Client(ready["url"])
        body = {"instances": [{"text": "hi"}] * 2}
        ids = []
        for _ in range(10):
            made = send(client, "/v1/predict", body)["predictions"]
            ids += [each["id"] for each in made]
            pieces = [{"prediction_id": made[0]["id"], "label": "spam"}]
            assert send(client, "/v1/feedback", {"feedback": pieces})["counts"] == {"joined": 1}
        before = probabilities(client)
        process.send_signal(signal.SIGKILL)
        process.wait(LONG_SECONDS)
    assert len(logged_data(tmp_path / "serving" / "routes" / "best").outcomes) == 10
    with running_server(tmp_path / "s.toml", limits=patient()) as server:
        client = server.client
        assert probabilities(client) == before
        pieces = [{"prediction_id": name, "label": "spam"} for name in ids]
        counts = send(client, "/v1/feedback", {"feedback": pieces})["counts"]
        assert counts == {"repeated": 10, "joined": 10}


def test_a_mistake_in_the_file_is_told_before_anything_is_opened(tmp_path, capsys):
    (tmp_path / "s.toml").write_text("[models.a]\nbundel = 'x'")
    assert run(["serve", str(tmp_path / "s.toml")]) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path / 's.toml'}, [models.a]: unknown key 'bundel'\n"
        "  fix: did you mean 'bundle'?\n"
    )
