"""Time until the best of 16 trials is known: two workers against Optuna's own loop.

Both sides draw the same settings, train the same multilayer perceptrons on the same made-up data,
and halve at the same budgets (1, 4, 16 epochs; one in four goes on). Ours trains on two worker
processes of one thread, each trial in one of them at a time, and pauses trials in files. Optuna's
is `study.optimize` with its `SuccessiveHalvingPruner` in one process of one thread; it cannot
pause, so it decides at once whether a trial goes on, knowing only the trials before it.

How many epochs Optuna's loop trains depends on the order in which good trials happen to come, so
the two are compared on several draws of settings, data and weights, and the median counts. Time on
a busy machine says little of either; the simulated share takes the CPU seconds that an epoch needs
instead, and no time for anything else.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from claims import Claim, claim, main
from gristmill.train.hunt.halving import halving
from gristmill.train.hunt.hunt import Hunt
from gristmill.train.hunt.running import run_trials
from gristmill.train.hunt.samplers import Sampler
from gristmill.train.hunt.simulated import Simulated, simulate
from gristmill.train.space import Space, log_uniform, uniform

TRIALS, EPOCHS, ETA, ROWS = 16, 16, 4, 8_000
FEATURES, CLASSES, BATCH = 64, 10, 128
RULES = partial(halving, most=EPOCHS, eta=ETA)


def space(seed: int) -> Space:
    return Space(
        lr=log_uniform(1e-3, 1.0), momentum=uniform(0.5, 0.99), width=[256, 384, 512], seed=seed
    )


def made_up(rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs float32[rows, FEATURES] and classes int64[rows] of a random network."""
    draws = torch.Generator().manual_seed(seed)
    inputs = torch.randn(rows, FEATURES, generator=draws)
    hidden = torch.tanh(inputs @ torch.randn(FEATURES, 32, generator=draws) / 4)
    return inputs, (hidden @ torch.randn(32, CLASSES, generator=draws)).argmax(dim=1)


class Perceptron:
    """A trainable: one epoch a unit, its value the accuracy on a fifth of the rows."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        torch.set_num_threads(1)
        inputs, classes = made_up(ROWS, settings["seed"])
        cut = len(inputs) * 4 // 5
        self.train, self.held_out = (inputs[:cut], classes[:cut]), (inputs[cut:], classes[cut:])
        width, self.epoch = settings["width"], 0
        with torch.random.fork_rng():
            torch.manual_seed(settings["seed"])
            self.model = nn.Sequential(
                nn.Linear(FEATURES, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
                nn.Linear(width, CLASSES),
            )  # fmt: skip
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=settings["lr"], momentum=settings["momentum"]
        )

    def advance(self) -> float:
        inputs, classes = self.train
        order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(self.epoch))
        for rows in order.split(BATCH):
            self.optimizer.zero_grad()
            nn.functional.cross_entropy(self.model(inputs[rows]), classes[rows]).backward()
            self.optimizer.step()
        self.epoch += 1
        with torch.inference_mode():
            found = self.model(self.held_out[0]).argmax(dim=1)
        return float((found == self.held_out[1]).double().mean())

    def save(self, folder: Path) -> None:
        moments = self.optimizer.state_dict()["state"]
        state = dict(self.model.state_dict()) | {
            f"momentum.{number}": each["momentum_buffer"] for number, each in moments.items()
        }
        save_file(state | {"epoch": torch.tensor(self.epoch)}, folder / "state.safetensors")

    def load(self, folder: Path) -> None:
        state = load_file(folder / "state.safetensors")
        self.epoch = int(state.pop("epoch"))
        moments = {name: state.pop(name) for name in list(state) if name.startswith("momentum.")}
        self.model.load_state_dict(state)
        packed = self.optimizer.state_dict()
        packed["state"] = {
            int(name.partition(".")[2]): {"momentum_buffer": each} for name, each in moments.items()
        }
        self.optimizer.load_state_dict(packed)


class Clock:
    """A watcher that notes when a hunt began; its workers are up by then."""

    def __init__(self) -> None:
        self.made, self.began = time.perf_counter(), 0.0

    def __call__(self, *_: object) -> None:
        self.began = self.began or time.perf_counter()


class Search(NamedTuple):
    """What one side of a round came to."""

    seconds: float
    cpu_seconds: float
    epochs: int
    best: float
    start_seconds: float = 0.0


def ours(seed: int, cpu: Mapping[int, float]) -> tuple[Search, Simulated]:
    """Run our search; say too what it takes where an epoch costs `cpu` seconds by width."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as name:
        folder, how = Path(name), {"sampler": "random", "seed": seed}
        with Hunt(RULES, TRIALS, space(seed), folder=folder, watch=clock, **how) as hunt:
            run_trials(hunt, Perceptron, folder, workers=2)
        ended = time.perf_counter()
    with Hunt(RULES, TRIALS, space(seed), **how) as again:
        curves = [trial.curve for trial in hunt.ledger.trials]
        seconds = [cpu[hunt.settings(trial)["width"]] for trial in range(TRIALS)]
        simulated = simulate(
            again, lambda trial, at: curves[trial][at], lambda trial, _: seconds[trial], 2
        )
    best = max(hunt.best.curve.values())
    spent, start = ended - clock.began, clock.began - clock.made
    return Search(spent, simulated.device_seconds, hunt.ledger.trained, best, start), simulated


