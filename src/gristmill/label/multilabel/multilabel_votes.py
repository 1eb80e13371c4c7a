"""Votes on any number of labels at once: per label, yes, no or nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias, Union

import msgspec
import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint
from gristmill.label.codes import check_classes, describe_classes
from gristmill.label.vote import ABSTAIN
from gristmill.label.votes import Votes, check_names, check_row_ids, no_silence

if TYPE_CHECKING:
    import polars as pl

STATES = ("no", "yes")
NO, YES = 0, 1

Answer: TypeAlias = Union["Collection[str]", "Mapping[str, bool | None]", None]
"""Names of the labels that a row has; or label -> True, False or None; or None to abstain."""


class _Header(msgspec.Struct, frozen=True):
    labels: list[str]


@dataclass(frozen=True, eq=False)
class MultiLabelVotes:
    """Votes of m sources on l labels of n rows.

    Attributes:
        labels: the l names.
        by_label: label -> votes of all sources with the classes "no" and "yes". All have the same
            row ids and sources.
    """

    labels: tuple[str, ...]
    by_label: Mapping[str, Votes]

    def __len__(self) -> int:
        return len(self[self.labels[0]])

    def __getitem__(self, label: str) -> Votes:
        if label not in self.by_label:
            raise LabelError(f"no label {label!r}; there are {describe_classes(self.labels)}")
        return self.by_label[label]

    def __fingerprint__(self) -> str:
        return fingerprint([self.labels, [self[label] for label in self.labels]])

    def __repr__(self) -> str:
        sources = len(self.names)
        return f"MultiLabelVotes({len(self)} rows, {sources} sources, {len(self.labels)} labels)"

    @property
    def row_ids(self) -> pl.Series:
        """Of the n rows, in the order of the input."""
        return self[self.labels[0]].row_ids

    @property
    def names(self) -> tuple[str, ...]:
        """The m sources."""
        return self[self.labels[0]].names

    @classmethod
    def of(
        cls,
        labels: Sequence[str],
        answers: Mapping[str, Sequence[Answer]],
        *,
        row_ids: Sequence[int] | Sequence[str] | pl.Series | None = None,
        closed: Collection[str] = (),
        fingerprints: Mapping[str, str] | None = None,
    ) -> Self:
        """Make votes of answers: source -> one answer per row.

        Args:
            labels: all names, two or more.
            answers: see `Answer`.
            row_ids: of the n rows; default 0..n-1.
            closed: sources whose lists are complete: they vote "no" on labels that they leave out.
            fingerprints: of the sources.

        Raises:
            LabelError: no sources, numbers of answers differ, or an answer names no label.
        """
        known, names = check_classes(labels), tuple(answers)
        if not names:
            raise LabelError("expected the answers of at least one source, found none")
        check_names(names)
        ids = check_row_ids(row_ids, len(answers[names[0]]))
        # Labels come first, so that each label's matrix is one block.
        cube = np.full((len(known), len(names), len(ids)), ABSTAIN, np.int8)
        codes = {label: code for code, label in enumerate(known)}
        for place, (name, given) in enumerate(answers.items()):
            if len(given) != len(ids):
                raise LabelError(
                    f"expected {len(ids)} answers, found {len(given)}", where=f"source {name!r}"
                )
            _fill(cube[:, place], given, codes, name, ids, closed=name in closed)
        marks = fingerprints or {name: fingerprint(["answers", name]) for name in names}
        return cls(
            known,
            {
                label: Votes(
                    cube[code].T, ids, names, tuple(marks[name] for name in names), STATES,
                    no_silence(),
                )
                for code, label in enumerate(known)
            },
        )  # fmt: skip

    def save(self, folder: Path) -> None:
        """Write `labels.json`, and a folder of votes per label, into an empty folder."""
        (folder / "labels.json").write_bytes(msgspec.json.encode(_Header(list(self.labels))))
        for code, label in enumerate(self.labels):
            (folder / str(code)).mkdir()
            self[label].save(folder / str(code))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            LabelError: the files are not there or do not belong together.
        """
        try:
            header = msgspec.json.decode((folder / "labels.json").read_bytes(), type=_Header)
        except (OSError, msgspec.DecodeError) as error:
            raise LabelError(
                f"these are no stored multi-label votes: {error}", where=str(folder)
            ) from error
        parts = [Votes.load(folder / str(code)) for code in range(len(header.labels))]
        for part in parts:
            same = part.names == parts[0].names and part.row_ids.equals(parts[0].row_ids)
            if part.classes != STATES or not same:
                raise LabelError("the labels' votes are not on the same rows", where=str(folder))
        return cls(check_classes(header.labels), dict(zip(header.labels, parts, strict=True)))


def _fill(
    block: NDArray[np.int8],
    given: Sequence[Answer],
    codes: Mapping[str, int],
    name: str,
    ids: pl.Series,
    *,
    closed: bool,
) -> None:
    """Write a source's answers into int8[l, n]."""
    for row, answer in enumerate(given):
        if answer is None:
            continue
        try:
            said = _said(answer, codes)
        except (TypeError, KeyError, ValueError):
            raise LabelError(
                f"answered {answer!r}; expected a list of labels out of "
                f"{describe_classes(tuple(codes))}, or label -> True or False, or None",
                where=f"source {name!r}, row {ids[row]!r}",
            ) from None
        if closed:
            block[:, row] = NO
        for code, vote in said.items():
            block[code, row] = vote


def _said(answer: object, codes: Mapping[str, int]) -> dict[int, int]:
    if isinstance(answer, Mapping):
        votes = {None: ABSTAIN, True: YES, False: NO}
        if not all(vote is None or isinstance(vote, bool) for vote in answer.values()):
            raise TypeError
        return {codes[label]: votes[vote] for label, vote in answer.items()}
    if isinstance(answer, str) or not isinstance(answer, Collection):
        raise TypeError
    return {codes[label]: YES for label in answer}
