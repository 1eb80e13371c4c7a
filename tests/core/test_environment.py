"""Variables are set for a while."""

import os

import pytest

from gristmill.core.environment import environment


def test_variables_are_as_before_whatever_happens(monkeypatch):
    monkeypatch.setenv("KEPT", "theirs")
    monkeypatch.setenv("CHANGED", "theirs")
    monkeypatch.delenv("ADDED", raising=False)
    settings = {"KEPT": "ours", "CHANGED": "ours", "ADDED": "ours"}

    def fail():
        with environment(settings, but={"KEPT"}):
            assert [os.environ[name] for name in settings] == ["theirs", "ours", "ours"]
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert [os.environ.get(name) for name in settings] == ["theirs", "theirs", None]


def test_blocks_within_blocks(monkeypatch):
    monkeypatch.delenv("ADDED", raising=False)
    with environment({"ADDED": "outer"}):
        with environment({"ADDED": "inner"}):
            assert os.environ["ADDED"] == "inner"
        assert os.environ["ADDED"] == "outer"
    assert "ADDED" not in os.environ
