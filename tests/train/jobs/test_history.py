from __future__ import annotations

import math

import numpy as np
import pytest

from gristmill.core.errors import TrainError
from gristmill.train.jobs.history import History

LOSSES = {step: 1 / (step + 1) for step in range(12)}
FIGURES = {
    4: {"loss": np.asarray(0.1), "hits": np.arange(6.0).reshape(2, 3)},
    8: {"loss": np.asarray(math.nan), "hits": np.ones((2, 3))},
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history" / "00000"


@pytest.fixture
def saved(path):
    """Saved at steps 3, 4, 4 and 9."""
    history = History(path, 0)
    for step in (3, 4, 4, 9):
        history.save(step, LOSSES, FIGURES)
    history.close()
    return path


def as_lists(figures):
    return {at: {name: each.tolist() for name, each in found.items()}
            for at, found in figures.items()}  # fmt: skip


@pytest.mark.parametrize("step", range(10))
def test_what_belongs_to_a_step_is_found_again_bit_for_bit(saved, step):
    for _ in range(2):  # the second time from what the first has cut down
        history = History(saved, step)
        history.close()
        assert history.losses == {at: LOSSES[at] for at in range(step)}
        wanted = {at: each for at, each in FIGURES.items() if at <= step}
        assert repr(as_lists(history.figures)) == repr(as_lists(wanted))


def test_a_history_that_was_cut_down_goes_on(saved):
    history = History(saved, 5)
    other = {step: -float(step) for step in range(5, 12)}
    history.save(12, history.losses | other, history.figures)
    history.close()
    again = History(saved, 12)
    again.close()
    assert again.losses == {step: LOSSES[step] for step in range(5)} | other
    assert list(again.figures) == [4]


def test_nothing_new_writes_nothing(saved):
    history = History(saved, 9)
    size = saved.stat().st_size
    history.save(9, LOSSES, FIGURES)
    history.save(7, LOSSES, FIGURES)
    history.close()
    assert saved.stat().st_size == size


def test_a_loss_that_is_not_known_is_left_out(path):
    history = History(path, 0)
    history.save(3, {0: 1.0, 2: 3.0}, {})
    history.close()
    again = History(path, 3)
    again.close()
    assert again.losses == {0: 1.0, 2: 3.0}


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "history").write_text("in the way")
    with pytest.raises(TrainError, match=r"history: cannot be made: File exists"):
        History(tmp_path / "history" / "00000", 0)
