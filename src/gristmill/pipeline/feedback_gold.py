"""Truths from production as gold of a named source, which the next training sees.

    server ─▶ predictions and truths ─▶ gather_feedback ─▶ FOLDER: rows.jsonl, answers.jsonl
                                                              │ (a setting of a step, by content)
                       table, gold ◀─ gathered_gold(FOLDER).added_to(table, gold)

What a server keeps is dropped when it gets old; what was gathered stays. The files only grow, and
not at all without a new truth, so that a step whose setting is the folder runs again exactly when
there is one. The answers are those of the label stage: who said what of which row. Where several
say different things of a row, the label stage decides, as it does for experts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from gristmill.core.errors import DataError, StoreError, UsageError
from gristmill.core.process_lock import LockHeldError, ProcessLock
from gristmill.data.table import ROW_ID
from gristmill.label.review.answers import Answer, AnswerFile, Answers
from gristmill.serve.watch.kept_predictions import KeptPrediction, predictions_and_truths

if TYPE_CHECKING:
    from gristmill.serve.watch.prediction_records import Told

ROWS, ANSWERS = "rows.jsonl", "answers.jsonl"
PRODUCTION = "production"
_GOLD = {ROW_ID: pl.String, "label": pl.String, "annotator": pl.String}
_DIGITS = 15


class Gathered(msgspec.Struct, frozen=True):
    """What a call of `gather_feedback` added: rows, and answers about these or earlier ones."""

    rows: int
    answers: int


@dataclass(frozen=True, eq=False)
class FeedbackGold:
    """What was gathered from production.

    Attributes:
        rows: `row_id` (text) and the inputs as they were asked, a column each.
        gold: `row_id`, `label`, `annotator`: the last thing that each teller told of each row.
    """

    rows: pl.DataFrame
    gold: pl.DataFrame

    def added_to(
        self, table: pl.DataFrame, gold: pl.DataFrame | None = None
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return a table with the rows from production at its end, and the gold of both.

        Rows whose id the table has already are not added; what was told of them is. In a table
        whose ids are integers, an id that is none becomes one, the same in every run.

        Args:
            table: with `row_id`; columns that production did not have are null in the new rows.
            gold: with `row_id` and `label`, perhaps `annotator` and others.

        Raises:
            DataError: the table has no `row_id`, or no other column of what was asked, or a column
                of it cannot hold what was asked.
        """
        if ROW_ID not in table.columns:
            raise DataError(
                f"expected a table with a column {ROW_ID}, found {', '.join(table.columns)}",
                fix="give it one: gristmill.data.with_row_id(table)",
            )
        kind = table[ROW_ID].dtype
        rows = _with_ids(self.rows, kind).join(table, on=ROW_ID, how="anti", maintain_order="left")
        if rows.height and not ({*rows.columns} & {*table.columns}) - {ROW_ID}:
            raise DataError(
                f"expected rows from production with a column of the table "
                f"({_listed(table.columns)}), found {_listed(rows.columns)}",
                where=ROWS,
                fix="the model's inputs have other names now: rename them in that file, or gather "
                "into a new folder",
            )
        try:
            rows = rows.select(
                (pl.col(name) if name in rows.columns else pl.lit(None)).cast(dtype).alias(name)
                for name, dtype in table.schema.items()
            )
        except pl.exceptions.PolarsError as error:
            raise DataError(
                f"rows from production do not fit the table: {str(error).splitlines()[0]}",
                fix="give the table the types that the model is asked",
            ) from error
        told = _with_ids(self.gold, kind)
        if gold is None:
            return pl.concat([table, rows]), told
        return pl.concat([table, rows]), pl.concat([gold, told], how="diagonal_relaxed")


