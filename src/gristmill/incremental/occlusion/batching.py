"""Which positions are computed together: those whose footprints have nearly the same sizes.

A batch computes a value in one size for all of its positions. Near the frame's edges footprints are
cut off, and off the strides' grid they are a pixel larger: positions of many kinds in one batch
cost as much each as the largest of them. Small batches cost calls. So batches start as positions
that have all sizes in common, and the two whose union saves most are joined until none saves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LARGEST = 32


def batches(
    heights: NDArray[np.int64],
    widths: NDArray[np.int64],
    pixel: NDArray[np.float64],
    call: float,
    largest: int = LARGEST,
) -> list[list[int]]:
    """Divide positions into batches.

    Args:
        heights: [positions, values], of the footprints; one position at least.
        widths: [positions, values], likewise.
        pixel: [values], cost of a pixel of each.
        call: cost of a batch over and above its pixels.
        largest: positions in a batch.

    Returns:
        Numbers of positions, batch by batch; each number once.
    """
    groups = _Groups(np.stack((heights, widths), 1), pixel, call, largest)
    while groups.join_best():
        pass
    return sorted(sorted(each) for each in groups.members if each)


class _Groups:
    """Positions divided, with what it would save to join any two groups."""

    def __init__(
        self,
        sizes: NDArray[np.int64],
        pixel: NDArray[np.float64],
        call: float,
        largest: int,
    ) -> None:
        self._pixel, self._call, self._largest = pixel, call, largest
        _, kinds = np.unique(sizes.reshape(len(sizes), -1), axis=0, return_inverse=True)
        self.members: list[list[int]] = []
        for kind in range(kinds.max() + 1):
            alike = np.flatnonzero(kinds == kind).tolist()
            self.members += [alike[at : at + largest] for at in range(0, len(alike), largest)]
        self._sizes = np.array([sizes[each[0]] for each in self.members])
        self._counts = np.array([len(each) for each in self.members])
        count = len(self.members)
        self._savings = np.full((count, count), -np.inf)
        for number in range(count):
            self._update(number)

    def join_best(self) -> bool:
        """Join the two groups that save most; return whether any do."""
        one, other = np.unravel_index(int(self._savings.argmax()), self._savings.shape)
        if self._savings[one, other] <= 0:
            return False
        self.members[one] += self.members[other]
        self.members[other] = []
        self._sizes[one] = np.maximum(self._sizes[one], self._sizes[other])
        self._counts[one] += self._counts[other]
        self._counts[other] = 0
        self._savings[other] = self._savings[:, other] = -np.inf
        self._update(int(one))
        return True

    def _update(self, number: int) -> None:
        """Find what it saves to join one group with each other."""
        joint = np.maximum(self._sizes[number], self._sizes)
        counts = self._counts[number] + self._counts
        apart = self._counts * self._cost(self._sizes)
        saved = apart + apart[number] - counts * self._cost(joint) + self._call
        saved[(counts > self._largest) | (self._counts == 0)] = -np.inf
        saved[number] = -np.inf
        self._savings[number] = self._savings[:, number] = saved

    def _cost(self, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of one position, by the sizes of its group: [groups, 2, values]."""
        cost: NDArray[np.float64] = sizes.prod(1) @ self._pixel
        return cost
