"""What is measured on rows held out: sums, so that batches add up."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from gristmill.train.feeds.batch import Batch
from gristmill.train.jobs.order import Figures
from gristmill.train.jobs.trial_spec import TrialSpec


def figures_of(spec: TrialSpec, output: Any, part: Batch) -> Figures:
    """Return the sums over a batch: `loss` by weight, `weight`, and those of the user's measure."""
    with torch.no_grad():
        loss = spec.objective(output, part).item()
        sums: Figures = {"loss": np.asarray(loss), "weight": np.asarray(part.weight)}
        if spec.evaluation is not None and spec.evaluation.measure is not None:
            sums |= spec.evaluation.measure(output, part)
    return sums


def metrics_of(figures: Figures) -> dict[str, float]:
    """Return means by weight from sums over all rows held out; arrays are left out."""
    weight = float(figures["weight"])
    sums = {name: each for name, each in figures.items() if name != "weight" and not each.shape}
    return {name: float(each) / weight for name, each in sums.items()}
