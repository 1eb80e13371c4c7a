"""What the label model costs in time and memory, and what copies of a bad source do to it.

Votes are made: each source abstains on 70 % of rows at random, and has an accuracy of its own.
Everything is measured with one thread in a process of its own, Snorkel in the same run where the
peers' environment is there.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np

from claims import RECORDED, Claim, claim, main
from gristmill.core.seeds import derive_seed
from gristmill.label import LabelModel, MajorityVote
from label_models import answers
from label_rivals import PEERS, SCRIPTS, Rivals, peers_python
from label_scores import Codes, accuracy
from label_sets import Task

SOURCES = 100
ABSTAINING = 0.7
ACCURACIES = {2: (0.5, 0.9), 10: (0.35, 0.8)}
SNORKEL = "Snorkel 0.10"
SNORKEL_COSTS = {
    "fit": 6.76, "peak": 2.252, "majority": 1.35, "analysis": 0.85, "analysis_gold": 3.20,
}  # fmt: skip
"""At 100,000 rows and 10 classes, measured earlier."""
SNORKEL_FIT_MILLION, SNORKEL_PEAK_MILLION = 9.45, 5.111
"""At 1,000,000 rows and 2 classes, measured earlier."""
SNORKEL_COPIES = 81.3 - 63.0
MILLION = 1_000_000
LONGEST_SECONDS = 900
MOST_BYTES = 12 * 2**30
COPIES = 8
TIMES_FASTER = 20
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")


def measure(quick: bool) -> Iterator[Claim]:
    python = peers_python(None, make=not quick)
    with tempfile.TemporaryDirectory() as folder:
        yield from fit_claims(Path(folder), 50_000 if quick else MILLION)
        yield from snorkel_claims(Path(folder), python, 20_000 if quick and python else 100_000)
    yield from copies_claims(Rivals(python), 1 if quick else 5)


def fit_claims(folder: Path, rows: int) -> Iterator[Claim]:
    for classes in (10, 2):
        votes, _ = make_votes(folder, rows, classes)
        cost = run([sys.executable, Path(__file__).parent / "label_cost.py", "fit", votes, classes])
        size = f"{rows:,} rows x {SOURCES} sources, {classes} classes"
        told = f"one thread; {size}{cost.trouble}"
        recorded = classes == 2 and rows == MILLION
        peer = f"; peer {SNORKEL} {RECORDED}" if recorded else ""
        yield claim(
            f"fit of the label model, {classes} classes", cost["seconds"], "CPU s", told + peer,
            goal="< 6", peer=SNORKEL_FIT_MILLION if recorded else None,
        )  # fmt: skip
        yield claim(
            f"peak memory of the fit, {classes} classes", cost["peak"], "GB",
            f"{told}; {cost['loaded']:.2f} GB before the fit{peer}",
            goal="< 2", peer=SNORKEL_PEAK_MILLION if recorded else None,
        )  # fmt: skip


def snorkel_claims(folder: Path, python: Path | None, rows: int) -> Iterator[Claim]:
    votes, gold = make_votes(folder, rows, classes := 10)
    here = Path(__file__).parent / "label_cost.py"
    ours = run([sys.executable, here, "tables", votes, classes, gold])
    fitted = run([sys.executable, here, "fit", votes, classes])
    theirs = snorkel_costs(python, votes, classes, gold)
    whose = f"{SNORKEL} {RECORDED}" if theirs is SNORKEL_COSTS else f"{SNORKEL} in the same run"
    size = f"{rows:,} rows x {SOURCES} sources, {classes} classes; one thread; peer {whose}"
    yield claim(
        "fit of the label model beside Snorkel's", fitted["seconds"], "CPU s", size,
        peer=theirs["fit"], more_is_better=False,
    )  # fmt: skip
    yield claim(
        "peak memory beside Snorkel's", fitted["peak"], "GB", size,
        peer=theirs["peak"], more_is_better=False,
    )  # fmt: skip
    for job, name in (
        ("majority", "majority vote"),
        ("analysis", "analysis table"),
        ("analysis_gold", "analysis table with gold"),
    ):
        goal = f"<= {1000 * theirs[job] / TIMES_FASTER:.4g}"
        yield claim(
            name, 1000 * ours[job], "ms", f"CPU; {size}; the goal is {TIMES_FASTER} times as fast",
            goal=goal, peer=1000 * theirs[job],
        )  # fmt: skip


def snorkel_costs(
    python: Path | None, votes: Path, classes: int, gold: Path
) -> Mapping[str, float]:
    """Return what Snorkel costs on the same votes, or what was recorded where it does not run."""
    if python is None:
        return SNORKEL_COSTS
    try:
        found = run([python, SCRIPTS / "speed.py", votes, classes, gold])
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return SNORKEL_COSTS
    return SNORKEL_COSTS if found.trouble else found


def copies_claims(rivals: Rivals, draws: int) -> Iterator[Claim]:
    """Say what eight copies of a source cost, beside that source once."""
    for kind, noise in (("copies", 0.0), ("near copies", 0.1)):
        pairs = [(copied_task(seed, 1, noise), copied_task(seed, COPIES, noise))
                 for seed in range(draws)]  # fmt: skip
        lost = statistics.fmean(ours(one) - ours(many) for one, many in pairs)
        majority = statistics.fmean(by_majority(one) - by_majority(many) for one, many in pairs)
        theirs = [(snorkel(rivals, one), snorkel(rivals, many)) for one, many in pairs]
        how = f"of accuracy by {COPIES} {kind} of a source that is right 55 % of the time beside "
        how += f"5 that are right 70 to 90 %, mean of {draws} draws; majority vote {majority:.1f}"
        known = [one - many for one, many in theirs if one is not None and many is not None]
        whose = "in the same run" if known else RECORDED
        made = claim(
            f"points lost to {COPIES} {kind}", lost, "points", f"{how}; peer {SNORKEL} {whose}",
            goal=None if noise else "< 1",
            peer=statistics.fmean(known) if known else SNORKEL_COPIES, more_is_better=False,
        )  # fmt: skip
        yield msgspec.structs.replace(made, ratio=None)  # of losses near 0 it says nothing


def ours(task: Task) -> float:
    return 100 * accuracy(answers(LabelModel(task.classes), task), task.gold)


def by_majority(task: Task) -> float:
    return 100 * accuracy(answers(MajorityVote(task.classes), task), task.gold)


def snorkel(rivals: Rivals, task: Task) -> float | None:
    found = rivals.answers(PEERS[0], task)
    if found is None:
        return None
    return 100 * statistics.fmean(accuracy(each, task.gold) for each in found)


def copied_task(seed: int, copies: int, noise: float, rows: int = 10_000) -> Task:
    """Make votes of five good sources that vote on half of the rows, and of copies of a bad one.

    Each copy differs from the bad source on a share of the rows, where it answers at random.
    """
    rng = np.random.default_rng(derive_seed(0, "copies", seed))
    gold = rng.integers(0, 2, rows)
    good = [_source(rng, gold, 2, right, 0.5) for right in np.linspace(0.7, 0.9, 5)]
    bad = _source(rng, gold, 2, 0.55, 0.0)
    same = [np.where(rng.random(rows) < noise, rng.integers(0, 2, rows), bad)
            for _ in range(copies)]  # fmt: skip
    votes = np.stack([*good, *same], axis=1)
    unknown = np.full(rows, -1)
    return Task("copies", "accuracy", 2, votes, votes, gold, np.array([0.5, 0.5]), unknown)


def make_votes(folder: Path, rows: int, classes: int) -> tuple[Path, Path]:
    """Write votes int8[rows, SOURCES] and gold; return their files."""
    rng = np.random.default_rng(derive_seed(0, "speed", rows, classes))
    gold = rng.integers(0, classes, rows)
    votes = np.empty((rows, SOURCES), np.int8)
    for source in range(SOURCES):
        right = rng.uniform(*ACCURACIES[classes])
        votes[:, source] = _source(rng, gold, classes, right, ABSTAINING)
    files = folder / f"votes_{rows}_{classes}.npy", folder / f"gold_{rows}_{classes}.npy"
    np.save(files[0], votes)
    np.save(files[1], gold)
    return files


def _source(
    rng: np.random.Generator, gold: Codes, classes: int, right: float, abstaining: float
) -> Codes:
    rows = len(gold)
    other = (gold + rng.integers(1, classes, rows)) % classes
    votes = np.where(rng.random(rows) < right, gold, other)
    return np.where(rng.random(rows) < abstaining, -1, votes).astype(np.int8)


class Cost(dict[str, float]):
    """Figures that a script printed; the limits where it was stopped, and the `trouble`."""

    trouble = ""


def run(arguments: list[object]) -> Cost:
    """Run a script that prints JSON, with one thread, so much memory and so much time.

    Raises:
        RuntimeError: it failed for another reason than these limits.
    """
    try:
        done = subprocess.run(
            [str(each) for each in arguments],
            env=os.environ | dict.fromkeys(_ONE_THREAD, "1"),
            capture_output=True,
            text=True,
            check=True,
            timeout=LONGEST_SECONDS,
            preexec_fn=_limit_memory,
        )
    except subprocess.TimeoutExpired:
        trouble = f"; stopped after {LONGEST_SECONDS} s"
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["killed"])[-1]
        if not ("MemoryError" in last or last == "killed"):
            raise RuntimeError(f"{Path(str(arguments[1])).name} failed: {last}") from error
        trouble = f"; stopped at {MOST_BYTES / 2**30:.0f} GiB of memory"
    else:
        return Cost(json.loads(done.stdout.strip().splitlines()[-1]))
    cost = Cost(seconds=LONGEST_SECONDS, loaded=0.0, peak=MOST_BYTES / 1e9)
    cost.trouble = trouble
    return cost


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))


if __name__ == "__main__":
    sys.exit(main(measure))
