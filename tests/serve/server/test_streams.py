"""Streams behind a real server: by HTTP, and with a real WebSocket client."""

from __future__ import annotations

import http.client
import io
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.patience import patient, web
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from gristmill.core.errors import ServeError, UsageError
from gristmill.serve.online.endpoint import Answered
from gristmill.serve.protocol import Limits
from gristmill.serve.protocols.openapi import openapi
from gristmill.serve.protocols.page import page_facts
from gristmill.serve.protocols.served import Served
from gristmill.serve.routing.swappable import Swappable
from gristmill.serve.routing.watched import Watched
from gristmill.serve.runners.rows import Rows
from gristmill.serve.server import stream_connection
from gristmill.serve.server.app import App
from gristmill.serve.server.model_plan import ModelPlan
from gristmill.serve.server.settings import Settings
from gristmill.serve.server.tokens import Tokens
from gristmill.serve.streams.streaming import Kept, Streamed
from gristmill.serve.streams.tolerance import Tolerance
from gristmill.store.bundle import Field

HEIGHT, WIDTH = 4, 6
PATH = "/v1/streams/cameras/door"
BROKEN, TOO_MUCH, NOT_A_NUMBER = 200, 201, 202
WAIT = 60.0
DOCS = Path(__file__).resolve().parents[3] / "docs" / "serve.md"
BROWSER = [
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--remote-debugging-port=0",
]  # fmt: skip
"""Shows a page until it is ended; its camera films a clock."""


class Sums:
    """Answers a picture with its sum, and with how many came of its stream before."""

    size = (HEIGHT, WIDTH)

    def __init__(self, fingerprint="a" * 32, values=1):
        self.fingerprint, self.values = fingerprint, values
        self.seen, self.inside, self.gate = {}, threading.Event(), threading.Event()
        self.tolerances = []
        self.gate.set()

    @property
    def kept(self):
        return Kept(len(self.seen), 72 * len(self.seen), 5)

    def answer(self, stream, image, tolerance):
        assert image.shape == (HEIGHT, WIDTH, 3)
        self.inside.set()
        assert self.gate.wait(WAIT)
        self.tolerances.append(tolerance)
        level = int(image[0, 0, 0])
        if level == BROKEN:
            raise ServeError("the secret inside")
        if level == TOO_MUCH:
            raise UsageError("a stream of 6x4 pixels takes too much")
        before = self.seen.get(stream, 0)
        self.seen[stream] = before + 1
        total = np.nan if level == NOT_A_NUMBER else float(image.sum())
        columns = {"sum": np.full((1, self.values), total), "before": np.array([before])}
        error = tolerance.error and tolerance.error / 2
        return Streamed(Rows(columns, 1), share=0.25, whole=not before, error=error)

    def forget(self, stream):
        return self.seen.pop(stream, None) is not None

    def clear(self):
        self.seen.clear()

    def close_idle(self):
        return 0


class Cameras:
    """An endpoint that takes pictures one by one, too."""

    name, fingerprint, classes = "cameras", "a" * 32, ()
    inputs = (Field("picture", "image", shape=[HEIGHT, WIDTH, 3]),)
    outputs = (Field("sum", "float"), Field("before", "int"))

    def __init__(self, values=1):
        self.streaming = Sums(values=values)

    async def answer(self, rows, call):
        sums = np.array([float(np.sum(rows.columns["picture"][row])) for row in range(rows.count)])
        zeros = np.zeros(rows.count, np.int64)
        return Answered(rows=Rows({"sum": sums, "before": zeros}, rows.count), model="a" * 32)

    async def close(self):
        pass


@pytest.fixture
def cameras(running):
    """Serve the endpoint for a block: `with cameras(limits, ...) as server`."""

    @contextmanager
    def serve(values=1, tokens=None, tracing=None, **limits):
        endpoint = Cameras(values)
        app = App([Served(endpoint, patient(**limits))], tokens, tracing)
        with running(app) as (host, port):
            url, sums = f"{host}:{port}", endpoint.streaming
            try:
                yield SimpleNamespace(
                    endpoint=endpoint, sums=sums, app=app, port=port,
                    http=f"http://{url}", ws=f"ws://{url}",
                )  # fmt: skip
            finally:
                sums.gate.set()

    return serve


