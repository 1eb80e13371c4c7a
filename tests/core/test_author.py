from __future__ import annotations

import getpass

import pytest

from gristmill.core.author import current_user


def test_who_is_not_known_is_said_to_be_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", lambda: "ann")
    assert current_user() == "ann"
    monkeypatch.setattr(getpass, "getuser", nobody)
    assert current_user() == "unknown"
