"""A bundle behind Ray Serve answers as it does behind our own server."""

from __future__ import annotations

import builtins
import json
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.patience import patient
from tests.ports import reserved_port

from gristmill.core.errors import BundleError, UsageError
from gristmill.engine import open_engine
from gristmill.serve import ray_serve_app, running_server
from gristmill.store.bundle import Bundle

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

Ask = Callable[[str, object], tuple[int, Any]]

PLAIN = {"instances": [{"text": "win a prize"}, {"text": "hello mum"}]}
INFER = {
    "inputs": [{"name": "text", "datatype": "BYTES", "shape": [2], "data": ["win a prize", "ok"]}]
}


@pytest.fixture(scope="module")
def bundle(write_toy: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_toy(tmp_path_factory.mktemp("ray") / "bundle")


def asking(port: int) -> Ask:
    """Return what posts JSON to a port: ask(path, body) -> status and body."""

    def ask(path: str, body: object) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", port)
        headers = {"Content-Type": "application/json", "X-Request-Id": "asked"}
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    return ask


@pytest.fixture
def deployed(ray_cluster: Cluster, bundle: Bundle) -> Iterator[Ask]:
    """The bundle behind Ray Serve under `/spam`."""
    serve = pytest.importorskip("ray.serve", reason="needs Ray Serve: pip install 'ray[serve]'")
    with reserved_port() as port, open_engine(f"ray:{ray_cluster.address}"):
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        try:
            app = ray_serve_app(bundle, limits=patient(), ray_actor_options={"num_cpus": 0.5})
            serve.run(app, name="spam", route_prefix="/spam")
            yield asking(port)
        finally:
            serve.shutdown()


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
def test_answers_are_those_of_our_server(deployed: Ask, bundle: Bundle) -> None:
    with running_server(bundle.folder, limits=patient()) as server:
        ours = asking(int(server.url.rpartition(":")[2]))
        for path, body in (
            ("/v1/predict", PLAIN),
            ("/v2/models/toy/infer", INFER),
            ("/v1/predict", {"instances": [{"text": 1}]}),
            ("/v2/models/other/infer", INFER),
        ):
            assert deployed(f"/spam{path}", body) == ours(path, body)


def test_what_is_no_bundle_is_refused_before_it_is_deployed(tmp_path: Path) -> None:
    pytest.importorskip("ray.serve", reason="needs Ray Serve: pip install 'ray[serve]'")
    with pytest.raises(BundleError, match="expected the folder of a bundle"):
        ray_serve_app(tmp_path / "none")


def test_without_ray_serve_the_message_says_what_to_install(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def absent(name: str, *arguments: Any) -> Any:
        if name == "ray":
            raise ImportError("No module named 'ray'")
        return real(name, *arguments)

    monkeypatch.delitem(sys.modules, "ray.serve", raising=False)
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(UsageError, match="Ray Serve cannot be loaded") as caught:
        ray_serve_app(bundle.folder)
    assert caught.value.fix == "pip install 'ray[serve]'"
