"""What a label model has seen: votes and gold, in parts that can be joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gristmill.core.errors import LabelError
from gristmill.engine.inline import Inline
from gristmill.engine.merge_tree import map_merge
from gristmill.label.gold import Gold, GoldInParts, read_gold, read_gold_in_parts
from gristmill.label.models.additive import GoldPart
from gristmill.label.models.gold_update import GoldVotes
from gristmill.label.models.sample import VoteSample
from gristmill.label.vote_parts import VoteParts
from gristmill.label.votes import Votes

if TYPE_CHECKING:
    from gristmill.engine.protocol import Engine


@dataclass(frozen=True)
class Seen:
    """Votes and gold.

    Attributes:
        names, fingerprints: of the sources.
        sample: what is remembered of the votes.
        gold: the votes on the rows with gold, in the order of `gold_ids`.
        gold_ids: row ids of those rows.
        parts: the gold of each part, by position.
    """

    names: tuple[str, ...]
    fingerprints: tuple[str, ...]
    sample: VoteSample
    gold: GoldVotes
    gold_ids: tuple[int | str, ...]
    parts: tuple[GoldPart, ...]

    @staticmethod
    def of(votes: Votes, gold: Gold | None) -> Seen:
        """See votes, and gold for rows among them.

        Raises:
            LabelError: gold does not fit the votes.
        """
        told = read_gold(gold, votes)
        rows = np.flatnonzero(told.codes >= 0)
        on_gold = GoldVotes(votes.matrix[rows], told.codes[rows], told.weights[rows])
        ids = tuple(votes.row_ids.gather(rows).to_list())
        part = GoldPart.of(votes, told.codes)
        return Seen(
            votes.names, votes.fingerprints, VoteSample.of(votes), on_gold, ids, (part,)
        ).ordered()

    @staticmethod
    def of_parts(parts: VoteParts, gold: Gold | None, engine: Engine | None) -> Seen:
        """See the votes of all parts, and gold for rows among them.

        What is remembered of each part is worked out and merged by the engine's workers, in a tree,
        and is what all votes at once would have left. Here are only votes on rows with gold.

        Raises:
            LabelError: there are no parts, or gold does not fit the votes.
        """
        here = engine or Inline()
        sample = map_merge(here, VoteSample.of_part, VoteSample.merge, parts)
        if sample is None:
            raise LabelError("expected votes on at least one row, found none")
        found = read_gold_in_parts(gold, parts)
        codes, rows = found.gold.codes, np.flatnonzero(found.gold.codes >= 0)
        on_gold = GoldVotes(found.votes.matrix[rows], codes[rows], found.gold.weights[rows])
        ids = tuple(found.votes.row_ids.gather(rows).to_list())
        names, marks = parts.names, parts.fingerprints
        return Seen(names, marks, sample, on_gold, ids, _by_part(found)).ordered()

    def join(self, other: Seen) -> Seen:
        """Return what both have seen.

        Raises:
            LabelError: the other's sources are not the same, in the same order.
        """
        if other.names != self.names:
            raise LabelError(
                f"expected votes of the sources {', '.join(self.names)}, "
                f"found {', '.join(other.names)}",
                fix="apply the same labelling functions to every part",
            )
        gold = GoldVotes(
            np.concatenate([self.gold.votes, other.gold.votes]),
            np.concatenate([self.gold.codes, other.gold.codes]),
            np.concatenate([self.gold.weights, other.gold.weights]),
        )
        return Seen(
            self.names,
            other.fingerprints,
            self.sample.merge(other.sample),
            gold,
            self.gold_ids + other.gold_ids,
            self.parts + other.parts,
        ).ordered()

    def ordered(self) -> Seen:
        """Return the same with gold rows in the order of their ids, so that parts may come in any
        order.
        """
        order = sorted(range(len(self.gold_ids)), key=lambda row: str(self.gold_ids[row]))
        chosen = np.array(order, np.int64)
        ids = tuple(self.gold_ids[row] for row in order)
        parts = tuple(sorted(self.parts, key=lambda part: (part.votes, part.rows)))
        return Seen(self.names, self.fingerprints, self.sample, self.gold[chosen], ids, parts)


def _by_part(found: GoldInParts) -> tuple[GoldPart, ...]:
    """Return the gold of each part that has some; of none, as of all votes without gold."""
    parts, start = list[GoldPart](), 0
    for mark, rows in found.places:
        codes = found.gold.codes[start : start + len(rows)]
        start += len(rows)
        if (told := codes >= 0).any():
            parts.append(GoldPart(mark, tuple(rows[told].tolist()), tuple(codes[told].tolist())))
    return tuple(parts) or (GoldPart("", (), ()),)
