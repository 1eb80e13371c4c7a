"""Schedulers that know their model, and a slow planner that tries every order."""

from __future__ import annotations

import itertools

import pytest

from gristmill.serve.scheduling.bounds import Bounds
from gristmill.serve.scheduling.fleet import Fleet
from gristmill.serve.scheduling.scheduler import Scheduler


@pytest.fixture(scope="session")
def make_fleet():
    def make(fixed=0.0, per_work=0.0, replicas=1):
        fleet = Fleet(replicas)
        fleet.fixed, fleet.per_work = fixed, per_work
        for model in fleet.models:
            model.fixed, model.per_work, model.seen = fixed, per_work, 1
        return fleet

    return make


@pytest.fixture(scope="session")
def make_scheduler():
    def make(fixed=0.0, per_work=0.0, replicas=1, **bounds):
        scheduler = Scheduler(Bounds(**bounds), replicas)
        fleet = scheduler.fleet
        fleet.fixed, fleet.per_work = fixed, per_work
        for model in fleet.models:
            model.fixed, model.per_work, model.seen = fixed, per_work, 1
        return scheduler

    return make


@pytest.fixture(scope="session")
def in_time_somehow():
    """Say whether some order of some batches answers all in time: tries them all, one replica."""

    def ends(batches, fixed, per_work):
        now = 0.0
        for batch in batches:
            now += fixed + per_work * sum(each.work for each in batch)
            yield from ((now, each) for each in batch)

    def cuts(order):
        for places in itertools.product([False, True], repeat=len(order) - 1):
            batches = [[order[0]]]
            for request, cut in zip(order[1:], places, strict=True):
                if cut:
                    batches.append([])
                batches[-1].append(request)
            yield batches

    def search(requests, fixed, per_work, rows):
        if not requests:
            return True
        return any(
            max(len(batch) for batch in batches) <= rows
            and all(end <= each.deadline for end, each in ends(batches, fixed, per_work))
            for order in itertools.permutations(requests)
            for batches in cuts(order)
        )

    return search
