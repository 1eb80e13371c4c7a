"""Search for the best model and settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gristmill.core.errors import UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.train.examples import Examples
from gristmill.train.sampling import PRUNERS, SAMPLERS
from gristmill.train.settings import METRICS
from gristmill.train.space import Space
from gristmill.train.study import FIT_NAMES, BuildModel, Study


def search(
    build_model: BuildModel,
    space: Space,
    data: Examples,
    *,
    validation: Examples | float = 0.2,
    trials: int = 16,
    epochs: int = 10,
    seed: int = 0,
    metric: str = "f1",
    pruner: str | None = "median",
    sampler: str = "tpe",
    storage: Path | None = None,
    classes: Sequence[str] | None = None,
    **options: Any,
) -> Study:
    """Return a study of `trials` models; `explain()` shows its plan, `run()` trains them.

    Every trial trains with the same seed on the same rows, so that settings are what differs.
    Equal arguments give equal trials; `fit` with `study.best_params` and the same seed gives the
    best model again.

    Args:
        build_model: takes the names of `space` that are not settings of `fit`; returns a module or
            a `ModelSpec`.
        space: what may vary. `lr`, `weight_decay`, `batch_size`, `accumulate`, `clip_norm`,
            `optimizer` and `loss` go to `fit`, all other names to `build_model`.
        data: rows to learn from.
        validation: rows to compare on, or the fraction of `data` to hold out.
        trials: how many; a study that goes on from `storage` counts those it finds.
        epochs: most epochs of a trial.
        seed: of the sampler and of every trial.
        metric: what is compared: `f1`, `precision`, `recall`, `accuracy`, `loss`.
        pruner: `median` (stop a trial that is below the median of the others at the same epoch;
            Golovin et al. 2017), `halving` (asynchronous successive halving; Li et al. 2018), None.
        sampler: `tpe` (tree-structured Parzen estimator; Bergstra et al. 2011) or `random`.
        storage: a folder for the journal of trials, the running trial's checkpoint and the best
            model. A search that is killed and called again goes on and ends the same.
        classes: class names.
        options: further settings of `fit`, fixed.

    Raises:
        UsageError: an unknown pruner, sampler or metric, a name that is both fixed and searched.
        TrainError: `storage` holds another search.
    """
    _check(space, trials, metric, pruner, sampler, options)
    train, held_out = data, validation
    if not isinstance(held_out, Examples):
        train, held_out = data.hold_out(held_out, seed)
    fixed = {"epochs": epochs, "classes": classes, **options}
    name = f"{build_model.__module__}.{getattr(build_model, '__qualname__', '')}"
    return Study(
        build_model,
        space,
        train,
        held_out,
        trials=trials,
        seed=seed,
        metric=metric,
        sampler=sampler,
        pruner=pruner,
        options=fixed,
        storage=Path(storage) if storage else None,
        fingerprint=fingerprint(
            {
                "torch": torch.__version__,
                "model": name,
                "space": space,
                "data": (train.by_row_id(), held_out.by_row_id()),
                "how": (seed, metric, sampler, pruner),
                "options": {key: _named(value) for key, value in fixed.items()},
            }
        ),
    )


def _named(value: object) -> object:
    return getattr(value, "__qualname__", "") if callable(value) else value


def _check(
    space: Space,
    trials: int,
    metric: str,
    pruner: str | None,
    sampler: str,
    options: dict[str, Any],
) -> None:
    if trials < 1:
        raise UsageError(f"trials must be at least 1, found {trials}")
    for what, value, known in (
        ("metric", metric, METRICS),
        ("pruner", pruner, tuple(PRUNERS)),
        ("sampler", sampler, tuple(SAMPLERS)),
    ):
        if value not in known:
            raise UsageError(f"unknown {what} {value!r}, expected one of {known}")
    both = sorted(set(space.dimensions) & set(options))
    if both:
        raise UsageError(f"{both[0]!r} is both fixed and searched", fix="give it in one place")
    unknown = sorted(set(options) - FIT_NAMES - {"patience", "device", "threads", "positive"})
    if unknown:
        raise UsageError(f"search has no option {unknown[0]!r}")
