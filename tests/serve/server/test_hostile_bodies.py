"""Bodies made to hurt: each is refused with a reason, and leaves nothing behind."""

import asyncio
import gc
import json
import math
import sys

import numpy as np
import pytest

from gristmill.serve.server.request import Request

DEEP = 100_000
HOSTILE = {
    "lists within lists": (b"[" * DEEP + b"]" * DEEP, 400),
    "objects within objects": (b'{"a":' * DEEP + b"1" + b"}" * DEEP, 400),
    "lists within a record": (b'{"text": ' + b"[" * DEEP + b"]" * DEEP + b"}", 400),
    "a list that never ends": (b"[" * DEEP, 400),
    "NaN": (b'{"text": NaN}', 400),
    "Infinity": (b'{"text": "a", "count": Infinity}', 400),
    "a number past all floats": (b'{"text": "a", "count": 1e999}', 400),
    "an integer of 5,000 digits": (b'{"text": "a", "count": ' + b"9" * 5000 + b"}", 400),
    "an integer past 64 bits": (b'{"text": "a", "count": 18446744073709551616}', 422),
    "half a character": (b'{"text": "\\ud800"}', 400),
    "no UTF-8": (b'{"text": "\xff"}', 400),
    "a NUL": (b'{"text": "\0"}', 400),
    "one key often": (b"{" + b'"text": "a",' * 50_000 + b'"text": "a"}', 200),
    "many keys": (json.dumps({"text": "a"} | {f"k{n}": n for n in range(20_000)}).encode(), 200),
}


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner() as runner:
        yield runner


@pytest.mark.parametrize(("body", "status"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_json_is_refused_in_each_form(make_app, ask, body, status):
    app = make_app(others=["vector"])
    assert ask(app, "POST", "/v1/predict", content=body).status_code == status
    for path in ("/v2/models/vector/infer", "/v1/feedback", "/v2/repository/index"):
        answer = ask(app, "POST", path, content=body)
        assert answer.status_code in (400, 404, 422) or (answer.status_code, path) == (
            200,
            "/v2/repository/index",
        )
        json.loads(answer.text)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_refused_or_bound(make_app, ask, value):
    app = make_app(others=["vector", "ragged"])
    body = np.full(4, value, "<f4").tobytes()
    kind = {"Content-Type": "application/octet-stream"}
    limited = ask(app, "POST", "/v1/models/vector/predict", content=body, headers=kind)
    assert (limited.status_code, limited.json()["error"]["code"]) == (422, "bad_records")
    # Without bounds they are numbers like others; the answer is theirs, and JSON cannot hold it.
    free = ask(app, "POST", "/v1/models/ragged/predict", content=body, headers=kind)
    assert (free.status_code, free.json()["error"]["code"]) == (422, "bad_records")


def test_thousands_of_bad_requests_leave_nothing_behind(make_app, loop):
    app = make_app(others=["vector", "ragged"])
    bodies = [body for body, _ in HOSTILE.values() if len(body) < 10_000]
    bodies += [b"", b"[]", b'{"instances": 3}', b'{"instances": [{"x": [1, 2]}]}']
    paths = ["/v1/predict", "/v1/models/vector/predict", "/v2/models/ragged/infer", "/v1/feedback"]

    async def bad(number):
        body = bodies[number % len(bodies)]
        headers = {
            b"content-type": b"text/csv" if number % 5 == 0 else b"x/%d" % number,
            b"accept": b"y/%d" % number,
            b"x-request-id": b"r%d" % number,
        }
        path = paths[number % 4] if number % 7 else f"/v1/models/m{number}/predict"
        if number % 3:
            headers = {}
        request = Request("POST", path, headers, body + b" " * (number % 50))
        assert (await app.respond(request)).status in (200, 400, 404, 406, 415, 422)

    async def many(count):
        for number in range(count):
            await bad(number)

    def blocks():
        gc.collect()
        return sys.getallocatedblocks()

    loop.run(many(1500))
    before = blocks()
    loop.run(many(4000))
    assert blocks() - before < 1000
