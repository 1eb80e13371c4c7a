from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.label import LabelModel, Labels, MajorityVote, Votes
from gristmill.label.explain import Scoring
from gristmill.label.labels import build_labels
from gristmill.label.versions.alignment import Alignment
from gristmill.label.versions.attribution import TOGETHER, Attribution, attribute, tables_of

NAMES = ["a", "b", "c"]


def scored(names: list[str], matrix: Any, seed: int, gold: Any) -> Labels:
    """Labels from random scores."""
    rng = np.random.default_rng(seed)
    votes = Votes.from_matrix(matrix, classes=3, names=names, row_ids=range(len(matrix)))
    prior, table = rng.normal(size=3), rng.normal(size=(len(names), 4, 3))
    total = prior + sum(table[j][votes.matrix[:, j]] for j in range(len(names)))
    powers = np.exp(total)
    probs = powers / powers.sum(axis=1, keepdims=True)
    return build_labels(
        votes, probs, votes.covered, np.array(gold), method="m", model="f",
        scoring=Scoring.of(prior, table),
    )  # fmt: skip


def attributed(before: Labels, after: Labels) -> Attribution:
    aligned = Alignment.of(before, after)
    tables = tables_of(aligned)
    assert tables is not None
    label = tuple(each.table["label"].to_numpy() for each in (before, after))
    gold = tuple(
        np.where((each.table["source"] == "gold").to_numpy(), each.table["label"].to_numpy(), -1)
        for each in (before, after)
    )
    rows = np.arange(len(before))
    return attribute(tables, aligned.votes(rows), (label[0], label[1]), (gold[0], gold[1]))


class World:
    """One row of a version, put together again from parts of either version."""

    def __init__(self, before: Labels, after: Labels, row: int) -> None:
        self.names = list(dict.fromkeys([*before.votes.names, *after.votes.names]))
        self.sides = (before, after)
        self.row = row

    def score(self, votes_of: dict[str, int], weights: int) -> tuple[list[float], bool]:
        """Return scores and whether anybody votes, with each source's votes from one side.

        A source that a side lacks adds nothing there; a source that the side of the weights lacks
        has the weights that it has.
        """
        total = list(self.scoring(weights).log_prior)
        covered = False
        for name in self.names:
            labels = self.sides[votes_of[name]]
            if name not in labels.votes.names:
                continue
            vote = int(labels.votes.matrix[self.row, labels.votes.names.index(name)])
            covered |= vote >= 0
            side = weights if name in self.sides[weights].votes.names else 1 - weights
            place = self.sides[side].votes.names.index(name)
            scores = self.scoring(side).table[place][vote]
            total = [one + other for one, other in zip(total, scores, strict=True)]
        return total, covered

    def scoring(self, side: int) -> Scoring:
        scoring = self.sides[side].scoring
        assert scoring is not None
        return scoring

    def label(self, votes_of: dict[str, int], weights: int, gold: int) -> int:
        row = self.sides[gold].table.row(self.row, named=True)
        if row["source"] == "gold":
            return int(row["label"])
        total, covered = self.score(votes_of, weights)
        return total.index(max(total)) if covered else -1

    def changes(self) -> list[tuple[dict[str, int], int, int]]:
        """Each change alone, as (votes, weights, gold): which side each is from."""
        none = dict.fromkeys(self.names, 0)
        return [*((none | {name: 1}, 0, 0) for name in self.names), (none, 1, 0), (none, 0, 1)]


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_it_is_what_trying_each_change_says(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 4))
    sides = []
    for side in range(2):
        names = data.draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
        line = st.lists(st.integers(-1, 2), min_size=len(names), max_size=len(names))
        matrix = data.draw(st.lists(line, min_size=rows, max_size=rows))
        gold = data.draw(
            st.lists(st.sampled_from([-1, -1, -1, 0, 2]), min_size=rows, max_size=rows)
        )
        sides.append(scored(names, matrix, data.draw(st.integers(0, 9)) + 10 * side, gold))
    before, after = sides
    found = attributed(before, after)
    assert found.exact.all()
    for row in range(rows):
        world = World(before, after, row)
        old, new = (int(each.table["label"][row]) for each in sides)
        if old == new:
            continue
        for change, (votes_of, weights, gold_of) in enumerate(world.changes()):
            put_in = world.label(votes_of, weights, gold_of)
            back = {name: 1 - side for name, side in votes_of.items()}
            taken_out = world.label(back, 1 - weights, 1 - gold_of)
            assert found.sufficient[row, change] == (put_in == new)
            assert found.necessary[row, change] == (taken_out != new)
        cause = found.cause[row]
        rank = 2.0 * found.sufficient[row] + found.necessary[row]
        assert (cause == TOGETHER) == (rank.max() == 0)
        if cause != TOGETHER:
            assert rank[cause] == rank.max()
        moved = [
            np.array(world.score(dict.fromkeys(world.names, side), side)[0]) for side in (0, 1)
        ]
        towards = [np.eye(3)[label] if label >= 0 else np.full(3, 1 / 3) for label in (old, new)]
        expected = (moved[1] - moved[0]) @ (towards[1] - towards[0])
        assert found.log_odds[row].sum() == pytest.approx(expected)


def test_log_odds_are_shapley_values_of_votes_against_weights() -> None:
    before, after = (
        scored(["a", "b"], [line], seed, [-1]) for line, seed in (([0, 1], 1), ([2, 1], 5))
    )
    found = attributed(before, after)
    world = World(before, after, 0)
    towards = np.eye(3)[after.table["label"][0]] - np.eye(3)[before.table["label"][0]]

    def worth(players: tuple[int, ...]) -> float:
        votes_of = {name: int(place in players) for place, name in enumerate(world.names)}
        return float(np.array(world.score(votes_of, int(2 in players))[0]) @ towards)

    for player in range(3):
        others = [each for each in range(3) if each != player]
        value = sum(
            (worth((*group, player)) - worth(group))
            * math.factorial(len(group)) * math.factorial(2 - len(group)) / 6
            for size in range(3)
            for group in itertools.combinations(others, size)
        )  # fmt: skip
        assert found.log_odds[0, player] == pytest.approx(value)


def test_a_majority_vote_adds_up_votes() -> None:
    votes = Votes.from_matrix([[0, 0, 1], [0, 1, -1]], classes=2, names=NAMES)
    later = Votes.from_matrix([[0, 1, 1], [0, 1, 1]], classes=2, names=NAMES)
    before, after = (MajorityVote(2).predict(each) for each in (votes, later))
    found = attributed(before, after)
    assert found.exact.all()
    assert found.cause.tolist() == [1, 2]
    assert found.log_odds[0].tolist() == [0, 2, 0, 0, 0]


def test_a_label_that_scores_do_not_give_is_told() -> None:
    votes = Votes.from_matrix([[0, 1, 1], [1, 1, 0]], classes=2, names=NAMES)
    before = MajorityVote(2).predict(votes)
    swapped = replace(before, table=before.table.with_columns(label=1 - before.table["label"]))
    assert not attributed(before, swapped).exact.any()


def test_no_scores() -> None:
    votes = Votes.from_matrix([[0], [1]], classes=2)
    labels = LabelModel(2).fit(votes).predict(votes)
    bare = replace(labels, scoring=None)
    assert tables_of(Alignment.of(labels, bare)) is None
