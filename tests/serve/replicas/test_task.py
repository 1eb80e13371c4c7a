import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.serve.refusal import Refusal
from gristmill.serve.replicas.partial import PartlyAnswered
from gristmill.serve.replicas.task import Task
from gristmill.serve.runners.rows import Rows


def rows(*values):
    return Rows({"x": np.array(values, float)})


@pytest.fixture
def told():
    return []


@pytest.fixture
def make(told):
    return lambda *values: Task(rows(*values), lambda *outcome: told.append(outcome))


def test_an_answer_is_told_with_its_seconds_and_its_model(make, told):
    task = make(1)
    task.finish(rows(2), 0.5, "model")
    assert told[0][0]["x"].tolist() == [2]
    assert told[0][1] == 0.5
    assert task.answered_by == "model"


def test_a_row_whose_process_died_is_run_once_more_and_then_refused(make, told):
    task = make(1)
    assert task.lost("was killed (SIGKILL)") == [task]
    assert told == []
    assert task.lost("crashed in native code (SIGSEGV)") == []
    ((refusal, _),) = told
    assert refusal.status == 500
    assert refusal.code == "replica_lost"
    assert str(refusal) == (
        "two processes ended while they ran this request; the second one crashed in native code "
        "(SIGSEGV)\n  fix: if that happens again, something in this request breaks the model"
    )


def test_rows_whose_process_died_are_run_apart_and_put_together(make, told):
    parts = make(1, 2, 3).lost("died")
    assert [part.rows["x"].tolist() for part in parts] == [[1], [2], [3]]
    for part in reversed(parts):
        assert told == []
        part.finish(rows(10 * part.rows["x"][0]), 0.25, "model")
    ((answer, seconds),) = told
    assert answer["x"].tolist() == [10, 20, 30]
    assert seconds == 0.75


def test_the_model_that_answered_the_last_part_is_named(told):
    task = Task(rows(1, 2), lambda *_: told.append(task.answered_by))
    for part in task.lost("died"):
        part.finish(rows(0), 0.0, "model")
    assert told == ["model"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["good", "kills", "fails"]), min_size=2, max_size=8), st.data())
def test_only_rows_that_break_something_have_no_answer(kinds, data):
    told = []
    task = Task(rows(*range(len(kinds))), lambda outcome, _: told.append(outcome))
    waiting = task.lost("died")
    while waiting:
        part = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
        kind = kinds[int(part.rows["x"][0])]
        if kind == "kills":
            waiting += part.lost("died")
        else:
            part.finish(part.rows if kind == "good" else ValueError("no"))
    (outcome,) = told
    if set(kinds) == {"good"}:
        assert outcome["x"].tolist() == list(range(len(kinds)))
        return
    assert isinstance(outcome, PartlyAnswered)
    expected = {"good": Rows, "kills": Refusal, "fails": ValueError}
    assert [type(each) for each in outcome.outcomes] == [expected[kind] for kind in kinds]
