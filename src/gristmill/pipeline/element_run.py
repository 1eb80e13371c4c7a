"""A step that is called once per element, in one run: what is kept is kept, the rest is called."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import cast

from gristmill.core.errors import GristmillError
from gristmill.core.progress import task
from gristmill.core.quantities import format_count
from gristmill.engine.current import current_engine
from gristmill.engine.inline import Inline
from gristmill.pipeline.element_call import ElementAnswer, ElementCall, sent
from gristmill.pipeline.element_packs import MOST, PACK_BYTES, ElementPacks
from gristmill.pipeline.keys import StepKey
from gristmill.store.artifacts import shared_url
from gristmill.store.codecs import Encoded
from gristmill.store.element_log import ElementLog
from gristmill.store.elements import Element, Elements, elements_among, elements_of
from gristmill.store.gathered import Gathered, Member
from gristmill.store.packs import is_small, write_pack
from gristmill.store.parcels import Parcel, pack_files
from gristmill.store.runs import Artifact, RunLog

_SECONDS_AT_RISK = 0.5
_SHOWN = 3


@dataclass
class Tally:
    """How it went.

    Attributes:
        all: how many elements there are.
        ran: how many were called and gave a result.
        failed: name of an element -> why it has no result.
    """

    all: int = 0
    ran: int = 0
    failed: dict[str, str] = field(default_factory=dict)


class ElementRun:
    """All elements of one step in one run.

    Args:
        log: the record of the project.
        run: the run's id.
        key: the step's key.
    """

    def __init__(self, log: RunLog, run: str, key: StepKey) -> None:
        self.log, self.key, self.step = log, key, key.step
        self.results = ElementLog(log, run, key.step.name)
        self.tally = Tally()

    def go(self, *, force: bool) -> Artifact:
        """Bring every element up to date and return the artifact of all results.

        Results are in the store at once and in the database soon after, whatever ends the run.

        Args:
            force: call every element, though results are kept.

        Raises:
            UsageError: what the elements are to come from has none.
            GristmillError: elements failed: which, and why. The results of the others are kept.
        """
        elements = self._elements()
        keys = [self.key.of_element(element.digest) for element in elements.members]
        self.tally.all = len(keys)
        done = {} if force else self.results.find(dict.fromkeys(keys))
        wanted = dict(zip(keys, elements.members, strict=True))
        missing = {key: element for key, element in wanted.items() if key not in done}
        if missing:
            done |= self._call(missing)
        return self._gather(elements, self._settled(keys, done))

    def _elements(self) -> Elements:
        if self.step.each:
            return elements_of(self.log, self.key.inputs[self.step.each], self.step.rows)
        return elements_among(self.key.settings[self.step.element])

    def _call(self, missing: Mapping[str, Element]) -> dict[str, Member]:
        """Call all that is missing, on the engine of the run or right here."""
        engine = current_engine() or Inline()
        whole = {name: self._parcel(name) for name in self.step.whole}
        settings = {k: each for k, each in self.key.settings.items() if k != self.step.element}
        # Large values go to and from a store that workers reach, not through this process.
        store = shared_url(self.log.project.settings.artifacts)
        call = ElementCall(sent(self.step), self.step.element, settings, whole, store)
        items = (_item(element, store) for element in missing.values())
        with (
            _Writer(self.log, self.results) as writer,
            task(self.step.name, len(missing), "elements") as work,
            closing(engine.attempts(call, items)) as outcomes,
        ):
            first: GristmillError | None = None
            for (key, element), outcome in zip(missing.items(), outcomes, strict=True):
                if outcome.error is None:
                    writer.add(key, outcome.get())
                else:
                    first = first or outcome.error
                    self.tally.failed[element.name] = _reason(outcome.error)
                work.advance()
            self.tally.ran = len(missing) - len(self.tally.failed)
        # The writer has written all by now.
        if first is not None:
            raise self._failure(first)
        return writer.written

    def _parcel(self, name: str) -> Parcel:
        artifact = self.log.artifact(self.key.inputs[name])
        return pack_files(self.log.files(artifact.digest), artifact.codec)

    def _settled(self, keys: list[str], done: Mapping[str, Member]) -> list[Member]:
        """Return where the results are, in order; those that are packed anew are written down."""
        packs = ElementPacks(self.log)
        places = packs.settled([done[key] for key in keys])
        moved = {key: places[done[key]] for key in keys if places[done[key]] != done[key]}
        self.results.record(moved, packs.new)
        return [places[done[key]] for key in keys]

    def _gather(self, elements: Elements, members: list[Member]) -> Artifact:
        with self.log.draft() as folder:
            artifact = self.log.put(folder, Gathered(members, elements.names).save(folder))
        self.log.note(artifact)
        return artifact

    def _failure(self, first: GristmillError) -> GristmillError:
        """Say which elements failed and why, the first ones in full."""
        failed = self.tally.failed
        told = [f"element {name}: {reason}" for name, reason in list(failed.items())[:_SHOWN]]
        more = len(failed) - len(told)
        told += [f"and {format_count(more)} more"] if more else []
        kept = self.tally.all - len(failed)
        return type(first)(
            f"{format_count(len(failed))} of {format_count(self.tally.all)} elements failed; "
            + "; ".join(told),
            fix=first.fix or f"correct the cause and run again: the other {kept} are kept",
        )


class _Writer:
    """Stores results: large ones each by itself, small ones many at a time.

    What waits is never more than half a second of work, so that is all that a kill can cost. At
    the end the rest is written, however that comes.
    """

    def __init__(self, log: RunLog, results: ElementLog) -> None:
        self.log, self.results = log, results
        self.written: dict[str, Member] = {}
        self._small: dict[str, Parcel] = {}
        self._large: dict[str, Artifact] = {}
        self._seconds, self._bytes = 0.0, 0

    def add(self, key: str, answer: ElementAnswer) -> None:
        """Take a result in."""
        parcel = answer.parcel
        if parcel is None:
            self._large[key] = cast("Artifact", answer.artifact)
        elif is_small(parcel):
            self._small[key] = parcel
            self._bytes += parcel.bytes_
        else:
            self._large[key] = self._kept(parcel, answer.encoded)
        self._seconds += answer.seconds
        waiting = len(self._small) + len(self._large)
        if self._seconds > _SECONDS_AT_RISK or self._bytes > PACK_BYTES or waiting >= MOST:
            self.write()

    def write(self) -> None:
        """Write down what waits."""
        members = {
            key: Member(artifact.digest, artifact.codec, artifact.digest)
            for key, artifact in self._large.items()
        }
        holders = list(self._large.values())
        if self._small:
            with self.log.draft() as folder:
                pack = self.log.put(folder, write_pack(list(self._small.values()), folder))
            holders.append(pack)
            for number, (key, parcel) in enumerate(self._small.items()):
                members[key] = Member(parcel.digest, parcel.codec, pack.digest, number)
        self.results.record(members, holders)
        self.written |= members
        self._small, self._large, self._seconds, self._bytes = {}, {}, 0.0, 0

    def _kept(self, parcel: Parcel, encoded: Encoded) -> Artifact:
        with self.log.draft() as folder:
            parcel.lay_out(folder)
            return self.log.put(folder, encoded)

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.write()


def _item(element: Element, store: str) -> Parcel | Member:
    """Return an element as bytes, or as where it is if workers can read it there."""
    member = element.member
    return member if store and member and member.number is None else element.parcel()


def _reason(error: GristmillError) -> str:
    return f"{error.where}: {error.message}" if error.where else error.message
