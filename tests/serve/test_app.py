import asyncio
import json
import logging
import threading

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gristmill.serve.protocol import Limits

ONE = {"instances": [{"text": "abc"}]}
MODEL = "/v2/models/parity"
VERSION = "0123456789abcdef0123456789abcdef"
JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
NEAR_RECORD = st.fixed_dictionaries({}, optional={"text": JSON_VALUE, "count": JSON_VALUE})
NEAR_TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["text", "count", "x"]) | JSON_VALUE,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | JSON_VALUE,
        "datatype": st.sampled_from(["BYTES", "INT64", "UINT64", "FP32", "BOOL", "X"]),
        "data": st.lists(JSON_VALUE, max_size=3),
        "parameters": JSON_VALUE,
    },
)
BODY = (
    st.binary(max_size=60)
    | JSON_VALUE.map(json.dumps).map(str.encode)
    | st.lists(NEAR_RECORD, max_size=4).map(lambda rows: json.dumps({"instances": rows}).encode())
    | st.fixed_dictionaries({"inputs": st.lists(NEAR_TENSOR, max_size=3)})
    .map(json.dumps)
    .map(str.encode)
)


def test_predicts_a_batch_and_a_single_record(ask, app):
    batch = ask(app, "POST", "/v1/predict", json={"instances": [{"text": "abc"}, {"text": "ab"}]})
    assert batch.status_code == 200
    assert [row["label"] for row in batch.json()["predictions"]] == ["odd", "even"]
    single = ask(app, "POST", "/v1/predict", json={"text": "abc", "count": 1})
    assert [row["label"] for row in single.json()["predictions"]] == ["even"]
    assert ask(app, "POST", "/v1/predict", json={"instances": []}).json()["predictions"] == []


def test_speaks_the_open_inference_protocol(ask, app):
    assert ask(app, "GET", "/v2").json()["name"] == "gristmill"
    assert ask(app, "GET", "/v2/health/live").json() == {"live": True}
    assert ask(app, "GET", "/v2/health/ready").json() == {"ready": True}
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["abc"]}
    for base in (MODEL, f"{MODEL}/versions/{VERSION}"):
        assert ask(app, "GET", base).json()["versions"] == [VERSION]
        assert ask(app, "GET", f"{base}/ready").json() == {"name": "parity", "ready": True}
        answer = ask(app, "POST", f"{base}/infer", json={"inputs": [tensor]}).json()
        assert answer["outputs"][0]["data"] == ["odd"]


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
    ["/v2/models/other", f"{MODEL}/versions/1/infer", f"{MODEL}/../x", "/v2/models/..%2f..%2fetc"],
)
def test_an_unknown_model_or_version(ask, app, path):
    answer = ask(app, "POST", path, json={})
    assert answer.status_code == 404
    assert answer.json()["error"].startswith(
        f"expected a path of model 'parity', version {VERSION}, found /v2/models/"
    ) or answer.json()["error"].startswith("no such path: /v2/x")


def test_bad_records_refuse_the_whole_request_and_are_all_named(ask, app, runner):
    rows = [{"text": "good"}, {"text": 4}, {}, {"text": "x", "count": "many"}]
    answer = ask(app, "POST", "/v1/predict", json={"instances": rows})
    assert answer.status_code == 422
    assert answer.json()["error"]["details"] == [
        {"index": 1, "field": "text", "expected": "a string", "found": "4"},
        {"index": 2, "field": "text", "expected": "a string", "found": "nothing"},
        {"index": 3, "field": "count", "expected": "an int", "found": "'many'"},
    ]
    assert runner.batches == []


def test_bodies_that_are_wrong(make_app, ask):
    app = make_app(Limits(max_body=100, max_instances=2))

    def status(**request):
        answer = ask(app, "POST", "/v1/predict", **request)
        return answer.status_code, answer.json()["error"]["code"]

    assert status(content=b'{"a"') == (400, "malformed_json")
    assert status(json=[]) == (400, "wrong_form")
    assert status(content=b"x", headers={"Content-Type": "text/csv"}) == (415, "wrong_content_type")
    assert status(content=b"x" * 101) == (413, "body_too_large")
    assert status(json={"instances": [1, 2, 3]}) == (413, "too_many_instances")


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


def test_a_failure_spares_the_requests_of_the_same_batch(app):
    async def everything():
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            texts = ["abc", "boom", "abcd"]
            asked = (client.post("/v1/predict", json={"text": text}) for text in texts)
            return [answer.status_code for answer in await asyncio.gather(*asked)]

    assert asyncio.run(everything()) == [200, 500, 200]


def test_overload_is_refused_with_a_time_to_come_back(make_app, runner):
    app = make_app(Limits(max_queue=1, max_instances=1))
    entered, opened = threading.Event(), threading.Event()
    predict = runner.predict

    def slowly(frame):
        entered.set()
        opened.wait(10)
        return predict(frame)

    runner.predict = slowly

    async def everything():
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            first = asyncio.ensure_future(client.post("/v1/predict", json=ONE))
            async with asyncio.timeout(10):
                while not entered.is_set():
                    await asyncio.sleep(0.001)
                second = asyncio.ensure_future(client.post("/v1/predict", json=ONE))
                while not app.service.batcher.waiting:
                    await asyncio.sleep(0.001)
            third = await client.post("/v1/predict", json=ONE)
            opened.set()
            return await first, await second, third

    first, second, third = asyncio.run(everything())
    assert (first.status_code, second.status_code) == (200, 200)
    assert (third.status_code, third.headers["retry-after"]) == (503, "1")
    assert third.json()["error"]["code"] == "queue_full"


def test_a_stopping_server_is_not_ready(ask, app):
    asyncio.run(app.service.batcher.close())
    assert ask(app, "GET", "/v2/health/live").status_code == 200
    assert ask(app, "GET", "/v2/health/ready").status_code == 503
    assert ask(app, "GET", f"{MODEL}/ready").json() == {"name": "parity", "ready": False}
    assert ask(app, "POST", "/v1/predict", json=ONE).status_code == 503


def test_metrics_count_routes_and_not_paths(ask, app):
    for path in ("/a", "/b", MODEL):
        ask(app, "GET", path)
    ask(app, "POST", "/v1/predict", json=ONE)
    lines = ask(app, "GET", "/metrics").text.splitlines()
    assert 'gristmill_requests_total{route="other",status="404"} 2' in lines
    assert 'gristmill_requests_total{route="/v2/models/{name}",status="200"} 1' in lines
    assert "gristmill_batch_records_count 1" in lines


def test_the_lifespan_ends_by_closing_the_batcher(app):
    messages, sent = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}], []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message["type"])

    asyncio.run(app({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert app.service.batcher.closing


def test_a_client_that_leaves_gets_nothing(app):
    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/predict", "headers": []}
    asyncio.run(app(scope, receive, send))
    assert sent == []


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(BODY, st.sampled_from(["/v1/predict", f"{MODEL}/infer"]))
def test_no_body_makes_the_server_fail(ask, make_app, body, path):
    answer = ask(make_app(), "POST", path, content=body)
    assert answer.status_code in (200, 400, 413, 422)
    assert ("error" in answer.json()) == (answer.status_code != 200)
    json.loads(answer.text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
