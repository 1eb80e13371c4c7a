import asyncio
import gzip

import pytest

from gristmill.serve.refusal import Refusal
from gristmill.serve.server.request import Disconnected, Request


def request_of(*parts, headers=(), disconnect=False, hang=False):
    messages = [
        {"type": "http.request", "body": part, "more_body": number < len(parts) - 1 or hang}
        for number, part in enumerate(parts)
    ]
    if disconnect:
        messages = [{**messages[0], "more_body": True}, {"type": "http.disconnect"}]

    async def receive():
        if not messages:
            await asyncio.sleep(60)
        return messages.pop(0)

    scope = {"method": "POST", "path": "/", "headers": list(headers)}
    return Request.of_scope(scope, receive), messages


def body(request, limit=100, seconds=5.0):
    return asyncio.run(request.body(limit, seconds))


def refused(request, **more):
    with pytest.raises(Refusal) as caught:
        body(request, **more)
    return caught.value


def test_a_body_in_parts_is_joined_and_kept():
    request, _ = request_of(b"ab", b"", b"c")
    assert (body(request), body(request)) == (b"abc", b"abc")


def test_a_body_that_is_there_is_not_asked_for():
    assert body(Request("POST", "/", {}, b"abc")) == b"abc"


@pytest.mark.parametrize(
    ("headers", "parts"),
    [([], [b"x" * 60, b"x" * 41]), ([(b"content-length", b"1000000000")], [b""])],
)
def test_a_body_above_the_limit(headers, parts):
    refusal = refused(request_of(*parts, headers=headers)[0])
    assert (refusal.status, refusal.code) == (413, "body_too_large")


def test_a_gigabyte_is_refused_before_it_is_read():
    request, unread = request_of(b"x", headers=[(b"content-length", b"1000000000")])
    assert refused(request).message == "expected a body of at most 100 B, found 1 GB"
    assert len(unread) == 1


def test_a_body_that_does_not_come():
    refusal = refused(request_of(b"x", hang=True)[0], seconds=0.01)
    assert (refusal.status, refusal.code) == (408, "slow_body")
    assert refusal.headers == (("Connection", "close"),)


@pytest.mark.parametrize("length", [b"many", b"-1", b"1.5", "٣".encode(), b"9" * 30])
def test_a_length_that_is_none(length):
    assert refused(request_of(b"x", headers=[(b"content-length", length)])[0]).code == "bad_length"


def test_a_body_that_is_compressed_is_unpacked_once():
    packed = gzip.compress(b"abc" * 9)
    request, _ = request_of(packed[:7], packed[7:], headers=[(b"content-encoding", b"gzip")])
    assert (body(request), body(request)) == (b"abc" * 9, b"abc" * 9)
    assert body(request_of(b"x", headers=[(b"content-encoding", b"Identity")])[0]) == b"x"


def test_a_body_that_is_too_long_unpacked():
    packed = gzip.compress(bytes(101))
    refusal = refused(request_of(packed, headers=[(b"content-encoding", b"gzip")])[0])
    assert (refusal.status, refusal.code) == (413, "body_too_large")
    assert refusal.message == (
        f"expected a body of at most 100 B, found more in {len(packed)} B of gzip"
    )


def test_a_coding_that_is_not_known_is_refused_before_the_body_is_read():
    request, unread = request_of(b"x", headers=[(b"content-encoding", b"br")])
    assert refused(request).status == 415
    assert len(unread) == 1


def test_a_client_that_leaves():
    with pytest.raises(Disconnected):
        body(request_of(b"x", disconnect=True)[0])


def test_what_is_left_of_a_refused_body_is_read_to_an_end():
    request, unread = request_of(*[b"x" * 1_000_000] * 40)
    asyncio.run(request.drain())
    assert len(unread) == 24
    request, unread = request_of(b"x", b"y")
    asyncio.run(request.drain())
    assert unread == []


def test_a_client_that_waits_to_be_told_is_not_told_to_send():
    request, unread = request_of(b"x", headers=[(b"expect", b"100-continue")])
    asyncio.run(request.drain())
    assert len(unread) == 1
