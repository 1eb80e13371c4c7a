"""The review queue: the rows on which an expert's answer is worth most, best first."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.core.seeds import derive_seed
from gristmill.data.table import ROW_ID
from gristmill.label.models.patterns import Patterns
from gristmill.label.review.worth import Worth, votes_by_class

if TYPE_CHECKING:
    from gristmill.label.labels import Labels
    from gristmill.label.votes import Votes

WORTH, RANDOM = "worth", "random"


class _Choice(NamedTuple):
    """A row of the queue, and the factors of its worth when it was chosen."""

    row: int
    pattern: int
    drawn: str
    uncertainty: float
    coverage: float
    disagreement: float


def review_queue(
    votes: Votes,
    labels: Labels,
    *,
    k: int = 50,
    answered: pl.Series | None = None,
    again: bool = False,
    exclude: pl.Series | None = None,
    random: float = 0.5,
    seed: int = 0,
) -> pl.DataFrame:
    """Return the k rows that an expert should look at, in the order to show them.

    Worth is uncertainty x coverage x disagreement, see `gristmill.label.review.worth`. Each row of
    the queue is taken to be answered before the next is chosen, which lowers the worth of rows with
    the same votes; two such rows follow one another only if there are no others.

    Rows chosen by worth are no sample of the table: neither the balance of classes nor the share of
    errors among them is the table's. So a part is drawn evenly among all rows, and marked.

    Deterministic under the seed and independent of the order of rows.

    Args:
        votes: int[n, m].
        labels: predicted from these votes.
        k: how many rows at most.
        answered: ids of rows that have answers, each as often as it has; others do no harm. Gold
            rows of the labels count too.
        again: ask about rows that have answers, for a second opinion, instead of the others.
        exclude: ids of rows not to ask about, whatever else holds.
        random: share of the queue that is drawn at random; 0 to 1.
        seed: of these draws, and of which row stands for those with the same votes.

    Returns:
        A frame: `row_id`; `drawn` ("worth" or "random"); `worth` and its factors `uncertainty`,
        `coverage`, `disagreement`; `rows`, how many have the same votes; `why`, in words.

    Raises:
        LabelError: the labels are of other rows, k is negative, or the share is not in [0, 1].
    """
    if len(labels) != len(votes) or not labels.table[ROW_ID].equals(votes.row_ids):
        raise LabelError(
            f"these labels of {len(labels)} rows are not about these votes on {len(votes)} rows",
            fix="pass labels that were predicted from these votes",
        )
    if k < 0 or not 0 <= random <= 1:
        raise LabelError(f"expected k >= 0 and random from 0 to 1, found {k} and {random}")
    known = _answers_by_row(votes, labels, answered)
    patterns = Patterns.of(votes.matrix, len(votes.classes))
    worth = Worth(patterns, labels, known)
    eligible = (known > 0) if again else (known == 0)
    if exclude is not None and len(exclude):
        eligible &= ~_is_in(votes.row_ids, exclude)
    order = _shuffled(votes.row_ids, seed)
    chosen = list(_choose(worth, patterns, order[eligible[order]], k, random))
    return _frame(votes, labels, patterns, worth.rows, chosen)


def _answers_by_row(votes: Votes, labels: Labels, answered: pl.Series | None) -> NDArray[np.int64]:
    """Count the answers on each row: int64[n]; a gold row has at least one."""
    gold = (labels.table["source"] == "gold").to_numpy().astype(np.int64)
    if answered is None or len(answered) == 0:
        return gold
    ids = answered.cast(votes.row_ids.dtype, strict=False).drop_nulls().rename(ROW_ID)
    rows = votes.row_ids.to_frame(ROW_ID)
    counted = rows.join(
        ids.value_counts(name="answers"), on=ROW_ID, how="left", maintain_order="left"
    )
    found: NDArray[np.int64] = counted["answers"].fill_null(0).to_numpy().astype(np.int64)
    found[gold > found] = 1
    return found


def _is_in(ids: pl.Series, those: pl.Series) -> NDArray[np.bool_]:
    return ids.is_in(those.cast(ids.dtype, strict=False).implode()).to_numpy()


def _shuffled(ids: pl.Series, seed: int) -> NDArray[np.int64]:
    """Return the places of the rows in an order that depends on their ids and the seed alone."""
    key = derive_seed(seed, "review").to_bytes(8, "little")
    marks = [blake2b(str(each).encode(), digest_size=8, key=key).digest() for each in ids]
    order: NDArray[np.int64] = np.argsort(np.array(marks, dtype="S8"), kind="stable")
    return order


def _choose(
    worth: Worth, patterns: Patterns, order: NDArray[np.int64], k: int, random: float
) -> Iterator[_Choice]:
    """Yield up to k of the rows in `order`, by worth or, when it is their turn, at random."""
    waiting = _by_pattern(patterns, order)
    left = np.bincount(patterns.of_row[order], minlength=len(patterns))
    lottery = iter(order.tolist())
    taken: set[int] = set()
    last = -1
    for turn in range(min(k, len(order))):
        by_lot = int((turn + 1) * random) > int(turn * random)
        if by_lot:
            row = next(each for each in lottery if each not in taken)
        else:
            best = _best(np.where(left > 0, worth.value, -1.0), last)
            row = next(each for each in waiting[best] if each not in taken)
        pattern = int(patterns.of_row[row])
        factors = (worth.uncertainty, worth.coverage, worth.disagreement)
        yield _Choice(
            row, pattern, RANDOM if by_lot else WORTH, *(float(each[pattern]) for each in factors)
        )
        taken.add(row)
        left[pattern] -= 1
        last = pattern
        worth.answer(pattern)


def _best(value: NDArray[np.float64], last: int) -> int:
    """Return the pattern of most worth; another than the last one, unless that alone is left."""
    if last >= 0 and (value >= 0).sum() > 1:
        value[last] = -1.0
    return int(np.argmax(value))


def _by_pattern(patterns: Patterns, order: NDArray[np.int64]) -> dict[int, Iterator[int]]:
    """Return the rows of each pattern, in this order."""
    of_row = patterns.of_row[order]
    sorted_ = np.argsort(of_row, kind="stable")
    found, starts = np.unique(of_row[sorted_], return_index=True)
    groups = np.split(order[sorted_], starts[1:]) if len(order) else []
    return {
        pattern: iter(rows.tolist()) for pattern, rows in zip(found.tolist(), groups, strict=True)
    }


def _frame(
    votes: Votes,
    labels: Labels,
    patterns: Patterns,
    rows: NDArray[np.float64],
    chosen: list[_Choice],
) -> pl.DataFrame:
    schema = {
        "drawn": pl.String,
        "worth": pl.Float64,
        "uncertainty": pl.Float64,
        "coverage": pl.Float64,
        "disagreement": pl.Float64,
        "rows": pl.Int64,
        "why": pl.String,
    }
    said = votes_by_class(patterns)
    probs = labels.table["probs"]
    records = [
        (
            each.drawn,
            each.uncertainty * each.coverage * each.disagreement,
            each.uncertainty,
            each.coverage,
            each.disagreement,
            int(rows[each.pattern]),
            _why(votes.classes, said[each.pattern], probs[each.row], rows[each.pattern], each),
        )
        for each in chosen
    ]
    ids = votes.row_ids.gather([each.row for each in chosen]).rename(ROW_ID)
    return pl.DataFrame(records, schema=schema, orient="row").insert_column(0, ids)


def _why(
    classes: tuple[str, ...],
    said: NDArray[np.float64],
    probs: pl.Series,
    rows: float,
    choice: _Choice,
) -> str:
    """Say in a line why a row is asked about."""
    reasons = ["drawn at random"] if choice.drawn == RANDOM else []
    votes = [f"{int(said[code])} for {classes[code]}" for code in np.flatnonzero(said).tolist()]
    reasons.append(f"votes: {', '.join(votes)}" if votes else "nobody votes on it")
    best = int(np.argmax(probs.to_numpy()))
    if votes:
        reasons.append(f"{classes[best]} with {probs[best]:.2f}")
        reasons.append(f"{int(rows):,} rows alike" if rows > 1 else "no other row like it")
    return "; ".join(reasons)
