"""Small trials of every kind: models that worker processes can import, their data, a way to run.

    python job_trials.py FOLDER DEVICES STEPS     trains one and writes its weights

What captures and trains is imported where it is used: each worker imports this, and needs none of
it, as with a user's models.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from functools import cache, partial
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from gristmill.train.feeds.batch import Batch
from gristmill.train.jobs.trial_plan import TrialPlan
from gristmill.train.jobs.trial_spec import Evaluation, TrialSpec
from gristmill.train.tasks.trial_shape import StageCost, TrialShape


class Block(nn.Module):
    """Normalised, with dropout and running statistics."""

    def __init__(self, width):
        super().__init__()
        self.norm, self.up, self.down = (
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.Linear(2 * width, width),
        )
        self.drop, self.batch_norm = nn.Dropout(0.2), nn.BatchNorm1d(width)

    def forward(self, x):
        inner = self.drop(self.down(torch.relu(self.up(self.norm(x)))))
        return self.batch_norm(x + inner)


class Skips(nn.Module):
    """Each block is added to what the first layer made."""

    def __init__(self, width=12, blocks=3):
        super().__init__()
        self.first = nn.Linear(8, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.last = nn.Linear(2 * width, 3)

    def forward(self, x):
        start = y = self.first(x)
        for block in self.blocks:
            y = block(y) + start
        return self.last(torch.cat([y, start], -1))


class Tied(nn.Module):
    """The last layer uses the weights of the first."""

    def __init__(self, width=16):
        super().__init__()
        self.first = nn.Linear(8, width, bias=False)
        self.middle = nn.Sequential(nn.Tanh(), nn.Linear(width, width), nn.Dropout(0.3))
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        y = self.middle(self.first(x))
        return self.last(functional.linear(y, self.first.weight.t()))


class Two(nn.Module):
    """Two inputs, the second one of which is read late."""

    def __init__(self, width=10):
        super().__init__()
        self.left, self.right = nn.Linear(8, width), nn.Linear(4, width)
        self.middle = nn.Sequential(nn.Linear(width, width), nn.Dropout(0.1), nn.ReLU())
        self.last = nn.Linear(width, 3)

    def forward(self, x, z):
        return self.last(self.middle(self.left(x)) * torch.sigmoid(self.right(z)))


class Frozen(nn.Module):
    """The first layer is not trained, and one parameter never gets a gradient."""

    def __init__(self, width=8):
        super().__init__()
        self.first = nn.Linear(8, width).requires_grad_(False)
        self.spare = nn.Parameter(torch.ones(3))
        self.rest = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 3))

    def forward(self, x):
        return self.rest(self.first(x))


def sequential():
    parts = [nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.25)]
    return nn.Sequential(*parts, nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3))


MODELS = {
    "skips": Skips,
    "tied": Tied,
    "two": Two,
    "frozen": Frozen,
    "sequential": sequential,
}


class Rows:
    """Made-up batches, every third one short: classes or probabilities, weights of all sizes."""

    def __init__(self, rows=11, inputs=1, soft=False, seed=0):
        self.rows, self.inputs, self.soft, self.seed = rows, inputs, soft, seed

    def batch(self, step):
        rows = self.rows - 2 * (step % 3 == 2)
        draw = torch.Generator().manual_seed(1000 * self.seed + step)
        x, z = (torch.randn(rows, width, generator=draw) for width in (8, 4))
        targets = torch.randint(0, 3, (rows,), generator=draw)
        if self.soft:
            targets = torch.rand(rows, 3, generator=draw).softmax(1)
        weights = torch.rand(rows, generator=draw) + 0.1
        return Batch((x, z)[: self.inputs], targets, weights)


def cross_entropy(output, part):
    losses = functional.cross_entropy(output, part.targets, reduction="none")
    return (losses * part.weights).sum()


OPTIMIZERS = {
    "sgd": partial(torch.optim.SGD, lr=0.1),
    "momentum": partial(torch.optim.SGD, lr=0.05, momentum=0.9, nesterov=True),
    "adam": partial(torch.optim.Adam, lr=0.01, amsgrad=True),
    "adamw": partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1),
    "fused": partial(torch.optim.AdamW, lr=0.01, fused=True),
    "adagrad": partial(torch.optim.Adagrad, lr=0.05),
    "rmsprop": partial(torch.optim.RMSprop, lr=0.01, momentum=0.5, centered=True),
    "radam": partial(torch.optim.RAdam, lr=0.01),
}


def warm_up(optimizer):
    return torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3)


def cycle(optimizer):
    moving = bool({"momentum", "betas"} & optimizer.defaults.keys())
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.05, total_steps=40, cycle_momentum=moving
    )


SCHEDULES = {
    "none": None,
    "cosine": partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=10),
    "warm up": warm_up,
    "cycle": cycle,
}


def trial(
    model="skips", optimizer="adamw", schedule="cosine", *, rows=11, soft=False, seed=0, held_out=0,
    steps=4, **more,
):  # fmt: skip
    """Return a trial; `held_out` is the steps from one evaluation to the next."""
    feed = Rows(rows, 2 if model == "two" else 1, soft, seed)
    evaluation = Evaluation(feed, 2, held_out) if held_out else None
    return TrialSpec(
        MODELS[model], feed, cross_entropy, OPTIMIZERS[optimizer], steps, seed=seed,
        schedule=SCHEDULES[schedule], evaluation=evaluation, **more,
    )  # fmt: skip


@cache
def graph_of(model):
    from gristmill.train.graphs.capture import capture

    feed = Rows(inputs=2 if model == "two" else 1)
    return capture(MODELS[model](), feed.batch(0).inputs)


def planned(spec, model="skips", cuts=(), dropped=(), grain="stage", spilled=True):
    """Return the plan and the shape of a trial, all of whose stages seem to cost the same."""
    plan = TrialPlan.cut(spec, graph_of(model), cuts, dropped)
    stages = tuple(StageCost(1e-3, 2e-3, 1e-4, sum(each.nbytes.values())) for each in plan.shards)
    shape = TrialShape(
        stages, spec.micro_batches, grain, clipped=spec.clip_norm is not None, spilled=spilled
    )
    return plan, shape


def least_memory(plans):
    """Return the least pool in which each of the trials can make a step on its own."""
    return max(sum(each.nbytes.values()) for plan, _ in plans for each in plan.shards)


@cache
def expected(spec):
    """Return the state dict and the losses of the plain loop."""
    from gristmill.train.jobs.reference import plain_loop

    losses = []
    model = plain_loop(spec, lambda _, loss: losses.append(loss))
    return model.state_dict(), losses


def expected_figures(spec):
    """Return what the plain loop's model shows on the rows held out after its last step."""
    model = MODELS_BY_BUILD[spec.build]()
    model.load_state_dict(expected(spec)[0])
    model.eval()
    loss = weight = 0.0
    with torch.no_grad():
        for number in range(spec.evaluation.batches):
            part = spec.evaluation.feed.batch(number)
            with spec.casting():
                output = model(*part.inputs)
            loss += cross_entropy(output, part).item()
            weight += part.weight
    return {"loss": loss, "weight": weight}


