import asyncio
import io
import json
import logging

import httpx2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.serve.protocol import Limits
from gristmill.serve.protocols.served import Served
from gristmill.serve.refusal import Refusal
from gristmill.serve.server.app import App
from gristmill.serve.server.tokens import Tokens

ONE = {"instances": [{"text": "abc"}]}
MODEL = "/v2/models/parity"
VERSION = "0123456789abcdef0123456789abcdef"
TEXT = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["abc"]}
TOKEN = "a-token-of-some-length"
JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
NEAR_RECORD = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("text", "count", "x", "signal", "picture"), JSON_VALUE)
)
BODY = (
    st.binary(max_size=90)
    | JSON_VALUE.map(json.dumps).map(str.encode)
    | st.lists(NEAR_RECORD, max_size=4).map(lambda rows: json.dumps({"instances": rows}).encode())
    | st.integers(0, 40).map(lambda count: np.zeros(count, "<f4").tobytes())
)
PATHS = [
    "/v1/predict",
    *(f"/v1/models/{name}/predict" for name in ("vector", "ragged", "image")),
    *(f"/v2/models/{name}/infer" for name in ("parity", "vector", "ragged", "image")),
    "/v1/feedback",
    "/v2/repository/index",
]
KINDS = [
    "application/json",
    "text/csv",
    "text/csv; header=absent",
    "application/octet-stream",
    "application/x-npy",
    "text/plain",
]


def test_predicts_a_batch_and_a_single_record(ask, app):
    batch = ask(app, "POST", "/v1/predict", json={"instances": [{"text": "abc"}, {"text": "ab"}]})
    assert batch.status_code == 200
    assert [row["label"] for row in batch.json()["predictions"]] == ["odd", "even"]
    single = ask(app, "POST", "/v1/models/parity/predict", json={"text": "abc", "count": 1})
    assert [row["label"] for row in single.json()["predictions"]] == ["even"]
    assert ask(app, "POST", "/v1/predict", json={"instances": []}).json()["predictions"] == []


def test_speaks_the_open_inference_protocol(ask, app):
    assert ask(app, "GET", "/v2").json()["name"] == "gristmill"
    assert ask(app, "GET", "/v2/health/live").json() == {"live": True}
    assert ask(app, "GET", "/v2/health/ready").json() == {"ready": True}
    for base in (MODEL, f"{MODEL}/versions/{VERSION}"):
        assert ask(app, "GET", base).json()["versions"] == [VERSION]
        assert ask(app, "GET", f"{base}/ready").json() == {"name": "parity", "ready": True}
        assert ask(app, "GET", f"{base}/config").json()["name"] == "parity"
        answer = ask(app, "POST", f"{base}/infer", json={"inputs": [TEXT]}).json()
        assert answer["outputs"][0]["data"] == ["odd"]
    (entry,) = ask(app, "POST", "/v2/repository/index").json()
    assert (entry["name"], entry["state"]) == ("parity", "READY")
    assert ask(app, "POST", "/v2/repository/index", json={"ready": 3}).status_code == 400


def test_many_models_behind_one_server(ask, make_app):
    app = make_app(others=["vector", "ragged"])
    row = {"instances": [{"x": [1, 2, 3, 4]}]}
    (found,) = ask(app, "POST", "/v1/models/vector/predict", json=row).json()["predictions"]
    assert found["sums"] == [10.0, 30.0]
    assert ask(app, "POST", "/v1/predict", json=ONE).status_code == 200
    names = [each["name"] for each in ask(app, "GET", "/v1/models").json()["models"]]
    assert names == ["parity", "vector", "ragged"]
    assert len(ask(app, "POST", "/v2/repository/index").json()) == 3


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/x-npy", "text/csv"])
def test_tensors_in_and_out_in_one_form(ask, make_app, kind):
    app = make_app(others=["vector"])
    array = np.arange(8, dtype="<f4").reshape(2, 4)
    file = io.BytesIO()
    np.save(file, array)
    bodies = {
        "application/octet-stream": array.tobytes(),
        "application/x-npy": file.getvalue(),
        "text/csv": b"0,1,2,3\n4,5,6,7\n",
    }
    answer = ask(
        app,
        "POST",
        "/v1/models/vector/predict",
        content=bodies[kind],
        headers={"Content-Type": kind, "Accept": kind},
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)
    assert answer.headers["x-gristmill-model"] == VERSION
    expected = [[6.0, 14.0], [22.0, 126.0]]
    if kind == "text/csv":
        lines = answer.text.split()
        assert [line.split(",")[1:] for line in lines] == [
            ["sums.0", "sums.1"],
            ["6.0", "14.0"],
            ["22.0", "126.0"],
        ]
    elif kind == "application/x-npy":
        assert np.load(io.BytesIO(answer.content)).tolist() == expected
    else:
        assert answer.headers["x-gristmill-shape"] == "2,2"
        assert answer.headers["x-gristmill-datatype"] == "FP64"
        assert np.frombuffer(answer.content, "<f8").reshape(2, 2).tolist() == expected


