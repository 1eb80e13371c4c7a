from __future__ import annotations

import pytest

from gristmill.core.errors import StepError
from gristmill.engine import Inline


def test_any_callable_will_do():
    seen = []
    with Inline() as engine:
        assert list(engine.map(lambda x: seen.append(x) or x + 1, [1, 2])) == [2, 3]
    assert seen == [1, 2]


def test_the_cause_is_the_error_itself():
    mistake = ValueError("no")

    def fail(x):
        raise mistake

    with pytest.raises(StepError) as error:
        list(Inline().map(fail, [1]))
    assert error.value.__cause__ is mistake


def test_ctrl_c_passes_through():
    def interrupt(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(Inline().map(interrupt, [1]))