def optunas(seed: int) -> tuple[Search, dict[int, float]]:
    """Run Optuna's loop on the settings that ours draws; say what an epoch costs by width."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    dimensions, cpu = space(seed), defaultdict(list)
    sampler = Sampler(dimensions, "random", seed, maximise=True)

    def objective(trial: optuna.Trial) -> float:
        settings = dimensions.values(sampler.draw(trial.number, []))
        model, values = Perceptron(settings), []
        for epoch in range(1, EPOCHS + 1):
            began = time.process_time()
            values.append(model.advance())
            cpu[settings["width"]].append(time.process_time() - began)
            trial.report(values[-1], epoch)
            if epoch < EPOCHS and trial.should_prune():
                raise optuna.TrialPruned
        return max(values)

    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=ETA)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    began, began_cpu = time.perf_counter(), time.process_time()
    study.optimize(objective, n_trials=TRIALS, n_jobs=1)
    spent, spent_cpu = time.perf_counter() - began, time.process_time() - began_cpu
    found = Search(spent, spent_cpu, sum(map(len, cpu.values())), study.best_value)
    return found, {width: statistics.median(each) for width, each in cpu.items()}


class Round(NamedTuple):
    """Both sides on the same draws."""

    mine: Search
    theirs: Search
    free: Simulated

    @property
    def share(self) -> float:
        return self.mine.seconds / self.theirs.seconds

    @property
    def simulated_share(self) -> float:
        return self.free.makespan / self.theirs.cpu_seconds


def one_round(seed: int) -> Round:
    theirs, cpu = optunas(seed)
    mine, free = ours(seed, cpu)
    return Round(mine, theirs, free)


def measure(quick: bool) -> Iterator[Claim]:
    rounds = [one_round(seed) for seed in range(2 if quick else 7)]
    median, many = statistics.median, f"median of {len(rounds)} draws"
    shares = [each.share for each in rounds]
    yield claim(
        "search: time to the best of 16 trials, as a share of Optuna's",
        median(shares),
        "of Optuna's time",
        f"successive halving, 2 workers (median {median(one.mine.seconds for one in rounds):.1f} s,"
        f" started in {median(one.mine.start_seconds for one in rounds):.1f} s before) against "
        f"study.optimize on one process ({median(one.theirs.seconds for one in rounds):.1f} s), "
        f"same settings; {many}, from {min(shares):.2f} to {max(shares):.2f}",
        goal="<= 0.55",
    )
    shares = [each.simulated_share for each in rounds]
    yield claim(
        "search: the same, simulated from CPU seconds",
        median(shares),
        "of Optuna's time",
        f"2 undisturbed workers; {many}, from {min(shares):.2f} to {max(shares):.2f}",
        more_is_better=False,
    )
    yield claim(
        "search: epochs trained for the best of 16 trials",
        median(one.mine.epochs for one in rounds),
        "epochs",
        f"halving that pauses, against Optuna's, which decides at once; "
        f"{TRIALS * EPOCHS} in full; {many}",
        peer=median(one.theirs.epochs for one in rounds),
        more_is_better=False,
    )
    yield claim(
        "search: the best of 16 trials",
        statistics.mean(one.mine.best for one in rounds),
        "held-out accuracy",
        f"the same searches; mean of {len(rounds)} draws",
        peer=statistics.mean(one.theirs.best for one in rounds),
        more_is_better=True,
    )


if __name__ == "__main__":
    raise SystemExit(main(measure))
