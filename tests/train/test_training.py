from __future__ import annotations

import re
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.examples import Examples
from gristmill.train.model_spec import ModelSpec, build_model
from gristmill.train.training import fit

CLASSES = ["ham", "spam"]
LINEAR = ModelSpec("linear", {"buckets": 128, "classes": 2})
MLP = ModelSpec("mlp", {"buckets": 128, "classes": 2, "dim": 8, "hidden": 8, "dropout": 0.3})
HOW = {"validation": 0.3, "epochs": 5, "batch_size": 16, "lr": 0.01, "seed": 3}


class KilledError(Exception):
    """Stands for the end of the process."""


def same(one, other) -> bool:
    mine, yours = one.module.state_dict(), other.module.state_dict()
    return all(torch.equal(mine[name], yours[name]) for name in yours)


def bare(fitted):
    return [(each.train_loss, each.validation_loss, each.metric) for each in fitted.history]


@pytest.mark.parametrize(
    "spec",
    [
        LINEAR,
        MLP,
        ModelSpec("cnn", {"buckets": 128, "classes": 2, "dim": 8, "channels": 8}),
        ModelSpec("transformer", {"buckets": 128, "classes": 2, "dim": 8, "heads": 2}),
    ],
    ids=lambda spec: spec.kind,
)
def test_every_model_learns(examples, spec):
    lr = 0.1 if spec.kind == "linear" else 0.02
    fitted = fit(spec, examples, classes=CLASSES, validation=0.3, epochs=8, lr=lr, batch_size=16)
    assert fitted.metrics["f1"] > 0.9
    assert fitted.history[-1].train_loss < fitted.history[0].train_loss / 2
    assert fitted.rows + fitted.validation_rows == len(examples)


def test_independent_of_row_order_and_global_state(examples):
    one = fit(MLP, examples, **HOW)
    torch.rand(17)
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    order = np.random.default_rng(0).permutation(len(examples))
    other = fit(MLP, examples.take(order), **HOW)
    assert same(one, other)
    assert bare(one) == bare(other)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert not same(one, fit(MLP, examples, **HOW | {"seed": 4}))


def test_the_best_epoch_is_kept(examples):
    seen = []
    settings = HOW | {"lr": 0.3, "metric": "loss", "epochs": 8}
    fitted = fit(MLP, examples, **settings, on_epoch=seen.append)
    losses = [record.validation_loss for record in seen]
    assert fitted.history == tuple(seen)
    assert fitted.best_epoch == int(np.argmin(losses)) + 1 < len(seen)
    assert fitted.metrics["validation_loss"] == min(losses)
    short = fit(MLP, examples, **settings | {"epochs": fitted.best_epoch})
    assert same(fitted, short)


def test_patience_stops(examples):
    fitted = fit(MLP, examples, **HOW | {"lr": 0.3, "epochs": 50, "patience": 3, "metric": "loss"})
    assert len(fitted.history) == fitted.best_epoch + 3 < 50


def test_rows_of_weight_zero_teach_nothing(examples):
    weights = np.where(np.arange(len(examples)) < 40, 0, 1).astype(np.float32)
    silent = Examples(examples.inputs, examples.targets, weights, examples.row_ids)
    without = examples.take(np.arange(len(examples)) >= 40)
    assert same(fit(MLP, silent, **HOW), fit(MLP, without, **HOW))


def test_a_module_is_trained_in_place_and_a_function_is_seeded(examples):
    module = build_model(MLP, seed=3)
    fitted = fit(module, examples, **HOW)
    assert fitted.module is module
    assert same(fitted, fit(MLP, examples, **HOW))
    assert same(fitted, fit(lambda: MLP, examples, **HOW))


def test_own_module_optimizer_and_loss_on_numbers():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 3)).astype(np.float32)
    truth = (features[:, 0] + features[:, 1] > 0).astype(int)
    rows = Examples(
        features, np.eye(2, dtype=np.float32)[truth], np.ones(200, np.float32), np.arange(200)
    )

    def brier(logits, targets):
        return ((logits.softmax(-1) - targets) ** 2).sum(-1)

    fitted = fit(
        lambda: nn.Linear(3, 2),
        rows,
        loss=brier,
        optimizer=lambda parameters: torch.optim.Adagrad(parameters, lr=0.5),
        validation=0.3,
        epochs=10,
    )
    assert fitted.metrics["accuracy"] > 0.9
    assert fitted.settings.loss.endswith("brier")


@pytest.mark.parametrize("last", [1, 2, 4, 5])
def test_killed_after_an_epoch_and_run_again(examples, tmp_path, last):
    how = HOW | {"accumulate": 2, "clip_norm": 1.0}
    whole = fit(MLP, examples, **how)

    def die(record):
        if record.epoch == last:
            raise KilledError

    with pytest.raises(KilledError):
        fit(MLP, examples, **how, checkpoint=tmp_path, on_epoch=die)
    seen = []
    again = fit(MLP, examples, **how, checkpoint=tmp_path, on_epoch=seen.append)
    assert same(again, whole)
    assert bare(again) == bare(whole)
    assert (again.best_epoch, again.metrics) == (whole.best_epoch, whole.metrics)
    assert [record.epoch for record in seen] == [1, 2, 3, 4, 5]


def test_killed_inside_an_epoch(examples, tmp_path):
    whole = fit(MLP, examples, **HOW)
    steps = []

    def loss(logits, targets):
        steps.append(1)
        if len(steps) == 35:
            raise KilledError
        return -(targets * torch.log_softmax(logits, dim=-1)).sum(dim=-1)

    loss.__qualname__ = "soft_cross_entropy"
    with pytest.raises(KilledError):
        fit(MLP, examples, **HOW, loss=loss, checkpoint=tmp_path)
    assert same(fit(MLP, examples, **HOW, checkpoint=tmp_path), whole)