def gather_feedback(
    served: Path | str, folder: Path | str, *, source: str = PRODUCTION, by_key: bool = False
) -> Gathered:
    """Add what was told since the last time to the files of a folder; the server may be running.

    Args:
        served: the folder of one served model or route, as `gristmill.serve.served_folder` names
            it.
        folder: gets `rows.jsonl` and `answers.jsonl`; made if need be.
        source: the annotator of truths where nobody said who told them.
        by_key: whether the user's own ids are the ids of rows; by default the names of predictions
            are. Of several predictions with one id, the row of the first is kept.

    Raises:
        LabelError: a line of the answers is none.
        StoreError: somebody else is gathering into this folder, or what was kept cannot be read.
        UsageError: no predictions were kept there, or the source has no name.
    """
    if not source:
        raise UsageError("expected a name for the source of what production tells, found none")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        # Beside the folder: a file in it would count as something new in it.
        lock = ProcessLock(folder.parent / f".{folder.name}.lock")
    except LockHeldError as error:
        raise StoreError(
            f"feedback is being gathered by {error.holder}", where=str(folder), fix="wait for it"
        ) from error
    with lock:
        known = _row_ids(folder / ROWS)
        said = _said(folder / ANSWERS)
        rows, answers = list[dict[str, object]](), list[Answer]()
        for kept, told in predictions_and_truths(Path(served)):
            row_id = kept.key if by_key else kept.name
            if told and row_id not in known:
                known.add(row_id)
                rows.append({ROW_ID: row_id, **_plain(kept.inputs)})
            for each in told:
                answer = _answer(row_id, kept, each, source)
                last = said.get((row_id, answer.annotator))
                if last is None or (last[0] < answer.time and last[1] != answer.label):
                    said[row_id, answer.annotator] = (answer.time, answer.label)
                    answers.append(answer)
        # Rows first: an answer about a row that is not there yet would be worth nothing.
        _append(folder / ROWS, rows)
        AnswerFile(folder / ANSWERS).add_all(answers)
    return Gathered(len(rows), len(answers))


def gathered_gold(folder: Path | str) -> FeedbackGold:
    """Return what was gathered in a folder; empty where nothing was, or there is no folder yet.

    Raises:
        DataError: a line of the rows is none.
        LabelError: a line of the answers is none.
    """
    folder = Path(folder)
    records = list(_records(folder / ROWS))
    rows = pl.DataFrame({ROW_ID: []}, schema={ROW_ID: pl.String})
    if records:
        rows = pl.DataFrame(records, infer_schema_length=None, strict=False)
    gold = pl.DataFrame(schema=_GOLD)
    if (folder / ANSWERS).is_file():
        gold = Answers.load(folder / ANSWERS).gold.select(list(_GOLD))
    return FeedbackGold(rows, gold)


def _answer(row_id: str, kept: KeptPrediction, told: Told, source: str) -> Answer:
    time = dt.datetime.fromtimestamp(told.when, dt.UTC).isoformat(timespec="milliseconds")
    suggested = kept.answer.get("label")
    return Answer(
        row_id=row_id,
        label=str(told.truth),
        annotator=told.who or source,
        time=time,
        shown=kept.version,
        suggested=suggested if isinstance(suggested, str) else None,
        note="correction" if told.correction else None,
    )


def _plain(inputs: Mapping[str, object]) -> dict[str, object]:
    """Return the inputs that fit in a table: tensors are left out."""
    return {
        name: value
        for name, value in inputs.items()
        if value is None or isinstance(value, str | int | float | bool)
    }


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(name for name in columns if name != ROW_ID) or "none"


def _row_ids(path: Path) -> set[str]:
    return {str(record[ROW_ID]) for record in _records(path)}


def _said(path: Path) -> dict[tuple[int | str, str], tuple[str, str | None]]:
    """Return when each annotator said what of a row last."""
    events = Answers.load(path).events if path.is_file() else ()
    return {(each.row_id, each.annotator): (each.time, each.label) for each in events}


def _records(path: Path) -> Iterator[dict[str, object]]:
    """Yield the rows of a file; a last line without its end is what a killed writer left."""
    if not path.is_file():
        return
    decoder = msgspec.json.Decoder(dict[str, object])
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            record = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(
                f"this is no row from production: {error}",
                where=f"{path}, line {number}",
                fix="correct or delete that line; the others are whole",
            ) from error
        yield record


def _append(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    if not rows:
        return
    whole = path.read_bytes() if path.is_file() else b""
    end = whole.rfind(b"\n") + 1
    with path.open("r+b" if whole else "wb") as file:
        file.seek(end)
        file.truncate()
        file.writelines(msgspec.json.encode(row) + b"\n" for row in rows)


def _with_ids(frame: pl.DataFrame, kind: pl.DataType) -> pl.DataFrame:
    """Return a frame with its text ids as those of a table are."""
    if not kind.is_integer():
        return frame
    ids = [_number(text) for text in frame[ROW_ID]]
    return frame.with_columns(pl.Series(ROW_ID, ids, pl.Int64).cast(kind))


def _number(text: str) -> int:
    if text.removeprefix("-").isdecimal() and len(text) <= _DIGITS:
        return int(text)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1
