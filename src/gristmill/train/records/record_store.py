"""The folder of a run: the files of its records, and the journal of its commits."""

from __future__ import annotations

import mmap
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from gristmill.core.atomic import sync_path
from gristmill.core.closing import Closing
from gristmill.core.errors import TrainError, UsageError
from gristmill.core.fingerprint import fingerprint_bytes
from gristmill.train.records.block_file import CHUNK_BYTES, BlockFile, allows_direct
from gristmill.train.records.commit import Commit, StoredRecord
from gristmill.train.records.commit_log import CommitLog
from gristmill.train.records.folder_lock import hold_folder
from gristmill.train.records.key import Key, checked_key, describe_key, whole_blocks
from gristmill.train.records.layout import RecordLayout
from gristmill.train.records.record_file import RecordFile, Slot


class RecordStore(Closing):
    """Records of a run on disk, and its commits.

        folder/journal                           a line per commit
        folder/lock                              who uses the folder
        folder/records/00003/0007-state-40960    trial 3, shard 7: slots of 40,960 bytes

    All methods belong to one thread; only `log` may be used from others.

    Args:
        folder: made when it does not exist; one run at a time.
        direct: go past the page cache; None finds out whether the file system allows it.

    Attributes:
        folder: the folder.
        direct: whether files are read and written past the page cache.
        log: the commits.
        notes: what was wrong with the journal when it was opened, a sentence each.

    Raises:
        TrainError: another run uses the folder, or the journal is of another make.
    """

    def __init__(self, folder: Path | str, *, direct: bool | None = None) -> None:
        self.folder = Path(folder)
        self._records = self.folder / "records"
        self._records.mkdir(parents=True, exist_ok=True)
        self._lock = hold_folder(self.folder)
        self._closed = False
        self.direct = allows_direct(self._records) if direct is None else direct
        try:
            self.log = CommitLog(self.folder / "journal")
        except TrainError:
            self._lock.close()
            raise
        self.notes = self.log.notes
        self._files: dict[tuple[Key, int], RecordFile] = {}
        self._retained: dict[int, tuple[Commit, ...]] = {}
        self._layouts: dict[Key, tuple[str, RecordLayout]] = {}
        for trial in self.log.trials:
            self._retain(trial)
        self._sweep()

    # -- files

    def file(self, key: Key, nbytes: int) -> RecordFile:
        """Return the file of a record of `nbytes` bytes; it is made on disk by the first write.

        A record that is cut anew, at another size, has another file: commits of the old size stay.
        """
        nbytes = whole_blocks(nbytes)
        found = self._files.get((key, nbytes))
        if found is None:
            found = RecordFile(self._path(key, nbytes), nbytes, direct=self.direct)
            self._files[key, nbytes] = found
        return found

    def discard(self, key: Key, nbytes: int) -> None:
        """Delete the file of a record unless a commit, or somebody, still needs it."""
        nbytes = whole_blocks(nbytes)
        file = self._files.get((key, nbytes))
        if file is not None and not (file.kept or file.users or file.busy):
            file.blocks.path.unlink(missing_ok=True)
            del self._files[key, nbytes]

    def set_layout(self, key: Key, layout: RecordLayout) -> None:
        """Say where the tensors of a record lie; it is kept with the commits from now on."""
        name = fingerprint_bytes(msgspec.json.encode(layout))
        self._layouts[key] = (name, layout)

    def layout(self, record: StoredRecord) -> RecordLayout:
        """Return the layout that a committed record had.

        Raises:
            TrainError: none was set, or its line in the journal was damaged.
        """
        found = self.log.layout(record.layout)
        if found is None:
            raise TrainError(
                f"the layout of shard {record.shard}, {record.section} is not in the journal",
                where=str(self.folder),
            )
        return found

    # -- commits

    def commit(self, trial: int, step: int, extra: dict[str, Any]) -> Commit:
        """Commit what was written last of each record of a trial that is in use.

        On return the commit is on disk: from now on `last` returns it, whatever dies.

        Raises:
            TrainError: a record was never written, or the journal cannot be written.
        """
        records = [
            self.stored(key, nbytes)
            for (key, nbytes), file in sorted(self._files.items())
            if key[0] == trial and file.users
        ]
        for (key, _), file in self._files.items():
            if key[0] == trial:
                file.blocks.sync()
        return self.add_commit(self.draft(trial, step, extra, records))

    def logging(self, commit: Commit, files: Iterable[BlockFile]) -> Callable[[], None]:
        """Return what writes a commit to the journal, in any thread, once its records are durable.

        That raises TrainError if the disk is full or failed.
        """
        layouts = self.layouts(commit)  # now: another thread may not look at them

        def log() -> None:
            for file in files:
                file.sync()
            self.log.add(commit, layouts)

        return log

    def add_commit(self, commit: Commit) -> Commit:
        """Write a commit whose records are durable; return it.

        Raises:
            TrainError: the journal cannot be written.
        """
        self.log.add(commit, self.layouts(commit))
        self.settle(commit.trial)
        return commit

    def stored(self, key: Key, nbytes: int) -> StoredRecord:
        """Return what was written last of a record, as a commit names it.

        Raises:
            TrainError: it was never written, or without a digest.
        """
        latest = self.file(key, nbytes).latest
        if latest is None or not latest.digest:
            raise TrainError(
                f"{describe_key(key)} is not on disk, so the step cannot be committed",
                where=str(self.folder),
                fix="flush the records of a trial and wait for them before the commit",
            )
        return self.named(key, nbytes, latest)

    def named(self, key: Key, nbytes: int, slot: Slot) -> StoredRecord:
        """Return a slot of a record as a commit names it."""
        layout = self._layouts.get(key)
        return StoredRecord(
            shard=key[1],
            section=key[2],
            version=slot.version,
            nbytes=whole_blocks(nbytes),
            slot=slot.number,
            digest=slot.digest,
            layout=layout[0] if layout else "",
        )

    def draft(
        self, trial: int, step: int, extra: dict[str, Any], records: Iterable[StoredRecord]
    ) -> Commit:
        """Return a commit that is not yet written.

        Raises:
            UsageError: `extra` holds something that JSON does not.
        """
        try:
            plain = msgspec.json.decode(msgspec.json.encode(extra), type=dict[str, Any])
        except (TypeError, msgspec.MsgspecError) as error:
            raise UsageError(f"a commit keeps plain values only: {error}") from error
        return Commit(trial, step, plain, tuple(records))

    def layouts(self, commit: Commit) -> Mapping[str, RecordLayout]:
        """Return the layouts that a commit names, by name."""
        return dict(self._layouts[key] for key in commit.versions if key in self._layouts)

    def settle(self, trial: int) -> None:
        """Protect what the last two commits of a trial need, and let go what the third last did."""
        self._retain(trial)

    def last(self, trial: int, *, verify: bool = True) -> Commit | None:
        """Return the last commit of a trial whose records are all whole; None before the first.

        A damaged commit is withdrawn, and the `note` of the one before says why. Reads of the
        records now get the versions of the commit.

        Args:
            trial: number of the trial.
            verify: read all records and compare their digests.

        Raises:
            TrainError: there are commits, and all are damaged.
            UsageError: a pager has records of the trial.
        """
        faults: list[str] = []
        for commit in reversed(self.commits(trial)):
            fault = self._fault(commit) if verify else ""
            if not fault:
                self._point_at(commit)
                return msgspec.structs.replace(commit, note="; ".join(faults))
            faults.append(f"step {commit.step} is damaged ({fault})")
            if len(self.commits(trial)) > 1:
                self.log.withdraw(commit)
                self._retain(trial)
        if not faults:
            return None
        raise TrainError(
            f"no commit of trial {trial} can be used: {'; '.join(faults)}",
            where=str(self.folder),
            fix="start this trial again in a new folder",
        )

    @property
    def trials(self) -> tuple[int, ...]:
        """Trials that have a commit, in order."""
        return self.log.trials

    def commits(self, trial: int) -> tuple[Commit, ...]:
        """Return the commits of a trial that can be read, oldest first, at most two."""
        return self._retained.get(trial, ())

    def read(self, trial: int, record: StoredRecord, view: memoryview) -> None:
        """Read a committed record into `view`, uint8[record.nbytes], aligned to 4096 bytes.

        Raises:
            TrainError: it cannot be read, or its digest differs.
        """
        file = self.file((trial, record.shard, record.section), record.nbytes)
        file.blocks.read(record.slot, view, digest=record.digest)

    def forget(self, trial: int) -> None:
        """Delete all that is kept of a trial.

        Raises:
            UsageError: its records are in use.
        """
        mine = [name for name in self._files if name[0][0] == trial]
        if any(self._files[name].users for name in mine):
            raise UsageError(f"trial {trial} is still in use and cannot be forgotten")
        self.log.forget(trial)
        self._retained.pop(trial, None)
        for name in mine:
            del self._files[name]
        shutil.rmtree(self._folder(trial), ignore_errors=True)

    def close(self) -> None:
        """Close the journal and let the folder go; closing twice is closing once."""
        if not self._closed:
            self._closed = True
            self.log.close()
            self._lock.close()

    # -- inside

    def _folder(self, trial: int) -> Path:
        return self._records / f"{trial:05d}"

    def _path(self, key: Key, nbytes: int) -> Path:
        trial, shard, section = checked_key(key)
        folder = self._folder(trial)
        if not folder.exists():
            folder.mkdir()
            sync_path(self._records)
        return folder / f"{shard:04d}-{section}-{nbytes}"

    def _of(self, commit: Commit) -> Iterable[tuple[StoredRecord, RecordFile]]:
        for record in commit.records:
            yield record, self.file((commit.trial, record.shard, record.section), record.nbytes)

    def _retain(self, trial: int) -> None:
        """Protect what the log's commits of a trial need, and nothing else of it."""
        before = self._retained.get(trial, ())
        now = self.log.commits(trial)
        for commit in now:
            for record, file in self._of(commit) if commit not in before else ():
                file.keep(record.slot)
        self._retained[trial] = now
        for commit in before:
            for record, file in self._of(commit) if commit not in now else ():
                file.let_go(record.slot)
                self.discard((trial, record.shard, record.section), record.nbytes)

    def _fault(self, commit: Commit) -> str:
        with mmap.mmap(-1, CHUNK_BYTES) as area, memoryview(area) as scratch:
            for record, file in self._of(commit):
                try:
                    found = file.blocks.digest(record.slot, scratch)
                except TrainError as error:
                    return str(error)
                if found != record.digest:
                    return (
                        f"{file.blocks.path}: slot {record.slot}: expected digest "
                        f"{record.digest}, found {found}"
                    )
        return ""

    def _point_at(self, commit: Commit) -> None:
        pairs = list(self._of(commit))
        if any(file.users for _, file in pairs):
            raise UsageError(
                f"records of trial {commit.trial} are in use: drop them before going back to step "
                f"{commit.step}"
            )
        for record, file in pairs:
            file.latest = Slot(record.slot, record.version, record.digest)

    def _sweep(self) -> None:
        """Delete files that no commit needs: scratch, and what a dead run had not yet committed."""
        wanted = {file.blocks.path for file in self._files.values()}
        for path in self._records.glob("*/*"):
            if path not in wanted:
                path.unlink()
