"""Policies: which transformation functions make each copy of a row, in which order.

A policy answers with sequences of function numbers. Chance enters as uniform numbers that the
caller draws from the row's id, so a row's sequences do not depend on the other rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import LabelError

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]


class Policy(Protocol):
    """What every policy can do."""

    def length(self, functions: int) -> int:
        """Return how many functions are applied to one copy, one after the other."""

    def copies(self, functions: int, n_per_original: int) -> int:
        """Return how many copies are made of a row."""

    def sequences(self, functions: int, chances: Floats) -> Ints:
        """Return the function numbers of each copy, int64[rows, copies, length].

        Args:
            functions: how many there are.
            chances: float64[rows, copies, length], uniform in [0, 1).

        Raises:
            LabelError: the policy does not fit the number of functions.
        """


@dataclass(frozen=True, slots=True)
class ApplyAll:
    """Every function, in the order given, on each copy."""

    def length(self, functions: int) -> int:
        """Return the number of functions."""
        return functions

    def copies(self, functions: int, n_per_original: int) -> int:
        """Return `n_per_original`; the copies differ where functions draw."""
        return n_per_original

    def sequences(self, functions: int, chances: Floats) -> Ints:
        """Return 0..functions-1 for each copy."""
        return np.broadcast_to(np.arange(functions), chances.shape).copy()


@dataclass(frozen=True, slots=True)
class ApplyEach:
    """One copy for each function, `n_per_original` times over."""

    def length(self, functions: int) -> int:
        """Return 1."""
        return 1

    def copies(self, functions: int, n_per_original: int) -> int:
        """Return the number of functions times `n_per_original`."""
        return functions * n_per_original

    def sequences(self, functions: int, chances: Floats) -> Ints:
        """Return the functions in turn."""
        numbers = np.arange(chances.shape[1]) % functions
        return np.broadcast_to(numbers[:, None], chances.shape).copy()


@dataclass(frozen=True, slots=True)
class Random:
    """Functions drawn at random, with replacement, all alike.

    Attributes:
        sequence_length: how many are applied to a copy, at least 1.
    """

    sequence_length: int = 1

    def __post_init__(self) -> None:
        _check_length(self.sequence_length)

    def length(self, functions: int) -> int:
        """Return `sequence_length`."""
        return self.sequence_length

    def copies(self, functions: int, n_per_original: int) -> int:
        """Return `n_per_original`."""
        return n_per_original

    def sequences(self, functions: int, chances: Floats) -> Ints:
        """Return functions drawn with equal probability."""
        return np.asarray(chances * functions, np.int64)


@dataclass(frozen=True, slots=True)
class ApplyOne(Random):
    """One function drawn at random for each copy."""

    def __post_init__(self) -> None:
        if self.sequence_length != 1:
            raise LabelError(f"ApplyOne applies 1 function, found {self.sequence_length}")


@dataclass(frozen=True, slots=True)
class MeanField:
    """Functions drawn with given probabilities, with replacement, one draw after the other.

    The mean-field model of Ratner et al. 2017 ("Learning to Compose Domain-Specific
    Transformations for Data Augmentation", section 3.2), its probabilities given, not learned.

    Attributes:
        probabilities: of the functions, in their order; they sum to 1.
        sequence_length: how many are applied to a copy, at least 1.
    """

    probabilities: tuple[float, ...]
    sequence_length: int = 1

    def __post_init__(self) -> None:
        _check_length(self.sequence_length)
        fine = all(each >= 0 for each in self.probabilities)
        if not fine or abs(sum(self.probabilities) - 1) > 1e-6:
            raise LabelError(
                f"expected probabilities of 0 or more that sum to 1, found {self.probabilities!r}"
            )

    def length(self, functions: int) -> int:
        """Return `sequence_length`."""
        return self.sequence_length

    def copies(self, functions: int, n_per_original: int) -> int:
        """Return `n_per_original`."""
        return n_per_original

    def sequences(self, functions: int, chances: Floats) -> Ints:
        """Return functions drawn with the probabilities.

        Raises:
            LabelError: there is not one probability for each function.
        """
        if len(self.probabilities) != functions:
            raise LabelError(
                f"expected {functions} probabilities, one a function, "
                f"found {len(self.probabilities)}"
            )
        # The last edge is infinite, so that rounding leaves no gap below 1 for a number to fall in.
        possible = np.flatnonzero(self.probabilities)
        edges = np.cumsum(self.probabilities)[possible]
        edges[-1] = np.inf
        return possible[np.searchsorted(edges, chances, side="right")]


def _check_length(length: int) -> None:
    if length < 1:
        raise LabelError(f"sequence_length must be at least 1, found {length}")
