"""Streams whose answers may be off by a little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gristmill.core.errors import UsageError
from gristmill.incremental import Model, Pixels, sized_model
from gristmill.incremental.bounded.audit import decisive_error, relative_error
from gristmill.incremental.bounded.steering import Steering
from gristmill.incremental.changes.noise import NONE
from gristmill.incremental.planning.allowance import Allowance
from gristmill.incremental.planning.calibration import calibrate
from gristmill.incremental.planning.planner import Planner

PIXELS = Pixels()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())
        self.deep = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1)
        )
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.deep(x)
        return self.head(x.mean((2, 3)))


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Net().eval()
    with pytest.MonkeyPatch.context() as patch:
        # A machine on which a whole frame is never cheaper, however long this one takes.
        patch.setattr(sized_model, "calibrate", lambda *_: replace(calibrate(*_), whole=1e9))
        made = Model.from_module(module, torch.zeros(1, 3, 96, 128), any_size=False, calibration=0)
        made.sized(96, 128)
    return made


@pytest.fixture(autouse=True)
def slow_exact_frames(monkeypatch):
    """Nor are exact frames, so that differences wait however long that takes."""
    monkeypatch.setattr(Planner, "foreseen", lambda *_: 1e9)


def pictures(count):
    """A square that walks over a still ground, brighter and darker."""
    random = np.random.default_rng(0)
    ground = random.integers(0, 256, (96, 128, 3), np.uint8)
    for number in range(count):
        picture = ground.copy()
        top, left = (3 * number) % 80, (5 * number) % 110
        picture[top : top + 10, left : left + 12] = random.integers(100, 200)
        yield picture


def full(model, picture):
    return model(PIXELS.frame(picture))


def test_the_error_is_audited_and_stays_near_the_one_wanted(model):
    stream = model.stream(noise=NONE, error=0.02, audit=20)
    audited, errors, planned = [], [], 0
    for number, picture in enumerate(pictures(200)):
        answer = stream(picture)
        errors.append(relative_error(answer.outputs, full(model, picture)))
        planned += not answer.whole
        if answer.audited:
            audited.append(answer.audited)
            assert answer.audited.picture == number
            assert errors[-1] == 0.0
            assert answer.whole
            assert {row.does for row in stream.explain()} == {"dense"}
    assert list(stream.audits) == audited
    assert len(audited) >= 3
    assert planned == 199 - len(audited)
    assert 0.0 < stream.audits.worst <= 0.04
    # What audits measured is what answers between them are off by.
    assert 0.0 < max(errors) <= 0.05
    assert stream.audits.agreement is not None


def test_what_audits_take_has_to_be_made_up_for(model, monkeypatch):
    taken = []
    monkeypatch.setattr(Allowance, "audited", lambda _, seconds: taken.append(seconds))
    stream = model.stream(noise=NONE, error=0.02, audit=5)
    for picture in pictures(30):
        stream(picture)
    assert len(taken) == len(stream.audits) > 3
    assert min(taken) > 0.0


def test_what_is_in_doubt_is_audited(model, monkeypatch):
    seen = []

    def doubts(_, decisive):
        seen.append(decisive())
        return len(seen) % 2 == 0

    monkeypatch.setattr(Steering, "doubts", doubts)
    monkeypatch.setattr(Steering, "due", lambda *_: False)
    stream = model.stream(noise=NONE, error=0.02)
    for number, picture in enumerate(pictures(20)):
        answer = stream(picture)
        assert (answer.audited is not None) == (number > 0 and number % 2 == 0)
        if number % 2:
            assert seen[-1] == decisive_error(answer.outputs)


def test_where_waiting_does_not_pay_answers_are_exact(model, monkeypatch):
    monkeypatch.setattr(Planner, "foreseen", lambda *_: 0.0)
    stream = model.stream(noise=NONE, error=0.02, audit=20)
    wrong, audited = [], []
    for picture in pictures(145):
        answer = stream(picture)
        wrong.append(not all(map(torch.equal, answer.outputs, full(model, picture))))
        audited.append(answer.audited is not None)
    # A first picture, 32 until thresholds settle and 48 that were weighed, then 64 exact ones.
    assert any(wrong[:81])
    assert not any(wrong[81:])
    assert not any(audited[81:])


def test_pictures_without_a_change_need_no_audit(model):
    stream = model.stream(noise=NONE, error=0.02, audit=2)
    (picture,) = pictures(1)
    for _ in range(10):
        answer = stream(picture)
        assert answer.audited is None
    assert len(stream.audits) == 0


def test_what_was_learnt_outlives_the_values(model):
    stream = model.stream(noise=NONE, error=0.02, audit=10)
    for picture in pictures(30):
        stream(picture)
    before = len(stream.audits)
    stream.forget()
    (picture,) = pictures(1)
    answer = stream(picture)
    assert answer.whole
    assert answer.audited is None
    assert relative_error(answer.outputs, full(model, picture)) == 0.0
    assert len(stream.audits) == before


def test_exact_streams_have_no_audits(model):
    assert model.stream().audits is None


def test_errors_that_no_one_can_want(model):
    with pytest.raises(UsageError, match="expected an error above 0 and at most 1, found 0"):
        model.stream(error=0)


def test_results_of_other_forms_are_compared_too(monkeypatch):
    # As above: a whole frame is never cheaper.
    monkeypatch.setattr(sized_model, "calibrate", lambda *_: replace(calibrate(*_), whole=1e9))

    class Several(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.head = nn.Conv2d(3, 4, 3, 2, 1), nn.Linear(4, 1)

        def forward(self, x):
            x = self.stem(x)
            largest, where = x.topk(2, dim=1)
            score = self.head(x.mean((2, 3))).squeeze(1)
            return {"score": score, "mask": x > 0, "where": where, "largest": [largest, None]}

    module = Several().eval()
    model = Model.from_module(module, torch.zeros(1, 3, 96, 128), any_size=False, calibration=0)
    stream = model.stream(error=0.05, noise=NONE)
    for picture in pictures(6):
        answer = stream(picture)
        score, mask, where, largest = answer.outputs
        assert (score.shape, mask.dtype, where.dtype) == ((1,), torch.bool, torch.int64)
        if answer.audited:  # which computes everything, all forms alike
            whole = model(PIXELS.frame(stream.reference))
            assert all(map(torch.equal, answer.outputs, whole))
    assert len(stream.audits) > 0
    assert largest.shape == where.shape
