"""The training loop on one device: the plain one, which every other way to run must equal."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from gristmill.core.errors import TrainError
from gristmill.core.progress import task
from gristmill.train.batches import epoch_batches
from gristmill.train.block_draws import keyed_block
from gristmill.train.checkpoint import CheckpointFile, Snapshot, State, state_copy
from gristmill.train.examples import Examples, batch_inputs
from gristmill.train.history import EpochRecord, best_record, stalled
from gristmill.train.losses import Loss
from gristmill.train.scoring import score
from gristmill.train.settings import FitSettings

OnEpoch = Callable[[EpochRecord], None]
_SCORING_ROWS = 1024


class Loop:
    """One model, its optimiser and its data, from epoch to epoch.

    Args:
        module: trained in place.
        loss: losses of single rows from logits and targets.
        optimizer: over the module's parameters.
        train: rows to learn from, in the order of their ids, every weight above 0.
        held_out: rows to watch, or None.
        settings: checked ones.
    """

    def __init__(
        self,
        module: nn.Module,
        loss: Loss,
        optimizer: Optimizer,
        train: Examples,
        held_out: Examples | None,
        settings: FitSettings,
    ) -> None:
        self.module, self.loss, self.optimizer = module, loss, optimizer
        self.train, self.held_out, self.settings = train, held_out, settings
        self.lengths = train.lengths
        self.history: list[EpochRecord] = []
        self.best: State = {}

    def run(self, checkpoint: CheckpointFile | None, on_epoch: OnEpoch | None) -> None:
        """Train to the last epoch, or until patience ends, from the checkpoint if there is one.

        `on_epoch` gets every record in turn, those of a checkpoint too.
        """
        self._resume(checkpoint)
        for record in self.history:
            if on_epoch:
                on_epoch(record)
        with task("training", self.settings.epochs, "epochs") as work:
            work.advance(len(self.history))
            while not self.finished:
                record = self._epoch(len(self.history) + 1)
                self._keep(record, checkpoint)
                work.note(f"loss {record.train_loss:.4f}")
                work.advance()
                if on_epoch:
                    on_epoch(record)

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        done = len(self.history) >= self.settings.epochs
        return done or stalled(self.history, self.settings.metric, self.settings.patience)

    def _resume(self, checkpoint: CheckpointFile | None) -> None:
        snapshot = checkpoint.load() if checkpoint else None
        if snapshot is None:
            return
        if checkpoint and len(snapshot.history) > self.settings.epochs:
            found, asked = len(snapshot.history), self.settings.epochs
            checkpoint.say_unused(f"it has {found} epochs, more than the {asked} asked for")
            return
        self.module.load_state_dict(snapshot.model)
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": snapshot.optimizer, "param_groups": groups})
        self.history, self.best = snapshot.history, snapshot.best

    def _keep(self, record: EpochRecord, checkpoint: CheckpointFile | None) -> None:
        self.history.append(record)
        is_best = best_record(self.history, self.settings.metric) is record
        if not is_best and checkpoint is None:
            return
        model = state_copy(self.module.state_dict())
        self.best = model if is_best else self.best
        if checkpoint:
            optimizer = self.optimizer.state_dict()["state"]
            checkpoint.save(Snapshot(model, optimizer, self.best, self.history))

    def _epoch(self, epoch: int) -> EpochRecord:
        began = time.perf_counter()
        train_loss = self._learn(epoch)
        loss, figures = self.evaluate(epoch)
        metric = loss if self.settings.metric == "loss" else figures.get(self.settings.metric)
        return EpochRecord(epoch, train_loss, loss, metric, time.perf_counter() - began)

    def _learn(self, epoch: int) -> float:
        """Go once over the training rows; return their mean loss by weight."""
        self.module.train()
        settings = self.settings
        batches = epoch_batches(self.lengths, settings.batch_size, settings.seed, epoch)
        total = 0.0
        for first in range(0, len(batches), settings.accumulate):
            total += self._step(epoch, first, batches[first : first + settings.accumulate])
        return total / float(self.train.weights.sum(dtype=np.float64))

    def _step(self, epoch: int, first: int, batches: list[NDArray[np.int64]]) -> float:
        """Update once from the gradients of several micro-batches; return their summed loss.

        Each is divided by the weight of them all, so that the update is that of one large batch.
        """
        weight = float(sum(self.train.weights[rows].sum(dtype=np.float64) for rows in batches))
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for batch, rows in enumerate(batches, start=first):
            with keyed_block(
                self.settings.seed, "draws", epoch, batch, device=self.settings.device
            ):
                loss = self._loss(rows)
                self._check_finite(loss.item(), "loss", epoch, batch)
                (loss / weight).backward()
            total += loss.item()
        if self.settings.clip_norm is not None:
            norm = nn.utils.clip_grad_norm_(self.module.parameters(), self.settings.clip_norm)
            self._check_finite(norm.item(), "gradient norm", epoch, first)
        self.optimizer.step()
        return total

    def _loss(self, rows: NDArray[np.int64]) -> Tensor:
        """Return the loss of some training rows, summed by weight."""
        losses = self.loss(self._logits(self.train, rows), self._tensor(self.train.targets[rows]))
        return (losses * self._tensor(self.train.weights[rows])).sum()

    def evaluate(self, epoch: int) -> tuple[float | None, dict[str, float]]:
        """Return the loss on the held-out rows (mean by weight) and their figures, in eval mode."""
        if self.held_out is None:
            return None, {}
        self.module.eval()
        held_out = self.held_out
        losses = np.zeros(len(held_out))
        guesses = np.zeros(len(held_out), dtype=np.int64)
        with torch.no_grad():
            for rows in scoring_batches(held_out.lengths):
                logits = self._logits(held_out, rows)
                targets = self._tensor(held_out.targets[rows])
                losses[rows] = self.loss(logits, targets).cpu().numpy()
                guesses[rows] = logits.argmax(dim=1).cpu().numpy()
        weights = held_out.weights.astype(np.float64)
        loss = float((losses * weights).sum() / weights.sum())
        self._check_finite(loss, "validation loss", epoch, None)
        return loss, score(held_out.hard, guesses, held_out.k, self.settings.positive)

    def _logits(self, examples: Examples, rows: NDArray[np.int64]) -> Tensor:
        logits: Tensor = self.module(self._tensor(batch_inputs(examples.inputs, rows)))
        return logits

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.settings.device)

    def _check_finite(self, value: float, what: str, epoch: int, batch: int | None) -> None:
        if not math.isfinite(value):
            place = f"epoch {epoch}" if batch is None else f"epoch {epoch}, batch {batch + 1}"
            raise TrainError(
                f"{what} is {value} with lr={self.settings.lr:g}",
                where=place,
                fix="lower lr, or set clip_norm",
            )


def scoring_batches(lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return batches of row positions, rows of like length together, each row once."""
    order = np.argsort(lengths, kind="stable")
    return [order[at : at + _SCORING_ROWS] for at in range(0, len(order), _SCORING_ROWS)]
