"""Train a small GPT within a memory budget that its weights and optimiser state exceed.

    python training.py                     some minutes on one core
    python training.py --plain             the same, all in memory, with the loop of any tutorial
    python training.py --text shakespeare --depth 8

Both ways end with the same weights, bit for bit: compare the fingerprints that they print.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence

import torch
from gpt import GPT, write
from reading import read_text
from torch import nn

from gristmill import train
from gristmill.core.errors import GristmillError
from gristmill.core.progress import LineReporter, current, reporting
from gristmill.core.quantities import format_bytes, format_count
from gristmill.train.checkpoint import state_fingerprint
from gristmill.train.draws import DRAWS, KeyedDraws, steady
from gristmill.train.feeds.feed import Feed
from gristmill.train.feeds.objectives import Objective
from gristmill.train.feeds.token_windows import TokenWindows

LOSS = "token_cross_entropy"
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
    print(f"weights: {state_fingerprint(model.state_dict())}")
    print(write(model, b"The ", options.letters, options.seed).decode(errors="replace"))
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what the command line understands."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--text", default="python", help="python, shakespeare, or a file")
    made.add_argument("--memory", default="16MB", help="budget for weights and optimiser state")
    made.add_argument("--plain", action="store_true", help="plain loop, all in memory")
    made.add_argument("--epochs", type=int, default=1)
    made.add_argument("--width", type=int, default=192)
    made.add_argument("--depth", type=int, default=6)
    made.add_argument("--length", type=int, default=128, help="bytes that the model sees at once")
    made.add_argument("--batch", type=int, default=16, help="windows of a step")
    made.add_argument("--micro-batches", type=int, default=2, help="parts of a batch")
    made.add_argument("--lr", type=float, default=1e-3)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--letters", type=int, default=300, help="bytes to write at the end")
    return made


def run(options: argparse.Namespace) -> GPT:
    """Train as the options say; return the model."""
    windows = TokenWindows(read_text(options.text), options.length)
    build = functools.partial(
        GPT, length=options.length, width=options.width, depth=options.depth, heads=6
    )
    with torch.device("meta"):
        parameters = sum(each.numel() for each in build().parameters())
    current().say(
        f"{format_count(len(windows))} windows of {options.length} bytes; "
        f"{format_count(parameters)} parameters: {format_bytes(parameters * STATE_BYTES)} of "
        f"weights and optimiser state, {'no' if options.plain else options.memory} budget"
    )
    if options.plain:
        return plain_loop(build, windows, options)
    fitted = train.fit(
        build, data=windows, loss=LOSS, optimizer="adamw", lr=options.lr, epochs=options.epochs,
        batch_size=options.batch, micro_batches=options.micro_batches, seed=options.seed,
        devices="auto", memory=options.memory,
    )  # fmt: skip
    return fitted.module


def plain_loop(
    build: functools.partial[GPT], windows: TokenWindows, options: argparse.Namespace
) -> GPT:
    """Train as any tutorial would, but with draws that have a name (see `KeyedDraws`)."""
    feed, objective = Feed(windows, options.batch, options.seed), Objective(LOSS)
    with steady(threads=1):
        model = train.seeded(build, options.seed)
        optimizer = torch.optim.AdamW(model.parameters(), options.lr, weight_decay=0.01, fused=True)
        for step in range(options.epochs * feed.steps_per_epoch):
            loss = plain_step(model, optimizer, objective, feed, step, options)
            if step % 25 == 0:
                current().say(f"  epoch {feed.epoch_of(step)}, step {step}: loss {loss:.4f}")
    return model


def plain_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    feed: Feed,
    step: int,
    options: argparse.Namespace,
) -> float:
    """Update once; return the loss."""
    batch, total = feed.batch(step), 0.0
    optimizer.zero_grad()
    for micro, part in enumerate(batch.split(options.micro_batches)):
        with KeyedDraws(options.seed, DRAWS, step, micro):
            loss = objective(model(*part.inputs), part) / batch.weight
        loss.backward()
        total += loss.item()
    optimizer.step()
    return total


if __name__ == "__main__":
    raise SystemExit(main())
