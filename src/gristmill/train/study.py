"""A search for the best settings: trials drawn by Optuna, trained here, kept in a journal."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import optuna
import polars as pl
from torch import nn

from gristmill.core.atomic import atomic_folder
from gristmill.core.errors import TrainError
from gristmill.core.plan import Cost, Plan
from gristmill.core.progress import current, task
from gristmill.core.seeds import derive_seed
from gristmill.train.block_draws import built
from gristmill.train.examples import Examples
from gristmill.train.fitted import Fitted
from gristmill.train.history import EpochRecord
from gristmill.train.journal import Journal, TrialRecord
from gristmill.train.model_spec import ModelSpec
from gristmill.train.model_spec import build_model as build_spec
from gristmill.train.sampling import SAMPLERS, STATES, frozen_trial, quiet_study
from gristmill.train.space import Space
from gristmill.train.training import fit

BuildModel: TypeAlias = Callable[..., nn.Module | ModelSpec]
FIT_NAMES = frozenset(
    ("lr", "weight_decay", "batch_size", "accumulate", "clip_norm", "optimizer", "loss")
)


class _Pruned(Exception):  # noqa: N818  (a signal, not an error)
    """The pruner gave up on the trial that is running."""


class Study:
    """The trials of one search; `search` makes it.

    Nothing is trained before `run`. Trial n depends on the trials before it and on the seed, never
    on when or in how many sittings they ran: the sampler is seeded anew for each trial.
    """

    def __init__(
        self,
        build_model: BuildModel,
        space: Space,
        train: Examples,
        held_out: Examples,
        *,
        trials: int,
        seed: int,
        metric: str,
        sampler: str,
        pruner: str | None,
        options: dict[str, Any],
        storage: Path | None,
        fingerprint: str,
    ) -> None:
        self.build_model, self.space = build_model, space
        self.train, self.held_out = train, held_out
        self.wanted, self.seed, self.metric = trials, seed, metric
        self.sampler, self.pruner, self.options = sampler, pruner, options
        self.storage, self.fingerprint = storage, fingerprint
        self.journal = Journal(storage / "trials.jsonl" if storage else None, fingerprint)
        self._best: tuple[int, Fitted] | None = None

    def run(self) -> Study:
        """Run the trials that are left; return self.

        A trial that fails is recorded with its reason and does not stop the others.

        Raises:
            TrainError: every trial failed.
        """
        study = self._replayed()
        with task("search", self.wanted, "trials") as work:
            work.advance(min(len(self.journal.trials), self.wanted))
            for number in range(len(self.journal.trials), self.wanted):
                record = self._trial(study, number)
                current().say(f"trial {number}: {_told(record, self.metric)}")
                work.advance()
        self._best_record()
        return self

    @property
    def best(self) -> Fitted:
        """The model of the best trial.

        Raises:
            TrainError: no trial is complete.
        """
        record = self._best_record()
        if self._best is None or self._best[0] != record.number:
            self._best = (record.number, self._load_best(record))
        return self._best[1]

    @property
    def best_params(self) -> dict[str, Any]:
        """The values that the best trial drew, by name."""
        return self.space.values(self._best_record().drawn)

    @property
    def trials(self) -> pl.DataFrame:
        """One row a finished trial: number, state, value, best_epoch, seconds, reason, values."""
        rows = [_row(record, self.space) for record in self.journal.trials]
        return pl.DataFrame(rows, infer_schema_length=None)

    def explain(self) -> Plan:
        """Return the plan: finished trials with their actual cost, the others with an estimate."""
        finished = [record for record in self.journal.trials if record.state != "failed"]
        seconds = [record.seconds for record in finished]
        mean = sum(seconds) / len(seconds) if seconds else None
        rows = len(self.train) * int(self.options["epochs"])
        left = max(0, self.wanted - len(self.journal.trials))
        pending = [
            Plan(f"trial {number}", estimated=Cost(rows=rows, seconds=mean))
            for number in range(len(self.journal.trials), self.wanted)
        ]
        return Plan(
            f"search {self.space!r}",
            action="run" if left else "done",
            why=f"{left} of {self.wanted} trials left; sampler {self.sampler}, "
            f"pruner {self.pruner or 'none'}, {self.metric}",
            estimated=Cost(rows=rows * left, seconds=None if mean is None else mean * left),
            children=[self._plan_of(record) for record in self.journal.trials] + pending,
        )

    def _plan_of(self, record: TrialRecord) -> Plan:
        rows = len(self.train) * len(record.curve)
        told = _told(record, self.metric)
        actual = Cost(rows=rows, seconds=record.seconds)
        return Plan(f"trial {record.number}", record.state, told, actual=actual)

    def _trial(self, study: optuna.Study, number: int) -> TrialRecord:
        seed = derive_seed(self.seed, "sampler", number) % 2**32
        study.sampler = SAMPLERS[self.sampler](seed)
        trial = study.ask(self.space.distributions())
        began = time.perf_counter()
        record = self._attempt(trial, number, began)
        if record.state == "complete":
            study.tell(trial, record.value)
        else:
            study.tell(trial, state=STATES[record.state])
        self.journal.add(record)
        if self.storage:
            shutil.rmtree(self._folder(number), ignore_errors=True)
        return record

    def _attempt(self, trial: optuna.Trial, number: int, began: float) -> TrialRecord:
        curve: list[float] = []

        def watch(epoch: EpochRecord) -> None:
            curve.append(float(epoch.metric or 0.0))
            trial.report(curve[-1], epoch.epoch)
            # In the last epoch there is nothing left to save by giving up.
            if epoch.epoch < self.options["epochs"] and trial.should_prune():
                raise _Pruned

        drawn = dict(trial.params)
        try:
            fitted = self._fit(drawn, number, watch)
        except _Pruned:
            reason, state = f"behind the others after epoch {len(curve)}", "pruned"
        except Exception as error:  # whatever one trial does, the others go on
            reason, state = f"{type(error).__name__}: {error}", "failed"
        else:
            record = _complete(number, drawn, curve, fitted, time.perf_counter() - began)
            self._keep_if_best(record, fitted)
            return record
        seconds = time.perf_counter() - began
        kind: Any = state
        return TrialRecord(number, kind, drawn, curve, reason=reason, seconds=seconds)

    def _fit(
        self,
        drawn: dict[str, Any],
        number: int,
        watch: Callable[[EpochRecord], None] | None = None,
    ) -> Fitted:
        values = self.space.values(drawn)
        settings = {name: value for name, value in values.items() if name in FIT_NAMES}
        return fit(
            lambda: self._module(values),
            self.train,
            validation=self.held_out,
            seed=self.seed,
            metric=self.metric,
            checkpoint=self._folder(number) if self.storage else None,
            on_epoch=watch,
            **(self.options | settings),
        )

    def _module(self, values: dict[str, Any]) -> nn.Module | ModelSpec:
        params = {name: value for name, value in values.items() if name not in FIT_NAMES}
        return self.build_model(**params)

    def _folder(self, number: int) -> Path:
        return (self.storage or Path()) / f"trial-{number:04d}"

    def _replayed(self) -> optuna.Study:
        """Return an Optuna study that knows the trials of the journal."""
        study = quiet_study(self.pruner, maximise=self.metric != "loss")
        for record in self.journal.trials:
            study.add_trial(frozen_trial(record, self.space))
        return study

    def _best_record(self) -> TrialRecord:
        complete = [record for record in self.journal.trials if record.state == "complete"]
        if not complete:
            reasons = [record.reason for record in self.journal.trials]
            raise TrainError(
                f"none of {len(reasons)} trials is complete"
                + (f"; the first: {reasons[0]}" if reasons else ""),
                fix="" if reasons else "call run()",
            )
        return max(complete, key=self._merit)

    def _merit(self, record: TrialRecord) -> tuple[float, float, int]:
        value, loss = record.value or 0.0, record.validation_loss or 0.0
        return (-value if self.metric == "loss" else value, -loss, -record.number)

    def _keep_if_best(self, record: TrialRecord, fitted: Fitted) -> None:
        """Keep the model before the journal says that there is one."""
        complete = [each for each in self.journal.trials if each.state == "complete"]
        if any(self._merit(each) > self._merit(record) for each in complete):
            return
        self._best = (record.number, fitted)
        if self.storage:
            with atomic_folder(self.storage / "best") as draft:
                (draft / "trial").write_text(f"{record.number}\n")
                fitted.save(draft)

    def _load_best(self, record: TrialRecord) -> Fitted:
        folder = (self.storage or Path()) / "best"
        note = folder / "trial"
        if note.is_file() and note.read_text().strip() == str(record.number):
            made = built(lambda: self._module(self.space.values(record.drawn)), self.seed)
            module = build_spec(made, self.seed) if isinstance(made, ModelSpec) else made
            return Fitted.load(folder, module)
        current().say(f"the model of trial {record.number} is not at hand; training it again")
        return self._fit(record.drawn, record.number)


def _complete(
    number: int, drawn: dict[str, Any], curve: list[float], fitted: Fitted, seconds: float
) -> TrialRecord:
    best = fitted.history[fitted.best_epoch - 1]
    return TrialRecord(
        number,
        "complete",
        drawn,
        curve,
        value=best.metric,
        validation_loss=best.validation_loss,
        best_epoch=best.epoch,
        seconds=seconds,
    )


def _row(record: TrialRecord, space: Space) -> dict[str, Any]:
    values = {
        name: value if isinstance(value, int | float | str | bool | None) else str(value)
        for name, value in space.values(record.drawn).items()
    }
    return {
        "number": record.number,
        "state": record.state,
        "value": record.value,
        "best_epoch": record.best_epoch,
        "seconds": record.seconds,
        "reason": record.reason,
        **values,
    }


def _told(record: TrialRecord, metric: str) -> str:
    if record.state == "complete":
        return f"{metric} {record.value:.4f} at epoch {record.best_epoch}"
    return f"{record.state}, {record.reason.splitlines()[0]}"
