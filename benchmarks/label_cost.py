"""What our label model costs: the part of `label_speed.py` that runs in a process of its own.

    python label_cost.py fit VOTES.npy CLASSES
    python label_cost.py tables VOTES.npy CLASSES GOLD.npy

Prints JSON. Costs are CPU seconds of all threads; peak memory is that of the whole process.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from functools import partial

import numpy as np

from claims import cpu_seconds, median_of
from gristmill.label import LabelModel, MajorityVote, Votes, analyze


def fit(votes_file: str, classes: str) -> dict[str, float]:
    """Fit on votes; `loaded` is the peak memory in GB before the fit, `peak` after."""
    votes = Votes.from_matrix(np.load(votes_file), classes=int(classes))
    loaded = _peak()
    seconds = cpu_seconds(lambda: LabelModel(int(classes)).fit(votes))
    return {"seconds": seconds, "loaded": loaded, "peak": _peak()}


def tables(votes_file: str, classes: str, gold_file: str) -> dict[str, float]:
    """Time majority vote and the analysis table, without gold and with."""
    votes = Votes.from_matrix(np.load(votes_file), classes=int(classes))
    gold = dict(enumerate(np.load(gold_file).tolist()))
    jobs: dict[str, Callable[[], object]] = {
        "majority": lambda: MajorityVote(int(classes)).predict_proba(votes),
        "analysis": lambda: analyze(votes),
        "analysis_gold": lambda: analyze(votes, gold),
    }
    return {name: median_of(3, partial(cpu_seconds, job)) for name, job in jobs.items()}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    kind, *files = sys.argv[1:]
    print(json.dumps(fit(*files) if kind == "fit" else tables(*files)))