def pixels(level, height=HEIGHT):
    return bytes([level]) * (height * WIDTH * 3)


def png(level, height=HEIGHT):
    made = io.BytesIO()
    Image.new("RGB", (WIDTH, height), (level, level, level)).save(made, "png")
    return made.getvalue()


def total(level):
    return level * HEIGHT * WIDTH * 3.0


def heard(client):
    return json.loads(client.recv(timeout=WAIT))


def ended(client):
    """Return the code with which the server ends a conversation."""
    try:
        while True:
            client.recv(timeout=WAIT)
    except ConnectionClosed as closed:
        return closed.rcvd.code


def until(condition):
    latest = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < latest
        time.sleep(0.002)


def open_streams(server):
    return server.app.streams[0].open


def test_a_picture_by_http(cameras):
    with cameras() as server:
        for before in range(2):
            answer = web.post(server.http + PATH, content=png(3))
            assert answer.status_code == 200
            said = answer.json()
            (prediction,) = said["predictions"]
            assert prediction["sum"] == [total(3)]
            assert prediction["before"] == before
            assert (said["share"], said["whole"]) == (0.25, not before)
            assert said["model"] == {"name": "cameras", "fingerprint": "a" * 32}
            assert said["milliseconds"] > 0
        raw = {"Content-Type": "application/octet-stream"}
        answer = web.post(server.http + PATH, content=pixels(4), headers=raw)
        assert answer.json()["predictions"][0]["before"] == 2
        assert web.delete(server.http + PATH).json() == {"forgotten": True}
        assert web.delete(server.http + PATH).json() == {"forgotten": False}
        form = {"Content-Type": "application/x-www-form-urlencoded"}  # what curl says
        answer = web.post(server.http + PATH, content=png(3), headers=form)
        assert answer.json()["predictions"][0]["before"] == 0


