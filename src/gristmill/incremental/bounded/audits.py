"""What all audits of a stream found."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from gristmill.incremental.bounded.audit import Audit

_KEPT = 1000


class Audits:
    """The audits of one stream; iterates over the last thousand, oldest first.

    They are a sample of the stream's frames: what lies between two of them was not measured.
    """

    def __init__(self) -> None:
        self._kept: deque[Audit] = deque(maxlen=_KEPT)
        self._count = 0
        self._sum = 0.0
        self._worst = 0.0
        self._judged = 0
        self._agreed = 0

    def add(self, audit: Audit) -> None:
        """Take in an audit."""
        self._kept.append(audit)
        self._count += 1
        self._sum += audit.error
        self._worst = max(self._worst, audit.error)
        self._judged += audit.agreed is not None
        self._agreed += audit.agreed is True

    @property
    def last(self) -> Audit | None:
        """The latest; None before any."""
        return self._kept[-1] if self._kept else None

    @property
    def worst(self) -> float:
        """The largest relative error of all; 0 before any."""
        return self._worst

    @property
    def mean(self) -> float:
        """The mean relative error of all; 0 before any."""
        return self._sum / self._count if self._count else 0.0

    @property
    def agreement(self) -> float | None:
        """Share of audits in which the largest class was the same; None where none could tell."""
        return self._agreed / self._judged if self._judged else None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Audit]:
        return iter(self._kept)
