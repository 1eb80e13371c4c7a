import asyncio
import json
import re
import socket
import ssl
import threading

import pytest
from tests.patience import patient

from gristmill.serve.server import connection
from gristmill.serve.server.connection import Connection
from gristmill.serve.server.large_body import LargeBody
from gristmill.serve.server.settings import Settings

ONE = b'{"instances": [{"text": "abc"}]}'


def post(body=ONE, path=b"/v1/predict", *headers, close=True):
    lines = [
        b"POST " + path + b" HTTP/1.1",
        b"Host: here",
        b"Content-Length: %d" % len(body),
        *headers,
        *([b"Connection: close"] if close else []),
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def statuses(answer):
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d+)", answer)]


def code_of(answer):
    return json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"]


@pytest.fixture
def small(make_app):
    """small(**limits): an application that takes little; slow clients have time unless told so."""

    def make(**limits):
        return make_app(
            patient(
                max_body=1000, max_header_bytes=2000, max_headers=20, max_connections=4, **limits
            )
        )

    return make


def test_the_short_way_and_uvicorns_give_the_same_answer(make_app, running, exchange):
    name = b"X-Request-Id: same"
    ways = [
        post(ONE, b"/v1/predict", name),
        post(ONE, b"/v1/predict?long=way", name),
        post(ONE, b"/v1/predict", name).replace(
            b"Content-Length: %d" % len(ONE), b"Transfer-Encoding: chunked"
        )[: -len(ONE)]
        + b"%x\r\n%s\r\n0\r\n\r\n" % (len(ONE), ONE),
    ]
    with running(make_app()) as address:
        answers = [exchange(address, way) for way in ways]
    assert [statuses(answer) for answer in answers] == [[200]] * 3
    heads = [sorted(answer.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")) for answer in answers]
    assert heads[0] == heads[1] == heads[2]
    assert len({answer.partition(b"\r\n\r\n")[2] for answer in answers}) == 1


def test_requests_on_one_connection_are_answered_in_order(make_app, running, exchange):
    bodies = [b'{"text": "%s"}' % (b"x" * size) for size in range(6)]
    paths = [b"/v1/predict", b"/v1/predict?slow", b"/nothing", b"/v1/models/parity/predict"]
    sent = [post(body, paths[at % 4], close=False) for at, body in enumerate(bodies)]
    with running(make_app()) as address:
        answer = exchange(address, b"".join(sent), post(ONE))
    assert statuses(answer) == [200, 200, 404, 200, 200, 200, 200]
    labels = re.findall(rb'"label":"(\w+)"', answer)
    assert labels == [b"even", b"odd", b"odd", b"even", b"odd", b"odd"]


CHUNKED = b"POST /v1/predict HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("path", [b"/v1/predict", b"/v1/predict?long=way"])
@pytest.mark.parametrize("wrong", [b"HELLO\r\n\r\n", b"GET \x00", CHUNKED + b"zz\r\n"], ids=str)
@pytest.mark.parametrize("count", [1, 3])
def test_what_is_no_http_is_refused_behind_the_answers_before_it(
    make_app, running, exchange, path, wrong, count
):
    with running(make_app()) as address:
        answer = exchange(address, post(ONE, path, close=False) * count + wrong, b"HELLO\r\n")
    assert statuses(answer) == [200] * count + [400]
    assert answer.count(b'"label":"odd"') == count
    assert b"malformed_http" in answer


HEADS = {
    "many bytes": b"GET / HTTP/1.1\r\nA: " + b"a" * 3000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 30 + b"\r\n",
    "no end": b"GET / HTTP/1.1\r\nA: " + b"a" * 500_000,
    "a body": post(b"{}", b"/v1/predict", b"A: " + b"a" * 3000),
}


@pytest.mark.parametrize("path", [b"/v1/predict", b"/v1/predict?long=way"])
@pytest.mark.parametrize("wrong", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("count", [1, 3])
def test_a_head_too_large_is_refused_behind_the_answers_before_it(
    small, running, exchange, path, wrong, count
):
    with running(small()) as address:
        answer = exchange(address, post(ONE, path, close=False) * count + wrong, post())
    assert statuses(answer) == [200] * count + [431]
    assert answer.count(b'"label":"odd"') == count
    assert b"head_too_large" in answer


@pytest.mark.parametrize("path", [b"/v1/predict", b"/v1/predict?long=way"])
def test_more_requests_than_may_wait_are_refused_behind_the_answers(small, running, exchange, path):
    with running(small(max_pipelined=5)) as address:
        answer = exchange(address, post(ONE, path, close=False) * 1000)
        fitting = exchange(address, post(ONE, path, close=False) * 5 + post())
    assert statuses(fitting) == [200] * 6
    assert statuses(answer) == [200] * 6 + [503]
    assert b"too_many_pipelined" in answer


def test_a_body_that_is_no_http_is_refused_at_once(make_app, running, exchange):
    with running(make_app()) as address:
        assert statuses(exchange(address, CHUNKED + b"zz\r\n")) == [400]


def test_a_request_byte_by_byte(make_app, running, exchange):
    sent = [bytes([byte]) for byte in post()]
    with running(make_app()) as address:
        assert statuses(exchange(address, *sent)) == [200]


def test_http_1_0_ends_the_connection(make_app, running, exchange):
    with running(make_app()) as address:
        answer = exchange(address, post(close=False).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert statuses(answer) == [200]
    assert b"connection: close" in answer


def test_a_large_body_in_many_pieces(make_app, running, exchange):
    body = json.dumps({"instances": [{"text": "abc"}] * 1000}).encode()
    pieces = [post(body)[at : at + 4096] for at in range(0, len(post(body)), 4096)]
    with running(make_app(patient(max_body=10**6))) as address:
        answer = exchange(address, *pieces)
    assert answer.count(b'"label":"odd"') == 1000


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"", 408, "slow_head"),
        (b"POST /v1/pre", 408, "slow_head"),
        (b"GET /healthz HTTP/1.1\r\nHost: here\r\n", 408, "slow_head"),
        (b"\r\n\r\n\r\n", 408, "slow_head"),
        (post()[:-5], 408, "slow_body"),
        (post(ONE, b"/v1/predict?slow")[:-5], 408, "slow_body"),
        (b"HELLO\r\n\r\n", 400, "malformed_http"),
        (b"GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n", 400, "malformed_http"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "malformed_http"),
        (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\n\r\n", 431, "head_too_large"),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 3000 + b"\r\n\r\n", 431, "head_too_large"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 30 + b"\r\n", 431, "head_too_large"),
        (b"GET / HTTP/1.1\r\n" + b"A: " + b"a" * 500_000, 431, "head_too_large"),
        (post(b"x" * 1001), 413, "body_too_large"),
        (
            b"POST /v1/predict HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000000\r\n"
            b"Connection: close\r\nExpect: 100-continue\r\n\r\n",
            413,
            "body_too_large",
        ),
        (
            b"POST /v1/predict HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
            400,
            "malformed_http",
        ),
    ],
    ids=str,
)
def test_clients_that_are_slow_or_wrong(small, running, exchange, sent, status, code):
    soon = {"slow_head": "header_timeout", "slow_body": "body_timeout"}.get(code)
    app = small(**({soon: 0.2} if soon else {}))
    with running(app) as address:
        answer = exchange(address, sent)
        assert statuses(answer) == [status]
        assert code_of(answer) == code
        app.limits = patient()  # on a busy machine anybody may take as long
        assert statuses(exchange(address, post())) == [200]


def test_a_head_that_trickles_in_is_not_waited_for(small, running, exchange):
    stop = threading.Event()
    trickle = [b"GET / HTTP/1.1\r\n", *([b"A: b\r\n"] * 18)]
    with running(small(header_timeout=0.2)) as address:
        answer = exchange(address, *trickle * 4, pause=stop)
    assert statuses(answer)[0] in (408, 431)


def test_one_connection_too_many_is_told_so(small, running):
    with running(small()) as address:
        held = [socket.create_connection(address, timeout=60) for _ in range(4)]
        for client in held:  # each is known to the server once it has answered
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        with socket.create_connection(address, timeout=60) as more:
            answer = more.recv(4096)
        for client in held:
            client.close()
    assert statuses(answer) == [503]
    assert b"retry-after: 1" in answer


def test_a_client_that_leaves_cancels_its_request(make_app, endpoint, running, exchange):
    cancelled = threading.Event()

    class Gate:
        async def wait(self):
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                cancelled.set()
                raise

    endpoint.gate = Gate()
    with running(make_app()) as address:
        with socket.create_connection(address, timeout=60) as client:
            client.sendall(post())
            while not endpoint.calls:
                threading.Event().wait(0.005)
        assert cancelled.wait(60)
        endpoint.gate = None
        assert statuses(exchange(address, post())) == [200]


def test_nothing_is_written_to_a_client_that_left_with_answers_unread(
    make_app, running, exchange, complaints, monkeypatch
):
    paused, left = threading.Event(), threading.Event()

    def telling(method, event):
        def told(self, *said):
            method(self, *said)
            event.set()

        return told

    for method, event in (("pause_writing", paused), ("connection_lost", left)):
        monkeypatch.setattr(Connection, method, telling(getattr(Connection, method), event))
    with running(make_app()) as address:
        with socket.create_connection(address, timeout=60) as client:
            client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: here\r\n\r\n" * 250)
            assert paused.wait(60)
        assert left.wait(60)
        assert statuses(exchange(address, post())) == [200]
    assert complaints == []


def test_a_failure_is_a_500_on_the_short_way_too(make_app, running, exchange):
    with running(make_app()) as address:
        answer = exchange(address, post(b'{"text": "boom"}'))
    assert statuses(answer) == [500]
    assert b"secret" not in answer


def test_requests_under_way_are_answered_before_the_end(make_app, endpoint, running):
    entered, opened = threading.Event(), threading.Event()

    class Gate:
        async def wait(self):
            entered.set()
            while not opened.is_set():
                await asyncio.sleep(0.005)

    endpoint.gate = Gate()
    app = make_app()
    with running(app, Settings(drain_seconds=60.0)) as address:
        client = socket.create_connection(address, timeout=60)
        client.sendall(post(close=False))
        assert entered.wait(60)
        threading.Timer(0.1, opened.set).start()
    with client:
        answer = client.recv(65536)
    assert statuses(answer) == [200]
    assert b"connection: close" in answer


def test_a_client_that_keeps_its_tls_does_not_hold_up_the_end(
    make_app, certificate, running, complaints, monkeypatch
):
    monkeypatch.setattr(connection, "FAREWELL_SECONDS", 0.05)
    cert, key = map(str, certificate)
    settings = Settings(tls_certificate=cert, tls_key=key, drain_seconds=20.0)
    app = make_app(patient(body_timeout=0.2))  # connections are looked at four times as often
    context = ssl.create_default_context(cafile=cert)
    with running(app, settings) as address:
        plain = socket.create_connection(address, timeout=60)
        client = context.wrap_socket(plain, server_hostname="127.0.0.1")
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
    with client:  # the server has ended, though nobody answered its farewell
        while client.recv(4096):
            pass
    assert complaints == []  # of the time it was given


def test_refused_connections_are_counted(small, running, exchange):
    app = small()
    with running(app) as address:
        exchange(address, b"HELLO\r\n\r\n")
    assert 'gristmill_requests_total{route="other",status="400"} 1' in app.metrics.text()


def conversation(address, *parts):
    """Send each part once those before it are answered; return what came for each."""
    answers = []
    with socket.create_connection(address, timeout=60) as client:
        for part in parts:
            client.sendall(part)
            answer = b""
            while len(statuses(answer)) < part.count(b" HTTP/1.1\r\n") or answer[-1:] != b"}":
                answer += client.recv(65536)
            answers.append(answer)
    return answers


def test_a_head_that_comes_again_is_known(make_app, running, monkeypatch):
    repeated, repeats = [], Connection._repeats

    def counted(*args):
        repeated.append(repeats(*args))
        return repeated[-1]

    monkeypatch.setattr(Connection, "_repeats", counted)
    texts = [b"abc", b"ab1", b"abcd", b"abce", b"12", b"34"]
    sent = [post(b'{"text": "%s"}' % text, close=False) for text in texts]
    with running(make_app()) as address:
        answers = conversation(address, *sent)
    labels = [re.findall(rb'"label":"(\w+)"', answer) for answer in answers]
    assert labels == [[b"odd"], [b"odd"], [b"even"], [b"even"], [b"even"], [b"even"]]
    assert repeated == [True, False, True, False, True]
    ids = {re.search(rb"x-request-id: (\w+)", answer)[1] for answer in answers}
    assert len(ids) == len(texts)


def test_a_head_is_known_only_where_nothing_else_came_with_it(make_app, running):
    one, bad = (post(b'{"text": "%s"}' % text, close=False) for text in (b"abc", b"ab\x00"))
    assert len(one) == len(bad)
    with running(make_app()) as address:
        parts = (b"\r\n" + one, one, one + b"\r\n", one, bad, one, one + one, one, one + one)
        answers = conversation(address, *parts)
    expected = [[200]] * 4 + [[400], [200], [200, 200], [200], [200, 200]]
    assert [statuses(answer) for answer in answers] == expected


def large(count, *headers, close=False):
    body = json.dumps({"instances": [{"text": "abc"}] * count}).encode()
    return post(body, b"/v1/predict", *headers, close=close)


def test_a_large_body_is_read_to_where_it_lies(make_app, running, exchange, monkeypatch):
    taken = []
    monkeypatch.setattr(LargeBody, "get_buffer", counting(LargeBody.get_buffer, taken))
    with running(
        make_app(patient(max_body=10**7, max_instances=10**5, max_queue=10**5))
    ) as address:
        pieces = [large(20_000)[at : at + 100_000] for at in range(0, len(large(20_000)), 100_000)]
        answer = exchange(address, *pieces, large(10_000) + post(ONE, close=False), post())
    assert statuses(answer) == [200] * 4
    assert answer.count(b'"label":"odd"') == 30_002
    assert taken


def test_the_head_of_a_large_body_is_known_when_it_comes_again(make_app, running, monkeypatch):
    repeated, begin_again = [], Connection.begin_again

    def counted(*args):
        repeated.append(begin_again(*args))
        return repeated[-1]

    monkeypatch.setattr(Connection, "begin_again", counted)
    odd, even = (
        post((b'{"text": "%s"}' % text).ljust(400_000), close=False) for text in (b"abc", b"abcd")
    )
    with running(make_app(patient(max_body=10**7))) as address:
        answers = conversation(address, odd, even, odd, post(close=False), even, odd)
    assert [statuses(answer) for answer in answers] == [[200]] * 6
    labels = [re.findall(rb'"label":"(\w+)"', answer) for answer in answers]
    assert labels == [[b"odd"], [b"even"], [b"odd"], [b"odd"], [b"even"], [b"odd"]]
    assert repeated == [True, True, True]


def test_a_body_that_begins_like_the_head_before_it_is_a_body(make_app, running, exchange):
    inner = post(ONE, close=False)
    outer = b'{"text": "abc"}' + b" " * 100
    with running(make_app(patient(max_body=10**7))) as address:
        head, body = post(outer, close=False)[: -len(outer)], outer
        answers = conversation(address, inner)
        answer = exchange(address, inner, head, inner[: len(body)], post(), pause=threading.Event())
    assert [statuses(each) for each in answers] == [[200]]
    assert statuses(answer)[:2] == [200, 400]  # the body is no JSON, and no request of its own


def counting(function, calls):
    def counted(*args):
        calls.append(args)
        return function(*args)

    return counted


def test_a_large_body_that_does_not_come(make_app, running, exchange):
    app = make_app(patient(max_body=10**7, body_timeout=0.2))
    with running(app) as address:
        answer = exchange(address, large(20_000)[:-100_000])
        with socket.create_connection(address, timeout=60) as client:
            client.sendall(large(20_000)[:-100_000])
        app.limits = patient()  # on a busy machine anybody may take as long
        assert statuses(exchange(address, post())) == [200]
    assert (statuses(answer), code_of(answer)) == ([408], "slow_body")


@pytest.mark.parametrize(("hosts", "found"), [(b"", "none"), (b"Host: a\r\nHost: b\r\n", "2")])
def test_a_request_names_one_host(make_app, running, exchange, hosts, found):
    head = b"GET /healthz HTTP/1.%d\r\n" + hosts + b"Connection: close\r\n\r\n"
    with running(make_app()) as address:
        answer = exchange(address, head % 1)
        older = exchange(address, head % 0)
    assert statuses(answer) == [400]
    assert f"expected one header Host, found {found}".encode() in answer
    assert statuses(older) == [400 if hosts else 200]
