"""The local page: a review session in a browser on this machine, from the standard library alone.

    GET  /TOKEN/            the page
    GET  /TOKEN/state       the question and how far the session is, as JSON
    POST /TOKEN/answer      {"position": 3, "label": "spam", "note": null}
    POST /TOKEN/skip        {"position": 3, "note": null}
    POST /TOKEN/undo        {"position": 3}

Only this machine can connect. The random token keeps other users and other pages out; requests that
name another host, or come from another page, are refused (DNS rebinding, cross-site requests). A
post names the position that it is about: a double click, or a second window, changes nothing.
"""

from __future__ import annotations

import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec

from gristmill.core.errors import LabelError
from gristmill.label.review.keys import class_keys
from gristmill.label.review.session import Session

_TEMPLATE = Path(__file__).with_name("page.html")
_HOST = "127.0.0.1"
_BODY_BYTES = 1 << 16
_SECONDS = 30


class _Post(msgspec.Struct, forbid_unknown_fields=True):
    position: int
    label: str | None = None
    note: str | None = None


class ReviewServer(ThreadingHTTPServer):
    """Serves one session on 127.0.0.1 until it is stopped.

    Args:
        session: whose questions are shown.
        title: of the page.
        port: 0 for any that is free.

    Raises:
        OSError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, session: Session, title: str = "Review", port: int = 0) -> None:
        super().__init__((_HOST, port), _Handler)
        self.session = session
        self.title = title
        self.token = secrets.token_urlsafe(24)
        self.turn = Lock()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{self.authority}/{self.token}/"

    @property
    def authority(self) -> str:
        """Host and port, as a browser names them."""
        return f"{_HOST}:{self.server_port}"

    def state(self) -> dict[str, Any]:
        """Return what the page shows, as plain data."""
        session = self.session
        question = session.question
        return {
            "position": session.position,
            "total": len(session),
            "answered": session.answered,
            "skipped": session.skipped,
            "agreed": session.agreed,
            "suggestions": session.suggestions,
            "question": None if question is None else msgspec.to_builtins(question),
        }

    def facts(self) -> dict[str, Any]:
        """Return what stays the same during a session."""
        session = self.session
        keys = {name: key for key, name in class_keys(session.classes).items()}
        return {
            "title": self.title,
            "annotator": session.annotator,
            "file": str(session.file.path),
            "classes": [{"name": name, "key": keys.get(name)} for name in session.classes],
        }

    def do(self, action: str, post: _Post) -> HTTPStatus:
        """Carry out what a page asks for; the caller holds `turn`.

        Raises:
            LabelError: there is no such class.
            OSError: the answer could not be written.
        """
        if post.position != self.session.position:
            return HTTPStatus.CONFLICT
        if action == "undo":
            self.session.undo()
        elif self.session.question is None:
            return HTTPStatus.CONFLICT
        elif action == "skip":
            self.session.skip(post.note)
        else:
            self.session.answer(post.label or "", post.note)
        return HTTPStatus.OK


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    timeout = _SECONDS
    server_version = "gristmill"
    sys_version = ""

    def do_GET(self) -> None:
        place = self._place()
        if place == "":
            self._page()
        elif place == "state":
            with self.server.turn:
                state = self.server.state()
            self._json(HTTPStatus.OK, state)
        else:
            self._json(HTTPStatus.NOT_FOUND, {"error": "there is nothing here"})

    def do_POST(self) -> None:
        action = self._place()
        if action not in ("answer", "skip", "undo"):
            self._json(HTTPStatus.NOT_FOUND, {"error": "there is nothing here"})
        elif not self._is_own_page():
            self._json(HTTPStatus.FORBIDDEN, {"error": "this request is not from the page"})
        else:
            self._act(action)

    def log_message(self, *_: object) -> None:
        """Say nothing: addresses hold the token."""

    def _act(self, action: str) -> None:
        try:
            post = msgspec.json.decode(self._body(), type=_Post)
        except (msgspec.DecodeError, ValueError) as error:
            self._json(HTTPStatus.BAD_REQUEST, {"error": str(error)})
            return
        with self.server.turn:
            try:
                status, problem = self.server.do(action, post), None
            except LabelError as error:
                status, problem = HTTPStatus.BAD_REQUEST, error.message
            except OSError as error:
                reason = error.strerror or str(error)
                status = HTTPStatus.INTERNAL_SERVER_ERROR
                problem = f"the answer could not be saved: {reason}"
            state = self.server.state()
        self._json(status, state if problem is None else {"error": problem, **state})

    def _place(self) -> str | None:
        """Return the path after the token; None where host or token are not ours."""
        if self.headers.get("Host") != self.server.authority:
            return None
        _, token, *rest = self.path.split("/")
        known = secrets.compare_digest(token.encode(), self.server.token.encode())
        return rest[0] if known and len(rest) == 1 else None

    def _is_own_page(self) -> bool:
        """Say whether the request is JSON from our own page (or from no page at all)."""
        origin = self.headers.get("Origin")
        is_json = self.headers.get_content_type() == "application/json"
        return is_json and origin in (None, f"http://{self.server.authority}")

    def _body(self) -> bytes:
        size = int(self.headers.get("Content-Length") or -1)
        if not 0 <= size <= _BODY_BYTES:
            raise ValueError(f"expected a body of at most {_BODY_BYTES} bytes")
        return self.rfile.read(size)

    def _page(self) -> None:
        nonce = secrets.token_urlsafe(16)
        facts = msgspec.json.encode(self.server.facts()).decode().replace("<", "\\u003c")
        page = _TEMPLATE.read_text(encoding="utf-8")
        page = page.replace("{{nonce}}", nonce).replace("{{facts}}", facts)
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
            "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        self._send(HTTPStatus.OK, "text/html; charset=utf-8", page.encode(), policy)

    def _json(self, status: HTTPStatus, payload: object) -> None:
        body = msgspec.json.encode(payload)
        self._send(status, "application/json", body, "default-src 'none'")

    def _send(self, status: HTTPStatus, kind: str, body: bytes, policy: str) -> None:
        if status >= HTTPStatus.BAD_REQUEST:
            self.close_connection = True  # what it sent may not be read to its end
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", policy),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
