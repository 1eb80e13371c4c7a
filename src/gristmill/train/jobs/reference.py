"""The plain loop, which every other way to train must equal bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from gristmill.train.draws import DRAWS, KeyedDraws, seeded, steady
from gristmill.train.jobs.trial_spec import TrialSpec


def plain_loop(trial: TrialSpec, on_step: Callable[[int, float], None] | None = None) -> nn.Module:
    """Train a trial in memory, on one thread, as any tutorial would.

    Args:
        trial: what to train.
        on_step: called after each update with its number, from 0, and its loss.
    """
    with steady(threads=1):
        model = seeded(trial.build, trial.seed).train()
        optimizer = trial.optimizer([each for each in model.parameters() if each.requires_grad])
        schedule = trial.schedule(optimizer) if trial.schedule else None
        for step in range(trial.steps):
            batch = trial.feed.batch(step)
            total = 0.0
            optimizer.zero_grad()
            for micro, part in enumerate(batch.split(trial.micro_batches)):
                with KeyedDraws(trial.seed, DRAWS, step, micro), trial.casting():
                    loss = trial.objective(model(*part.inputs), part) / batch.weight
                loss.backward()
                total += loss.item()
            if trial.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), trial.clip_norm)
            optimizer.step()
            if schedule:
                schedule.step()
            if on_step:
                on_step(step, total)
    return model
