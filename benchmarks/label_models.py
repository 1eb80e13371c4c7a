"""How right label models are: all of ours, and others', on every set of votes in a folder.

Sets are files `*.npz` with `L_train`, `Y_train` and, where they exist, the same of `valid` and
`test` (-1 abstains), or folders of WRENCH JSON. Ties, and rows that a method has no answer to,
count as random tie-breaking would in expectation. Nothing is set by the name of a set but the
metric that its benchmark scores it by. Peers run in an environment of their own, set up on the
first run; their answers are remembered in `.peers`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from claims import Claim, claim, conclude
from gristmill.core.errors import LabelError
from gristmill.label import Votes
from label_rivals import PEERS, Peer, Recorded, Rivals, peers_python
from label_scores import BINS, Probs, calibration_error, score
from label_sets import (
    LabelSet,
    Task,
    gold_task,
    naive_bayes,
    read_folder,
    split_task,
    transductive_task,
)

OURS, MAJORITY = "label model", "majority vote"
NAIVE_BAYES = {"naive Bayes, all gold": False, "same, abstention counts": True}
GOALS = {
    "youtube": 85.6, "trec": 66.0, "yelp": 72.4, "chemprot": 55.2,
    "basketball": 17.7, "commercial": 88.2, "hausa": 49.7, "crowd_web": 83.2,
}  # fmt: skip
LEAD, BEHIND, CALIBRATED, OF_NAIVE_BAYES = 3.0, -1.0, 0.05, 0.75
QUICK_CELLS = 450_000

Scores = dict[str, float]
"""Score in percent by set."""


@dataclass(frozen=True, slots=True)
class Method:
    """One of our models: where it lies in `gristmill.label.models`, and its options."""

    name: str
    module: str
    model: str
    options: Mapping[str, object] = field(default_factory=dict)

    def make(self, classes: int) -> Any:
        module = import_module(f"gristmill.label.models.{self.module}")
        return getattr(module, self.model)(classes, **self.options)

    def answers(self, task: Task) -> Probs:
        return answers(self.make(task.classes), task)


METHODS = (
    Method(OURS, "label_model", "LabelModel"),
    Method(MAJORITY, "majority", "MajorityVote"),
    Method("weighted vote", "weighted", "WeightedVote"),
    Method("Dawid-Skene", "dawid_skene", "DawidSkene"),
    Method("  abstention counts", "dawid_skene", "DawidSkene", {"abstention": True}),
    Method("  one accuracy", "dawid_skene", "DawidSkene", {"emission": "accuracy"}),
    Method("  accuracy by class", "dawid_skene", "DawidSkene", {"emission": "class"}),
    Method("triplets", "triplets", "Triplets"),
    Method("  as published", "triplets", "Triplets", {"moments": "raw", "average": "mean"}),
    Method("matrix completion", "matrix_completion", "MatrixCompletion"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A method's scores by set, and the sets of which they are recorded figures."""

    name: str
    scores: Scores
    recorded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Table:
    """Scores of methods on sets under one protocol."""

    title: str
    sets: list[str]
    rows: list[Row]
    digits: int = 2

    def of(self, name: str) -> Scores:
        return next(row.scores for row in self.rows if row.name == name)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        sets = read_folder(options.folder, options.only or (), options.metric)
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.quick:
        sets = [each for each in sets if each.cells <= QUICK_CELLS]
    python = peers_python(options.peers, make=not options.quick)
    rivals = Rivals(python, run=not options.quick)
    found = []
    for table, made in tables(sets, rivals):
        print(as_columns(table), end="\n\n", flush=True)
        found += made
    for trouble in rivals.troubles:
        print(f"no answer: {trouble}")
    return conclude(found, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the sets lie")
    parser.add_argument("--quick", action="store_true", help="small sets, no peer is run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the claims here")
    parser.add_argument("--only", action="append", metavar="NAME", help="this set; repeatable")
    parser.add_argument("--metric", choices=["accuracy", "F1"], help="score all sets by it")
    parser.add_argument(
        "--peers", metavar="PYTHON", help="the peers' interpreter, or none (default: set up)"
    )
    return parser


def tables(sets: Sequence[LabelSet], rivals: Rivals) -> Iterator[tuple[Table, list[Claim]]]:
    """Yield each table as soon as it is measured, and the claims that it allows to make."""
    recorded = Recorded.read().scores
    split = [task for each in sets if (task := split_task(each)) is not None]
    both = [transductive_task(each) for each in sets]
    gold = [gold_task(each) for each in sets]
    apart = compare("fit on train, scored on test", split, rivals, recorded["split"])
    yield apart, []
    title = "transductive: fitted and scored on all covered rows"
    joint = compare(title, both, rivals, recorded["transductive"])
    yield joint, accuracy_claims(apart, joint)
    told = gold_table(gold, sets)
    yield told, list(gold_claims(told))
    weak = {task.name: task for task in both} | {task.name: task for task in split}
    calibration = calibration_table(list(weak.values()), gold)
    yield calibration, list(calibration_claims(calibration))


def compare(
    title: str, tasks: Sequence[Task], rivals: Rivals, recorded: Mapping[str, Scores]
) -> Table:
    """Score every method of ours and every peer on the tasks of one protocol."""
    rows = [Row(method.name, _scores_of(method, tasks)) for method in METHODS]
    rows += [_row_of(peer, tasks, rivals, recorded) for peer in PEERS]
    return Table(title, [task.name for task in tasks], rows)


def _scores_of(method: Method, tasks: Sequence[Task]) -> Scores:
    scores = {}
    for task in tasks:
        try:
            probs = _label_model(task) if method.name == OURS else method.answers(task)
        except LabelError as error:
            print(f"{method.name}, {task.name}: {error}", file=sys.stderr)
            continue
        scores[task.name] = _score(task, probs)
    return scores


def answers(model: Any, task: Task) -> Probs:
    """Fit one of our models on a task, with gold where the task tells any; return float64[n, k]."""
    votes = Votes.from_matrix(task.fit, classes=task.classes)
    if hasattr(model, "fit"):
        rows = np.flatnonzero(task.known >= 0)
        gold = dict(zip(rows.tolist(), task.known[rows].tolist(), strict=True))
        model.fit(votes, gold=gold) if gold else model.fit(votes)
    probs: Probs = model.predict_proba(Votes.from_matrix(task.score, classes=task.classes))
    return probs


def _score(task: Task, probs: Probs) -> float:
    return score(task.metric, probs, task.gold)


@cache
def _label_model(task: Task) -> Probs:
    """Return the default model's answers; several tables are made of them."""
    return METHODS[0].answers(task)


def _row_of(
    peer: Peer, tasks: Sequence[Task], rivals: Rivals, recorded: Mapping[str, Scores]
) -> Row:
    scores, old = {}, set()
    for task in tasks:
        found = rivals.answers(peer, task)
        if found is not None:
            each = [_score(task, probs) for probs in found]
            scores[task.name] = statistics.fmean(each)
        elif peer.name in recorded.get(task.name, {}):
            scores[task.name] = recorded[task.name][peer.name]
            old.add(task.name)
    return Row(peer.name, scores, frozenset(old))


# without gold ---------------------------------------------------------------------------------


def accuracy_claims(apart: Table, joint: Table) -> list[Claim]:
    """Make the claims on scores without gold; a set's score is that on test where it has a test."""
    best = {row.name: joint.of(row.name) | apart.of(row.name) for row in joint.rows}
    return [
        *lead_claims(best),
        worst_claim(apart, joint),
        *set_claims(best),
    ]


def lead_claims(best: Mapping[str, Scores]) -> Iterator[Claim]:
    """Compare means, with each peer over the sets that it has a score for."""
    for who, peers in (
        ("the best peer", [peer.name for peer in PEERS if not peer.balance]),
        ("the best peer told the class balance", [peer.name for peer in PEERS if peer.balance]),
    ):
        leads = {peer: _lead(best[OURS], best[peer]) for peer in peers if best[peer]}
        if not leads:
            continue
        peer = min(leads, key=lambda name: leads[name][0] - leads[name][1])
        ours, theirs = leads[peer]
        how = f"mean of {len(best[peer])} sets, without gold; the best peer is {peer.rstrip('*')}"
        goal = None if "balance" in who else f">= {theirs + LEAD:.2f}"
        yield claim(
            f"label model against {who}", ours, "%", how,
            goal=goal, peer=theirs, more_is_better=True,
        )  # fmt: skip


def _lead(ours: Scores, theirs: Scores) -> tuple[float, float]:
    return statistics.fmean(ours[name] for name in theirs), statistics.fmean(theirs.values())


def worst_claim(apart: Table, joint: Table) -> Claim:
    leads = {
        f"{name} ({table.title.split(':')[0]})": table.of(OURS)[name] - table.of(MAJORITY)[name]
        for table in (apart, joint)
        for name in table.sets
    }
    where = min(leads, key=leads.__getitem__)
    how = f"lowest of {len(leads)} scores, without gold: {where}"
    return claim("label model over majority vote", leads[where], "points", how,
                 goal=f">= {BEHIND:g}")  # fmt: skip


def set_claims(best: Mapping[str, Scores]) -> Iterator[Claim]:
    names = [peer.name for peer in PEERS if not peer.balance]
    for name, goal in GOALS.items():
        if name not in best[OURS]:
            continue
        theirs = {peer: best[peer][name] for peer in names if name in best[peer]}
        peer = max(theirs, key=theirs.__getitem__, default=None)
        how = "without gold" + (f"; the best peer here is {peer}" if peer else "")
        yield claim(
            f"label model on {name}", round(best[OURS][name], 1), "%", how,
            goal=f">= {goal}", peer=round(theirs[peer], 2) if peer else None,
        )  # fmt: skip


# with gold ------------------------------------------------------------------------------------


def gold_table(tasks: Sequence[Task], sets: Sequence[LabelSet]) -> Table:
    """Score the model with some gold beside a naive Bayes that was told all gold of train."""
    rows = [
        Row(f"{OURS}, some gold", {task.name: _score(task, _label_model(task)) for task in tasks})
    ]
    for name, abstention in NAIVE_BAYES.items():
        scores = {}
        for task, each in zip(tasks, sets, strict=True):
            train = each.splits["train"]
            probs = naive_bayes(train, task.score, task.classes, abstention=abstention)
            scores[task.name] = _score(task, probs)
        rows.append(Row(name, scores))
    title = "with the validation split as gold, scored on test"
    return Table(title, [task.name for task in tasks], rows)


def gold_claims(table: Table) -> Iterator[Claim]:
    ours = table.rows[0].scores
    for name in NAIVE_BAYES:
        theirs = table.of(name)
        reached = sum(ours[each] >= theirs[each] for each in table.sets)
        how = (
            f"of {len(table.sets)} sets, validation split as gold, scored on test (a set without "
            "these: a tenth of its rows as gold, scored on the others)"
        )
        goal = int(np.ceil(OF_NAIVE_BAYES * len(table.sets)))
        which = f"naive Bayes on all of train's gold{', abstention counts' * NAIVE_BAYES[name]}"
        yield claim(f"at or above a {which}", reached, "sets", how, goal=f">= {goal}")


def calibration_table(weak: Sequence[Task], gold: Sequence[Task]) -> Table:
    """Measure the calibration error of the model's answers to rows that somebody voted on."""
    rows = [
        Row("without gold", {task.name: _error(task) for task in weak}),
        Row("validation split as gold", {task.name: _error(task) for task in gold}),
    ]
    title = f"expected calibration error of the {OURS} on covered rows, {BINS} bins of equal width"
    return Table(title, [task.name for task in weak], rows, digits=4)


def _error(task: Task) -> float:
    covered = (task.score >= 0).any(axis=1)
    return calibration_error(_label_model(task)[covered], task.gold[covered])


def calibration_claims(table: Table) -> Iterator[Claim]:
    for row in table.rows:
        how = f"mean of {len(row.scores)} sets, {BINS} bins of equal width, covered rows of test"
        error = statistics.fmean(row.scores.values())
        yield claim(f"calibration error, {row.name}", error, "", how, goal=f"< {CALIBRATED:g}")


# printing -------------------------------------------------------------------------------------


def as_columns(table: Table) -> str:
    """Return a table as text, eight sets beside one another, the mean in the last block."""
    blocks = [table.sets[start : start + 8] for start in range(0, len(table.sets), 8)]
    lines = [f"== {table.title}"]
    for block in blocks:
        mean = block is blocks[-1]
        heads = [_short(name) for name in block] + ["mean "] * mean
        lines.append((" " * 25 + "".join(f"{head:>8}" for head in heads)).rstrip())
        lines += [f"{row.name:<25}" + _cells(row, block, table, mean) for row in table.rows]
    if any(row.recorded for row in table.rows):
        lines.append("r: recorded earlier, not measured in this run")
    if any(row.name.endswith("*") for row in table.rows):
        lines.append("*: told the class balance, of the validation split or else of all gold")
    return "\n".join(lines)


def _cells(row: Row, block: Sequence[str], table: Table, mean: bool) -> str:
    def cell(value: float | None, old: bool = False) -> str:
        text = "-" if value is None else f"{value:.{table.digits}f}"
        return f"{text}r".rjust(8) if old else text.rjust(7) + " "

    text = "".join(cell(row.scores.get(name), name in row.recorded) for name in block)
    if mean:
        whole = all(name in row.scores for name in table.sets)
        text += cell(statistics.fmean(row.scores.values()) if whole and table.sets else None)
    return text.rstrip()


def _short(name: str) -> str:
    return f"{name if len(name) <= 7 else name[:6] + '.'} "


if __name__ == "__main__":
    sys.exit(main())