MODELS_BY_BUILD = {each: each for each in MODELS.values()}


def differences(run, number, spec):
    """Return the names of tensors and losses in which a trial is not the plain loop's."""
    wanted, losses = expected(spec)
    found = run.state_dict(number)
    wrong = [
        name for name in wanted if name not in found or not torch.equal(wanted[name], found[name])
    ]
    got = run.losses(number)
    return wrong + [f"loss {at}" for at, loss in enumerate(losses) if got.get(at) != loss]


def interrupt_at(path):
    """Press Ctrl-C once there is such a file: from here, however late anybody else looks."""
    while not path.exists():
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)


def kill(worker):
    """Kill a worker, and tell whether it was there: one that was killed may not be replaced yet."""
    try:
        os.kill(worker.pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def main(folder, devices, steps, until=None):
    """Train the trial of the kill tests; tell whether it ended as it should, if it did.

    Where `until` is a path in the folder, it is interrupted as soon as that is there.
    """
    from gristmill.train.jobs.training_run import TrainingRun
    from gristmill.train.workers.machine import find_devices

    spec = trial(steps=steps, micro_batches=2, held_out=5)
    plan, shape = planned(spec, cuts=(2, 5), grain="stage")
    memory = 3 * least_memory([(plan, shape)])
    if until is not None:
        path = Path(folder) / until
        threading.Thread(target=interrupt_at, args=[path], daemon=True).start()
    with TrainingRun(
        Path(folder) / "run", devices=find_devices(f"cpu:{devices}"), memory=memory,
        commit_seconds=0.0,
    ) as run:  # fmt: skip
        run.add(0, plan, shape)
        print("training", flush=True)
        run.run()
        wrong = differences(run, 0, spec)
    print("ended", len(wrong), threading.active_count(), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
