"""A store that speaks S3 until it is troubled: another one's answers, and then its own."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

_NOT_PASSED_ON = ("connection", "transfer-encoding", "content-length", "server", "date")
_SECONDS = 60.0


class Trouble(NamedTuple):
    """What is answered: a status and, but for HEAD, an error's code. Status 0 is no answer."""

    status: int
    code: str = ""


SILENT = Trouble(0)
EXPIRED = Trouble(400, "ExpiredToken")
DENIED = Trouble(403, "SignatureDoesNotMatch")
BUSY = Trouble(503, "SlowDown")
NO_STORE = Trouble(200)


class TroubledStore(ThreadingHTTPServer):
    """Passes requests on to a real server; answers by its trouble once `healthy` have come.

    Attributes:
        table: URL of a table that it keeps.
        trouble: how it answers then.
        healthy: how many requests it answers well.
        requests: how many have come.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, behind: str, table: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind, self.table, self.trouble = behind, table, SILENT
        self.healthy, self.requests = 1_000_000, 0
        self.lock, self.closing = threading.Lock(), threading.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def fall_ill(self, trouble: Trouble, after: int = 0) -> None:
        """Answer well so many times more, and by a trouble from then on."""
        with self.lock:
            self.trouble, self.healthy = trouble, self.requests + after


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: TroubledStore

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        store = self.server
        with store.lock:
            store.requests += 1
            troubled = store.requests > store.healthy
        if not troubled:
            self._pass_on(body)
        elif store.trouble.status == 0:
            store.closing.wait(_SECONDS)
        else:
            said = f"<?xml version='1.0'?><Error><Code>{store.trouble.code}</Code></Error>"
            self._reply(store.trouble.status, {}, said.encode())

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815

    def _pass_on(self, body: bytes) -> None:
        headers = {name: value for name, value in self.headers.items() if name != "Connection"}
        sent = body if self.command in ("PUT", "POST") else None
        request = Request(self.server.behind + self.path, sent, headers, method=self.command)
        try:
            answer = urlopen(request, timeout=_SECONDS)
        except HTTPError as error:
            answer = error
        passed = {k: v for k, v in answer.headers.items() if k.lower() not in _NOT_PASSED_ON}
        if self.command == "HEAD":
            passed["Content-Length"] = answer.headers.get("Content-Length", "0")
        self._reply(answer.status, passed, answer.read())

    def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
