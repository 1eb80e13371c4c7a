from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest
import torch

from gristmill.core.errors import TrainError, UsageError
from gristmill.train import study as study_module
from gristmill.train.model_spec import ModelSpec
from gristmill.train.selection import search
from gristmill.train.space import Space, log_uniform, uniform
from gristmill.train.training import fit

HOW = {"trials": 9, "epochs": 3, "seed": 5, "validation": 0.3, "batch_size": 32}
SPACE = Space(lr=log_uniform(1e-4, 0.3), hidden=[4, 8], dropout=uniform(0, 0.5))


class Killed(BaseException):
    """Stands for the end of the process."""


def mlp(hidden: int, dropout: float) -> ModelSpec:
    sizes = {"buckets": 128, "classes": 2, "dim": 4}
    return ModelSpec("mlp", sizes | {"hidden": hidden, "dropout": dropout})


def told(study) -> pl.DataFrame:
    return study.trials.drop("seconds")


def weights(study) -> list[bytes]:
    return [each.numpy().tobytes() for each in study.best.module.state_dict().values()]


@pytest.fixture(scope="module")
def whole(examples):
    return search(mlp, SPACE, examples, **HOW).run()


def test_same_seed_same_trials(examples, whole):
    torch.rand(3)
    order = np.random.default_rng(0).permutation(len(examples))
    again = search(mlp, SPACE, examples.take(order), **HOW).run()
    assert told(again).equals(told(whole))
    assert weights(again) == weights(whole)
    other = search(mlp, SPACE, examples, **HOW | {"seed": 6}).run()
    assert not told(other).equals(told(whole))


def test_the_best_is_the_best_and_fit_gives_it_again(examples, whole):
    complete = whole.trials.filter(state="complete")
    assert whole.best.metrics["f1"] == complete["value"].max()
    params = whole.best_params
    assert set(params) == {"lr", "hidden", "dropout"}
    lr = params.pop("lr")
    again = fit(
        mlp(**params), whole.train, validation=whole.held_out, lr=lr, epochs=3, seed=5,
        batch_size=32,
    )  # fmt: skip
    for one, other in zip(again.module.parameters(), whole.best.module.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("last", [0, 3, 7])
def test_killed_and_called_again_ends_the_same(examples, whole, tmp_path, monkeypatch, last):
    real, calls = study_module.fit, []

    def dying(*args, **options):
        watch = options["on_epoch"]

        def die(record):
            watch(record)
            if len(calls) == last + 1 and record.epoch == 2:
                raise Killed

        calls.append(1)
        return real(*args, **options | {"on_epoch": die})

    monkeypatch.setattr(study_module, "fit", dying)
    with pytest.raises(Killed):
        # A trial that is pruned early gets no second epoch: without pruner all do.
        search(mlp, SPACE, examples, **HOW, pruner=None, storage=tmp_path).run()
    monkeypatch.setattr(study_module, "fit", real)
    again = search(mlp, SPACE, examples, **HOW, pruner=None, storage=tmp_path)
    assert len(again.trials) == last
    again.run()
    straight = search(mlp, SPACE, examples, **HOW, pruner=None).run()
    assert told(again).equals(told(straight))
    assert weights(again) == weights(straight)


def test_pruned_trials_replay_as_they_ran(examples, whole, tmp_path):
    assert "pruned" in whole.trials["state"].to_list()
    for trials in (3, 6, 9):
        part = search(mlp, SPACE, examples, **HOW | {"trials": trials}, storage=tmp_path).run()
    assert told(part).equals(told(whole))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "trials.jsonl"]


def test_a_finished_search_has_its_best_at_hand(examples, whole, tmp_path, said):
    search(mlp, SPACE, examples, **HOW, storage=tmp_path).run()
    said.clear()
    assert weights(search(mlp, SPACE, examples, **HOW, storage=tmp_path)) == weights(whole)
    assert said == []
    (tmp_path / "best" / "trial").unlink()
    assert weights(search(mlp, SPACE, examples, **HOW, storage=tmp_path)) == weights(whole)
    assert re.fullmatch(r"the model of trial \d is not at hand; training it again", said[0])


def test_storage_of_another_search_is_refused(examples, tmp_path):
    search(mlp, SPACE, examples, **HOW, storage=tmp_path)
    with pytest.raises(TrainError, match="the folder holds another search"):
        search(mlp, SPACE, examples, **HOW | {"seed": 6}, storage=tmp_path)


def test_a_failed_trial_does_not_stop_the_others(examples):
    def fragile(hidden: int) -> ModelSpec:
        if hidden == 8:
            raise ValueError("eight is too many")
        return mlp(hidden, 0.0)

    study = search(fragile, Space(hidden=[4, 8]), examples, **HOW).run()
    failed = study.trials.filter(state="failed")
    assert 0 < len(failed) < 9
    assert set(failed["reason"]) == {"ValueError: eight is too many"}
    assert study.best_params == {"hidden": 4}
    assert len(study.trials) == 9


def test_all_failed_is_an_error_with_the_first_reason(examples):
    study = search(mlp, Space(hidden=[4], dropout=7.0), examples, **HOW | {"trials": 2})
    message = "none of 2 trials is complete; the first: TrainError: model 'mlp' cannot be built"
    with pytest.raises(TrainError, match=f"^{re.escape(message)}"):
        study.run()


def test_the_plan_before_and_after(examples):
    study = search(mlp, SPACE, examples, **HOW | {"trials": 2})
    before = study.explain()
    rows = len(study.train) * 3
    assert [child.action for child in before.children] == ["run", "run"]
    assert before.estimated.rows == 2 * rows
    assert before.why == "2 of 2 trials left; sampler tpe, pruner median, f1"
    after = study.run().explain()
    assert [child.action for child in after.children] == ["complete", "complete"]
    assert after.children[0].actual.rows == rows
    assert after.action == "done"
    study.wanted = 3
    assert study.explain().estimated.seconds > 0


def test_not_run_yet(examples):
    study = search(mlp, SPACE, examples, **HOW)
    with pytest.raises(TrainError, match=r"^none of 0 trials is complete\n  fix: call run\(\)$"):
        _ = study.best
    assert study.trials.is_empty()


def test_loss_is_minimised(examples):
    study = search(mlp, SPACE, examples, **HOW | {"trials": 4}, metric="loss", sampler="random")
    values = study.run().trials.filter(state="complete")["value"]
    assert study.best.metrics["validation_loss"] == values.min()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "trials must be at least 1, found 0"),
        ({"pruner": "axe"}, "unknown pruner 'axe', expected one of (None, 'median', 'halving')"),
        ({"sampler": "dice"}, "unknown sampler 'dice', expected one of ('tpe', 'random')"),
        ({"lr": 0.1}, "'lr' is both fixed and searched\n  fix: give it in one place"),
        ({"epoch": 3}, "search has no option 'epoch'"),
    ],
)
def test_nonsense_is_refused(examples, options, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        search(mlp, SPACE, examples, **HOW | options)
