import asyncio

from gristmill.serve.server.response import Response


def test_as_messages():
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(Response.json({"a": 1}, 201, [(b"x", b"y")]).send(send))
    start, body = sent
    assert (start["status"], body["body"]) == (201, b'{"a":1}')
    assert start["headers"] == [
        (b"content-type", b"application/json"),
        (b"content-length", b"7"),
        (b"x-content-type-options", b"nosniff"),
        (b"x", b"y"),
    ]


def test_as_bytes():
    response = Response(b"body", 404, b"text/plain", [(b"x", b"y")])
    assert response.to_bytes(close=False) == (
        b"HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\n"
        b"x-content-type-options: nosniff\r\ncontent-length: 4\r\nx: y\r\n\r\nbody"
    )
    assert b"\r\nconnection: close\r\n\r\nbody" in response.to_bytes(close=True)
