"""What this example asks of the running server: good requests and bad ones."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from gristmill import serve

SPAM = "URGENT! You have WON a 1000 pound prize. Call 09061701461 now to claim. 150p/min"
HAM = "Are you coming home for dinner tonight? Mum is asking"
JSON = "application/json"

REQUESTS: dict[str, tuple[bytes, str]] = {
    "single": (json.dumps({"text": SPAM}).encode(), JSON),
    "batch": (json.dumps({"instances": [{"text": SPAM}, {"text": HAM}]}).encode(), JSON),
    "malformed JSON": (b'{"instances": [{"text": ', JSON),
    "missing field": (b'{"instances": [{"txet": "hello"}]}', JSON),
    "wrong type": (b'{"instances": [{"text": "fine"}, {"text": 42}]}', JSON),
    "not JSON at all": (b"text=hello", "application/x-www-form-urlencoded"),
    "oversized": (json.dumps({"text": "x" * 2_000_000}).encode(), JSON),
}


def exchange_all(bundle: Path) -> list[dict[str, Any]]:
    """Start the server on a free port, send every request, stop the server.

    Returns one dict per request: `name`, `request` and `response` (shortened), `status`, `seconds`.
    """
    with serve.running_server(bundle) as server:
        return [_exchange(server.client.url, name, *REQUESTS[name]) for name in REQUESTS]


def _exchange(url: str, name: str, body: bytes, kind: str) -> dict[str, Any]:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=30)
    began = time.perf_counter()
    # A server that refuses a large body does not wait for the rest of it: the answer is there.
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.request("POST", "/v1/predict", body, {"Content-Type": kind})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return {
        "name": name,
        "request": body.decode()[:200],
        "status": response.status,
        "response": answer.decode()[:1000],
        "seconds": time.perf_counter() - began,
    }
