"""Small results of a step with `each`, packed anew: which go together depends on them alone.

While calls go on, results are packed as they come, so that a kill costs little. In the end they
are put where they would always be, whatever the machine was busy with: equal results are then
equal artifacts, and what takes them is up to date. Where packs begin is told by the results'
digests, so one that is new makes one pack new, not all that come after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gristmill.store.gathered import Member, Members
from gristmill.store.packs import Pack, write_pack
from gristmill.store.runs import Artifact, RunLog

PACK_BYTES = 1 << 23
"""A pack that has so many is full."""
MOST = 1000
"""The most results in a pack."""
_LAST_OF_ONE_IN = 256
"""How many results a pack has on average, if nothing else ends it."""


class ElementPacks:
    """Puts small results into packs.

    Args:
        log: the record of the project.

    Attributes:
        new: the packs that were made.
    """

    def __init__(self, log: RunLog) -> None:
        self.new: list[Artifact] = []
        self._log, self._reader = log, Members(log.files)
        self._index: tuple[str, Pack] | None = None

    def settled(self, members: Sequence[Member]) -> dict[Member, Member]:
        """Return for each member where it is from now on; large ones stay where they are.

        Raises:
            StoreError: an artifact is gone or damaged, or one cannot be written.
        """
        places = {member: member for member in members}
        small = {each.digest: each for each in places if each.number is not None}
        settled: dict[str, Member] = {}
        for together in self._packs(small.values()):
            settled |= {each.digest: each for each in self._packed(together)}
        return {each: settled.get(each.digest, each) for each in places}

    def _packs(self, members: Iterable[Member]) -> Iterator[list[Member]]:
        """Yield those that go together."""
        together: list[Member] = []
        bytes_ = 0
        for member in members:
            together.append(member)
            bytes_ += self._opened(member.artifact).bytes_(member.number or 0)
            ends = int(member.digest[-8:], 16) % _LAST_OF_ONE_IN == 0
            if ends or bytes_ >= PACK_BYTES or len(together) == MOST:
                yield together
                together, bytes_ = [], 0
        if together:
            yield together

    def _packed(self, together: Sequence[Member]) -> Iterable[Member]:
        if self._is_whole_pack(together):
            return together
        with self._log.draft() as folder:
            pack = self._log.put(folder, write_pack(map(self._reader.parcel, together), folder))
        self.new.append(pack)
        return [
            Member(each.digest, each.codec, pack.digest, number)
            for number, each in enumerate(together)
        ]

    def _is_whole_pack(self, together: Sequence[Member]) -> bool:
        artifact = together[0].artifact
        return len(self._opened(artifact)) == len(together) and all(
            each.artifact == artifact and each.number == number
            for number, each in enumerate(together)
        )

    def _opened(self, artifact: str) -> Pack:
        """Open a pack whose index is asked; what it holds is checked where it is read."""
        if self._index is None or self._index[0] != artifact:
            self._index = artifact, Pack(self._log.project.artifacts.get(artifact))
        return self._index[1]
