"""Test accuracy with weak rows weighed, at full weight, and left out.

Takes a folder of data sets: folders in WRENCH's JSON form (`train.json`, `valid.json`, `test.json`)
or matrices of votes (`*.npz` with `L_train`, `Y_train` and so on). The validation split is the gold
there is; besides all of it, random halves and fifths. Texts become TF-IDF of words and pairs; where
there is no text the votes themselves, one-hot, are the features. All three ways to train use the
same logistic regression, each with the penalty that cross-validation over the gold rows prefers.

Without a folder it runs on the text messages that Gristmill can fetch, with the rules of the main
example.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from claims import ROOT, Claim, claim, cpu_seconds, main
from gristmill import data, label
from gristmill.train.weak.logistic import Logistic, predict_logs
from gristmill.train.weak.sparse_rows import SparseRows
from gristmill.train.weak.weak_weight import PENALTIES, Weighing, weigh

NGRAMS = data.HashedNgrams(words=(1, 2), buckets=2**18, max_tokens=512)
MOST_TRAIN_ROWS = 10_000
ALONE, FULL, WEIGHED = "gold alone", "full weight", "weighed"


@dataclass(frozen=True)
class Task:
    """A data set: features, votes and truth of all rows, and which rows are of which split."""

    name: str
    features: SparseRows
    votes: NDArray[np.int64]
    truth: NDArray[np.int64]
    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]


def tasks(folder: Path | None) -> Iterator[Task]:
    """Yield the data sets of a folder, or the text messages."""
    if folder is None:
        yield messages()
        return
    for each in sorted(folder.rglob("train.json")):
        yield from_wrench(each.parent)
    for each in sorted(folder.glob("*.npz")):
        with np.load(each) as arrays:
            if "L_valid" in arrays and "L_test" in arrays:
                yield from_votes(each.stem, arrays)


def from_wrench(folder: Path) -> Task:
    parts = [list(json.loads((folder / f"{name}.json").read_bytes()).values())
             for name in ("train", "valid", "test")]  # fmt: skip
    rows = [row for part in parts for row in part]
    texts = [row["data"].get("text") or json.dumps(row["data"]) for row in rows]
    votes = np.array([row["weak_labels"] for row in rows])
    truth = np.array([row["label"] for row in rows])
    return assemble(f"{folder.name}, text", texts, votes, truth, [len(part) for part in parts])


def from_votes(name: str, arrays: np.lib.npyio.NpzFile) -> Task:
    names = ("train", "valid", "test")
    votes = np.concatenate([arrays[f"L_{each}"] for each in names]).astype(np.int64)
    truth = np.concatenate([arrays[f"Y_{each}"] for each in names]).astype(np.int64)
    counts = [len(arrays[f"L_{each}"]) for each in names]
    return assemble(f"{name}, votes", None, votes, truth, counts)


def messages() -> Task:
    sys.path.insert(0, str(ROOT / "examples" / "sms_spam"))
    from labelers import CLASSES, FUNCTIONS  # type: ignore[import-not-found]

    table = data.load("sms_spam").sample(fraction=1.0, shuffle=True, seed=0)
    votes = label.apply(FUNCTIONS, table, classes=CLASSES).matrix.astype(np.int64)
    truth = (table["label"] == "spam").to_numpy().astype(np.int64)
    return assemble("sms_spam, text", table["text"].to_list(), votes, truth, [3000, 400, 2172])


def assemble(
    name: str,
    texts: Sequence[str] | None,
    votes: NDArray[np.int64],
    truth: NDArray[np.int64],
    counts: Sequence[int],
) -> Task:
    ends = np.cumsum([0, *counts])
    train, valid, test = (np.arange(*pair) for pair in itertools.pairwise(ends))
    if len(train) > MOST_TRAIN_ROWS:
        train = np.sort(np.random.default_rng(0).permutation(train)[:MOST_TRAIN_ROWS])
    features = one_hot(votes) if texts is None else NGRAMS.encode(texts)
    return Task(name, SparseRows.of(features), votes, truth, train, valid, test)


def one_hot(votes: NDArray[np.int64]) -> NDArray[np.float32]:
    classes = int(votes.max()) + 1
    cells = votes[:, :, None] == np.arange(classes)
    return cells.reshape(len(votes), -1).astype(np.float32)


@dataclass(frozen=True)
class Trial:
    """Accuracies on test, in per cent, of one data set with one set of gold rows."""

    task: str
    gold: int
    accuracy: dict[str, float]
    weighing: Weighing
    seconds: float


def try_out(task: Task, gold: NDArray[np.int64], relabelled: bool) -> Trial:
    """Label, weigh and train; test rows are only ever scored."""
    rows = np.concatenate([task.train, gold])
    classes = max(int(task.votes.max()), int(task.truth.max())) + 1
    votes = label.Votes.from_matrix(task.votes[rows], classes=classes)

    def relabel(known: pl.DataFrame) -> pl.DataFrame:
        return label.LabelModel(classes).fit(votes, known).predict(votes).table

    places = range(len(task.train), len(rows))
    known = pl.DataFrame({"row_id": places, "label": task.truth[gold]})
    labels = relabel(known)
    features = task.features.take(rows)
    found: list[Weighing] = []
    seconds = cpu_seconds(
        lambda: found.append(weigh(features, labels, relabel=relabel if relabelled else None))
    )
    (weighing,) = found
    is_gold = (labels["source"] == "gold").to_numpy()
    there = (labels["weight"] > 0).to_numpy() | is_gold
    probs, truth = np.array(labels["probs"].to_list()), task.truth[task.test]
    hard = np.eye(classes)[probs.argmax(axis=1)]
    ways = {
        ALONE: (hard, is_gold.astype(float), penalty(weighing, 0.0)),
        FULL: (hard, there.astype(float), penalty(weighing, 1.0)),
        WEIGHED: (
            np.array(weighing.labels["probs"].to_list()),
            weighing.labels["weight"].to_numpy(),
            weighing.l2 or PENALTIES[0],
        ),
    }
    test = task.features.take(task.test)
    accuracy = {}
    for name, (targets, weights, l2) in ways.items():
        kept = np.flatnonzero(weights)
        fitted = Logistic(features.take(kept)).fit(targets[kept], weights[kept], l2)
        right = predict_logs(test, fitted).argmax(axis=1) == truth
        accuracy[name] = 100 * float(right.mean())
    return Trial(task.name, len(gold), accuracy, weighing, seconds)


def penalty(weighing: Weighing, weight: float) -> float:
    """Return the penalty that cross-validation preferred for a candidate."""
    if not weighing.scores.height:
        return PENALTIES[0]
    return float(weighing.scores.filter(pl.col("weight") == weight)["l2"][0])


def gold_sets(task: Task, quick: bool) -> Iterator[NDArray[np.int64]]:
    """Yield gold rows: all of the validation split, then five halves and five fifths of it."""
    yield task.valid
    for share in () if quick else (0.5, 0.2):
        for seed in range(5):
            drawn = np.random.default_rng(seed).permutation(task.valid)
            yield np.sort(drawn[: max(int(share * len(drawn)), 20)])


def trials(folder: Path | None, quick: bool, relabelled: bool) -> Iterator[Trial]:
    for task in tasks(folder):
        for gold in gold_sets(task, quick):
            trial = try_out(task, gold, relabelled)
            told = ", ".join(f"{name} {value:.1f}" for name, value in trial.accuracy.items())
            print(
                f"{trial.task}, {trial.gold} gold rows: {told}; {trial.weighing}, "
                f"{trial.seconds:.0f} CPU s",
                file=sys.stderr,
                flush=True,
            )
            yield trial


def measure(quick: bool) -> Iterator[Claim]:
    done = list(trials(FOLDER, quick, RELABELLED))
    for name in dict.fromkeys(trial.task for trial in done):
        yield from claims_of(name, [trial for trial in done if trial.task == name])
    everything = [trial.accuracy[WEIGHED] - trial.accuracy[ALONE] for trial in done]
    lost = sum(gain < -1 for gain in everything)
    how = f"trials of {len(done)} in which weighing lost more than 1 point to gold alone"
    yield claim("weighing against gold alone, lost", lost, "trials", how, goal="<= 0")


def claims_of(name: str, done: Sequence[Trial]) -> Iterator[Claim]:
    mean = {
        way: statistics.fmean(trial.accuracy[way] for trial in done) for way in (ALONE, WEIGHED)
    }
    whole = done[0]
    at = ", ".join(f"{way} {value:.1f}" for way, value in whole.accuracy.items())
    how = (
        f"accuracy on test; peer: gold alone; mean of {len(done)} sets of gold rows; "
        f"with all {whole.gold}: {at}"
    )
    goal = f">= {math.floor(100 * mean[ALONE]) / 100}"
    yield claim(f"{name}: weighed", mean[WEIGHED], "%", how, goal=goal, peer=mean[ALONE])


FOLDER: Path | None = None
RELABELLED = False

if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, add_help=False)
    options.add_argument("folder", nargs="?", type=Path)
    options.add_argument("--relabel", action="store_true", help="label anew for each fold")
    mine, others = options.parse_known_args()
    FOLDER, RELABELLED = mine.folder, mine.relabel
    sys.argv[1:] = others
    sys.exit(main(measure))
