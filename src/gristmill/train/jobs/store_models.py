"""The models of a training job in a project's store, as executions with their curves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import polars as pl

from gristmill.core.fingerprint import fingerprint
from gristmill.store.runs import Execution
from gristmill.train.jobs.job import TrainingJob

if TYPE_CHECKING:
    from gristmill.store.runs import RunLog


def store_models(job: TrainingJob, log: RunLog, run: str, pipeline: str) -> None:
    """Write down each model of a finished job.

    A model is an execution of step `model 0`: the loss of each step is the result, the last loss
    and the figures on rows held out are the reason, its end the status.

    Args:
        job: that ran.
        log: of the project.
        run: id that `RunLog.start` gave.
        pipeline: what the run is of.
    """
    seconds = job.timeline.makespan if job.timeline else 0.0
    for model in range(len(job.trials)):
        losses = sorted(job.losses(model).items())
        steps, values = [step for step, _ in losses], [loss for _, loss in losses]
        curve = pl.DataFrame({"step": steps, "loss": values})
        failed = job.failures.get(model)
        log.record(
            Execution(
                id=0,
                run=run,
                step=f"model {model}",
                key=fingerprint({"run": run, "model": model}),
                status="failed" if failed else "done",
                why=_told(job, model),
                reach={"params": {}},
                started=time.time() - seconds,
                seconds=seconds,
                message=failed,
                output=log.keep(curve).digest if losses else None,
            ),
            pipeline,
        )


def _told(job: TrainingJob, model: int) -> str:
    losses = job.losses(model)
    told = [f"loss {losses[max(losses)]:.4g} after {len(losses)} steps"] if losses else ["no step"]
    if model not in job.failures:
        told += [f"{name} {value:.4g}" for name, value in job.trained(model).metrics.items()]
    return ", ".join(told)
