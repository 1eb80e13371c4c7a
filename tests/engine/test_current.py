from __future__ import annotations

import pytest

from gristmill.core.errors import UsageError
from gristmill.engine import Inline, LocalProcesses, chosen_engine, current_engine, using_engine


class Noting(Inline):
    """An engine that says whether it is closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


def test_there_is_no_current_engine_outside_of_a_block():
    def fail():
        with using_engine("inline") as engine:
            assert current_engine() is engine
            raise ZeroDivisionError

    assert current_engine() is None
    with pytest.raises(ZeroDivisionError):
        fail()
    assert current_engine() is None


def test_blocks_within_blocks():
    with using_engine("inline") as outer:
        with using_engine(Inline()) as inner:
            assert current_engine() is inner
        assert current_engine() is outer


def test_an_open_engine_stays_open():
    engine = Noting()
    with using_engine(engine), chosen_engine(engine) as chosen:
        assert chosen is engine
    assert not engine.closed


def test_a_named_engine_is_closed(monkeypatch):
    monkeypatch.setattr("gristmill.engine.opening.Inline", Noting)
    with using_engine("inline") as current:
        pass
    with chosen_engine("inline") as chosen:
        assert current_engine() is None
    assert current.closed
    assert chosen.closed


def test_what_the_argument_of_a_stage_means():
    with chosen_engine(None) as chosen:
        assert chosen is None
    with chosen_engine("local:3") as chosen:
        assert isinstance(chosen, LocalProcesses)
        assert chosen.parallelism == 3
    engine = Noting()
    with using_engine(engine):
        with chosen_engine(None) as chosen:
            assert chosen is engine
        assert not engine.closed
    with pytest.raises(UsageError, match="unknown engine 'dask'"), chosen_engine("dask"):
        pass
