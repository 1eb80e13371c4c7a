"""A review session: one annotator, a queue of rows, and what has been said so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint
from gristmill.data.table import ROW_ID, TableLike, as_table
from gristmill.label.review.answers import Answer, now
from gristmill.label.versions.content import CONTENT, content_hashes

if TYPE_CHECKING:
    from gristmill.label.labels import Labels
    from gristmill.label.review.answers import AnswerFile


@dataclass(frozen=True, slots=True)
class Question:
    """A row as the annotator sees it.

    Attributes:
        row_id: the row.
        fields: column -> text, without the row id.
        votes: (source, what it said), those that voted, failed or did not run; empty where hidden.
        probs: class -> probability, from the labels; empty where hidden.
        suggested: the class that the labels give, or None.
        why: why this row is asked about.
        drawn: "worth" or "random".
    """

    row_id: int | str
    fields: Mapping[str, str]
    votes: tuple[tuple[str, str], ...]
    probs: Mapping[str, float]
    suggested: str | None
    why: str
    drawn: str


class Session:
    """Asks about the rows of a queue, one after the other, and writes each answer down.

    Args:
        labels: what is shown beside the rows.
        table: the rows; those of the queue must be in it.
        queue: from `review_queue`.
        file: where answers go; each is on the disk before the next question.
        annotator: who answers.
        blind: show neither votes nor probabilities, which lead an annotator's mind.

    Raises:
        LabelError: the annotator has no name, or the table lacks rows of the queue.
    """

    def __init__(
        self,
        labels: Labels,
        table: TableLike,
        queue: pl.DataFrame,
        file: AnswerFile,
        annotator: str,
        *,
        blind: bool = False,
    ) -> None:
        self.annotator = check_annotator(annotator)
        self.classes = labels.classes
        self.file = file
        self.blind = blind
        self.answered = self.skipped = self.agreed = self.suggestions = 0
        self._labels = labels
        self._shown = fingerprint(labels)
        self._queue = queue
        self._rows = _rows_of(as_table(table), queue)
        self._content = content_hashes(self._rows)[CONTENT].to_list()
        self._said: list[Answer] = []

    def __len__(self) -> int:
        return self._queue.height

    @property
    def position(self) -> int:
        """How many questions are behind us; as many as there are when the session is done."""
        return len(self._said)

    @property
    def question(self) -> Question | None:
        """The row that is asked about now; None when the queue is done."""
        if self.position >= len(self):
            return None
        asked = self._queue.row(self.position, named=True)
        row = self._rows.row(self.position, named=True)
        place = self._labels.votes.position(asked[ROW_ID])
        hidden = self.blind
        return Question(
            row_id=asked[ROW_ID],
            fields={name: _text(value) for name, value in row.items() if name != ROW_ID},
            votes=() if hidden else tuple(self._votes(place)),
            probs={} if hidden else self._probs(place),
            suggested=None if hidden else self._suggested(place),
            why="" if hidden else asked["why"],
            drawn=asked["drawn"],
        )

    def answer(self, label: str, note: str | None = None) -> None:
        """Write down the class of the row that is asked about, and go on.

        Raises:
            LabelError: no such class, or the session is done.
            OSError: the answer could not be written; the question stands.
        """
        if label not in self.classes:
            raise LabelError(
                f"there is no class {label!r}", fix=f"choose one of {', '.join(self.classes)}"
            )
        self._say("answer", label, note)

    def skip(self, note: str | None = None) -> None:
        """Write down that the annotator is not sure, and go on.

        Raises:
            LabelError: the session is done.
            OSError: as `answer`.
        """
        self._say("skip", None, note)

    def undo(self) -> bool:
        """Take the last thing back that was said in this session, and ask again.

        Returns:
            False where there is nothing to take back.

        Raises:
            OSError: it could not be written; what was said stands.
        """
        if not self._said:
            return False
        last = self._said[-1]
        self.file.add(
            Answer(
                row_id=last.row_id, label=None, annotator=self.annotator, time=now(), action="undo"
            )
        )
        self._said.pop()
        self._count(last, -1)
        return True

    def _say(self, action: Literal["answer", "skip"], label: str | None, note: str | None) -> None:
        question = self.question
        if question is None:
            raise LabelError("every row of this session is answered", fix="start another session")
        said = Answer(
            row_id=question.row_id,
            label=label,
            annotator=self.annotator,
            time=now(),
            action=action,
            content=self._content[self.position],
            shown=self._shown,
            suggested=question.suggested,
            drawn=question.drawn,
            note=note or None,
        )
        self.file.add(said)
        self._said.append(said)
        self._count(said, 1)

    def _count(self, said: Answer, step: int) -> None:
        if said.action == "skip":
            self.skipped += step
            return
        self.answered += step
        if said.suggested is not None:
            self.suggestions += step
            self.agreed += step * (said.suggested == said.label)

    def _votes(self, place: int) -> list[tuple[str, str]]:
        votes = self._labels.votes
        silent = votes.silent.filter(pl.col("row") == place)
        states = dict(zip(silent["source"].to_list(), silent["state"].to_list(), strict=True))
        return [
            (name, self.classes[vote] if vote >= 0 else states[source])
            for source, (name, vote) in enumerate(
                zip(votes.names, votes.matrix[place].tolist(), strict=True)
            )
            if vote >= 0 or source in states
        ]

    def _probs(self, place: int) -> dict[str, float]:
        probs = np.array(self._labels.table["probs"][place], np.float64)
        order = np.argsort(-probs, kind="stable").tolist()
        return {self.classes[code]: float(probs[code]) for code in order}

    def _suggested(self, place: int) -> str | None:
        code = int(self._labels.table["label"][place])
        return self.classes[code] if code >= 0 else None


def check_annotator(name: str) -> str:
    """Return an annotator's name without spaces around it.

    Raises:
        LabelError: it is empty, over 100 characters, or has characters that do not print.
    """
    trimmed = name.strip()
    if not trimmed or len(trimmed) > 100 or not trimmed.isprintable():
        raise LabelError(
            f"expected the name of an annotator, found {name!r}", fix="say --annotator NAME"
        )
    return trimmed


def _rows_of(table: pl.DataFrame, queue: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the queue, in its order."""
    ids = queue[ROW_ID]
    if table[ROW_ID].dtype == ids.dtype:
        rows = queue.select(ROW_ID).join(table, on=ROW_ID, how="inner", maintain_order="left")
        missing = ids.filter(~ids.is_in(rows[ROW_ID].implode()))
    else:
        rows, missing = table.clear(), ids
    if len(missing):
        raise LabelError(
            f"row {missing[0]!r} is not among the {table.height} rows of the table",
            fix="pass the table that the labels are about",
        )
    return rows


def _text(value: object) -> str:
    return "" if value is None else str(value)
