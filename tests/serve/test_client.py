import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gristmill.core.errors import ServeError, UsageError
from gristmill.serve.client import Client, Prediction
from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.records import RecordError


class Canned(BaseHTTPRequestHandler):
    """Gives every request the answer that the test has put on the server, and keeps it."""

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.server.asked = (self.command, self.path, self.rfile.read(length), self.headers)
        status, headers, body = self.server.canned
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with HTTPServer(("127.0.0.1", 0), Canned) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        server.url = f"http://127.0.0.1:{server.server_port}"
        yield server
        server.shutdown()
        thread.join()


def can(server, value, status=200, **headers):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    server.canned = (status, headers, body)
    return Client(server.url + "/")


def test_predictions_come_back_typed(server):
    row = {"id": "p1", "label": "spam", "prob": 0.75, "probs": {"ham": 0.25, "spam": 0.75}}
    client = can(server, {"predictions": [row], "model": {}})
    assert client.predict([{"text": "hi"}]) == [
        Prediction("p1", "spam", 0.75, {"ham": 0.25, "spam": 0.75})
    ]
    method, path, body, headers = server.asked
    assert (method, path) == ("POST", "/v1/predict")
    assert json.loads(body) == {"instances": [{"text": "hi"}]}
    assert headers["Content-Type"] == "application/json"


def test_tensors_go_out_and_come_back_as_they_are(server):
    client = can(server, {"outputs": []})
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hi"]}
    assert client.infer_v2("my model", [tensor]) == {"outputs": []}
    assert server.asked[1] == "/v2/models/my%20model/infer"
    assert json.loads(server.asked[2]) == {"inputs": [tensor]}
    client.metadata("spam")
    assert server.asked[:3] == ("GET", "/v2/models/spam", b"")


def test_a_refusal_says_all_that_the_server_said(server):
    detail = {"index": 1, "field": "text", "expected": "a string", "found": "3"}
    error = {"code": "bad_records", "message": "one breaks", "fix": "mend", "details": [detail]}
    client = can(server, {"error": error}, 422)
    with pytest.raises(Refusal) as caught:
        client.predict([])
    refusal = caught.value
    assert (refusal.status, refusal.code) == (422, "bad_records")
    assert refusal.details == (RecordError(1, "text", "a string", "3"),)
    assert str(refusal) == (
        f"POST {server.url}/v1/predict: HTTP 422: one breaks\n  fix: mend\n"
        "  record 1: field 'text': expected a string, found 3"
    )


def test_a_refusal_of_the_other_protocol_and_the_time_to_come_back(server):
    client = can(server, {"error": "too busy"}, 503, **{"Retry-After": "3"})
    with pytest.raises(Refusal) as caught:
        client.infer_v2("spam", [])
    assert caught.value.message == "HTTP 503: too busy"
    assert caught.value.headers == (("Retry-After", "3"),)


def test_an_error_from_something_in_between(server):
    client = can(server, b"<html>no</html>", 502)
    with pytest.raises(Refusal) as caught:
        client.predict([])
    assert caught.value.message == "HTTP 502: Bad Gateway"


@pytest.mark.parametrize("body", [b"<html>", b'{"predictions": 3}', b"\xff"])
def test_an_answer_of_another_make(server, body):
    with pytest.raises(ServeError, match="the answer is not what a Gristmill server sends"):
        can(server, body).predict([])


def test_no_server(server):
    url = server.url
    server.server_close()
    with pytest.raises(ServeError) as caught:
        Client(url).predict([])
    assert caught.value.where == f"POST {url}/v1/predict"
    assert caught.value.message.startswith("no answer: ")


def test_a_proxy_of_the_environment_is_no_way_to_this_machine(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert can(server, {"ready": True}).request("GET", "/") == b'{"ready": true}'


@pytest.mark.parametrize("url", ["", "localhost:8000", "file:///etc/passwd", "http://"])
def test_only_urls_of_http_are_taken(url):
    with pytest.raises(UsageError, match="expected a URL such as"):
        Client(url)
