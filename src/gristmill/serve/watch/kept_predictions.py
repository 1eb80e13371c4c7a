"""Reads what a server kept of its predictions, each with the truth that came later, if any did.

    FOLDER/predictions/INSTANCE/00000001.log    what was asked and answered, by server process
    FOLDER/truths/INSTANCE/00000001.log         what was told of it, by who wrote it down

Everything else reads predictions through this module alone; a server may be writing meanwhile.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from gristmill.core.errors import UsageError
from gristmill.serve.journal.segments import dated_segments, records_of
from gristmill.serve.watch.prediction_records import (
    Opening,
    Predicted,
    Told,
    Truth,
    decode,
    row_of,
)

PREDICTIONS = "predictions"
TRUTHS = "truths"
_LATE = 60.0
"""Seconds within which what was predicted is in a segment, or in the one after it."""


class KeptPrediction(msgspec.Struct, frozen=True):
    """One row that was answered, and what is known to be true of it.

    Attributes:
        name: as the answer named it.
        at: when it was answered, seconds since 1970.
        version: fingerprint of what answered, as answers have it.
        inputs: what was asked, by field; a tensor is an array. Large tensors are left out.
        answer: what was answered, as the plain JSON form has it: of a classifier `label`, `prob`
            and `probs` by class.
        truth: what the answer should have been, as it was told last; None where nobody did.
        told_at: when, seconds since 1970.
        who: told it, where somebody said who.
        correction: whether a person looked at the prediction to say so.
        key: the id that the user gave it; else the request's id, with `-ROW` where it had several.
    """

    name: str
    at: float
    version: str
    inputs: dict[str, object]
    answer: dict[str, object]
    truth: Truth | None = None
    told_at: float | None = None
    who: str | None = None
    correction: bool = False
    key: str = ""


def kept_predictions(
    folder: Path, *, since: float | None = None, until: float | None = None
) -> Iterator[KeptPrediction]:
    """Yield what a server kept, in the order of prediction, a row at a time.

    Where several told the truth of a row, it is what was told last. What a crash tore off is not
    there; of a damaged file, what stands before the damage.

    Args:
        folder: of one served model or route, as `served_folder` names it.
        since: the earliest time of a prediction, seconds since 1970.
        until: the time before which they were made.

    Raises:
        StoreError: the files are of another version, or no such files.
        UsageError: nothing was kept in this folder.
    """
    for kept, _ in predictions_and_truths(folder, since=since, until=until):
        yield kept


def predictions_and_truths(
    folder: Path, *, since: float | None = None, until: float | None = None
) -> Iterator[tuple[KeptPrediction, Sequence[Told]]]:
    """Do as `kept_predictions`, and yield with each all that is known of it.

    That is the last thing that each teller told, in the order of telling.
    """
    check_kept(folder)
    places = instances(folder / PREDICTIONS)
    truths = ToldTruths(folder)
    low = -math.inf if since is None else since
    high = math.inf if until is None else until
    streams = [_predicted(place, low, high) for place in places]
    for record, classes in heapq.merge(*streams, key=lambda pair: pair[0].when):
        for row in range(record.rows):
            told = truths.of(f"{record.name}-{row}", record.keys[row])
            yield _joined(record, row, classes, told), told


def served_folder(root: Path | str, name: str) -> Path:
    """Return the folder of one served model or route among those of all that a server watches."""
    return Path(root) / quote(name, safe="")


class ToldTruths:
    """All that was told of the predictions in a folder.

    Args:
        folder: of one served model or route.

    Raises:
        StoreError: the files are of another version, or no such files.
    """

    def __init__(self, folder: Path) -> None:
        self._known: dict[tuple[bool, str], dict[str, Told]] = {}
        everything = [told for place in instances(folder / TRUTHS) for told in _told(place)]
        for told in sorted(everything, key=lambda told: told.when):
            by_teller = self._known.setdefault((told.by_key, told.reference), {})
            by_teller.pop(told.who, None)  # what is told again comes last
            by_teller[told.who] = told

    def of(self, name: str, key: str) -> list[Told]:
        """Return the last thing that each teller told of a prediction, in the order of telling."""
        by_name = self._known.get((False, name), {})
        by_key = self._known.get((True, key), {})
        if not by_name or not by_key:
            return [*by_name.values(), *by_key.values()]
        found = dict[str, Told]()
        for told in heapq.merge(by_key.values(), by_name.values(), key=lambda told: told.when):
            found.pop(told.who, None)
            found[told.who] = told
        return [*found.values()]


def check_kept(folder: Path) -> None:
    """Check that a folder is one of a model whose predictions are kept.

    Raises:
        UsageError: it is not.
    """
    if not (folder / PREDICTIONS).is_dir():
        raise UsageError(
            "no predictions were kept here",
            where=str(folder),
            fix="say keep_predictions in the serving file, and name the folder of one served model",
        )


def instances(folder: Path) -> list[Path]:
    """Return the folders of all who wrote into one, by name."""
    return sorted(place.parent for place in folder.glob("*/lock"))


def _joined(
    record: Predicted, row: int, classes: Sequence[str], told: Sequence[Told]
) -> KeptPrediction:
    last = told[-1] if told else None
    return KeptPrediction(
        name=f"{record.name}-{row}",
        at=record.when,
        version=record.version,
        inputs=row_of(record.inputs, row, ()),
        answer=row_of(record.answers, row, classes),
        truth=None if last is None else last.truth,
        told_at=None if last is None else last.when,
        who=(last.who or None) if last is not None else None,
        correction=last is not None and last.correction,
        key=record.keys[row],
    )


def _predicted(
    place: Path, since: float, until: float
) -> Iterator[tuple[Predicted, tuple[str, ...]]]:
    """Yield the requests that one process kept, with the class names of their answers."""
    segments = dated_segments(place)
    ends = [*(began for _, began in segments[1:]), math.inf]
    for (path, began), end in zip(segments, ends, strict=False):  # all may have been dropped
        if end + _LATE < since or began - _LATE > until:
            continue
        classes: tuple[str, ...] = ()
        for payload in _payloads(path):
            record = decode(payload, place)
            if isinstance(record, Opening):
                classes = record.classes
            elif isinstance(record, Predicted) and since <= record.when < until:
                yield record, classes


def _told(place: Path) -> Iterator[Told]:
    for path, _ in dated_segments(place):
        for payload in _payloads(path):
            record = decode(payload, place)
            if isinstance(record, Told):
                yield record


def _payloads(path: Path) -> Iterator[bytes]:
    try:
        yield from records_of(path)
    except FileNotFoundError:  # dropped since it was listed, by who writes the log
        return
