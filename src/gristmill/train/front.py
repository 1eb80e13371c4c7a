"""`fit` and `search`: the two ways in, for rows of text features and for models of any kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

from gristmill.train.examples import Examples

if TYPE_CHECKING:
    from torch import nn

    from gristmill.engine.protocol import Engine
    from gristmill.train.feeds.sources import DataLike
    from gristmill.train.fitted import Fitted
    from gristmill.train.hunt.search import BuildFromSettings, Search
    from gristmill.train.jobs.trained import Trained
    from gristmill.train.space import Space
    from gristmill.train.study import BuildModel, Study
    from gristmill.train.training import ModelLike


@overload
def fit(
    model: ModelLike, data: Examples, *, devices: None = None, memory: None = None, **settings: Any
) -> Fitted: ...


@overload
def fit(
    model: Callable[[], nn.Module],
    data: DataLike,
    *,
    devices: str | int | None = None,
    memory: str | int | None = None,
    engine: Engine | str | None = None,
    **settings: Any,
) -> Trained: ...


def fit(
    model: Any,
    data: Any,
    *,
    devices: str | int | None = None,
    memory: str | int | None = None,
    engine: Engine | str | None = None,
    **settings: Any,
) -> Fitted | Trained:
    """Train one model and return it.

    `Examples` are learned in this process, by a classifier with early stopping: `settings` are
    those of `training.fit` (`classes`, `loss`, `lr`, `epochs`, `validation`, `patience`,
    `checkpoint`...). Any other data, or `devices`, `memory` or `engine` given, train any module on
    worker processes, also one that is larger than memory: `settings` are those of `job` (`loss`,
    `lr`, `epochs`, `batch_size`, `micro_batches`, `schedule`, `folder`...). To look at the plan
    first, call `job`.

    Args:
        model: makes the module; for `Examples` also a module or a `ModelSpec`.
        data: rows to learn from: `Examples`, or whatever `as_dataset` takes.
        devices: `auto`, a number, `cpu:2`, `cuda`.
        memory: budget of each device, as "2GB".
        engine: has the devices on its nodes: see `job`. `Examples` are not sent to the current one.
        settings: see above.

    Raises:
        UsageError: a setting makes no sense, or the engine has no actors.
        TrainError: the data, the model or the budget do not fit together, or the training failed.
    """
    if _in_process(data, devices, memory, engine):
        from gristmill.train import training

        return training.fit(model, data, **settings)
    from gristmill.train.jobs.job import job

    ready = job(model, data, devices=_auto(devices), memory=memory, engine=engine, **settings)
    return ready.run().trained()


@overload
def search(
    build_model: BuildModel,
    space: Space,
    data: Examples,
    *,
    devices: None = None,
    memory: None = None,
    **settings: Any,
) -> Study: ...


@overload
def search(
    build_model: BuildFromSettings,
    space: Space,
    data: DataLike,
    *,
    devices: str | int | None = None,
    memory: str | int | None = None,
    engine: Engine | str | None = None,
    **settings: Any,
) -> Search: ...


def search(
    build_model: Any,
    space: Space,
    data: Any,
    *,
    devices: str | int | None = None,
    memory: str | int | None = None,
    engine: Engine | str | None = None,
    **settings: Any,
) -> Study | Search:
    """Return a search for the best model; `explain()` shows its plan, `run()` trains, `best` is it.

    `Examples` are searched one trial after the other in this process: `settings` are those of
    `selection.search` (`trials`, `epochs`, `metric`, `pruner`, `storage`...). Any other data, or
    `devices`, `memory` or `engine` given, train several trials of any size at once: `settings` are
    those of `search_on_devices` (`loss`, `trials`, `epochs`, `metric`, `pruner`, `sampler`,
    `folder`...).

    Args:
        build_model: takes the names of `space` that are not settings; returns a module.
        space: what may vary.
        data: rows to learn from: `Examples`, or whatever `as_dataset` takes.
        devices: `auto`, a number, `cpu:2`, `cuda`.
        memory: budget of each device, as "2GB".
        engine: has the devices on its nodes: see `job`. `Examples` are not sent to the current one.
        settings: see above.

    Raises:
        UsageError: a setting makes no sense, or the engine has no actors.
        TrainError: the folder holds another search.
    """
    if _in_process(data, devices, memory, engine):
        from gristmill.train import selection

        return selection.search(build_model, space, data, **settings)
    from gristmill.train.hunt.searching import search_on_devices

    return search_on_devices(
        build_model, space, data, devices=_auto(devices), memory=memory, engine=engine, **settings
    )


def _in_process(data: object, *where: object) -> bool:
    return isinstance(data, Examples) and all(each is None for each in where)


def _auto(devices: str | int | None) -> str | int:
    return "auto" if devices is None else devices
