"""Records that are brought up to a device ahead of their task: pinned, told once, let go."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from gristmill.train.jobs.lifts import Lifts


class Pager:
    """Records by key: (version, offset); those in `busy` cannot be pinned."""

    def __init__(self, **there):
        self.there = {(0, int(name[1:]), name_of(name)): each for name, each in there.items()}
        self.busy, self.pins = set(), []

    def resident(self, key):
        return key in self.there

    def version(self, key):
        return self.there[key][0]

    def pin(self, key, version):
        if key in self.busy:
            return None
        self.pins.append((key, version))
        return self.there[key][1]

    def unpin(self, key, version, *, dirty):
        assert not dirty
        self.pins.remove((key, version))


def name_of(name):
    return {"w": "weights", "b": "buffers", "s": "state"}[name[0]]


def key(name):
    return 0, int(name[1:]), name_of(name)


@pytest.fixture
def trial():
    return SimpleNamespace(number=0, unmade={key("w3")})


def uses(*names, version=4):
    return [(key(name), version, True) for name in names]


def test_what_is_in_memory_at_its_version_is_lifted_once(trial):
    pager = Pager(w0=(4, 0), b0=(4, 100), s0=(3, 200), w3=(4, 300))
    lifts, known = Lifts(pager), set()
    lifted = lifts.of(trial, uses("w0", "b0", "s0", "w1", "w3"), known)
    assert lifted.message == ("lift", 0, [((0, "weights"), 4, 0)])
    assert pager.pins == [(key("w0"), 4)]
    assert lifts.of(trial, uses("w0", "b0", "s0"), known) is None
    pager.there[key("s0")] = (4, 200)
    second = lifts.of(trial, uses("w0", "b0", "s0"), known)
    assert second.message == ("lift", 0, [((0, "state"), 4, 200)])
    lifts.end(lifted)
    lifts.end(second)
    assert pager.pins == []


def test_what_is_being_changed_is_lifted_later(trial):
    pager = Pager(w0=(4, 0), w1=(4, 100))
    pager.busy = {key("w0")}
    lifts, known = Lifts(pager), set()
    lifted = lifts.of(trial, uses("w0", "w1"), known)
    assert [each[0] for each in lifted.uses] == [key("w1")]
    pager.busy.clear()
    assert lifts.of(trial, uses("w0", "w1"), known).message[2] == [((0, "weights"), 4, 0)]


def test_what_is_void_is_not_pinned_any_more(trial):
    pager = Pager(w0=(4, 0))
    lifted = Lifts(pager).of(trial, uses("w0"), set())
    lifted.void = True
    Lifts(pager).end(lifted)
    assert pager.pins == [(key("w0"), 4)]