def test_binary_tensors_both_ways(ask, make_app):
    array = np.arange(4, dtype="<f4")
    tensor = {
        "name": "x",
        "shape": [1, 4],
        "datatype": "FP32",
        "parameters": {"binary_data_size": 16},
    }
    text = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    answer = ask(
        make_app(others=["vector"]),
        "POST",
        "/v2/models/vector/infer",
        content=text + array.tobytes(),
        headers={"Inference-Header-Content-Length": str(len(text))},
    )
    length = int(answer.headers["inference-header-content-length"])
    assert answer.headers["content-type"] == "application/octet-stream"
    (output,) = json.loads(answer.content[:length])["outputs"]
    assert output["parameters"] == {"binary_data_size": 16}
    assert np.frombuffer(answer.content[length:], "<f8").tolist() == [6.0, 14.0]


def test_a_path_that_no_model_has_is_told(ask, make_app):
    app = make_app(others=["vector"])
    answer = ask(app, "POST", "/v1/models/nobody/predict", json=ONE)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_model")
    assert answer.json()["error"]["message"] == (
        "expected a path of model 'parity' or 'vector', found /v1/models/nobody/predict"
    )
    answer = ask(app, "GET", "/v2/models/vector/stats")
    assert (answer.status_code, answer.json()["error"]) == (
        404,
        "no such path: /v2/models/vector/stats; fix: see /openapi.json",
    )