def test_how_far_answers_may_be_off_is_said_in_the_query(cameras):
    with cameras() as server:
        for query, tolerance in (
            ("", Tolerance()),
            ("?error=0.01", Tolerance(0.01, "decoded")),
            ("?noise=7&error=1e-3", Tolerance(0.001, 7)),
        ):
            said = web.post(server.http + PATH + query, content=png(3)).json()
            with connect(server.ws + PATH + query) as client:
                client.send(png(3))
                heard_error = heard(client).get("error")
            assert said.get("error") == heard_error == (tolerance.error and tolerance.error / 2)
            assert server.sums.tolerances[-2:] == [tolerance, tolerance]
        with pytest.raises(InvalidStatus) as refused:
            connect(server.ws + PATH + "?error=2")
        assert refused.value.response.status_code == 400
        error = json.loads(refused.value.response.body)["error"]
        assert error["code"] == "bad_parameter"
        assert error["message"].startswith("error: expected a share above 0, at most 1, found '2'")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", PATH + "?error=0", png(1), 400, "bad_parameter"),
        ("POST", PATH, b"no picture", 422, "wrong_picture"),
        ("POST", PATH, png(1, 5), 422, "wrong_picture"),
        ("POST", PATH, png(TOO_MUCH), 422, "wrong_picture"),
        ("POST", PATH, png(NOT_A_NUMBER), 422, "bad_records"),
        ("POST", PATH, png(BROKEN), 500, "internal"),
        ("POST", PATH, bytes(2000), 413, "body_too_large"),
        ("POST", "/v1/streams/cameras/a%20b", png(1), 400, "bad_stream_name"),
        ("POST", "/v1/streams/cameras/", png(1), 400, "bad_stream_name"),
        ("POST", "/v1/streams/cameras/" + "a" * 129, png(1), 400, "bad_stream_name"),
        ("POST", "/v1/streams/cameras/a/b", png(1), 404, "unknown_path"),
        ("POST", "/v1/streams/others/a", png(1), 404, "unknown_path"),
        ("GET", PATH, b"", 405, "wrong_method"),
    ],
    ids=lambda value: str(value) if not isinstance(value, bytes) else "",
)
def test_what_http_refuses(cameras, method, path, body, status, code):
    with cameras(max_body=1000) as server:
        answer = web.request(method, server.http + path, content=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert "secret" not in answer.text


def test_a_stream_by_websocket(cameras):
    with cameras() as server, connect(server.ws + PATH) as client:
        client.send(png(3))
        said = heard(client)
        assert said["predictions"][0]["sum"] == [total(3)]
        marks = {name: said[name] for name in ("frame", "dropped", "share", "whole")}
        assert marks == {"frame": 0, "dropped": 0, "share": 0.25, "whole": True}
        client.send(json.dumps({"height": HEIGHT, "width": WIDTH}))
        client.send(pixels(5))
        said = heard(client)
        assert said["frame"] == 1
        assert said["predictions"][0] | {"id": ""} == {"id": "", "sum": [total(5)], "before": 1}
        client.send("{}")
        client.send([png(6)[:30], png(6)[30:]])  # in two fragments
        said = heard(client)
        assert said["frame"] == 2
        assert said["predictions"][0]["sum"] == [total(6)]
        assert web.post(server.http + PATH, content=png(1)).json()["whole"] is False


def test_the_newest_picture_wins_while_one_is_computed(cameras):
    with cameras() as server, connect(server.ws + PATH) as client:
        server.sums.gate.clear()
        client.send(png(1))
        assert server.sums.inside.wait(WAIT)
        for level in range(2, 7):
            client.send(png(level))
        assert client.ping().wait(WAIT)  # all of them were read
        server.sums.gate.set()
        first, second = heard(client), heard(client)
        assert (first["frame"], first["dropped"]) == (0, 0)
        assert (second["frame"], second["dropped"]) == (5, 4)
        assert second["predictions"][0]["sum"] == [total(6)]
        metrics = web.get(server.http + "/metrics").text
    for line in (
        'gristmill_stream_frames_dropped_total{model="cameras"} 4',
        'gristmill_stream_frames_total{model="cameras"} 2',
        'gristmill_stream_frames_whole_total{model="cameras"} 1',
        'gristmill_stream_open{model="cameras"} 1',
        'gristmill_stream_kept{model="cameras"} 1',
        'gristmill_stream_bytes{model="cameras"} 72',
        'gristmill_stream_evicted_total{model="cameras"} 5',
        '{route="/v1/streams/{name}/{stream}",model="cameras",status="101"} 1',
    ):
        assert line in metrics


def test_pictures_that_cannot_be_answered_are_told_and_the_stream_goes_on(cameras):
    with cameras() as server, connect(server.ws + PATH) as client:
        for number, body in enumerate([b"", b"no picture", png(1, 5), png(NOT_A_NUMBER)]):
            client.send(body)
            said = heard(client)
            assert (said["frame"], said["dropped"]) == (number, 0)
            assert said["error"]["code"] in ("wrong_picture", "bad_records")
        client.send(png(2))
        assert heard(client)["predictions"][0]["sum"] == [total(2)]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("no form", 1003),
        ("[]", 1003),
        ('{"height": 4}', 1003),
        ('{"height": 4, "width": 0}', 1003),
        ('{"height": 5, "width": 6}', 1003),
        ('{"height": 4, "width": 6, "depth": 3}', 1003),
        (bytes(2000), 1009),
        (png(BROKEN), 1011),
    ],
    ids=["words", "list", "half", "empty", "size", "more", "longer", "broken"],
)
def test_what_ends_a_stream(cameras, message, code):
    with cameras(max_body=1000) as server, connect(server.ws + PATH) as client:
        client.send(message)
        assert ended(client) == code
        until(lambda: not open_streams(server))
        with connect(server.ws + PATH) as again:
            again.send(png(1))
            assert heard(again)["predictions"][0]["sum"] == [total(1)]


def test_what_says_it_is_text_and_is_not(cameras, caplog):
    with cameras() as server, connect(server.ws + PATH) as client:
        client.send(b"\xff\xfe", text=True)
        assert ended(client) == 1007
    assert not caplog.records


def test_a_failure_is_told_without_what_it_was(cameras):
    with cameras() as server, connect(server.ws + PATH) as client:
        client.send(png(BROKEN))
        said = heard(client)
        assert (said["error"]["code"], said["frame"]) == ("internal", 0)
        assert "secret" not in json.dumps(said)


