"""What is hidden is left out of texts and errors, however it is spelled there."""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core import redaction
from gristmill.core.errors import StepError
from gristmill.core.redaction import hidden_in, hide, redact_error, redacted, telling


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_hidden", {})


TEXTS = st.text(st.characters(codec="utf-8"), min_size=6)


@settings(max_examples=40)
@given(TEXTS, TEXTS, TEXTS)
def test_no_spelling_stays(secret: str, before: str, after: str) -> None:
    redaction._hidden.clear()
    hide(secret, "it")
    for said in (secret, quote(secret, safe=""), urlencode({"k": secret}), repr(secret),
                 json.dumps(secret)):  # fmt: skip
        shown = redacted(f"{before}{said}{after}")
        assert secret not in shown.replace("<it>", "")
        assert redacted(said).count("<it>") >= 1
    assert hidden_in(b"\0" + secret.encode()) == "it"


def test_nothing_hidden_changes_nothing() -> None:
    assert redacted("all of it") == "all of it"
    assert hidden_in(b"all of it") is None


def test_of_a_key_each_line_is_hidden() -> None:
    hide("-----BEGIN-----\nAAAAABBBBB\nCCCCCDDDDD\n--\n", "key")
    assert redacted("a line CCCCCDDDDD, and -- another") == "a line <key>, and -- another"


def test_an_error_and_what_led_to_it_lose_it() -> None:
    hide("hunter2", "password")
    cause = ValueError("not with hunter2", 7)
    cause.__context__ = OSError(5, "refused hunter2", "hunter2.txt")
    found = StepError("hunter2 again", where="at hunter2", fix="not hunter2")
    found.__cause__ = cause
    found.add_note("with hunter2")
    redact_error(found)
    assert str(found) == "at <password>: <password> again\n  fix: not <password>"
    assert found.__notes__ == ["with <password>"]
    assert cause.args == ("not with <password>", 7)
    assert "hunter2" not in str(cause.__context__)


def test_who_listens_hears_what_was_hidden_before_and_what_is_later() -> None:
    heard: list[tuple[str, str]] = []
    hide("first", "one")
    with telling(lambda spelling, name: heard.append((spelling, name))):
        hide("second", "two")
        hide("second", "two")
    hide("third", "three")
    assert heard == [("first", "one"), ("second", "two")]
