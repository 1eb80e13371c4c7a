"""A small task under review: votes, labels and the rows they are about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from gristmill.label import LabelModel, Labels, Votes
from gristmill.label.review.answers import AnswerFile
from gristmill.label.review.queue import review_queue
from gristmill.label.review.session import Session

MATRIX = [[0, 0], [1, -1], [1, 0], [-1, -1], [1, 0], [0, -1]]
TEXTS = ["hi mum", "WIN", "hi, win", "see you", "hi, <b>free</b>", "hi"]


@pytest.fixture
def rows() -> pl.DataFrame:
    return pl.DataFrame({"row_id": range(10, 16), "text": TEXTS, "length": map(len, TEXTS)})


@pytest.fixture
def labels() -> Labels:
    votes = Votes.from_matrix(
        MATRIX, classes=["ham", "spam"], names=["prizes", "greets"], row_ids=range(10, 16)
    )
    return LabelModel(votes.classes).fit(votes).predict(votes)


@pytest.fixture
def open_session(labels: Labels, rows: pl.DataFrame, tmp_path: Path) -> Callable[..., Session]:
    """Open a session on the rows 14, 13 and so on, in the order of the queue."""

    def make(k: int = 3, name: str = "ann", **options: bool) -> Session:
        queue = review_queue(labels.votes, labels, k=k, random=0)
        return Session(labels, rows, queue, AnswerFile(tmp_path / "a.jsonl"), name, **options)

    return make
