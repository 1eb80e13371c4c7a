from __future__ import annotations

import re

import pytest

from gristmill.core.errors import TrainError
from gristmill.train.hunt.trial_host import Note, TrialHost, copy_state, folder_of, note_of

SLOPE = {"slope": 2.0}


@pytest.fixture
def made():
    return []


@pytest.fixture
def host(jobs, tmp_path, made):
    def objective(settings):
        made.append(settings)
        return jobs.Climb(settings)

    return lambda: TrialHost(objective, tmp_path, 0)


def test_what_was_trained_last_stays_at_hand(host, made, tmp_path):
    one = host()
    assert [one.unit(3, 0, at, SLOPE).value for at in range(3)] == [2.0, 4.0, 6.0]
    assert len(made) == 1
    assert note_of(folder_of(tmp_path, 3)).budget == 3
    one.unit(4, 0, 0, SLOPE)
    assert one.unit(3, 0, 3, SLOPE).value == 8.0
    assert len(made) == 3


def test_another_worker_goes_on_from_the_files(host):
    host().unit(3, 0, 0, SLOPE)
    assert host().unit(3, 0, 1, {"slope": 1.0}).value == 3.0


def test_a_unit_that_was_saved_but_not_told_is_not_trained_again(host, made):
    told = host().unit(3, 0, 0, SLOPE)
    made.clear()
    assert host().unit(3, 0, 0, SLOPE) == told
    assert made == []


def test_a_unit_that_failed_is_not_at_hand(host, tmp_path):
    one = host()
    one.unit(0, 0, 0, SLOPE | {"raises_at": 2})
    with pytest.raises(MemoryError):
        one.unit(0, 0, 1, SLOPE | {"raises_at": 2})
    assert note_of(folder_of(tmp_path, 0)).budget == 1
    assert one.unit(0, 0, 1, SLOPE).value == 4.0
    assert one.is_well()


def test_a_copy_takes_the_place_of_a_state_once(host, tmp_path):
    one = host()
    one.unit(0, 0, 0, SLOPE)
    one.unit(1, 0, 0, {"slope": 1.0})
    copy_state(tmp_path, 0, 1, 1)
    assert note_of(folder_of(tmp_path, 1)) == Note(1, 1)
    assert one.unit(1, 1, 1, {"slope": 1.0}).value == 3.0
    one.unit(0, 0, 1, SLOPE)
    copy_state(tmp_path, 0, 1, 1)  # again, after a crash: the source has gone on
    assert note_of(folder_of(tmp_path, 1)) == Note(
        2, 1, 3.0, note_of(folder_of(tmp_path, 1)).seconds
    )


def test_missing_and_damaged_states(host, tmp_path):
    with pytest.raises(TrainError, match=r"^the state of trial 5 at budget 2 is gone, found None$"):
        host().unit(5, 0, 2, SLOPE)
    with pytest.raises(
        TrainError, match=r"^trial 1 is to take the state of trial 0, which has none$"
    ):
        copy_state(tmp_path, 0, 1, 1)
    host().unit(0, 0, 0, SLOPE)
    note = folder_of(tmp_path, 0) / "trial.json"
    note.write_text("{")
    with pytest.raises(
        TrainError, match=f"^{re.escape(str(note))}: no readable state of a trial: "
    ):
        host().unit(0, 0, 1, SLOPE)