def test_another_client_takes_a_stream_over(cameras):
    with cameras() as server, connect(server.ws + PATH) as first:
        first.send(png(1))
        assert heard(first)["whole"] is True
        with connect(server.ws + PATH) as second:
            assert ended(first) == 1008
            second.send(png(1))
            assert heard(second)["whole"] is False  # the stream itself goes on
            assert list(open_streams(server)) == ["door"]


def test_a_client_that_is_silent_for_too_long(cameras):
    with cameras(stream_timeout=0.15) as server, connect(server.ws + PATH) as client:
        assert ended(client) == 1008


def test_a_client_that_never_reads_is_dropped_and_others_are_served(cameras, monkeypatch):
    monkeypatch.setattr(stream_connection, "UNREAD_SECONDS", 0.2)
    # Connections are looked at four times as often as the shortest limit at the start says.
    with cameras(values=200_000, header_timeout=0.2) as server, socket.socket() as client:
        server.app.limits = patient()  # on a busy machine anybody may take as long
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        client.sendall(handshake())
        until(lambda: open_streams(server))

        def dropped():
            with suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(masked(png(1)))
            other = web.post(server.http + "/v1/streams/cameras/yard", content=png(2))
            assert other.status_code == 200
            return not open_streams(server)

        until(dropped)
        # Of what it sent no more was answered than its connection took: the newest is kept alone.
        assert server.sums.seen["door"] < 10


def test_a_client_that_leaves_in_the_middle(cameras):
    with cameras() as server:
        server.sums.gate.clear()
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(handshake())
            until(lambda: open_streams(server))
            client.sendall(masked(png(1)) + masked(png(2))[:20])
            assert server.sums.inside.wait(WAIT)
        until(lambda: not open_streams(server))
        server.sums.gate.set()
        with connect(server.ws + PATH) as again:
            again.send(png(1))
            assert heard(again)["predictions"][0]["before"] == 1


def handshake():
    lines = [f"GET {PATH} HTTP/1.1", "Host: here", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "", ""]
    return "\r\n".join(lines).encode()


def masked(body, first=0x82):
    """A binary message of 126 to 65535 bytes or less, under a mask of zeros (RFC 6455, 5.2)."""
    size = [len(body)] if len(body) < 126 else [126, *len(body).to_bytes(2)]
    return bytes([first, 0x80 | size[0], *size[1:], 0, 0, 0, 0]) + body


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.tuples(
                st.sampled_from([0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x89, 0x8A, 0xC1, 0xF2]),
                st.sampled_from([b"", b"{}", b"\xff\xfe", b'{"height":4,"width":6}', pixels(1)]),
            ),
        ),
        max_size=8,
    )
)
def test_whatever_is_said_the_server_goes_on(living, caplog, said):
    with socket.create_connection(("127.0.0.1", living.port), timeout=WAIT) as client:
        client.sendall(handshake())
        assert client.recv(1000).startswith(b"HTTP/1.1 101 ")
        with suppress(BrokenPipeError, ConnectionResetError):
            for each in said:
                client.sendall(each if isinstance(each, bytes) else masked(each[1], each[0]))
    assert web.post(living.http + PATH, content=png(1)).status_code == 200
    until(lambda: not open_streams(living))
    assert not caplog.records


@pytest.fixture(scope="module")
def living(running):
    endpoint = Cameras()
    app = App([Served(endpoint, patient(max_body=1000))])
    with running(app) as (host, port):
        yield SimpleNamespace(app=app, port=port, http=f"http://{host}:{port}")


def test_the_servers_end_ends_streams_after_the_picture_that_is_computed(cameras):
    with cameras() as server, connect(server.ws + PATH) as client:
        server.sums.gate.clear()
        client.send(png(7))
        assert server.sums.inside.wait(WAIT)
        server.app.stop()
        server.sums.gate.set()
        assert heard(client)["predictions"][0]["sum"] == [total(7)]
        assert ended(client) == 1001


