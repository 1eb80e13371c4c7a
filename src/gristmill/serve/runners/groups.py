"""A batch of rows of different lengths, laid out token after token, rows of one length together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Group(NamedTuple):
    """Rows of one length that lie one after the other.

    Attributes:
        rows: how many.
        length: of each.
        at_row: the first one's place among the rows.
        at_token: the first one's place among the tokens.
    """

    rows: int
    length: int
    at_row: int
    at_token: int


class Groups:
    """How rows that are sorted by length fall into groups.

    Args:
        lengths: int64[n], rising, each at least 1.
    """

    def __init__(self, lengths: NDArray[np.int64]) -> None:
        sizes, starts, counts = np.unique(lengths, return_index=True, return_counts=True)
        tokens = np.concatenate([[0], np.cumsum(sizes * counts)])
        self.tokens = int(tokens[-1])
        self.rows = len(lengths)
        self._lengths = lengths
        found = (counts.tolist(), sizes.tolist(), starts.tolist(), tokens[:-1].tolist())
        self.parts = [Group(*each) for each in zip(*found, strict=True)]
        self._owners: Tensor | None = None

    @property
    def owners(self) -> Tensor:
        """int64[tokens]: the row that each token belongs to."""
        if self._owners is None:
            self._owners = torch.from_numpy(np.repeat(np.arange(self.rows), self._lengths))
        return self._owners


def of_tokens(tokens: Tensor, groups: Groups, order: tuple[int, ...] | None) -> list[Tensor]:
    """Cut [tokens, ...] into groups [rows, length, ...], their axes put in `order`; no copies."""
    inner = tokens.shape[1:]
    parts = [
        tokens[part.at_token : part.at_token + part.rows * part.length].view(
            part.rows, part.length, *inner
        )
        for part in groups.parts
    ]
    return parts if order is None else [part.permute(order) for part in parts]


def of_rows(rows: Tensor, groups: Groups, order: tuple[int, ...] | None) -> list[Tensor]:
    """Cut [rows, ...] into groups, their axes put in `order`; no copies."""
    parts = [rows[part.at_row : part.at_row + part.rows] for part in groups.parts]
    return parts if order is None else [part.permute(order) for part in parts]


def to_tokens(parts: Sequence[Tensor], order: tuple[int, ...] | None) -> Tensor:
    """Join groups, their axes put in `order`, which begins with rows and length: [tokens, ...]."""
    flat = [(part if order is None else part.permute(order)).flatten(0, 1) for part in parts]
    return flat[0] if len(flat) == 1 else torch.cat(flat)


def to_rows(parts: Sequence[Tensor], order: tuple[int, ...] | None) -> Tensor:
    """Join groups, their axes put in `order`, which begins with rows: [rows, ...]."""
    moved = [part if order is None else part.permute(order) for part in parts]
    return moved[0] if len(moved) == 1 else torch.cat(moved)
