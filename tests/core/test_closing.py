from __future__ import annotations

import pytest

from gristmill.core.closing import Closing


class Held(Closing):
    closed = 0

    def close(self) -> None:
        self.closed += 1


def test_a_block_closes_at_its_end_whatever_happens():
    with Held() as held:
        assert not held.closed
    assert held.closed == 1
    with pytest.raises(KeyError), held:
        raise KeyError
    assert held.closed == 2


def test_a_class_must_say_how():
    with pytest.raises(NotImplementedError):
        Closing().close()
