"""Bytes that nobody should send: each gets a proper answer or an end, and the server goes on."""

import logging
import re
import socket
import time

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.patience import patient

from gristmill.serve.server.connection import Connection

GOOD = b'{"text": "abc"}'
ASKED = b"POST /v1/predict HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n%s\r\n%s"
METHODS = st.sampled_from(
    ["GET", "POST", "POST", "POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "PRI", "get", "", "P\t"]
)
TARGETS = st.sampled_from(
    [
        *("/", "/v1/predict", "/v1/models/parity/predict", "/v2/models/vector/infer", "/metrics"),
        *("/v1/models/../../etc/passwd", "/v2/models/%2e%2e/infer", "/v1/predict?a=%00", "/%zz"),
        *(
            "*",
            "http://here/v1/predict",
            "here:80",
            "//",
            "",
            "/v1/predict#x",
            "?",
            "/\xe9",
            "/%ff",
        ),
    ]
) | st.text(st.characters(max_codepoint=255), max_size=20)
VERSIONS = st.sampled_from(["HTTP/1.1"] * 5 + ["HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/11", ""])
LENGTHS = [
    "0",
    "15",
    "15",
    "15",
    "14",
    "-1",
    "+5",
    "5, 5",
    "99999999999",
    "1e3",
    "",
    "0x10",
    "9" * 40,
]
LINES = st.sampled_from(
    [
        *(f"Content-Length: {length}" for length in LENGTHS),
        *(f"Transfer-Encoding: {coding}" for coding in ("chunked", "gzip, chunked", "x", "")),
        *(f"Connection: {said}" for said in ("close", "keep-alive", "upgrade", "Upgrade, close")),
        *("Upgrade: h2c", "Upgrade: websocket", "Expect: 100-continue", "Content-Encoding: gzip"),
        *("Content-Type: application/json", "Content-Type: text/csv", "Content-Type: \xe9"),
        *("Accept: text/csv", "Accept: ;;q=nan", "Inference-Header-Content-Length: 7"),
        *("X-Gristmill-Deadline-Ms: nan", "X-Gristmill-Priority: 1e9", "X-Request-Id: \xff"),
        *(" folded", ":", "A", "A:\x00", "A : b", "\tA: b"),
    ]
) | st.text(st.characters(max_codepoint=255), max_size=30)
BODIES = st.sampled_from(
    [
        GOOD,
        GOOD,
        b"",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"F" * 20 + b"\r\n",
        b"5;a=b\r\nhello\r\n0\r\n\r\n",
    ]
) | st.binary(max_size=40)
ANSWERED = {100, 200, 400, 404, 405, 406, 408, 413, 415, 422, 431, 503}


@st.composite
def messages(draw):
    """Return the bytes of a request, more or less."""
    end = draw(st.sampled_from(["\r\n", "\r\n", "\r\n", "\n", "\r"]))
    first = f"{draw(METHODS)} {draw(TARGETS)} {draw(VERSIONS)}"
    lines = [first, *draw(st.lists(LINES, max_size=5))]
    whole = (end.join(lines) + end + end).encode("latin-1") + draw(BODIES)
    return whole[: draw(st.none() | st.integers(0, len(whole)))]


PATIENCE_SECONDS = 60.0


def spoken(address, data, wait=PATIENCE_SECONDS):
    """Send bytes; return all that comes back until the server closes, or is silent for so long."""
    with socket.create_connection(address, timeout=wait) as client:
        found = b""
        try:
            client.sendall(data)
            while part := client.recv(65536):
                found += part
        except TimeoutError:
            client.settimeout(PATIENCE_SECONDS)
            client.shutdown(socket.SHUT_WR)
            while part := client.recv(65536):
                found += part
        except (ConnectionResetError, BrokenPipeError):
            pass
        return found


def statuses(answer):
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d+)", answer)]


def asked(*headers, body=GOOD):
    return ASKED % (len(body), b"".join(header + b"\r\n" for header in headers), body)


