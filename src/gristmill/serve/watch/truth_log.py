"""What turned out to be true of predictions: told late, by name or by the user's own id.

    tell ─▶ known? told before? ─▶ a record in the log ─▶ "joined"

The predictions themselves are not touched: whoever reads them joins what was told of them
(`kept_predictions`). What is confirmed survives the death of the process.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from gristmill.core.closing import Closing
from gristmill.core.errors import StoreError
from gristmill.serve.journal.segment_index import Entry, SegmentIndex, key_of
from gristmill.serve.journal.segments import SegmentedLog, drop_abandoned
from gristmill.serve.watch.instance import Instance
from gristmill.serve.watch.keeping import Keeping
from gristmill.serve.watch.kept_predictions import TRUTHS, check_kept
from gristmill.serve.watch.known_predictions import KnownPredictions
from gristmill.serve.watch.prediction_records import Opening, Told, Truth, decode, encode

TellStatus: TypeAlias = Literal["joined", "revised", "repeated", "expired", "unknown", "invalid"]
"""What became of something that was told."""

MEANING: dict[TellStatus, str] = {
    "joined": "it is kept with the prediction",
    "revised": "it replaces what the same teller had told of this prediction",
    "repeated": "the same teller had told the same of this prediction already; nothing has changed",
    "expired": "the prediction is too old, its record is gone; nothing was kept",
    "unknown": "no such prediction is kept here: it was not made here, or was not in the sample",
    "invalid": "this cannot be true of a prediction here; nothing was kept",
}
MOST_OF_A_NAME = 200
"""Characters that the name of a teller may have; it is shown wherever gold says who told it."""
_NO_BYTES = 1 << 62
_MOST_INTEGER = 1 << 63
_WHAT = "log of truths"
_REST_SECONDS = 0.002
"""Between two steps of reading ahead, which take a millisecond: requests come first."""


class Telling(NamedTuple):
    """What somebody tells.

    Attributes:
        reference: name of a prediction, or the user's own id of a row.
        truth: what the answer should have been: a class name, or a value.
        who: tells it; "" for nobody in particular.
        correction: whether a person looked at the prediction to say so.
    """

    reference: str
    truth: Truth
    who: str = ""
    correction: bool = False

    @property
    def named_well(self) -> bool:
        """Whether the name can be shown on a line: none, or at most 200 printable characters."""
        return len(self.who) <= MOST_OF_A_NAME and self.who.isprintable()


class TruthLog(Closing):
    """Where truths are told, of the predictions of one model or route; from any thread.

    Args:
        folder: of the model or route; several processes may tell at a time.
        keeping: how much is kept; None drops nothing.
        clock: seconds since 1970.

    Attributes:
        counts: what was told, by what became of it.

    Raises:
        StoreError: the folder cannot be written, or holds something else.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keeping: Keeping | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder, self._keeping, self._clock = folder, keeping, clock
        self.counts: Counter[str] = Counter()
        self._known = KnownPredictions(folder)
        self._told = SegmentIndex(folder / TRUTHS, _entries)
        self._turn = threading.Lock()
        self._log: SegmentedLog | None = None
        self._instance: Instance | None = None
        self._closed = threading.Event()
        self._reader: threading.Thread | None = None

    def read_ahead(self) -> None:
        """Begin to look at what is kept, in the background, where truths have been told before.

        Who tells the first one does not wait then until all predictions were looked at.
        """
        if self._reader is None and (self.folder / TRUTHS).is_dir():
            name = "kept-truths"
            self._reader = threading.Thread(target=self._read_ahead, name=name, daemon=True)
            self._reader.start()

    @property
    def damaged(self) -> int:
        """How many files of predictions and truths are damaged, as far as they were read."""
        return self._known.damaged + self._told.damaged

    def refreshed(self) -> tuple[str, ...]:
        """Look what is kept now; return the classes that a truth may be, none for other answers.

        Raises:
            StoreError: the files are of another version, or no such files.
            UsageError: no predictions were kept in this folder.
        """
        with self._turn:
            check_kept(self.folder)
            self._known.refresh()
            return self._known.classes

    def tell(self, tellings: Sequence[Telling]) -> list[TellStatus]:
        """Keep what is told, and return what became of each piece.

        Raises:
            StoreError: it could not be written, and nothing was kept; or the files of the folder
                are of another version.
        """
        with self._turn:
            self._known.refresh()
            self._told.refresh()
            now, records = self._clock(), list[bytes]()
            fresh: dict[int, int] = {}
            statuses = [self._taken(each, now, fresh, records) for each in tellings]
            if records:
                self._write(records)
            self.counts.update(statuses)
        return statuses

    def close(self) -> None:
        """Let another process have the log."""
        self._closed.set()
        if self._reader is not None:
            self._reader.join()
        if self._log is not None:
            self._log.close()
        if self._instance is not None:
            self._instance.release()
        self._log = self._instance = None

    def _read_ahead(self) -> None:
        with suppress(StoreError):  # whoever tells something is told of it
            for steps in (self._known.refreshing(), self._told.refreshing()):
                while not self._closed.wait(_REST_SECONDS):
                    with self._turn:
                        if next(steps, self) is self:
                            break

    def _taken(
        self, telling: Telling, now: float, fresh: dict[int, int], records: list[bytes]
    ) -> TellStatus:
        """Say what becomes of a piece; what is to be written goes to `records`."""
        found = self._known.find(telling.reference)
        if found == "expired" or found == "unknown":
            return found
        truth = as_truth(telling.truth, self._known.classes)
        if truth is None or not telling.named_well:
            return "invalid"
        told = Told(telling.reference, found == "key", truth, now, telling.who, telling.correction)
        key, value = _key(told), _value(told)
        before = fresh.get(key)
        if before is None:
            kept = self._told.get(key)
            before = None if kept is None else kept[1]
        if before == value:
            return "repeated"
        fresh[key] = value
        records.append(encode(told))
        return "joined" if before is None else "revised"

    def _write(self, records: Sequence[bytes]) -> None:
        """Write records; the log is opened with the first, as most processes are told nothing."""
        log = self._log or self._open()
        if log.full:
            self._begin(log)
        log.extend(records)

    def _open(self) -> SegmentedLog:
        place, keeping = self.folder / TRUTHS, self._keeping
        try:
            self._instance = instance = Instance(place)
        except OSError as error:
            raise StoreError(
                f"truths cannot be kept: {error.strerror or error}", where=str(place)
            ) from error
        try:
            log = SegmentedLog(
                place / instance.name,
                segment_bytes=(keeping or Keeping()).segment_bytes,
                max_bytes=_NO_BYTES if keeping is None else keeping.max_bytes,
                max_age=None if keeping is None else keeping.max_age,
                clock=self._clock,
                what=_WHAT,
            )
            try:
                for _ in log.read(newest=True):
                    pass
                if not log.segments:
                    self._begin(log)
            except BaseException:
                log.close()
                raise
        except BaseException:
            instance.release()
            self._instance = None
            raise
        self._log = log
        return log

    def _begin(self, log: SegmentedLog) -> None:
        log.begin(encode(Opening(0, ())))
        if self._keeping is not None:
            drop_abandoned(log.folder.parent, self._keeping.max_age, self._clock())


def as_truth(truth: Truth, classes: Sequence[str]) -> Truth | None:
    """Return a truth as it is kept, or None where it can be none of an answer.

    A class whose name is a number may be told as that number, one named `true` or `1` as true.
    """
    if isinstance(truth, int) and not -_MOST_INTEGER <= truth < _MOST_INTEGER:
        return None
    if not classes:
        return truth
    names = [str(truth)]
    if isinstance(truth, bool):
        names += [names[0].lower(), str(int(truth))]
    elif isinstance(truth, float) and truth.is_integer():
        names.append(str(int(truth)))
    return next((name for name in names if name in classes), None)


def _entries(place: Path, payload: bytes) -> Iterator[Entry]:
    record = decode(payload, place)
    if isinstance(record, Told):
        yield Entry(_key(record), record.when, _value(record))


def _key(told: Told) -> int:
    return key_of(told.by_key, told.reference, told.who)


def _value(told: Told) -> int:
    return key_of(msgspec.msgpack.encode(told.truth), told.correction)
