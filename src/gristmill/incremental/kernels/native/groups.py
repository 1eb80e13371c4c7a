"""Pixels of several positions that a block's kernel computes together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.incremental.kernels.native.structures import LONG

FEW, PARTS = 96, 4
"""Pixels that suffice for a group, where fewer than PARTS groups would be left for threads to
share."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Some positions each, one after the other.

    Args:
        spans: `LONG` [groups, 6], without gaps: of each, the first row that is read and the one
            after the last, which make all the patches that the group reads; likewise of the pixels
            that are computed; and of the numbers below.
        order: int32 [pixels]: of each group's pixels, counted from its first one, the order in
            which their channels are mixed.
        around: int32 [..]: numbers of the map's pixels that the group's windows read.
    """

    spans: NDArray[np.int64]
    order: Tensor
    around: Tensor

    @classmethod
    def of(
        cls,
        spans: NDArray[np.int64],
        rows: NDArray[np.int64],
        columns: NDArray[np.int64],
        numbers: NDArray[np.int32],
        count: int,
    ) -> Groups:
        """Groups whose pixels of one place of the map follow each other.

        These are much alike: channels that are zero in one mostly are in the others.

        Args:
            spans: the first four columns of what is above.
            rows: of the map, int64 [pixels].
            columns: likewise.
            numbers: of what each pixel's window reads, int32 [pixels, taps].
            count: numbers below it are of the map's pixels.
        """
        group = np.repeat(np.arange(len(spans)), spans[:, 3] - spans[:, 2])
        order = np.lexsort((columns, rows, group)) - spans[group, 2]
        # All groups in one go: one by one, they took a tenth of the time to plan.
        around = np.unique((group[:, None] * count + numbers)[numbers < count])
        ends = np.searchsorted(around, np.arange(len(spans) + 1) * count)
        return cls(
            np.column_stack([spans, ends[:-1], ends[1:]]).astype(LONG, order="C"),
            torch.from_numpy(order.astype(np.int32)),
            torch.from_numpy((around % count).astype(np.int32)),
        )

    @cached_property
    def pixels(self) -> int:
        """Of all groups."""
        return int(self.spans[:, 3].max(initial=0))

    @cached_property
    def most(self) -> tuple[int, int]:
        """Rows that the largest group reads, and pixels of the largest one."""
        sizes = self.spans[:, 1:4:2] - self.spans[:, :4:2]
        read, given = sizes.max(axis=0, initial=0).tolist()
        return read, given


def grouped(reads: NDArray[np.int64], gives: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Spans of groups, [groups, 4], of positions whose rows follow one another.

    Args:
        reads: of each position, its first row and the one after the last, [positions, 2].
        gives: of each position, likewise of the results' pixels, [positions, 2].
        most: rows of a group of several positions.
    """
    most = min(most, max(FEW, int(reads.max(initial=0)) // PARTS))
    found: list[list[int]] = []
    for read, end_read, give, end_give in np.hstack([reads, gives]).tolist():
        if give == end_give:
            continue
        last = found[-1] if found else None
        if last and last[1] == read and last[3] == give and end_read - last[0] <= most:
            last[1], last[3] = end_read, end_give
        else:
            found.append([read, end_read, give, end_give])
    return np.array(found, np.int64).reshape(-1, 4)
