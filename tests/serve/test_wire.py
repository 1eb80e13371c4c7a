import asyncio

import pytest

from gristmill.serve.refusal import Refusal
from gristmill.serve.wire import Disconnected, Request, Response


def request_of(*parts, headers=(), end=True):
    """A request whose body arrives in parts; without `end` the client stalls after them."""
    messages = [
        {"type": "http.request", "body": part, "more_body": not end or at < len(parts) - 1}
        for at, part in enumerate(parts)
    ]

    async def receive():
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    scope = {"method": "POST", "path": "/", "headers": list(headers)}
    return Request(scope, receive), messages


def body_of(request, limit=100, seconds=10.0):
    return asyncio.run(request.body(limit, seconds))


def json_of(body, *headers):
    return asyncio.run(request_of(body, headers=headers)[0].json(1000, 10.0))


def test_a_body_in_parts_is_joined():
    request, _ = request_of(b"ab", b"", b"cd")
    assert body_of(request) == b"abcd"


def test_a_body_of_exactly_the_limit_is_taken():
    assert body_of(request_of(b"x" * 60, b"x" * 40)[0]) == b"x" * 100


def test_a_longer_body_is_refused_as_soon_as_it_is_too_long():
    request, unread = request_of(b"x" * 60, b"x" * 41, b"x" * 1000)
    with pytest.raises(Refusal) as caught:
        body_of(request)
    assert caught.value.status == 413
    assert caught.value.message == "expected a body of at most 100 B, found more"
    assert len(unread) == 1


def test_a_body_that_says_it_is_longer_is_not_even_read():
    request, unread = request_of(b"x", headers=[(b"content-length", b"2500")])
    with pytest.raises(Refusal) as caught:
        body_of(request)
    assert caught.value.status == 413
    assert caught.value.message == "expected a body of at most 100 B, found 2.50 KB"
    assert len(unread) == 1


@pytest.mark.parametrize("length", ["-1", "1e3", "", "\u0663"])
def test_a_length_that_is_no_number_is_refused(length):
    with pytest.raises(Refusal) as caught:
        body_of(request_of(b"x", headers=[(b"content-length", length.encode())])[0])
    assert (caught.value.status, caught.value.code) == (400, "bad_length")


def test_a_client_that_stalls_is_not_waited_for():
    with pytest.raises(Refusal) as caught:
        body_of(request_of(b"x", end=False)[0], seconds=0.01)
    assert caught.value.status == 408
    assert caught.value.headers == (("Connection", "close"),)


def test_a_client_that_leaves_is_noticed():
    async def receive():
        return {"type": "http.disconnect"}

    with pytest.raises(Disconnected):
        body_of(Request({"method": "POST", "path": "/", "headers": []}, receive))


@pytest.mark.parametrize(
    "kind",
    ["application/json", "Application/JSON; charset=utf-8", 'application/json;charset="UTF-8"'],
)
def test_json_is_taken_however_it_is_announced(kind):
    assert json_of(b'{"a": 1}', (b"content-type", kind.encode())) == {"a": 1}


def test_json_is_taken_where_nothing_is_announced():
    assert json_of(b"[1]") == [1]


@pytest.mark.parametrize(
    "kind", ["text/csv", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
def test_anything_else_is_refused(kind):
    with pytest.raises(Refusal) as caught:
        json_of(b"{}", (b"content-type", kind.encode()))
    assert caught.value.status == 415
    assert caught.value.message == f"expected content type application/json, found {kind}"
    assert caught.value.fix == "send the header Content-Type: application/json"


def test_a_compressed_body_is_refused():
    with pytest.raises(Refusal, match="found gzip") as caught:
        json_of(b"{}", (b"content-encoding", b"gzip"))
    assert caught.value.status == 415


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"a": 1,\n "b": }', "line 2, column 7 (character 15)"),
        (b"", "line 1, column 1 (character 0)"),
        (b'{"a": NaN}', "line 1, column 7 (character 6)"),
    ],
)
def test_malformed_json_is_refused_with_its_place(body, place):
    with pytest.raises(Refusal) as caught:
        json_of(body)
    assert (caught.value.status, caught.value.code) == (400, "malformed_json")
    assert caught.value.message.startswith(f"malformed JSON at {place}: ")


@pytest.mark.parametrize("body", [b"\xff\xfe", b'"\\ud800"', b"[" * 900_0])
def test_bad_unicode_and_endless_nesting_are_malformed_too(body):
    with pytest.raises(Refusal) as caught:
        asyncio.run(request_of(body)[0].json(10_000, 10.0))
    assert caught.value.code == "malformed_json"


def test_a_response_is_two_messages():
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(Response.json({"a": [1]}, 503, [("Retry-After", "2")]).send(send))
    start, body = sent
    assert start["status"] == 503
    assert dict(start["headers"]) == {
        b"content-type": b"application/json",
        b"content-length": b"9",
        b"x-content-type-options": b"nosniff",
        b"retry-after": b"2",
    }
    assert body == {"type": "http.response.body", "body": b'{"a":[1]}'}


def test_what_is_left_of_a_refused_body_is_read_and_forgotten():
    request, unread = request_of(b"x" * 60, b"x" * 41, b"x" * 1000, b"x")
    with pytest.raises(Refusal):
        body_of(request)
    asyncio.run(request.drain())
    assert unread == []


def test_draining_ends_with_the_body_with_the_client_and_at_its_bound():
    whole, _ = request_of(b"ab")
    assert body_of(whole) == b"ab"
    asyncio.run(whole.drain())  # nothing is left: it does not wait for more
    gone, messages = request_of(b"x", b"y")
    messages[1] = {"type": "http.disconnect"}
    asyncio.run(gone.drain())
    endless, unread = request_of(*[b"x" * 4_000_000] * 10)
    asyncio.run(endless.drain())
    assert len(unread) == 6


def test_a_client_that_waits_to_be_told_is_not_told_to_send():
    request, unread = request_of(b"x", headers=[(b"expect", b"100-continue")])
    asyncio.run(request.drain())
    assert len(unread) == 1
