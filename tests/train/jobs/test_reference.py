"""The plain loop with replicas beside whole batches in float64, where the order is nothing."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional

from gristmill.train.draws import seeded
from gristmill.train.feeds.batch import Batch
from gristmill.train.jobs.reference import plain_loop
from gristmill.train.jobs.trial_spec import TrialSpec


def build():
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1)).double()


class Rows:
    def batch(self, step):
        draw = torch.Generator().manual_seed(step)
        x = torch.randn(12, 4, dtype=torch.float64, generator=draw)
        return Batch((x,), x.sum(1, keepdim=True), torch.ones(12))


def squares(output, part):
    return functional.mse_loss(output, part.targets, reduction="sum")


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def test_replicas_and_micro_batches_are_the_whole_batch_but_for_rounding():
    model = seeded(build, 5)
    optimizer = sgd(model.parameters())
    for step in range(3):
        batch = Rows().batch(step)
        optimizer.zero_grad()
        (squares(model(*batch.inputs), batch) / 12).backward()
        optimizer.step()
    for replicas in (1, 2, 3):
        spec = TrialSpec(build, Rows(), squares, sgd, 3, 6, 5, replicas=replicas)
        for found, wanted in zip(plain_loop(spec).parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(found, wanted)


def with_statistics():
    return nn.Sequential(nn.BatchNorm1d(4, dtype=torch.float64), nn.Linear(4, 1).double())


def test_statistics_are_those_of_the_first_replica():
    spec = TrialSpec(with_statistics, Rows(), squares, sgd, 1, 4, 0, replicas=2)
    alone = copy.deepcopy(seeded(with_statistics, 0)[0]).train()
    for part in Rows().batch(0).split(4)[:2]:
        alone(*part.inputs)
    found = plain_loop(spec)[0]
    assert torch.equal(found.running_mean, alone.running_mean)
    assert found.num_batches_tracked == 2