def test_more_epochs_go_on_from_fewer(examples, tmp_path, said):
    fit(MLP, examples, **HOW | {"epochs": 2}, checkpoint=tmp_path)
    longer = fit(MLP, examples, **HOW, checkpoint=tmp_path)
    assert same(longer, fit(MLP, examples, **HOW))
    assert said == []


@pytest.mark.parametrize(
    "change", [{"lr": 0.02}, {"seed": 4}, {"validation": 0.2}, {"batch_size": 8}]
)
def test_the_state_of_another_run_is_not_used(examples, tmp_path, said, change):
    fit(MLP, examples, **HOW | {"epochs": 1}, checkpoint=tmp_path)
    other = fit(MLP, examples, **HOW | {"epochs": 2} | change, checkpoint=tmp_path)
    assert said == [
        f"checkpoint {tmp_path / 'checkpoint.safetensors'} is not used: it is of another run "
        "(model, data, settings or torch version differ); training starts afresh"
    ]
    assert same(other, fit(MLP, examples, **HOW | {"epochs": 2} | change))


def test_a_longer_runs_state_is_not_used_for_a_shorter(examples, tmp_path, said):
    fit(MLP, examples, **HOW | {"epochs": 3}, checkpoint=tmp_path)
    short = fit(MLP, examples, **HOW | {"epochs": 2}, checkpoint=tmp_path)
    assert same(short, fit(MLP, examples, **HOW | {"epochs": 2}))
    assert "it has 3 epochs, more than the 2 asked for" in said[0]


SCRIPT = """
    import pathlib, sys, time
    import numpy as np
    from gristmill.train import Examples, ModelSpec, fit

    folder, pause = pathlib.Path(sys.argv[1]), float(sys.argv[2])
    generator = np.random.default_rng(0)
    ids = generator.integers(1, 50, (200, 6))
    targets = np.eye(2, dtype=np.float32)[(ids < 10).any(axis=1).astype(int)]
    rows = Examples(ids, targets, np.ones(200, np.float32), np.arange(200))
    spec = ModelSpec("mlp", {"buckets": 50, "classes": 2, "dim": 8, "hidden": 8})

    def show(record):
        print(record.epoch, flush=True)
        time.sleep(pause)

    fitted = fit(spec, rows, validation=0.3, epochs=6, checkpoint=folder / "state", on_epoch=show)
    (folder / "done").mkdir()
    fitted.save(folder / "done")
"""


def test_kill_9_and_run_again_gives_the_same_files(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(SCRIPT))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    command = [sys.executable, str(script)]
    subprocess.run([*command, str(whole), "0"], check=True, stdout=subprocess.DEVNULL)
    with subprocess.Popen([*command, str(broken), "60"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not (broken / "done").exists()
    finished = subprocess.run([*command, str(broken), "0"], check=True, stdout=subprocess.PIPE)
    assert finished.stdout.split() == [b"1", b"2", b"3", b"4", b"5", b"6"]
    for name in ("weights.safetensors", "fitted.json"):
        assert (whole / "done" / name).read_bytes() == (broken / "done" / name).read_bytes()


def one_class(examples: Examples) -> Examples:
    return examples.take(examples.hard == 0)


def weightless(examples: Examples) -> Examples:
    nothing = np.zeros(len(examples), np.float32)
    return Examples(examples.inputs, examples.targets, nothing, examples.row_ids)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda rows: rows.take(np.arange(0)),
            "no training rows with a weight above 0, found none at all",
        ),
        (weightless, "no training rows with a weight above 0, found 240, all of weight 0"),
        (
            one_class,
            "all 139 training rows are of class 'ham', expected at least two classes\n"
            "  fix: label rows of the other classes, or take more rows",
        ),
    ],
)
def test_rows_that_cannot_teach(examples, spoil, message):
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        fit(LINEAR, spoil(examples), classes=CLASSES)


@pytest.mark.parametrize(
    ("model", "classes", "message"),
    [
        (LINEAR, ["ham"], "1 classes (ham) but targets of 2 classes"),
        (
            ModelSpec("linear", {"buckets": 128, "classes": 3}),
            CLASSES,
            "the model must return logits of shape [2, 2] (rows, classes), found [2, 3]",
        ),
        (
            ModelSpec("linear", {"buckets": 2, "classes": 2}),
            CLASSES,
            "the model cannot take inputs int64",
        ),
    ],
)
def test_models_that_do_not_fit(examples, model, classes, message):
    with pytest.raises(TrainError, match=f"^{re.escape(message)}"):
        fit(model, examples, classes=classes)


def test_a_loss_that_is_not_finite_names_the_place(examples):
    def explode(logits, targets):
        return logits.sum(dim=-1) * float("nan")

    message = "epoch 1, batch 1: loss is nan with lr=0.01\n  fix: lower lr, or set clip_norm"
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        fit(LINEAR, examples, **HOW, loss=explode)


def test_diverging_training_is_an_error(examples):
    with pytest.raises(TrainError, match=r"^epoch \d+(, batch \d+)?: .*(inf|nan) with lr=1e\+38"):
        fit(MLP, examples, **HOW | {"lr": 1e38})


def test_patience_needs_validation(examples):
    message = "patience needs validation rows\n  fix: pass validation=0.2, say"
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        fit(LINEAR, examples, patience=2)
