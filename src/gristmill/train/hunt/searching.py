"""A search over models of any size, from what a user hands in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from optuna.pruners import BasePruner
from torch import nn

from gristmill.core.errors import UsageError
from gristmill.core.seeds import derive_seed
from gristmill.engine.protocol import Engine
from gristmill.train.feeds.dataset import Dataset, Subset
from gristmill.train.feeds.objectives import RowLoss
from gristmill.train.feeds.sources import DataLike, as_dataset
from gristmill.train.hunt.choosing import rules_of
from gristmill.train.hunt.hunt import Hunt
from gristmill.train.hunt.hunt import Watcher as HuntWatcher
from gristmill.train.hunt.samplers import SamplerFactory
from gristmill.train.hunt.search import BuildFromSettings, Search
from gristmill.train.jobs.identity import identity_of
from gristmill.train.jobs.recipe import SEARCHED, Recipe
from gristmill.train.jobs.resources import Resources, own_folder
from gristmill.train.jobs.row_metric import RowMetric, RowValue
from gristmill.train.optimizers import OptimizerFactory
from gristmill.train.space import Space

_VALIDATION = 0.2


def search_on_devices(
    build: BuildFromSettings,
    space: Space,
    data: DataLike,
    *,
    loss: str | RowLoss | nn.Module,
    folder: Path | str | None = None,
    validation: DataLike | float = _VALIDATION,
    metric: str | RowValue = "loss",
    trials: int = 16,
    epochs: int = 10,
    pruner: str | BasePruner | None = "halving",
    sampler: str | SamplerFactory = "random",
    vary: Sequence[str] = (),
    seed: int = 0,
    devices: str | int = "auto",
    memory: str | int | None = None,
    policy: str = "critical_path",
    at_once: int | None = None,
    device_memory: str | int | None = None,
    engine: Engine | str | None = None,
    optimizer: str | OptimizerFactory = "adamw",
    watch: HuntWatcher | None = None,
    **settings: Any,
) -> Search:
    """Return a search over models of any size on the devices there are.

    `explain()` says what it will cost, `run()` trains, `best` is the model. Trials of every size
    share the devices; paused ones cost disk, not memory.

    Args:
        build: takes the names of `space` that are not settings of training, returns the module.
        space: what may vary: settings (`lr`, `weight_decay`, `batch_size`, `micro_batches`,
            `clip_norm`, `optimizer`, `precision`) and names that `build` takes.
        data: rows to learn from, in a form that `as_dataset` takes.
        loss: see `job`.
        folder: where the state of the search is kept, and gone on from; by default one under
            `.gristmill/train` that belongs to this space, model, data and settings.
        validation: rows to compare on, or the fraction of `data` to hold out.
        metric: what is compared: `loss`, `accuracy`, or a function of (output, targets) that
            returns one number a row, of which more is better.
        trials: how many.
        epochs: of a trial that is trained in full.
        pruner: which trials go on: None, `median`, `halving`, `asha`, `hyperband`, `population`, or
            one of Optuna's; see `rules_of`.
        sampler: `random`, `tpe`, `grid`, or a function of a seed; see `Sampler`.
        vary: with `population`: the names that a trial varies when it takes another's state; they
            must be settings of training.
        seed: of what is drawn, and of every trial's weights and order.
        devices: `auto`, a number, `cpu:2`; `cuda`, `cuda:0,1`.
        memory: budget of each device, as "2GB"; None for half of what there is. See `Resources`.
        policy: how ready tasks are ranked.
        at_once: most trials under way at once; by default two a device, so that one is there when
            another waits or ends.
        device_memory: budget of each GPU, or each device on an engine's nodes, as "16GB"; None for
            most of what it has.
        engine: see `job`.
        optimizer: see `job`.
        watch: is told of what happens to trials, as `StoreTrials`.
        settings: further settings of `job`, the same for all trials.

    Raises:
        UsageError: a setting makes no sense.
        TrainError: the folder holds another search.
    """
    _check_names(space, settings, vary)
    rows, held_out = _split(data, validation, seed)
    compared = RowMetric(metric)
    recipe = Recipe(
        rows,
        loss,
        optimizer,
        epochs=epochs,
        seed=seed,
        validation=held_out,
        metric=compared,
        **settings,
    )
    of = [identity_of(recipe.trial(build)), len(rows), len(held_out), compared.name]
    kept = own_folder([of, space, str(pruner), str(sampler), epochs]) if folder is None else folder
    resources = Resources(kept, devices, memory, policy, device_memory=device_memory, engine=engine)
    hunt = partial(
        Hunt,
        trials=trials,
        space=space,
        sampler=sampler,
        seed=seed,
        maximise=compared.maximise,
        folder=resources.folder,
        vary=vary,
        judged="last",  # of a trial that is complete, its last state is there
        of=of,
    )
    wanted = 2 * len(resources.devices) if at_once is None else at_once
    if wanted < 1:
        raise UsageError(f"at_once must be at least 1, found {at_once}")
    rules = rules_of(pruner, epochs, seed=seed)
    at_once = min(wanted, trials)
    return Search(build, space, recipe, rules, hunt, resources, at_once, watch)


def _check_names(space: Space, settings: Mapping[str, Any], vary: Sequence[str]) -> None:
    both = sorted(set(space.dimensions) & set(settings))
    if both:
        raise UsageError(f"{both[0]!r} is both fixed and searched", fix="give it in one place")
    fixed = sorted(set(vary) - SEARCHED)
    if fixed:
        raise UsageError(
            f"{fixed[0]!r} cannot vary within a trial: its weights would not fit any more",
            fix=f"vary settings of training: {', '.join(sorted(SEARCHED & set(space.dimensions)))}",
        )


def _split(data: DataLike, validation: DataLike | float, seed: int) -> tuple[Dataset, Dataset]:
    """Return the rows to learn from and those to compare on."""
    rows = as_dataset(data)
    if not isinstance(validation, int | float) or isinstance(validation, bool):
        return rows, as_dataset(validation)
    count = round(len(rows) * validation)
    if not 0 < count < len(rows):
        raise UsageError(
            f"expected a fraction of {len(rows)} rows to hold out, found validation={validation}",
            fix="validation=0.2, say, or rows of their own",
        )
    order = np.random.default_rng(derive_seed(seed, "validation")).permutation(len(rows))
    return Subset(rows, np.sort(order[count:])), Subset(rows, np.sort(order[:count]))
