"""Train one model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from gristmill.core.errors import TrainError, UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.train.block_draws import built
from gristmill.train.checkpoint import CheckpointFile, state_fingerprint
from gristmill.train.draws import steady
from gristmill.train.examples import Examples, batch_inputs
from gristmill.train.fitted import Fitted
from gristmill.train.history import best_record
from gristmill.train.loop import Loop, OnEpoch
from gristmill.train.losses import Loss, resolve_loss
from gristmill.train.model_spec import ModelSpec, build_model, spec_of
from gristmill.train.optimizers import OptimizerFactory, make_optimizer, optimizer_name
from gristmill.train.settings import FitSettings

ModelLike: TypeAlias = nn.Module | ModelSpec | Callable[[], nn.Module | ModelSpec]
"""A module, the description of one, or a function that makes either."""


def fit(
    model: ModelLike,
    examples: Examples,
    *,
    classes: Sequence[str] | None = None,
    loss: str | Loss = "soft_cross_entropy",
    optimizer: str | OptimizerFactory = "adamw",
    lr: float = 1e-3,
    weight_decay: float = 0.01,
    epochs: int = 10,
    batch_size: int = 64,
    seed: int = 0,
    validation: Examples | float | None = None,
    patience: int | None = None,
    clip_norm: float | None = None,
    accumulate: int = 1,
    checkpoint: Path | None = None,
    device: str = "cpu",
    threads: int = 1,
    metric: str = "f1",
    positive: int | None = None,
    on_epoch: OnEpoch | None = None,
) -> Fitted:
    """Train a model on soft labels with row weights, and return it at its best epoch.

    The result depends on the arguments alone: not on the order of the rows, on any global random
    state, or on whether the run was interrupted. Every random draw is keyed by what it is for
    (weights; the order of an epoch; the dropout of a batch).

    Args:
        model: a `ModelSpec` or a function, whose weights are then drawn from `seed`; or a module,
            which is trained in place. It maps inputs `[batch, ...]` to logits float32[batch, k].
        examples: rows to learn from; those of weight 0 are left out.
        classes: class names; "0", "1"... if None.
        loss: `soft_cross_entropy`, or a function of logits and targets (float32[batch, k] both)
            that returns float32[batch].
        optimizer: `adamw`, `adam`, `sgd` (momentum 0.9), or a function that takes the parameters
            and returns a torch optimiser; `lr` and `weight_decay` are then its own affair.
        lr: learning rate.
        weight_decay: as the optimiser defines it.
        epochs: most passes over the rows.
        batch_size: rows of a batch.
        seed: of weights, orders and draws.
        validation: rows to watch, or the fraction of `examples` to hold out for that.
        patience: stop after so many epochs that improved neither `metric` nor the validation loss;
            needs `validation`.
        clip_norm: largest norm of all gradients together.
        accumulate: batches whose gradients make one update.
        checkpoint: a folder of this run. Its state is kept there after every epoch, and a run that
            finds it goes on from there, to the same bits as without the interruption. The state of
            another run (other model, data or settings; `epochs` may differ) is not used, and that
            is said.
        device: `cpu` or a torch device such as `cuda:0`.
        threads: torch's intra-op threads while training.
        metric: what decides the best epoch: `f1`, `precision`, `recall`, `accuracy`, `loss`.
        positive: the class that the metric is about; None: class 1 of two, macro mean of more.
        on_epoch: called with the record of each epoch, those read from a checkpoint too.

    Raises:
        UsageError: a setting makes no sense.
        TrainError: no rows, one class only, a model that does not fit the data or the classes, or
            a loss that is not finite (the message names epoch, batch and learning rate).
    """
    loss_name, loss_function = resolve_loss(loss)
    settings = FitSettings(
        loss=loss_name,
        optimizer=optimizer_name(optimizer),
        lr=lr,
        weight_decay=weight_decay,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        patience=patience,
        clip_norm=clip_norm,
        accumulate=accumulate,
        device=device,
        threads=threads,
        metric=metric,
        positive=positive,
    ).check()
    names = _class_names(examples, classes)
    train, held_out = _parts(examples, validation, settings)
    _check_classes(train, names)
    with steady(threads, device):
        module = _materialise(model, seed).to(device)
        _check_module(module, train, len(names), device)
        trainable = [each for each in module.parameters() if each.requires_grad]
        updater = make_optimizer(optimizer, trainable, settings)
        store = None
        if checkpoint is not None:
            run = _run_fingerprint(module, updater, train, held_out, settings)
            store = CheckpointFile(Path(checkpoint), run)
        loop = Loop(module, loss_function, updater, train, held_out, settings)
        loop.run(store, on_epoch)
        return _finish(loop, names)


def _finish(loop: Loop, classes: tuple[str, ...]) -> Fitted:
    """Put the best weights in place and measure them."""
    loop.module.load_state_dict(loop.best)
    best = best_record(loop.history, loop.settings.metric)
    loss, figures = loop.evaluate(best.epoch)
    metrics = {"train_loss": best.train_loss, **figures}
    if loss is not None:
        metrics["validation_loss"] = loss
    return Fitted(
        module=loop.module.to("cpu").eval(),
        classes=classes,
        history=tuple(loop.history),
        best_epoch=best.epoch,
        metrics=metrics,
        settings=loop.settings,
        rows=len(loop.train),
        validation_rows=len(loop.held_out) if loop.held_out else 0,
    )


def _class_names(examples: Examples, classes: Sequence[str] | None) -> tuple[str, ...]:
    names = tuple(classes) if classes is not None else tuple(map(str, range(examples.k)))
    if len(names) != examples.k:
        raise TrainError(
            f"{len(names)} classes ({', '.join(names)}) but targets of {examples.k} classes"
        )
    if len(names) < 2:
        raise TrainError(f"expected at least two classes, found {len(names)}")
    return names


def _parts(
    examples: Examples, validation: Examples | float | None, settings: FitSettings
) -> tuple[Examples, Examples | None]:
    """Return the training and the validation rows, each in the order of their ids."""
    if settings.patience is not None and validation is None:
        raise UsageError("patience needs validation rows", fix="pass validation=0.2, say")
    if isinstance(validation, float | int):
        examples, validation = examples.hold_out(validation, settings.seed)
    if validation is not None:
        validation = _with_weight(validation, "validation")
        if validation.k != examples.k:
            raise TrainError(
                f"validation rows have {validation.k} classes, training rows {examples.k}"
            )
    return _with_weight(examples, "training"), validation


def _with_weight(examples: Examples, part: str) -> Examples:
    kept = examples.take(examples.weights > 0).by_row_id()
    if not len(kept):
        none = "none at all" if not len(examples) else f"{len(examples)}, all of weight 0"
        raise TrainError(f"no {part} rows with a weight above 0, found {none}")
    return kept


def _check_classes(train: Examples, classes: tuple[str, ...]) -> None:
    mass = train.targets.sum(axis=0, dtype=np.float64)
    if np.count_nonzero(mass) < 2:
        only = classes[int(mass.argmax())]
        raise TrainError(
            f"all {len(train)} training rows are of class {only!r}, expected at least two classes",
            fix="label rows of the other classes, or take more rows",
        )


def _materialise(model: ModelLike, seed: int) -> nn.Module:
    made = model
    if not isinstance(made, nn.Module | ModelSpec):
        made = built(made, seed)
    return build_model(made, seed) if isinstance(made, ModelSpec) else made


def _check_module(module: nn.Module, train: Examples, classes: int, device: str) -> None:
    """Try the module on two rows: better now than in the middle of an epoch."""
    rows = np.arange(min(2, len(train)))
    probe = torch.from_numpy(np.ascontiguousarray(batch_inputs(train.inputs, rows))).to(device)
    was_training = module.training
    try:
        with torch.no_grad():
            found = tuple(module.eval()(probe).shape)
    except (RuntimeError, IndexError, TypeError) as error:
        shape = f"{train.inputs.dtype}{list(probe.shape)}"
        raise TrainError(f"the model cannot take inputs {shape}: {error}") from error
    module.train(was_training)
    if found != (len(rows), classes):
        raise TrainError(
            f"the model must return logits of shape {[len(rows), classes]} "
            f"(rows, classes), found {list(found)}"
        )


def _run_fingerprint(
    module: nn.Module,
    optimizer: Optimizer,
    train: Examples,
    held_out: Examples | None,
    settings: FitSettings,
) -> str:
    """Name everything that the weights after an epoch depend on; not how many epochs there are."""
    groups = [
        sorted((key, repr(value)) for key, value in group.items() if key != "params")
        for group in optimizer.param_groups
    ]
    facts = {
        name: getattr(settings, name)
        for name in settings.__struct_fields__
        if name not in ("epochs", "patience")
    }
    spec = spec_of(module)
    return fingerprint(
        {
            "torch": torch.__version__,
            "module": repr(module) if spec is None else (spec.kind, spec.params),
            "weights": state_fingerprint(module.state_dict()),
            "optimizer": groups,
            "settings": facts,
            "train": train,
            "validation": held_out,
        }
    )
