from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gristmill.label.review.answers import Answers
from gristmill.label.review.server import ReviewServer
from gristmill.label.review.session import Session

Open = Callable[..., Session]
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def server(open_session: Open) -> Iterator[ReviewServer]:
    with ReviewServer(open_session(), "<b>data</b>") as opened:
        thread = threading.Thread(target=opened.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield opened
        opened.shutdown()
        thread.join()


def ask(
    server: ReviewServer,
    method: str,
    place: str,
    body: object = None,
    headers: dict[str, str] | None = None,
    token: str | None = None,
) -> tuple[int, http.client.HTTPMessage, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    data = body if isinstance(body, str | None) else json.dumps(body)
    path = f"/{server.token if token is None else token}/{place}"
    connection.request(method, path, data, headers or (JSON if method == "POST" else {}))
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, text


def post(server: ReviewServer, action: str, **body: object) -> tuple[int, Any]:
    status, _, text = ask(server, "POST", action, body)
    return status, json.loads(text)


def test_the_page_asks_for_nothing_from_anywhere(server: ReviewServer) -> None:
    status, headers, page = ask(server, "GET", "")
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    nonce = re.search(r"script-src 'nonce-([^']+)'", policy)
    assert nonce is not None
    assert f'<script nonce="{nonce[1]}">' in page
    assert "<b>data" not in page
    assert not re.search(r"(src|href)=[\"'](?!data:)", page)
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    _, again, _ = ask(server, "GET", "")
    assert again["Content-Security-Policy"] != policy


def test_a_session_through_the_page(server: ReviewServer) -> None:
    status, _, text = ask(server, "GET", "state")
    state = json.loads(text)
    assert (status, state["position"], state["total"]) == (200, 0, 3)
    status, state = post(server, "answer", position=0, label="spam", note="so")
    assert (status, state["position"], state["answered"]) == (200, 1, 1)
    saved = Answers.load(server.session.file.path)
    assert saved.frame.select("label", "note").rows() == [("spam", "so")]
    status, state = post(server, "skip", position=1)
    assert (status, state["skipped"]) == (200, 1)
    status, state = post(server, "undo", position=2)
    assert (status, state["position"], state["skipped"]) == (200, 1, 0)
    for position in (1, 2):
        status, state = post(server, "answer", position=position, label="ham")
    assert (status, state["question"], state["answered"]) == (200, None, 3)
    assert post(server, "skip", position=3)[0] == 409


def test_a_double_click_answers_once(server: ReviewServer) -> None:
    assert post(server, "answer", position=0, label="spam")[0] == 200
    status, state = post(server, "answer", position=0, label="spam")
    assert (status, state["position"]) == (409, 1)
    assert len(Answers.load(server.session.file.path).events) == 1


def test_many_clicks_at_once_answer_once(server: ReviewServer) -> None:
    found: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(post(server, "answer", position=0, label="ham")[0])
        )
        for _ in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(found) == [200] + [409] * 7
    assert len(Answers.load(server.session.file.path).events) == 1


@pytest.mark.parametrize(
    ("headers", "token", "status"),
    [
        ({**JSON, "Host": "evil.example"}, None, 404),
        ({**JSON, "Origin": "http://evil.example"}, None, 403),
        ({"Content-Type": "text/plain"}, None, 403),
        (JSON, "wrong", 404),
        (JSON, "", 404),
        (JSON, "t\u00f6ken", 404),
    ],
)
def test_requests_from_elsewhere_are_refused(
    server: ReviewServer, headers: dict[str, str], token: str | None, status: int
) -> None:
    if token is not None and not token.isascii():
        token = token.encode().decode("latin-1").encode("latin-1").hex()
    body = {"position": 0, "label": "ham"}
    assert ask(server, "POST", "answer", body, headers, token)[0] == status
    assert not server.session.file.path.exists()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"position": 0, "label": "eggs"}, "there is no class 'eggs'"),
        ({"position": 0}, "there is no class ''"),
        ({"position": "0"}, "Expected `int`"),
        ("nonsense", "JSON is malformed"),
        ("[" * 70_000, "expected a body of at most 65536 bytes"),
    ],
)
def test_bodies_that_are_no_answer(server: ReviewServer, body: object, problem: str) -> None:
    status, _, text = ask(server, "POST", "answer", body)
    assert status == 400
    assert problem in json.loads(text)["error"]
    assert server.session.position == 0


def test_places_that_are_not_there(server: ReviewServer) -> None:
    assert ask(server, "GET", "answer")[0] == 404
    assert ask(server, "POST", "state", {"position": 0})[0] == 404
    assert ask(server, "GET", "state/x")[0] == 404


def test_an_answer_that_cannot_be_saved_is_asked_again(
    server: ReviewServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gristmill.label.review.answers.os.fsync", full)
    status, told = post(server, "answer", position=0, label="ham")
    assert (status, told["position"]) == (500, 0)
    assert told["error"] == "the answer could not be saved: No space left on device"


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_a_browser_shows_the_question(server: ReviewServer, tmp_path: Path) -> None:
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
        "--virtual-time-budget=3000", "--dump-dom", server.url,
    ]  # fmt: skip
    page = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    question = server.session.question
    assert question is not None
    assert "1 of 3 · ann" in page
    shown = question.fields["text"].replace("<", "&lt;").replace(">", "&gt;")
    assert f">{shown}</dd>" in page
    assert "<kbd>2</kbd>spam" in page