def test_an_answer_that_cannot_be_had_in_the_form_wanted(ask, app):
    answer = ask(app, "POST", "/v1/predict", json=ONE, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (406, "not_acceptable")


def test_ids_are_echoed_or_made(ask, app, endpoint):
    made = ask(app, "POST", "/v1/predict", json=ONE)
    name = made.headers["x-request-id"]
    assert made.json()["predictions"][0]["id"] == f"p01234567-{name}-0"
    given_ = ask(app, "POST", "/v1/predict", json=ONE, headers={"X-Request-Id": "mine"})
    assert given_.headers["x-request-id"] == "mine"
    assert [call.request_id for call in endpoint.calls] == [name, "mine"]
    assert ask(app, "GET", "/nothing", headers={"X-Request-Id": "q"}).headers["x-request-id"] == "q"


def test_deadline_priority_user_and_default_reach_the_endpoint(ask, app, endpoint):
    headers = {
        "X-Gristmill-Deadline-Ms": "250",
        "X-Gristmill-Priority": "-3",
        "X-Gristmill-User": "Ada",
        "X-Gristmill-Default": "true",
    }
    ask(app, "POST", "/v1/predict", json=ONE)
    ask(app, "POST", "/v1/predict", json=ONE, headers=headers)
    plain, urgent = endpoint.calls
    assert (plain.priority, plain.user, plain.accept_default) == (0, "", False)
    assert (urgent.priority, urgent.user, urgent.accept_default) == (-3, "Ada", True)
    assert urgent.deadline < plain.deadline


def test_tritons_parameters_reach_the_endpoint(ask, app, endpoint):
    parameters = {"priority": 2, "timeout": 5_000_000}
    body = {"inputs": [TEXT], "parameters": parameters}
    assert ask(app, "POST", f"{MODEL}/infer", json=body).status_code == 200
    (call,) = endpoint.calls
    assert call.priority == 2
    for wrong in ({"priority": 99}, {"priority": "x"}, {"timeout": 1.5}):
        body = {"inputs": [TEXT], "parameters": wrong}
        assert ask(app, "POST", f"{MODEL}/infer", json=body).status_code == 400


def test_a_default_answer_is_marked(ask, app, endpoint):
    endpoint.degraded = True
    answer = ask(app, "POST", "/v1/predict", json=ONE)
    assert (answer.headers["x-gristmill-degraded"], answer.json()["degraded"]) == ("true", True)
    answer = ask(app, "POST", f"{MODEL}/infer", json={"inputs": [TEXT]})
    assert answer.headers["x-gristmill-degraded"] == "true"
    assert answer.json()["parameters"] == {"degraded": True}


def test_overload_is_refused_with_a_time_to_come_back(ask, app, endpoint):
    endpoint.refusal = Refusal(503, "overloaded", "too much", headers=[("Retry-After", "2")])
    for path, body in (("/v1/predict", ONE), (f"{MODEL}/infer", {"inputs": [TEXT]})):
        answer = ask(app, "POST", path, json=body)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json() == {"error": "too much"}


def test_only_those_with_a_token_are_answered(ask, make_app):
    app = make_app(tokens=Tokens([TOKEN]))
    for path in ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"):
        assert ask(app, "GET", path).status_code == 200
    page = ask(app, "GET", "/")
    assert "parity" not in page.text
    for path in ("/v1/models", "/openapi.json", "/metrics", MODEL):
        assert ask(app, "GET", path).status_code == 401
    refused = ask(app, "POST", "/v1/predict", json=ONE, headers={"Authorization": "Bearer x"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthorized")
    assert refused.headers["www-authenticate"] == 'Bearer realm="gristmill"'
    headers = {"Authorization": f"bearer {TOKEN}"}
    assert ask(app, "POST", "/v1/predict", json=ONE, headers=headers).status_code == 200


def test_the_page_loads_nothing_from_elsewhere(ask, app):
    answer = ask(app, "GET", "/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "<title>parity" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "unknown_path"),
        ("GET", "/v1/predict/", 404, "unknown_path"),
        ("GET", "/v1/predict", 405, "wrong_method"),
        ("DELETE", "/", 405, "wrong_method"),
    ],
)
def test_wrong_paths_and_methods(ask, app, method, path, status, code):
    answer = ask(app, method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_wrong_method_is_told_the_right_ones(ask, app):
    assert ask(app, "GET", "/v1/predict").headers["allow"] == "POST"
    assert ask(app, "POST", "/metrics").headers["allow"] == "GET, HEAD"
    assert ask(app, "HEAD", "/metrics").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/other",
        f"{MODEL}/versions/1/infer",
        f"{MODEL}/versions/{VERSION}/versions/{VERSION}",
        f"{MODEL}/../x",
        "/v2/models/..%2f..%2fetc%2fpasswd",
        "/v1/models/parity%00/predict",
        "/v2/models//infer",
        "/v2/models/parity%2Finfer%2F",
    ],
)
def test_path_tricks_find_nothing(ask, app, path):
    answer = ask(app, "POST", path, json={})
    assert answer.status_code in (404, 405)
    assert "error" in answer.json()


@pytest.mark.parametrize("name", ["", "a/b", "..", ".", "a?b", "a\nb", "a\\b"])
def test_names_that_no_path_can_hold(endpoint, name):
    endpoint.name = name
    with pytest.raises(UsageError) as caught:
        App([Served(endpoint, Limits())])
    assert caught.value.message == f"{name!r} cannot be part of a path"


def test_two_models_of_one_name(endpoint):
    with pytest.raises(UsageError) as caught:
        App([Served(endpoint, Limits())] * 2)
    assert caught.value.message == "two models have the name 'parity'"
    with pytest.raises(UsageError):
        App([])


def test_bad_records_refuse_the_whole_request_and_are_all_named(ask, app, endpoint):
    rows = [{"text": "good"}, {"text": 4}, {}, {"text": "x", "count": "many"}]
    answer = ask(app, "POST", "/v1/predict", json={"instances": rows})
    assert answer.status_code == 422
    found = [(each["index"], each["field"]) for each in answer.json()["error"]["details"]]
    assert found == [(1, "text"), (2, "text"), (3, "count")]
    assert endpoint.calls == []


def test_bodies_that_are_wrong(make_app, ask):
    app = make_app(Limits(max_body=100, max_instances=2))

    def status(**request):
        answer = ask(app, "POST", "/v1/predict", **request)
        return answer.status_code, answer.json()["error"]["code"]

    assert status(content=b'{"a"') == (400, "malformed_json")
    assert status(json=[]) == (400, "wrong_form")
    plain = {"Content-Type": "text/plain"}
    assert status(content=b"x", headers=plain) == (415, "wrong_content_type")
    brotli = {"Content-Encoding": "br"}
    assert status(content=b"x", headers=brotli) == (415, "wrong_content_encoding")
    assert status(content=b"x" * 101) == (413, "body_too_large")
    assert status(json={"instances": [1, 2, 3]}) == (413, "too_many_instances")
    assert status(json={"text": "nan"}) == (422, "bad_records")
    late = {"X-Gristmill-Deadline-Ms": "never"}
    assert status(json=ONE, headers=late) == (400, "bad_header")
    name = {"X-Request-Id": "a b"}
    assert status(json=ONE, headers=name) == (400, "bad_header")


def test_a_failure_inside_is_told_by_its_id_and_logged_under_it(ask, app, caplog):
    with caplog.at_level(logging.ERROR, logger="gristmill.serve"):
        answer = ask(app, "POST", "/v1/predict", json={"text": "boom"})
    assert answer.status_code == 500
    error = answer.json()["error"]
    name = error["message"].split()[-1]
    assert error == {
        "code": "internal",
        "message": f"the server failed on this request; its log has the reason under {name}",
    }
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert f"error {name}: POST /v1/predict" in caplog.text
    assert "the secret inside" in caplog.text


def test_a_stopping_server_is_not_ready(ask, app):
    asyncio.run(app.close())
    assert ask(app, "GET", "/healthz").status_code == 200
    for path in ("/readyz", "/v2/health/ready", f"{MODEL}/ready"):
        assert ask(app, "GET", path).status_code == 503


def test_a_model_behind_a_route_does_not_decide_whether_the_server_is_ready(ask, make_app):
    app = make_app(others=["vector"])
    vector = app.models["vector"]
    vector.endpoint.ready, vector.endpoint.problems = False, ("replica 0 cannot be started: no",)
    said = {"ready": False, "problems": ["replica 0 cannot be started: no"]}
    assert ask(app, "GET", "/readyz").json() == said
    assert ask(app, "GET", "/v2/models/vector/ready").status_code == 503
    vector.decides = False
    assert ask(app, "GET", "/readyz").json() == said | {"ready": True}


def test_metrics_count_routes_and_not_paths(ask, app):
    for path in ("/a", "/b", MODEL):
        ask(app, "GET", path)
    lines = ask(app, "GET", "/metrics").text.splitlines()
    assert 'gristmill_requests_total{route="other",status="404"} 2' in lines
    counted = 'gristmill_requests_total{route="/v2/models/{name}",model="parity",status="200"} 1'
    assert counted in lines


def test_an_endpoints_own_figures_are_among_the_metrics(endpoint, ask):
    from gristmill.serve.watch.metrics import Sample

    endpoint.samples = lambda: [Sample("gristmill_own", "gauge", "Own.", {}, 7)]
    assert "gristmill_own 7" in ask(App([Served(endpoint, Limits())]), "GET", "/metrics").text


def test_nobody_learns_from_feedback_by_default(ask, app):
    body = {"feedback": [{"prediction_id": "p-0", "loss": 1.0}]}
    answer = ask(app, "POST", "/v1/feedback", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_feedback")


def test_the_lifespan_ends_by_closing_the_models(app, endpoint):
    messages, sent, closed = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}], [], []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message["type"])

    async def close():
        closed.append(True)

    endpoint.close = close
    asyncio.run(app({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert closed == [True]


def test_a_client_that_leaves_gets_nothing(app):
    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/predict", "headers": []}
    asyncio.run(app(scope, receive, send))
    assert sent == []


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner() as runner:
        yield runner


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    BODY,
    st.sampled_from(PATHS),
    st.sampled_from(KINDS),
    st.sampled_from(["*/*", "text/csv", "application/octet-stream", "application/x-npy"]),
    st.sampled_from([None, "0", "7", "x"]),
)
def test_no_body_makes_the_server_fail(loop, make_app, body, path, kind, accept, length):
    app = make_app(others=["vector", "ragged", "image"])
    headers = {"Content-Type": kind, "Accept": accept}
    if length is not None:
        headers["Inference-Header-Content-Length"] = length

    async def send():
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post(path, content=body, headers=headers)

    answer = loop.run(send())
    assert answer.status_code in (200, 400, 404, 406, 413, 415, 422)
    if answer.status_code != 200 or answer.headers["content-type"] == "application/json":
        json.loads(answer.text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
