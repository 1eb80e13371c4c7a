import asyncio
import gzip
import json
import random
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.patience import web

from gristmill.serve.refusal import Refusal
from gristmill.serve.server.content_coding import (
    WORTH_BYTES,
    accepted_coding,
    coding_of,
    pack,
    unpack,
    unpacked,
)
from gristmill.serve.server.response import Response

TEXT = b"to be or not to be, " * 10
GZIPPED = gzip.compress(TEXT, mtime=0)


def raw(body):
    writer = zlib.compressobj(wbits=-15)
    return writer.compress(body) + writer.flush()


PACKERS = [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw)]


@pytest.mark.parametrize(("coding", "packer"), PACKERS)
@given(body=st.binary(max_size=200) | st.binary(max_size=9).map(lambda part: part * 50))
def test_comes_back_as_it_was(coding, packer, body):
    assert unpack(packer(body), coding, len(body)) == body
    if body:
        assert unpack(packer(body), coding, len(body) - 1) is None


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@given(body=st.binary(max_size=80))
def test_anything_else_is_refused(coding, body):
    found = []
    try:
        assert unpack(body, coding, 1000) is not None
    except Refusal as refusal:
        found = [(refusal.status, refusal.code)]
    assert found in ([], [(400, "malformed_body")])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (GZIPPED[:-1], "the body is no gzip: it ends too soon"),
        (GZIPPED + b"ab", "the body is no gzip: 2 bytes follow its end"),
        (b"", "the body is no gzip: it ends too soon"),
        (TEXT, "the body is no gzip: Error -3 while decompressing data: incorrect header check"),
    ],
    ids=["cut", "more", "empty", "plain"],
)
def test_what_is_damaged_is_said(body, why):
    with pytest.raises(Refusal) as caught:
        unpack(body, "gzip", 1000)
    assert caught.value.message == why


def test_a_bomb_is_not_unpacked():
    bomb = gzip.compress(bytes(50_000_000), 9)
    assert len(bomb) < 100_000
    tracemalloc.start()
    try:
        assert asyncio.run(unpacked(bomb, "gzip", 1_000_000)) is None
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("said", "coding"),
    [(b"gzip", "gzip"), (b" X-GZip ", "gzip"), (b"Deflate", "deflate"), (b"identity", "")],
)
def test_codings_that_are_known(said, coding):
    assert coding_of(said) == coding


@pytest.mark.parametrize("said", [b"br", b"gzip, gzip", b"zstd"])
def test_codings_that_are_not(said):
    with pytest.raises(Refusal) as caught:
        coding_of(said)
    refusal = caught.value
    assert (
        refusal.message == f"expected a body as it is or as gzip or deflate, found {said.decode()}"
    )
    assert (refusal.status, refusal.headers) == (415, (("Accept-Encoding", "gzip, deflate"),))


@pytest.mark.parametrize(
    ("said", "coding"),
    [
        (b"gzip", "gzip"),
        (b"deflate, gzip", "gzip"),
        (b"br;q=1.0, Deflate;q=0.5", "deflate"),
        (b"gzip;q=0, deflate;q=0.0", ""),
        (b"gzip; q=0.1", "gzip"),
        (b"*", ""),
        (b"", ""),
    ],
)
def test_what_a_client_takes(said, coding):
    assert accepted_coding(said) == coding


@pytest.mark.parametrize(
    ("coding", "reader"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)]
)
def test_a_large_answer_is_packed(coding, reader):
    body = TEXT * (WORTH_BYTES // len(TEXT) + 1)
    response = Response(body)
    asyncio.run(pack(response, coding.encode()))
    assert reader(response.body) == body
    assert response.headers == [
        (b"content-encoding", coding.encode()),
        (b"vary", b"Accept-Encoding"),
    ]


@pytest.mark.parametrize("accept", [b"gzip", b"identity"])
def test_an_answer_that_does_not_shrink_or_is_not_wanted_stays(accept):
    body = random.Random(3).randbytes(WORTH_BYTES) if accept == b"gzip" else bytes(WORTH_BYTES)
    response = Response(body)
    asyncio.run(pack(response, accept))
    assert (response.body, response.headers) == (body, [])


def test_over_a_connection_both_ways(make_app, running):
    body = json.dumps({"instances": [{"text": "abc"}] * 700}).encode()
    asked = {"Content-Type": "application/json"}
    with running(make_app()) as (host, port):
        url = f"http://{host}:{port}/v1/predict"
        plain = web.post(url, content=body, headers={**asked, "Accept-Encoding": "identity"})
        assert len(plain.content) > WORTH_BYTES
        assert "content-encoding" not in plain.headers
        for packed in (asked, {**asked, "Content-Encoding": "gzip"}):  # the short way, uvicorn's
            sent = gzip.compress(body) if packed is not asked else body
            answer = web.post(url, content=sent, headers={**packed, "Accept-Encoding": "gzip"})
            assert answer.headers["content-encoding"] == "gzip"
            labels = [
                [each["label"] for each in got.json()["predictions"]] for got in (answer, plain)
            ]
            assert labels[0] == labels[1]
        few = json.dumps({"text": "abc"}).encode()
        short = web.post(url, content=few, headers={**asked, "Accept-Encoding": "gzip"})
        assert "content-encoding" not in short.headers
