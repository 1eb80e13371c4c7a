"""What a call does, seen without any data."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from gristmill.core.errors import TrainError
from gristmill.train.graphs.watch import Shadow, storage_of


@pytest.fixture
def shadow():
    with torch.device("meta"):
        module = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5))
    return Shadow(module, "cpu")


def x_of(shadow, *shape):
    return shadow.like(torch.empty(shape or (3, 4)))


def test_draws_are_counted(shadow):
    x = x_of(shadow)
    assert shadow.observe(lambda: functional.dropout(torch.rand_like(x) + x, 0.5)).draws == 2
    seen = shadow.observe(lambda: x + 1)
    assert (seen.draws, seen.asks, seen.varying) == (0, False, False)


def test_statistics_that_batch_norm_changes_in_secret_are_seen(shadow):
    norm, x = shadow.module[0], x_of(shadow)
    running = {storage_of(norm.running_mean), storage_of(norm.running_var)}
    assert shadow.observe(lambda: norm(x), norm).written >= running
    shadow.module.eval()
    assert not shadow.observe(lambda: norm(x), norm).written & running


def test_what_is_written_in_place_is_seen(shadow):
    x, y = x_of(shadow), x_of(shadow)
    assert shadow.observe(lambda: x.add_(y)).written == {storage_of(x)}
    assert shadow.observe(lambda: x.view(-1).zero_()).written == {storage_of(x)}


def test_questions_are_answered_both_ways(shadow):
    x = x_of(shadow)
    seen = shadow.observe(lambda: functional.dropout(x, 0.5) if x.sum() > 0 else x * 2)
    assert (seen.asks, seen.varying, seen.draws) == (True, True, 1)
    seen = shadow.observe(lambda: x * 3 if bool(x.any()) else x * 2)
    assert (seen.asks, seen.varying) == (True, False)


def test_shapes_that_hang_on_data_are_refused(shadow):
    x = x_of(shadow)
    with pytest.raises(TrainError, match=r"^the shapes of what it returns depend on its data$"):
        shadow.observe(lambda: x[:1] if x.sum() > 0 else x)


def test_a_loop_until_data_say_stop_is_refused(shadow):
    x = x_of(shadow)

    def forever():
        while bool((x < 1).any()) or bool((x >= 1).any()):
            x.add_(1)
        return x

    with pytest.raises(TrainError, match=r"^a loop in the forward runs until its data say stop$"):
        shadow.observe(forever)
