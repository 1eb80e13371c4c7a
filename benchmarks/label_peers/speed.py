"""What Snorkel's label model, majority vote and analysis cost; runs in the peers' environment.

    python speed.py VOTES.npy CLASSES GOLD.npy

Prints JSON: CPU seconds of all threads, and the peak memory of the process in GB after the fit.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
from snorkel.labeling import LFAnalysis
from snorkel.labeling.model import LabelModel, MajorityLabelVoter


def main(votes_file: str, classes: str, gold_file: str) -> dict[str, float]:
    votes, gold = np.load(votes_file).astype(np.int64), np.load(gold_file).astype(np.int64)
    model = LabelModel(cardinality=int(classes), verbose=False)
    costs = {"fit": seconds(lambda: model.fit(votes, seed=0, progress_bar=False))}
    costs["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    jobs: dict[str, Callable[[], object]] = {
        "majority": lambda: MajorityLabelVoter(cardinality=int(classes)).predict_proba(votes),
        "analysis": lambda: LFAnalysis(votes).lf_summary(),
        "analysis_gold": lambda: LFAnalysis(votes).lf_summary(gold),
    }
    for name, job in jobs.items():
        job()
        costs[name] = statistics.median(seconds(job) for _ in range(3))
    return costs


def seconds(job: Callable[[], object]) -> float:
    before = time.process_time()
    job()
    return time.process_time() - before


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