def test_a_silent_client_that_keeps_its_tls_does_not_hold_up_the_end(
    certificate, running, complaints, monkeypatch
):
    monkeypatch.setattr(stream_connection, "FAREWELL_SECONDS", 0.05)
    cert, key = map(str, certificate)
    settings = Settings(tls_certificate=cert, tls_key=key, drain_seconds=20.0)
    app = App([Served(Cameras(), patient(body_timeout=0.2))])  # it is looked at every 50 ms
    context = ssl.create_default_context(cafile=cert)
    with running(app, settings) as address:
        plain = socket.create_connection(address, timeout=WAIT)
        client = context.wrap_socket(plain, server_hostname="127.0.0.1")
        client.sendall(handshake())
        assert client.recv(4096).startswith(b"HTTP/1.1 101")
    last = b""
    with client:  # the server has ended, though nobody answered its farewell
        while part := client.recv(4096):
            last += part
    assert last[:4] == bytes([0x88, len(last) - 2]) + (1001).to_bytes(2, "big")
    assert complaints == []  # of the time it was given


def test_streams_go_on_with_a_model_that_takes_the_place_of_another(cameras):
    with cameras() as server, connect(server.ws + PATH) as client:
        old = server.sums
        for _ in range(2):
            client.send(png(1))
            before = heard(client)
        assert (before["whole"], before["model"]["fingerprint"]) == (False, "a" * 32)
        server.endpoint.streaming = Sums("b" * 32)
        client.send(png(1))
        after = heard(client)
        assert (after["whole"], after["model"]["fingerprint"]) == (True, "b" * 32)
        assert not old.seen
        server.endpoint.streaming = None
        client.send(png(1))
        assert heard(client)["error"]["code"] == "no_streams"


def test_other_requests_do_not_wait_for_streams(cameras):
    with cameras() as server, connect(server.ws + PATH) as client:
        server.sums.gate.clear()
        client.send(png(1))
        assert server.sums.inside.wait(WAIT)
        body = {"picture": np.ones((HEIGHT, WIDTH, 3), int).tolist()}
        answer = web.post(server.http + "/v1/predict", json=body)
        assert answer.json()["predictions"][0]["sum"] == total(1)
        late = {"X-Gristmill-Deadline-Ms": "30"}
        answer = web.post(server.http + PATH + "2", content=png(1), headers=late)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "late")
        assert answer.headers["retry-after"] == "1"


def test_streams_take_turns(cameras):
    with (
        cameras() as server,
        connect(server.ws + PATH) as one,
        connect(server.ws + PATH + "2") as two,
    ):
        server.sums.gate.clear()
        one.send(png(1))
        assert server.sums.inside.wait(WAIT)
        two.send(png(2))
        assert two.ping().wait(WAIT)
        one.send(png(3))
        assert one.ping().wait(WAIT)
        server.sums.gate.set()
        assert heard(two)["predictions"][0]["sum"] == [total(2)]
        assert [heard(one)["frame"] for _ in range(2)] == [0, 1]
        assert list(server.sums.seen) == ["door", "door2"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (PATH, {}, 401),
        (PATH, {"Authorization": "Bearer " + "x" * 16}, 401),
        (PATH, {"Authorization": "Bearer " + "t" * 16, "Origin": "https://elsewhere.org"}, 403),
        (PATH + "%20", {"Authorization": "Bearer " + "t" * 16}, 400),
        ("/v1/streams/others/door", {}, 404),
        ("/v1/models", {"Authorization": "Bearer " + "t" * 16}, 200),
    ],
)
def test_who_may_not_open_one(cameras, caplog, path, headers, status):
    with cameras(tokens=Tokens(["t" * 16])) as server:
        refused = pytest.raises(InvalidStatus)
        with refused as caught, connect(server.ws + path, additional_headers=headers):
            pass
        assert caught.value.response.status_code == status
        good = {"Authorization": "Bearer " + "t" * 16, "Origin": server.http}
        with connect(server.ws + PATH, additional_headers=good) as client:
            client.send(png(1))
            assert heard(client)["frame"] == 0
    assert not caplog.records  # it is no failure of ours


def test_a_websocket_after_requests_on_the_same_connection(cameras):
    with cameras() as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT)
        for _ in range(2):
            client.request("POST", PATH, png(1))
            assert client.getresponse().read()
        client.sock.sendall(handshake())
        assert client.sock.recv(1000).startswith(b"HTTP/1.1 101 ")
        client.sock.sendall(masked(png(1)))
        assert b'"frame":0' in client.sock.recv(1000)
        client.close()


