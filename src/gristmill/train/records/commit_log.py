"""The commits of a run, kept in a journal."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gristmill.core.errors import TrainError
from gristmill.train.records.commit import Commit
from gristmill.train.records.journal import Journal
from gristmill.train.records.layout import RecordLayout

KEPT = 2
"""Commits of a trial that stay readable: the last, and one to fall back to."""

_FORMAT = 1
_SMALLEST_REWRITE = 4 << 20  # bytes; a smaller journal is not worth rewriting
_GROWTH = 4  # the journal is rewritten when it has this many times its live size


class _Heading(msgspec.Struct, frozen=True, tag="records"):
    format: int


class _LayoutLine(msgspec.Struct, frozen=True, tag="layout"):
    name: str
    layout: RecordLayout


class _Withdrawn(msgspec.Struct, frozen=True, tag="withdrawn"):
    trial: int
    step: int


class _Forgotten(msgspec.Struct, frozen=True, tag="forgotten"):
    trial: int


_Line = _Heading | Commit | _LayoutLine | _Withdrawn | _Forgotten
_decoder = msgspec.json.Decoder(_Line)


class CommitLog:
    """The last two commits of each trial and the layouts they need. Any thread may call it.

    Args:
        path: the journal.

    Attributes:
        notes: what was wrong with the journal when it was opened, a sentence each.

    Raises:
        TrainError: the journal is of another make.
    """

    def __init__(self, path: Path) -> None:
        self.notes: list[str] = []
        self._lock = threading.Lock()
        self._commits: dict[int, list[Commit]] = {}
        self._layouts: dict[str, RecordLayout] = {}
        self._journal = Journal(path)
        self._rewrite_at = _SMALLEST_REWRITE
        try:
            self._replay()
        except TrainError:
            self._journal.close()
            raise

    def commits(self, trial: int) -> tuple[Commit, ...]:
        """Return the commits of a trial that are still readable, oldest first."""
        with self._lock:
            return tuple(self._commits.get(trial, ()))

    @property
    def trials(self) -> tuple[int, ...]:
        """Trials that have a commit, in order."""
        with self._lock:
            return tuple(sorted(self._commits))

    def layout(self, name: str) -> RecordLayout | None:
        """Return the layout of this name; None where there is none."""
        with self._lock:
            return self._layouts.get(name)

    def add(self, commit: Commit, layouts: Mapping[str, RecordLayout]) -> None:
        """Write a commit, and those of `layouts` that are not yet in the journal.

        Raises:
            TrainError: the disk is full or failed; the commits before are intact.
        """
        with self._lock:
            new = [_LayoutLine(*item) for item in layouts.items() if item[0] not in self._layouts]
            self._write(*new, commit)
            if self._journal.nbytes > self._rewrite_at:
                self._rewrite()

    def withdraw(self, commit: Commit) -> None:
        """Write that a commit is damaged and must not be read again."""
        with self._lock:
            self._write(_Withdrawn(commit.trial, commit.step))

    def forget(self, trial: int) -> None:
        """Write that a trial has no commits any more."""
        with self._lock:
            self._write(_Forgotten(trial))

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def _write(self, *lines: _Line) -> None:
        self._journal.append(*map(msgspec.json.encode, lines))
        for line in lines:
            self._apply(line)

    def _apply(self, line: _Line) -> None:
        match line:
            case Commit():
                kept = self._commits.setdefault(line.trial, [])
                kept[:] = [*kept, line][-KEPT:]
            case _LayoutLine():
                self._layouts[line.name] = line.layout
            case _Withdrawn():
                kept = self._commits.get(line.trial, [])
                # A step may have been committed twice, in records cut otherwise: the later goes.
                same = [number for number, each in enumerate(kept) if each.step == line.step]
                for number in same[-1:]:
                    del kept[number]
            case _Forgotten():
                self._commits.pop(line.trial, None)
            case _Heading():
                self._check(line)

    def _check(self, heading: _Heading) -> None:
        if heading.format != _FORMAT:
            raise TrainError(
                f"records of format {heading.format}, expected {_FORMAT}",
                where=str(self._journal.path),
                fix="resume with the version of gristmill that wrote the folder",
            )

    def _replay(self) -> None:
        for body in self._journal.lines:
            try:
                self._apply(_decoder.decode(body))
            except msgspec.MsgspecError as error:
                raise TrainError(
                    f"a line cannot be understood: {error}", where=str(self._journal.path)
                ) from error
        if self._journal.damaged:
            numbers = ", ".join(map(str, self._journal.damaged))
            self.notes.append(f"{self._journal.path}: damaged lines were left out: {numbers}")
        if not self._journal.lines:
            self._write(_Heading(_FORMAT))
        self._journal.lines.clear()

    def _rewrite(self) -> None:
        commits = [commit for kept in self._commits.values() for commit in kept]
        used = {record.layout for commit in commits for record in commit.records}
        self._layouts = {name: self._layouts[name] for name in used & self._layouts.keys()}
        layouts = [_LayoutLine(*item) for item in sorted(self._layouts.items())]
        lines: list[_Line] = [_Heading(_FORMAT), *layouts, *commits]
        self._journal.rewrite(map(msgspec.json.encode, lines))
        self._rewrite_at = max(_SMALLEST_REWRITE, _GROWTH * self._journal.nbytes)
