"""Made-up learning curves, and every kind of search over them."""

from __future__ import annotations

import importlib
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import optuna
import pytest

from gristmill.train.hunt.asha import Asha
from gristmill.train.hunt.halving import halving, hyperband
from gristmill.train.hunt.hunt import Hunt
from gristmill.train.hunt.population import Population
from gristmill.train.hunt.pruned import Pruned
from gristmill.train.hunt.simulated import simulate
from gristmill.train.space import Space, integers, log_uniform

SPACE = Space(lr=log_uniform(1e-4, 1.0), width=[8, 16, 32], depth=integers(1, 4))
RULES = {
    "none": partial(Pruned, most=4),
    "median": partial(Pruned, most=4, pruner=optuna.pruners.MedianPruner(2, 1)),
    "halving": partial(halving, most=9, eta=3),
    "hyperband": partial(hyperband, most=9),
    "asha": partial(Asha, most=9, eta=3),
    "population": partial(Population, most=6, every=2, share=0.4),
}
SYNCHRONOUS = ("none", "halving", "hyperband", "population")


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    """Syncing is for power failures, which no test makes."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(params=RULES)
def rules(request):
    return RULES[request.param]


@pytest.fixture(params=SYNCHRONOUS)
def synchronous(request):
    return RULES[request.param]


@pytest.fixture(params=[name for name in RULES if name != "population"])
def growing(request):
    return RULES[request.param]


@pytest.fixture
def curves():
    """Values by trial and budget, of a seed; few different ones, so that there are ties."""

    def make(trials: int, most: int, seed: int = 0, failing: float = 0.0):
        generator = np.random.default_rng(seed)
        values = np.round(generator.random((trials, most + 1)), 1)
        values[generator.random(values.shape) < failing] = np.nan
        return lambda trial, budget: float(values[trial, budget])

    return make


@pytest.fixture
def hunted(curves):
    """Conduct a hunt over made-up curves; return it, finished."""

    def conduct(rules, trials=9, *, devices=1, seed=0, failing=0.0, uneven=False, **options):
        hunt = Hunt(rules, trials, SPACE, seed=seed, **options)
        value = curves(trials, hunt.ledger.most, seed, failing)
        speed = np.random.default_rng(seed).integers(1, 9, trials) if uneven else np.ones(trials)
        simulate(hunt, value, lambda trial, _: float(speed[trial]), devices)
        return hunt

    return conduct


@pytest.fixture
def reached():
    """What each trial was trained for, and how it ended."""
    return lambda hunt: [(each.trained, each.state) for each in hunt.ledger.trials]


@pytest.fixture(scope="session")
def jobs():
    """A module that worker processes can import."""
    sys.path.insert(0, str(Path(__file__).parent))
    return importlib.import_module("hunt_jobs")
