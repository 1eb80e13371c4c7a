"""Real models through the training machine: do their loss curves equal the plain loop's?

A GPT on Shakespeare, a ResNet and a U-Net on images of shapes, and the candidates of the SMS
example on its messages, each trained three ways with the same data, seeds and micro-batches: by the
plain loop, within a budget a little above the least that the model needs, and on two devices.
Compared are the losses of all steps, and the weights at the end, bit for bit; the wall-clock time
of a step is told beside the plain loop's of the same run (on a busy machine it says little).

Text and messages come from the catalogue of data sets; where they cannot be fetched, the manual of
Python and made-up messages stand in, and that is said.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from claims import Claim, claim, main
from gristmill import data
from gristmill.core.errors import DataError, TrainError
from gristmill.train.jobs.job import TrainingJob, job
from gristmill.train.jobs.recipe import Recipe
from gristmill.train.jobs.reference import plain_loop
from train_workloads import Workload, workloads

MICRO_BATCHES, ABOVE_LEAST = 4, 1.05
SIZES: dict[str, dict[str, Any]] = {
    "gpt": {"length": 64, "width": 256, "depth": 8, "heads": 8},
    "resnet": {},
    "unet": {},
    "sms_linear": {},
    "sms_mlp": {},
    "sms_cnn": {},
    "sms_transformer": {},
}
ROWS_THAT_FIT = {"gpt": {"length": 64}}
"""Sizes that data and model have in common."""


class Trained(NamedTuple):
    """What one way of training came to."""

    losses: dict[int, float]
    weights: dict[str, Tensor]
    seconds: float
    how: str

    @property
    def step_seconds(self) -> float:
        return self.seconds / len(self.losses)


def measure(quick: bool) -> Iterator[Claim]:
    """Train each model in three ways and compare."""
    torch.set_num_threads(1)
    rows, batch = (96, 16) if quick else (512, 16)
    different, text = 0, _text()
    for name, work in workloads(text).items():
        if name not in SIZES:
            continue
        recipe = Recipe(
            work.data(rows=rows, **ROWS_THAT_FIT.get(name, {})), work.loss, lr=work.lr,
            batch_size=batch, micro_batches=MICRO_BATCHES,
        )  # fmt: skip
        plain = _plainly(work, recipe, SIZES[name])
        for way in (_within_least, _on_two_devices):
            found = way(work, recipe, SIZES[name])
            wrong = _different(plain, found)
            different += wrong
            yield claim(
                f"{name}, {found.how}: seconds a step",
                found.step_seconds,
                "s",
                f"{len(found.losses)} steps of {batch} rows in {MICRO_BATCHES} micro-batches; loss "
                f"{found.losses[0]:.3f} to {found.losses[max(found.losses)]:.3f}; "
                f"{wrong} losses or tensors differ from the plain loop's; peer: the plain loop",
                peer=plain.step_seconds,
            )
    yield claim(
        "losses and tensors that differ from the plain loop's",
        different,
        "of all",
        f"{len(SIZES)} models in two ways each; text: {text}",
        goal="<= 0",
    )


def _text() -> str:
    try:
        data.fetch("shakespeare")
    except DataError as error:
        print(f"the manual of Python instead of Shakespeare: {error.message.splitlines()[0]}")
        return "python"
    return "shakespeare"


def _plainly(work: Workload, recipe: Recipe, sizes: dict[str, Any]) -> Trained:
    losses: dict[int, float] = {}
    began = time.perf_counter()
    module = plain_loop(recipe.trial(partial(work.factory, **sizes)), losses.__setitem__)
    return Trained(losses, module.state_dict(), time.perf_counter() - began, "plain loop")


def _within_least(work: Workload, recipe: Recipe, sizes: dict[str, Any]) -> Trained:
    with tempfile.TemporaryDirectory() as folder:
        make = partial(_job, work, recipe, sizes, Path(folder), devices="cpu:1")
        try:
            made = make(memory=1)
        except TrainError as error:
            needed = re.search(r"at least (\d+) bytes", error.fix or "")
            if needed is None:
                raise
            made = make(memory=int(int(needed[1]) * ABOVE_LEAST))
        shards = len(made.prepared[0].plan.shards)
        budget = made.resources.memory / 1e6
        return _run(made, f"in {budget:.3g} MB ({shards} shards)")


def _on_two_devices(work: Workload, recipe: Recipe, sizes: dict[str, Any]) -> Trained:
    with tempfile.TemporaryDirectory() as folder:
        made = _job(work, recipe, sizes, Path(folder), devices="cpu:2", memory="2GB")
        return _run(made, "on two devices")


def _job(
    work: Workload, recipe: Recipe, sizes: dict[str, Any], folder: Path, **resources: Any
) -> TrainingJob:
    return job(
        partial(work.factory, **sizes), recipe.data, loss=work.loss, folder=folder, lr=work.lr,
        batch_size=recipe.batch_size, micro_batches=MICRO_BATCHES, **resources,
    )  # fmt: skip


def _run(made: TrainingJob, how: str) -> Trained:
    made.run()
    seconds = made.timeline.makespan if made.timeline else 0.0
    return Trained(made.losses(), made.state_dict(), seconds, how)


def _different(plain: Trained, found: Trained) -> int:
    """Count losses and tensors that are not the same bits."""
    losses = sum(plain.losses[step] != found.losses.get(step) for step in plain.losses)
    return losses + sum(
        not torch.equal(each, found.weights[name]) for name, each in plain.weights.items()
    )


if __name__ == "__main__":
    raise SystemExit(main(measure))
