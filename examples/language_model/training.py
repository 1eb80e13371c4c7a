"""Train a small GPT within a memory budget that its weights and optimiser state exceed.

    python training.py                     a few minutes on one core
    python training.py --plain             the same, all in memory, with the loop of any tutorial
    python training.py --explain           only say what would happen

Both ways end with the same weights, bit for bit: compare the fingerprints that they print. A run
that was killed, at any moment, goes on where it was when the same command is given again.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from pathlib import Path

import torch
from curve import curve
from gpt import GPT, write
from reading import read_text

from gristmill import train
from gristmill.core.errors import GristmillError
from gristmill.core.progress import LineReporter, current, reporting
from gristmill.core.quantities import format_bytes, format_count, parse_bytes
from gristmill.train.checkpoint import state_fingerprint

HEADS, WARM_UP_STEPS = 4, 30
STATE_BYTES = 3 * 4  # of a parameter: its value, and the two moments of AdamW


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, then let the model write a few lines."""
    options = parser().parse_args(arguments)
    try:
        with reporting(LineReporter()):
            model = run(options)
    except GristmillError as error:
        print(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt as stop:  # says how much is safe
        print(f"stopped: {stop}")
        return 130
    if model is not None:
        print(f"weights: {state_fingerprint(model.state_dict())}")
        print(write(model, b"The ", options.letters, options.seed).decode(errors="replace"))
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what the command line understands."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add("--text", default="shakespeare", help="shakespeare, python, or a file")
    add("--read", default="250KB", help="how much of the text, from its beginning")
    add("--memory", default="40MB", help="budget of a device, for all that training needs")
    add("--devices", default="1", help="1, 2, cpu:2, auto")
    add("--folder", type=Path, default=Path("run"), help="where the state of the run is kept")
    add("--explain", action="store_true", help="say what would happen, and stop")
    add("--plain", action="store_true", help="plain loop, all in memory")
    add("--epochs", type=int, default=1)
    add("--width", type=int, default=256)
    add("--depth", type=int, default=8)
    add("--length", type=int, default=64, help="bytes that the model sees at once")
    add("--batch", type=int, default=16, help="windows of a step")
    add("--micro-batches", type=int, default=4, help="parts of a batch")
    add("--lr", type=float, default=1e-3)
    add("--seed", type=int, default=0)
    add("--letters", type=int, default=300, help="bytes to write at the end")
    return made


def run(options: argparse.Namespace) -> GPT | None:
    """Train as the options say; return the model, None if it was only to be explained."""
    text = read_text(options.text)[: parse_bytes(options.read)]
    windows = train.TokenWindows(text, options.length)
    build = functools.partial(
        GPT, length=options.length, width=options.width, depth=options.depth, heads=HEADS
    )
    _introduce(build, windows, options)
    job = train.job(
        build, windows, loss="token_cross_entropy", folder=options.folder, lr=options.lr,
        epochs=options.epochs, batch_size=options.batch, micro_batches=options.micro_batches,
        seed=options.seed, schedule=_warm_up, clip_norm=1.0, devices=options.devices,
        memory=None if options.plain else options.memory,
    )  # fmt: skip
    if options.plain:
        return _plainly(job)
    print(job.explain())
    if options.explain:
        return None
    trained = job.run().trained()
    print(curve(trained.losses))
    job.trace(options.folder / "trace.json")
    job.gantt(options.folder / "gantt.html")
    print(f"what ran when: {options.folder / 'gantt.html'}, trace.json beside it for Perfetto")
    return trained.module()


def _warm_up(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    """Let the learning rate rise over the first steps, in which gradients point anywhere."""
    return torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=WARM_UP_STEPS)


def _introduce(
    build: functools.partial[GPT], windows: train.TokenWindows, options: argparse.Namespace
) -> None:
    with torch.device("meta"):
        parameters = sum(each.numel() for each in build().parameters())
    current().say(
        f"{format_count(len(windows))} windows of {options.length} bytes; "
        f"{format_count(parameters)} parameters: {format_bytes(parameters * STATE_BYTES)} of "
        f"weights and optimiser state, {'no' if options.plain else options.memory} budget"
    )


def _plainly(job: train.TrainingJob) -> GPT:
    """Train as any tutorial would, but with draws that have a number (see `plain_loop`)."""
    losses: dict[int, float] = {}
    model = train.plain_loop(job.trials[0], losses.__setitem__)
    print(curve(losses))
    return model


if __name__ == "__main__":
    raise SystemExit(main())
