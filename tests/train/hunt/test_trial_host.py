from __future__ import annotations

import re

import pytest

from gristmill.core.errors import TrainError
from gristmill.train.hunt.trial_host import (
    FolderStates,
    Note,
    TrialHost,
    copy_state,
    folder_of,
    note_of,
)

SLOPE = {"slope": 2.0}


@pytest.fixture
def made():
    return []


@pytest.fixture
def host(jobs, tmp_path, made):
    def objective(settings):
        made.append(settings)
        return jobs.Climb(settings)

    return lambda keep_seconds=99.0: TrialHost(objective, FolderStates(tmp_path), keep_seconds)


def test_what_was_trained_last_stays_at_hand(host, made):
    one = host()
    assert [one.unit(3, 0, at, 3, SLOPE).value for at in range(3)] == [2.0, 4.0, 6.0]
    assert len(made) == 1
    one.unit(4, 0, 0, 1, SLOPE)
    assert one.unit(3, 0, 3, 9, SLOPE).value == 8.0
    assert len(made) == 3


def test_states_are_kept_where_trials_pause_and_when_the_last_is_old(host, tmp_path):
    home = folder_of(tmp_path, 3)
    one = host()
    one.unit(3, 0, 0, 2, SLOPE)
    assert note_of(home) is None
    assert one.unit(3, 0, 1, 2, SLOPE) == note_of(home)
    one.unit(3, 0, 2, 9, SLOPE)
    assert note_of(home).budget == 2
    assert host(0.0).unit(3, 0, 3, 9, SLOPE) == note_of(home)
    assert note_of(home).budget == 4


def test_another_worker_goes_on_from_the_files(host):
    host().unit(3, 0, 0, 1, SLOPE)
    assert host().unit(3, 0, 1, 9, {"slope": 1.0}).value == 3.0


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_what_was_reported_but_not_kept_is_trained_again(host, kept):
    one = host()
    for at in range(3):
        one.unit(3, 0, at, kept, SLOPE)
    assert host().unit(3, 0, 3, 9, SLOPE).value == 8.0


def test_a_unit_that_was_kept_but_not_told_is_not_trained_again(host, made):
    told = host().unit(3, 0, 0, 1, SLOPE)
    made.clear()
    assert host().unit(3, 0, 0, 1, SLOPE) == told
    assert made == []


def test_a_unit_that_failed_is_not_at_hand(host):
    one = host()
    one.unit(0, 0, 0, 1, SLOPE | {"raises_at": 2})
    with pytest.raises(MemoryError):
        one.unit(0, 0, 1, 2, SLOPE | {"raises_at": 2})
    assert one.unit(0, 0, 1, 2, SLOPE).value == 4.0
    assert one.is_well()


def test_a_copy_takes_the_place_of_a_state_once(host, tmp_path):
    one = host()
    one.unit(0, 0, 0, 1, SLOPE)
    one.unit(1, 0, 0, 1, {"slope": 1.0})
    copy_state(tmp_path, 0, 1, 1)
    assert note_of(folder_of(tmp_path, 1)) == Note(1, 1)
    told = one.unit(1, 1, 1, 2, {"slope": 1.0})
    assert told.value == 3.0
    one.unit(0, 0, 1, 2, SLOPE)
    copy_state(tmp_path, 0, 1, 1)  # again, after a crash: the source has gone on
    assert note_of(folder_of(tmp_path, 1)) == told


def test_missing_and_damaged_states(host, tmp_path):
    message = "the state that trial 5 had taken from another is gone"
    with pytest.raises(TrainError, match=f"^{message}$"):
        host().unit(5, 1, 2, 4, SLOPE)
    message = "trial 1 is to take the state of trial 0, which has none"
    with pytest.raises(TrainError, match=f"^{message}$"):
        copy_state(tmp_path, 0, 1, 1)
    host().unit(0, 0, 0, 1, SLOPE)
    note = folder_of(tmp_path, 0) / "trial.json"
    note.write_text("{")
    with pytest.raises(
        TrainError, match=f"^{re.escape(str(note))}: no readable state of a trial: "
    ):
        host().unit(0, 0, 1, 2, SLOPE)
