"""Memory that is free goes back to the machine; what is in use stays."""

from __future__ import annotations

import gc

import pytest

from gristmill.train.jobs import give_back as given


class Ring:
    """Refers to itself, so only a collection frees it."""

    alive = 0

    def __init__(self) -> None:
        self.me = self
        Ring.alive += 1

    def __del__(self) -> None:
        Ring.alive -= 1


def test_what_nothing_refers_to_goes() -> None:
    gc.disable()
    try:
        Ring()
        assert Ring.alive == 1
        given.give_back()
        assert Ring.alive == 0
    finally:
        gc.enable()


def test_another_allocator_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given.ctypes, "CDLL", lambda _: object())
    given.give_back()
