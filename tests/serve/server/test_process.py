"""A real server in a real process, over real sockets."""

import http.client
import shutil
import signal
import socket
import subprocess
import sys

import msgspec
import pytest
from tests.patience import patient

from gristmill.core.errors import BundleError, ServeError
from gristmill.serve.client import Client
from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.opening import open_runner
from gristmill.serve.runners.rows import Rows
from gristmill.serve.server.listener import listen
from gristmill.serve.server.process import Launch, Report, ServerProcess, running_server
from gristmill.serve.server.settings import Settings


@pytest.fixture(scope="module")
def server(spam_bundle):
    with running_server(spam_bundle.folder, limits=patient(max_body=20_000)) as server:
        yield server


def connect(url):
    return http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)


def refused(call):
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.status, caught.value.code


def test_answers_as_the_runner_does(server, spam_bundle):
    records = [{"text": text} for text in ("win a prize", "see you at lunch", "", "日本 £900")]
    expected = open_runner(spam_bundle)(Rows({"text": [each["text"] for each in records]}))
    answers = server.client.predict(records)
    assert [answer.label for answer in answers] == list(expected["label"])
    assert [answer.prob for answer in answers] == pytest.approx(expected["prob"].tolist())
    assert answers[0].id.startswith(f"p{spam_bundle.fingerprint[:8]}-")
    tensor = {"name": "text", "shape": [4], "datatype": "BYTES"}
    tensor["data"] = [record["text"] for record in records]
    label, _ = server.client.infer_v2("spam", [tensor])["outputs"]
    assert label["data"] == list(expected["label"])


def test_says_no_in_the_right_words(server):
    client = server.client
    predict = "/v1/predict"
    assert refused(lambda: client.predict([{"text": 3}])) == (422, "bad_records")
    assert refused(lambda: client.request("POST", predict, b"{")) == (400, "malformed_json")
    assert refused(lambda: client.request("POST", predict, b"a,b", "text/plain")) == (
        415,
        "wrong_content_type",
    )
    assert refused(lambda: client.request("POST", predict, b"x" * 900_000)) == (
        413,
        "body_too_large",
    )
    assert refused(lambda: client.request("GET", "/nothing")) == (404, "unknown_path")
    assert refused(lambda: client.request("GET", predict)) == (405, "wrong_method")
    assert refused(lambda: client.metadata("other"))[0] == 404


def test_a_body_without_a_length_is_cut_off_at_the_limit(server):
    connection = connect(server.url)
    parts = (b"x" * 5_000 for _ in range(20))
    connection.request("POST", "/v1/predict", parts, encode_chunked=True)
    answer = connection.getresponse()
    assert answer.status == 413
    assert b"body_too_large" in answer.read()
    connection.close()


def test_garbage_on_the_socket_does_not_stop_it(server):
    host, port = server.url.removeprefix("http://").split(":")
    for garbage in (
        b"\x00\xff\x00\xff\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost",
        b"POST / HTTP/9.9\r\n\r\n",
    ):
        with socket.create_connection((host, int(port)), timeout=60) as sock:
            sock.sendall(garbage)
    assert server.client.predict([{"text": "still here"}])


def test_the_answer_to_head_has_no_body(server):
    connection = connect(server.url)
    connection.request("HEAD", "/v2")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    connection.close()


def test_sigterm_answers_what_is_under_way_and_ends_with_0(spam_bundle):
    settings = Settings(limits=patient(), drain_seconds=60.0)
    server = ServerProcess.start(spam_bundle.folder, settings)
    try:
        connection = connect(server.url)
        body = b'{"text": "win a prize"}'
        connection.putrequest("POST", "/v1/predict")
        connection.putheader("Content-Length", str(len(body)))
        connection.putheader("Expect", "100-continue")
        connection.endheaders()
        # The server has the request in hand once it asks for the body.
        assert connection.sock.recv(12) == b"HTTP/1.1 100"
        server._process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            server._process.wait(0.5)
        connection.send(body)
        reply = b""
        while part := connection.sock.recv(4096):
            reply += part
        assert b"HTTP/1.1 200" in reply
        assert b'"predictions"' in reply
        assert server._process.wait(60) == 0
        assert server.stop() == 0
    finally:
        server.stop(0)


def test_the_block_ends_the_server(spam_bundle):
    with running_server(spam_bundle.folder, limits=patient()) as server:
        url = server.url
        assert server.client.predict([{"text": "hi"}])[0].label in ("ham", "spam")
    assert server.stop() == 0
    with pytest.raises(ServeError, match="no answer"):
        server.client.request("GET", "/v2")
    assert url.startswith("http://127.0.0.1:")


def test_a_server_whose_parent_is_gone_ends(spam_bundle):
    launch = Launch({"": str(spam_bundle.folder)}, Settings())
    command = [sys.executable, "-m", "gristmill.serve", msgspec.json.encode(launch).decode()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert msgspec.json.decode(process.stdout.readline(), type=Report).url
        process.stdin.close()
        assert process.wait(60) == 0


def test_a_port_in_use(spam_bundle):
    with listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(ServeError) as caught:
            ServerProcess.start(spam_bundle.folder, Settings(port=port))
    assert caught.value.message == f"port {port} of 127.0.0.1 is in use by another program"
    assert "--port 0" in caught.value.fix


def test_a_bundle_that_was_tampered_with_is_never_served(spam_bundle, tmp_path):
    shutil.copytree(spam_bundle.folder, tmp_path / "bundle")
    weights = tmp_path / "bundle" / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(BundleError) as caught:
        ServerProcess.start(tmp_path / "bundle")
    assert "weights.safetensors" in str(caught.value)


def test_a_process_that_dies_without_a_word(spam_bundle, monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ServeError) as caught:
        ServerProcess.start(spam_bundle.folder)
    message = "the server process ended with exit code 1 before it was ready"
    assert caught.value.message == message


def test_two_bundles_one_with_a_token_over_tls(spam_bundle, certificate, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("a-token-of-some-length\n")
    cert, key = certificate
    tls = {"tls_certificate": str(cert), "tls_key": str(key)}
    settings = Settings(tokens=str(tokens), limits=patient(), **tls)
    models = {"one": spam_bundle.folder, "two": spam_bundle.folder}
    with running_server(models, settings) as server:
        assert server.url.startswith("https://")
        with pytest.raises(ServeError, match="certificate"):
            server.client.predict([{"text": "hi"}])
        trusting = Client(server.url, trust=cert)
        assert refused(lambda: trusting.predict([{"text": "hi"}])) == (401, "unauthorized")
        client = Client(server.url, token="a-token-of-some-length", trust=cert)
        for model in (None, "one", "two"):
            (found,) = client.predict([{"text": "hi"}], model=model)
            assert found.label in ("ham", "spam")
