"""Keeps predictions with their names: noted by the event loop, written by a thread.

    name ─▶ (the answer leaves) ─▶ note: a record in memory ─▶ at most half a second later: the log

A record in the log survives the death of the process; what is noted and not yet written does not.
Nothing here makes an answer wait: where the disk is too slow, predictions are counted, not kept.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.core.closing import Closing
from gristmill.core.errors import StoreError
from gristmill.serve.journal.prediction_ids import PredictionIds
from gristmill.serve.journal.segments import SegmentedLog, drop_abandoned
from gristmill.serve.watch.instance import Instance
from gristmill.serve.watch.keeping import Keeping
from gristmill.serve.watch.kept_predictions import PREDICTIONS
from gristmill.serve.watch.metrics import Sample
from gristmill.serve.watch.prediction_records import (
    Opening,
    Predicted,
    columns_of,
    decode,
    encode,
)

if TYPE_CHECKING:
    from gristmill.serve.runners.rows import Rows

log = logging.getLogger("gristmill.serve")

FLUSH_SECONDS = 0.5
"""How long a prediction is in memory alone; so much is lost when the process is killed."""
_MOST_PENDING = 8 << 20
_LOOK_SECONDS = 60.0
"""How often an idle log looks whether something is too old."""
_GAP = 1 << 16
"""Numbers that are passed over at a restart: some may have been given out and not written."""
_WHAT = "log of predictions"


class PredictionLog(Closing):
    """The predictions that one server process keeps of one model or route.

    `name` and `note` belong to one thread; everything else may be called from any.

    Args:
        folder: of the model or route; several processes may share it.
        classes: class names, in the order of `probs`; empty where answers are no classes.
        keeping: how much is kept.
        clock: seconds since 1970.

    Attributes:
        counts: rows "kept" (noted, to be written), "dropped" (the disk was too slow), "not_written"
            (it was full, or failed) and "failed" (a value that cannot be written).
        damaged: whether a crash had left half a record when the log was opened; it was cut off.

    Raises:
        StoreError: the folder cannot be written, or holds something else.
    """

    def __init__(
        self,
        folder: Path,
        *,
        classes: Sequence[str] = (),
        keeping: Keeping | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder, self.classes = folder, tuple(classes)
        self.keeping, self._clock = keeping or Keeping(), clock
        self.counts: Counter[str] = Counter()
        self._without = frozenset(self.keeping.without)
        self._next = 0
        self._pending: list[bytes] = []
        self._pending_bytes = self._pending_rows = 0
        self._noted = threading.Lock()
        self._writing = threading.Lock()
        self._some, self._stopped = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._open()

    def name(self, version: str) -> str:
        """Return what the names of a request's predictions begin with, to be noted next.

        Empty where it cannot be kept: too much waits for the disk already.

        Args:
            version: fingerprint of what answered.
        """
        if self._pending_bytes > _MOST_PENDING:
            return ""
        number, self._next = self._next, self._next + 1
        return self._ids.request(version, number)

    def note(self, name: str, version: str, rows: Rows, answers: Rows, keys: Sequence[str]) -> None:
        """Note the predictions of one request; never raises.

        Args:
            name: what `name` returned, or another that begins the names of its rows.
            version: fingerprint of what answered.
            rows: what was asked.
            answers: a row for each of them.
            keys: the user's own id of each row.
        """
        if not name:
            self.counts["dropped"] += rows.count
            return
        try:
            inputs, answered = (
                columns_of(each, self.keeping.tensor_bytes) for each in (rows, answers)
            )
            for field in self._without:
                inputs.pop(field, None)
            when = self._clock()
            payload = encode(
                Predicted(self._next, name, when, version, rows.count, [*keys], inputs, answered)
            )
        except Exception as error:
            # An answer is worth more than its record.
            if not self.counts["failed"]:
                log.warning("a prediction could not be kept: %s", error, exc_info=True)
            self.counts["failed"] += rows.count
            return
        with self._noted:
            self._pending.append(payload)
            self._pending_bytes += len(payload)
            self._pending_rows += rows.count
            first = len(self._pending) == 1
        self.counts["kept"] += rows.count
        if first:
            self._some.set()
            if self._thread is None:
                self._start()

    def flush(self) -> None:
        """Write what was noted so far; where that fails it is counted, and lost."""
        with self._writing:
            with self._noted:
                payloads, self._pending = self._pending, []
                rows, self._pending_rows = self._pending_rows, 0
                self._pending_bytes = 0
                self._some.clear()
            if self._stopped.is_set() and not payloads:
                return
            try:
                if payloads:
                    self._log.extend(payloads)
                    rows = 0
                if self._log.full:
                    self._begin()
            except StoreError as error:
                if not self.counts["not_written"]:
                    log.warning("%s", error)
                self.counts["not_written"] += rows

    def knows(self, name: str) -> bool:
        """Say whether the name of a prediction was given by this log, now or before a restart."""
        return self._ids.read(name) is not None

    def samples(self, model: str) -> Iterator[Sample]:
        """Yield the figures for the metrics page."""
        what = "Predicted rows by what became of their records."
        for status in ("kept", "dropped", "not_written", "failed"):
            labels = {"model": model, "status": status}
            count = self.counts[status]
            yield Sample("gristmill_kept_predictions_total", "counter", what, labels, count)

    def close(self) -> None:
        """Write what was noted, and let another process have the log."""
        self._stopped.set()
        self._some.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()
        self._log.close()
        self._instance.release()

    def _open(self) -> None:
        place = self.folder / PREDICTIONS
        try:
            self._instance = Instance(place)
        except OSError as error:
            raise StoreError(
                f"predictions cannot be kept: {error.strerror or error}", where=str(place)
            ) from error
        mine = place / self._instance.name
        try:
            self._log = SegmentedLog(
                mine,
                segment_bytes=self.keeping.segment_bytes,
                max_bytes=self.keeping.max_bytes,
                max_age=self.keeping.max_age,
                clock=self._clock,
                what=_WHAT,
            )
            try:
                self._ids = PredictionIds.of(mine)
                self._resume()
            except BaseException:
                self._log.close()
                raise
        except BaseException:
            self._instance.release()
            raise

    def _resume(self) -> None:
        fits = False
        for _, payload in self._log.read(newest=True):
            record = decode(payload, self._log.folder)
            if isinstance(record, Opening):
                self._next, fits = max(self._next, record.first), record.classes == self.classes
            elif isinstance(record, Predicted):
                self._next = max(self._next, record.next)
        self.damaged = bool(self._log.torn)
        if self._next:
            self._next += _GAP
        if not fits or self._log.full:
            self._begin()

    def _begin(self) -> None:
        self._log.begin(encode(Opening(self._next, self.classes)))
        now = self._clock()
        drop_abandoned(self._log.folder.parent, self.keeping.max_age, now)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._write, name="kept-predictions", daemon=True)
        self._thread.start()

    def _write(self) -> None:
        while not self._stopped.is_set():
            self._some.wait(_LOOK_SECONDS)
            self._stopped.wait(FLUSH_SECONDS)
            self.flush()