def test_no_bytes_break_the_server(make_app, running, caplog):
    app = make_app(patient(max_body=1000), others=["vector"])
    with caplog.at_level(logging.WARNING), running(app) as address:

        @settings(
            max_examples=150,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )
        @given(st.lists(messages(), min_size=1, max_size=3))
        def answers(sent):
            answer = spoken(address, b"".join(sent), wait=0.03)
            assert not answer or answer.startswith(b"HTTP/1.1 ")
            assert set(statuses(answer)) <= ANSWERED

        answers()
        assert statuses(spoken(address, asked(b"Connection: close"))) == [200]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(
    "headers",
    [
        (b"Content-Length: 15",),
        (b"Content-Length: 16",),
        (b"Transfer-Encoding: chunked",),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
    ],
    ids=str,
)
def test_two_lengths_of_one_body_are_none(make_app, running, headers):
    with running(make_app()) as address:
        assert statuses(spoken(address, asked(*headers) + asked(b"Connection: close"))) == [400]


@pytest.mark.parametrize("path", [b"/v1/predict", b"/v1/predict?slow"])
def test_who_offers_another_protocol_is_answered_in_this_one(make_app, running, path):
    upgrade = asked(b"Connection: Upgrade", b"Upgrade: h2c").replace(b"/v1/predict", path)
    last = asked(b"Connection: Upgrade, close", b"Upgrade: h2c").replace(b"/v1/predict", path)
    with running(make_app()) as address:
        assert statuses(spoken(address, upgrade * 3 + last)) == [200] * 4
        with socket.create_connection(address, timeout=PATIENCE_SECONDS) as client:
            for _ in range(2):
                for byte in upgrade:
                    client.sendall(bytes([byte]))
                assert client.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_tunnel_is_not_opened(make_app, running):
    with running(make_app()) as address:
        sent = b"CONNECT here:80 HTTP/1.1\r\nHost: h\r\n\r\n"
        assert statuses(spoken(address, sent + asked(b"Connection: close")))[0] in (400, 404)


def test_who_closes_its_side_has_left(make_app, running):
    with running(make_app()) as address:
        for sent in (asked(), asked()[:-3], b"POST /v1", b""):
            with socket.create_connection(address, timeout=PATIENCE_SECONDS) as client:
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
        assert statuses(spoken(address, asked(b"Connection: close"))) == [200]


def test_a_body_without_end_is_not_read_to_its_end(make_app, running):
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    head = b"POST /v1/predict HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    with (
        running(make_app()) as address,
        socket.create_connection(address, timeout=PATIENCE_SECONDS) as client,
    ):
        client.sendall(head)
        sent = 0
        try:
            while sent < 1 << 30:
                client.sendall(chunk)
                sent += len(chunk)
        except (ConnectionResetError, BrokenPipeError):
            pass  # it was told, and then it was closed
    assert sent < 64 << 20


def test_a_gigabyte_is_refused_before_it_comes(make_app, running):
    head = (
        b"POST %s HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1000000000\r\n\r\n"
    )
    app = make_app(others=["vector"])
    with running(app) as address:
        for path in (b"/v1/predict", b"/v2/models/vector/infer", b"/v1/feedback"):
            answer = spoken(address, head % path)
            assert statuses(answer) == [413]


def test_many_slow_clients_keep_nobody_waiting(make_app, running, monkeypatch):
    met, plain = [], Connection.connection_made

    def made(self, transport):
        plain(self, transport)
        met.append(self)

    monkeypatch.setattr(Connection, "connection_made", made)
    app = make_app(patient(header_timeout=0.3, body_timeout=0.3))
    with running(app) as address:
        slow = [socket.create_connection(address, timeout=PATIENCE_SECONDS) for _ in range(60)]
        for number, client in enumerate(slow):
            client.sendall(asked()[: 5 + number])
        while len(met) < len(slow):
            time.sleep(0.002)
        app.limits = patient()  # on a busy machine anybody may take as long
        for _ in range(3):
            assert statuses(spoken(address, asked(b"Connection: close"))) == [200]
        answers = [client.recv(65536) for client in slow]
        for client in slow:
            client.close()
    assert {status for answer in answers for status in statuses(answer)} == {408}
