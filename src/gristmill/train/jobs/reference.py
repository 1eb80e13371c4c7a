"""The plain loop, which every other way to train must equal bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from gristmill.train.draws import DRAWS, KeyedDraws, seeded, steady
from gristmill.train.feeds.batch import Batch
from gristmill.train.jobs.clipping import clip_gradients
from gristmill.train.jobs.shares import share_of
from gristmill.train.jobs.trial_spec import TrialSpec


def plain_loop(
    trial: TrialSpec,
    on_step: Callable[[int, float], None] | None = None,
    device: str = "cpu",
) -> nn.Module:
    """Train a trial in memory, on one thread, as any tutorial would.

    Args:
        trial: what to train.
        on_step: called after each update with its number, from 0, and its loss.
        device: what to train on, as `cuda:0`. Each kind of GPU has bits of its own.
    """
    with steady(threads=1, device=device):
        model = seeded(trial.build, trial.seed).train().to(device)
        optimizer = trial.optimizer([each for each in model.parameters() if each.requires_grad])
        schedule = trial.schedule(optimizer) if trial.schedule else None
        for step in range(trial.steps):
            batch = trial.feed.batch(step)
            parts = [part.to(device) for part in batch.split(trial.micro_batches)]
            optimizer.zero_grad()
            if trial.replicas == 1:
                total = sum(_passes(trial, model, step, batch.weight, parts), 0.0)
            else:
                total = sum(_replicas(trial, model, step, batch.weight, parts), 0.0)
            if trial.clip_norm is not None:
                clip_gradients(model.parameters(), trial.clip_norm)
            optimizer.step()
            if schedule:
                schedule.step()
            if on_step:
                on_step(step, total)
    return model


def _passes(
    trial: TrialSpec,
    model: nn.Module,
    step: int,
    weight: float,
    parts: Sequence[Batch],
    first: int = 0,
) -> list[float]:
    """Run micro-batches forward and backward; return their losses."""
    losses = []
    device = next(model.parameters()).device
    for micro, part in enumerate(parts, start=first):
        draws = KeyedDraws(trial.seed, DRAWS, step, micro, device=device)
        with draws, trial.casting(device.type):
            loss = trial.objective(model(*part.inputs), part) / weight
        loss.backward()
        losses.append(loss.item())
    return losses


def _replicas(
    trial: TrialSpec, model: nn.Module, step: int, weight: float, parts: Sequence[Batch]
) -> list[float]:
    """Run each replica's micro-batches; add up the sums of all replicas, in their order."""
    parameters, buffers = list(model.parameters()), list(model.buffers())
    sums: list[torch.Tensor | None] = [None] * len(parameters)
    before = [each.clone() for each in buffers]
    after: list[torch.Tensor] = []
    losses = []
    for replica in range(trial.replicas):
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)
        share = share_of(trial.micro_batches, replica, trial.replicas)
        mine = parts[share.start : share.stop]
        losses += _passes(trial, model, step, weight, mine, share.start)
        after = after or [each.clone() for each in buffers]  # the first one's statistics are kept
        for number, each in enumerate(parameters):
            if each.grad is not None:
                known = sums[number]
                sums[number] = each.grad if known is None else known + each.grad
            each.grad = None
    for each, total in zip(parameters, sums, strict=True):
        each.grad = total
    for buffer, value in zip(buffers, after, strict=True):
        buffer.copy_(value)
    return losses