def test_spans_of_streams(cameras):
    sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="needs the extra otel")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from gristmill.serve.watch.tracing import Tracing

    spans, provider = InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with cameras(tracing=Tracing(provider)) as server:
        with connect(server.ws + PATH) as client:
            for level in (1, 2, BROKEN):
                client.send(png(level))
                heard(client)
        answer = web.post(server.http + PATH, content=png(3))
        assert answer.status_code == 200
        with pytest.raises(InvalidStatus):
            connect(server.ws + "/v1/streams/cameras/no%20name").close()
        until(lambda: len(spans.get_finished_spans()) == 3)
    by_status = {each.attributes["http.response.status_code"]: each
                 for each in spans.get_finished_spans()}  # fmt: skip
    assert {status: each.name for status, each in by_status.items()} == {
        101: "GET /v1/streams/{name}/{stream}", 200: "POST /v1/streams/{name}/{stream}",
        400: "GET /v1/streams/{name}/{stream}",
    }  # fmt: skip
    held, one = by_status[101], by_status[200]
    assert (held.attributes["gristmill.rows"], len(held.events)) == (2, 2)
    assert (one.attributes["gristmill.rows"], len(one.events)) == (1, 1)
    for span in (held, one):
        assert span.attributes["gristmill.model"] == "cameras"
        assert span.attributes["gristmill.model_seconds"] > 0
        assert span.attributes["gristmill.queue_seconds"] >= 0
    assert held.status.status_code.name == "UNSET"


def test_pictures_of_streams_are_watched(running):
    class Seen:
        begun, rows = 0, []

        def start(self):
            self.begun += 1

        async def stop(self):
            pass

        def samples(self):
            return iter(())

        def observe(self, rows, answers):
            self.rows.append((int(rows["picture"][0, 0, 0, 0]), float(answers["sum"].ravel()[0])))

    seen, limits = Seen(), patient()
    app = App([Served(Swappable("cameras", Watched(Cameras(), seen), "v1"), limits)])
    with running(app) as (host, port):
        with connect(f"ws://{host}:{port}{PATH}") as client:
            for level in (7, BROKEN):
                client.send(png(level))
                heard(client)
        web.post(f"http://{host}:{port}{PATH}", content=png(9))
    assert (seen.begun, seen.rows) == (1, [(7, total(7)), (9, total(9))])


def test_the_document_tells_of_streams(served):
    assert not any("streams" in path for path in openapi([served])["paths"])
    found = openapi([Served(Cameras(), Limits())])["paths"]["/v1/streams/cameras/{stream}"]
    assert set(found) == {"post", "delete"}
    assert "WebSocket" in found["post"]["description"]


def test_the_page_tells_of_streams(served):
    odd = Served(Cameras(), Limits(), "my cameras")
    parity, cameras = page_facts([served, odd])["models"]
    assert "streams" not in parity
    assert cameras["streams"] == "/v1/streams/my%20cameras"


def test_a_serving_file_gives_each_model_its_own_memory_for_streams():
    plan = ModelPlan(bundle="cameras", streams="2MB")
    assert plan.settings(Settings(streams=5)).streams == 2_000_000
    assert ModelPlan(bundle="cameras").settings(Settings(streams=5)).streams == 5
    with pytest.raises(UsageError, match="streams must not be below 0"):
        Settings(streams=-1)


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium on this machine")
def test_the_documented_page_asks_about_what_its_camera_sees(cameras, monkeypatch, tmp_path):
    (page,) = re.findall(r"^```html\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    page = page.replace("/cars/front-door", "/cameras/door")
    page = page.replace("(640, 360)", f"({WIDTH}, {HEIGHT})")
    monkeypatch.setattr("gristmill.serve.server.app.page", lambda _: page.encode())
    with cameras() as server:
        sums = server.sums
        words = [*BROWSER, f"--user-data-dir={tmp_path}", server.http]
        browser = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        try:
            # The next picture comes once the one before is answered.
            until(lambda: sums.seen.get("door", 0) >= 3)
            answer, failed = sums.answer, threading.Event()

            def fail(*_):
                sums.answer = answer
                sums.clear()
                failed.set()
                raise RuntimeError

            sums.answer = fail
            until(lambda: failed.is_set() and sums.seen.get("door", 0) >= 3)  # it comes back
        finally:
            browser.terminate()
            browser.wait(WAIT)
        until(lambda: not open_streams(server))
