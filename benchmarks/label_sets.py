"""Vote matrices with gold: read from a folder, and turned into what methods are scored on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from gristmill.core.seeds import derive_seed
from label_scores import Codes, Probs, metric_of

SPLITS = ("train", "valid", "test")
_GOLD_SHARE = 10


class _Example(msgspec.Struct):
    label: int
    weak_labels: list[int]


@dataclass(frozen=True, slots=True)
class Split:
    """Votes int[n, m] and gold int64[n], -1 in both where there is none."""

    votes: Codes
    gold: Codes


@dataclass(frozen=True, slots=True)
class LabelSet:
    """A set: its splits by name, its k classes, and what it is scored by."""

    name: str
    metric: str
    classes: int
    splits: dict[str, Split]

    @property
    def cells(self) -> int:
        """Rows times sources."""
        return sum(split.votes.size for split in self.splits.values())


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Votes to fit on, votes to answer, and the gold that scores the answers; equal only to itself.

    Attributes:
        balance: shares of the k classes for those who ask for them; of the validation split, or of
            all gold where there is none; smoothed by one row per class.
        known: gold of the rows to fit on, -1 where it is hidden; all hidden but in gold tasks.
    """

    name: str
    metric: str
    classes: int
    fit: Codes
    score: Codes
    gold: Codes
    balance: Probs
    known: Codes


def read_folder(
    folder: Path, only: Sequence[str] = (), metric: str | None = None
) -> list[LabelSet]:
    """Return all sets in a folder, by name: `*.npz`, and folders with a `train.json` (WRENCH).

    Args:
        folder: where they lie.
        only: names; default all.
        metric: overrides what each is scored by.

    Raises:
        FileNotFoundError: there is none, or none of a name in `only`.
    """
    files = {file.parent.name: file.parent for file in sorted(folder.glob("*/train.json"))}
    files |= {file.stem: file for file in sorted(folder.glob("*.npz"))}
    missing = [name for name in only if name not in files]
    if missing or not files:
        raise FileNotFoundError(
            f"no set {', '.join(missing) or '(*.npz, */train.json)'} in {folder}"
        )
    return [read_set(name, files[name], metric) for name in sorted(only or files)]


def read_set(name: str, path: Path, metric: str | None = None) -> LabelSet:
    """Read one set from a file of arrays or from a folder of WRENCH JSON."""
    splits, classes = _read_json(path) if path.is_dir() else _read_arrays(path)
    gold = np.concatenate([split.gold for split in splits.values()])
    highest = [int(codes.max(initial=-1)) for s in splits.values() for codes in (s.votes, s.gold)]
    classes = max(classes, 2, *(code + 1 for code in highest))
    return LabelSet(name, metric or metric_of(name, gold[gold >= 0], classes), classes, splits)


def _read_arrays(path: Path) -> tuple[dict[str, Split], int]:
    with np.load(path) as stored:
        return {
            name: Split(stored[f"L_{name}"], stored[f"Y_{name}"].astype(np.int64))
            for name in SPLITS
            if f"L_{name}" in stored
        }, 0


def _read_json(path: Path) -> tuple[dict[str, Split], int]:
    splits = {}
    for name in SPLITS:
        file = path / f"{name}.json"
        if file.exists():
            rows = list(msgspec.json.decode(file.read_bytes(), type=dict[str, _Example]).values())
            votes = np.array([row.weak_labels for row in rows], np.int16)
            splits[name] = Split(votes, np.array([row.label for row in rows], np.int64))
    labels = path / "label.json"
    return splits, len(msgspec.json.decode(labels.read_bytes())) if labels.exists() else 0


def split_task(each: LabelSet) -> Task | None:
    """Fit on train, score on all rows of test; None where there is no test split."""
    if "test" not in each.splits:
        return None
    train, test = each.splits["train"], each.splits["test"]
    return _task(each, train.votes, test, np.full(len(train.votes), -1))


def transductive_task(each: LabelSet) -> Task:
    """Fit and score on the covered rows of all splits together."""
    together = _joined([each.splits[name] for name in SPLITS if name in each.splits])
    covered = (together.votes >= 0).any(axis=1)
    rows = Split(together.votes[covered], together.gold[covered])
    return _task(each, rows.votes, rows, np.full(len(rows.votes), -1))


def gold_task(each: LabelSet) -> Task:
    """Fit on train and valid with the gold of valid, score on test.

    A set without these splits has a tenth of its rows drawn as gold, and is scored on the others.
    """
    if "valid" in each.splits and "test" in each.splits:
        train, valid = each.splits["train"], each.splits["valid"]
        known = np.concatenate([np.full(len(train.gold), -1), valid.gold])
        return _task(each, _joined([train, valid]).votes, each.splits["test"], known)
    rows = _joined(list(each.splits.values()))
    drawn = np.random.default_rng(derive_seed(0, "gold", each.name)).permutation(len(rows.gold))
    told = np.zeros(len(rows.gold), bool)
    told[drawn[: len(drawn) // _GOLD_SHARE]] = True
    others = Split(rows.votes[~told], rows.gold[~told])
    return _task(each, rows.votes, others, np.where(told, rows.gold, -1))


def _task(each: LabelSet, fit: Codes, scored: Split, known: Codes) -> Task:
    told = scored.gold >= 0
    every = each.splits.get("valid") or _joined(list(each.splits.values()))
    counts = 1.0 + np.bincount(every.gold[every.gold >= 0], minlength=each.classes)
    return Task(
        each.name,
        each.metric,
        each.classes,
        fit,
        scored.votes if told.all() else scored.votes[told],
        scored.gold[told],
        counts / counts.sum(),
        known,
    )


def _joined(splits: Sequence[Split]) -> Split:
    votes = np.concatenate([split.votes for split in splits])
    return Split(votes, np.concatenate([split.gold for split in splits]))


def naive_bayes(train: Split, score: Codes, classes: int, *, abstention: bool) -> Probs:
    """Return what a naive Bayes fitted on the gold of all of train says: float64[n, k].

    P(answer | class) are counts, one row added to each of the k + 1 answers; P(class) likewise.

    Args:
        train: votes and gold.
        score: votes int[n, m] to answer.
        classes: k.
        abstention: whether abstaining is an answer that counts, or none.
    """
    told = train.gold >= 0
    votes, gold = train.votes[told].astype(np.int64), train.gold[told]
    sizes = 1.0 + np.bincount(gold, minlength=classes)
    logs = np.log(sizes / sizes.sum()) + np.zeros((len(score), classes))
    for source in range(votes.shape[1]):
        counts = np.ones((classes + 1, classes))
        np.add.at(counts, (votes[:, source], gold), 1)
        table = np.log(counts / counts.sum(axis=0))
        if not abstention:
            table[-1] = 0
        logs += table[score[:, source]]
    likely = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(likely / likely.sum(axis=1, keepdims=True))
