"""What a peer says of a vote matrix; runs in the peers' own environment, which has no Gristmill.

    python answers.py PEER JOB.npz ANSWERS.npz

The job has `fit` and `score` (votes, -1 abstains), `classes` (how many), `balance` (k numbers, or
none) and `seeds`. The answers are `probs`: float64[seeds, rows of score, k]. Rows without votes are
not shown to peers that stumble over them; they get the same probability for all classes.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Matrix = NDArray[np.int64]
Probs = NDArray[np.float64]


@dataclass(frozen=True)
class Job:
    """Votes to learn from, votes to answer, and what else a peer may know."""

    fit: Matrix
    score: Matrix
    classes: int
    balance: Probs | None
    seeds: list[int]


def snorkel(job: Job) -> Probs:
    """Run Snorkel's label model at its default settings, with a class balance if there is one."""
    from snorkel.labeling.model import LabelModel

    found = []
    for seed in job.seeds:
        model = LabelModel(cardinality=job.classes, verbose=False)
        model.fit(job.fit, class_balance=job.balance, seed=seed, progress_bar=False)
        found.append(model.predict_proba(job.score))
    return np.array(found)


def flyingsquid(job: Job) -> Probs:
    """Run FlyingSquid's triplets, one class against the rest where there are more than two."""
    shown, back = np.unique(job.score, axis=0, return_inverse=True)
    if job.classes == 2:
        return _triplets(job.fit, shown, 1)[back][None]
    each = [_triplets(job.fit, shown, code)[:, 1] for code in range(job.classes)]
    return _normalised(np.stack(each, axis=1))[back][None]


def _triplets(fit: Matrix, score: Matrix, positive: int) -> Probs:
    from flyingsquid.label_model import LabelModel

    model = LabelModel(fit.shape[1])
    model.fit(_signed(fit, positive))
    return np.asarray(model.predict_proba(_signed(score, positive), verbose=False))


def _signed(votes: Matrix, positive: int) -> Matrix:
    """Return 1 for a class, -1 for another, 0 for none."""
    return np.where(votes < 0, 0, np.where(votes == positive, 1, -1))


def hyperlm(job: Job) -> Probs:
    """Run the Hyper label model, which answers all rows that have votes at once."""
    from hyperlm import HyperLabelModel
    from numpy._core.multiarray import scalar
    from torch.serialization import safe_globals

    # Its checkpoint is a pickle with numpy numbers in it; allow these and nothing else.
    with safe_globals([(scalar, "numpy.core.multiarray.scalar"), np.dtype, type(np.dtype("f8"))]):
        model = HyperLabelModel(device="cpu")
    votes = _together(job)
    covered = _covered(votes)
    found = model.unsupervised_HyperLM.predict_prob(votes[covered])
    return _placed(job, np.flatnonzero(covered), np.arange(found.shape[1]), found)


def crowdkit(job: Job) -> Probs:
    """Run crowd-kit's Dawid-Skene; it answers only the rows that it was fitted on."""
    import pandas as pd
    from crowdkit.aggregation import DawidSkene

    votes = _together(job)
    rows, sources = np.nonzero(votes >= 0)
    table = pd.DataFrame({"task": rows, "worker": sources, "label": votes[rows, sources]})
    found = DawidSkene(n_iter=100).fit_predict_proba(table)
    return _placed(job, found.index.to_numpy(), found.columns.to_numpy(), found.to_numpy())


def _together(job: Job) -> Matrix:
    """Return the rows to fit on, then those to answer; once if they are the same."""
    return job.score if job.fit is job.score else np.concatenate([job.fit, job.score])


def _placed(job: Job, rows: Matrix, codes: Matrix, found: Probs) -> Probs:
    """Return answers on rows of `_together` for the rows of the job, all alike where none is."""
    probs = np.full((len(_together(job)), job.classes), 1 / job.classes)
    probs[rows] = 0
    probs[rows[:, None], codes] = found
    return probs[-len(job.score) :][None]


def skweak(job: Job) -> Probs:
    """Run skweak's naive Bayes."""
    from skweak.generative import NaiveBayes

    model = NaiveBayes("nb", [str(code) for code in range(job.classes)])
    model._fit([_observed(job.fit)])
    probs = np.full((len(job.score), job.classes), 1 / job.classes)
    probs[_covered(job.score)] = model.aggregate(_observed(job.score)).to_numpy()
    return probs[None]


def _observed(votes: Matrix) -> pd.DataFrame:
    """Return the rows with votes as skweak keeps them."""
    import pandas as pd

    names = [f"source_{source}" for source in range(votes.shape[1])]
    return pd.DataFrame(votes[_covered(votes)].astype(np.int16), columns=names)


def _covered(votes: Matrix) -> NDArray[np.bool_]:
    return np.asarray((votes >= 0).any(axis=1))


def _normalised(values: Probs) -> Probs:
    total = values.sum(axis=1, keepdims=True)
    return np.where(total > 0, values / np.where(total > 0, total, 1), 1 / values.shape[1])


PEERS: dict[str, Callable[[Job], Probs]] = {
    "snorkel": snorkel,
    "flyingsquid": flyingsquid,
    "hyperlm": hyperlm,
    "crowdkit": crowdkit,
    "skweak": skweak,
}


def main(peer: str, job_file: str, answers_file: str) -> None:
    with np.load(job_file) as stored:
        balance = stored.get("balance")
        fit, score = stored["fit"].astype(np.int64), stored["score"].astype(np.int64)
        fit = score if np.array_equal(fit, score) else fit
        job = Job(fit, score, int(stored["classes"]), balance, stored["seeds"].tolist())
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        probs = PEERS[peer](job)
    np.savez_compressed(answers_file, probs=probs)


if __name__ == "__main__":
    main(*sys.argv[1:])
