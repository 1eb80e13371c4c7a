"""Weights that pass through memory in groups, round and round, the next ones read meanwhile."""

from __future__ import annotations

import selectors
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import xxhash
from torch import Tensor

from gristmill.core.closing import Closing
from gristmill.core.errors import BundleError
from gristmill.store.tensor_file import TensorFile
from gristmill.train.records.key import Key
from gristmill.train.records.pager import Pager
from gristmill.train.records.pool import Pool
from gristmill.train.records.tensor_records import SECTION, TensorRecords

_AHEAD = 2
"""Groups behind the one in use whose reading is asked for: one may be read while another comes."""


class WeightStream(Closing):
    """Lends the tensors of one group at a time; they lie in a pool of a fixed size.

    Groups are expected in order, the first again after the last. What is needed last goes first, so
    a pool that holds all but one group reads little more than that one in each round. One caller at
    a time; which thread it is does not matter.

    Args:
        file: the tensors, read from beginning to end now, to check them; closed with the stream.
        groups: names of the tensors of each group.
        memory: bytes of the pool: those of the largest group at least.

    Attributes:
        rounds: how often the first group was lent.

    Raises:
        BundleError: the file is not what it must be.
        TrainError: a group is larger than the memory.
        UsageError: so much memory is not there.
    """

    def __init__(self, file: TensorFile, groups: Sequence[Sequence[str]], memory: int) -> None:
        self.rounds = 0
        self._at = 0
        with ExitStack() as opened:
            opened.push(file)
            records = TensorRecords(file, groups, file.check(xxhash.xxh3_128))
            self._layouts = records.record_layouts
            self._pool = opened.enter_context(Pool.create(memory))
            self._pager = opened.enter_context(Pager(self._pool, records, verify=True))
            self._pager.next_use = self._away
            self._selector = opened.enter_context(selectors.DefaultSelector())
            self._selector.register(self._pager, selectors.EVENT_READ)
            for at, layout in enumerate(self._layouts):
                if layout.nbytes:
                    self._pager.add(_key(at), layout.nbytes)
            self._opened = opened.pop_all()

    @contextmanager
    def group(self, at: int) -> Iterator[dict[str, Tensor]]:
        """Lend the tensors of a group for the length of the block, by name; not to be written to.

        Raises:
            BundleError: the file has changed since it was opened, or cannot be read.
        """
        self.rounds += at == 0
        self._at = at
        layout = self._layouts[at]
        if not layout.nbytes:
            yield layout.views(self._pool.tensor[:0])
            return
        offset = self._pinned(at)
        self._ask_ahead(at)
        try:
            yield layout.views(self._pool.tensor[offset : offset + layout.nbytes])
        finally:
            self._at = at + 1
            self._pager.unpin(_key(at), 0, dirty=False)

    @property
    def bytes_read(self) -> int:
        """Bytes that were read for groups so far."""
        return self._pager.traffic.read.bytes_

    @property
    def seconds_waited(self) -> float:
        """Seconds that callers waited for groups so far."""
        return self._pager.traffic.stall_seconds

    def close(self) -> None:
        """End the threads, and let memory and file go."""
        self._opened.close()

    def _pinned(self, at: int) -> int:
        while (offset := self._pager.pin(_key(at), 0)) is None:
            self._selector.select()
            for event in self._pager.poll():
                if event.error is not None:
                    fault = event.error
                    raise BundleError(fault.message, where=fault.where, fix=fault.fix) from fault
        return offset

    def _ask_ahead(self, at: int) -> None:
        count = len(self._layouts)
        following = dict.fromkeys((at + more) % count for more in range(1, _AHEAD + 1))
        for ahead in following:
            if ahead != at and self._layouts[ahead].nbytes:
                self._pager.want(_key(ahead), 0)

    def _away(self, key: Key) -> float:
        """Return how many groups come before this one."""
        return (key[1] - self._at) % len(self._layouts)


def _key(at: int) -> Key:
    return (0, at, SECTION)
