from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gristmill.label.analysis.log_odds import over_represented
from gristmill.label.analysis.trait_choice import Choice
from gristmill.label.analysis.traits import Holders, Trait


def holders_of(cells: np.ndarray, kind: str = "word") -> Holders:
    traits = tuple(Trait(kind, "text", f"w{at}") for at in range(cells.shape[1]))  # type: ignore[arg-type]
    trait, row = np.nonzero(cells.T)
    return Holders(traits, trait, row, len(cells))


@settings(deadline=None)
@given(hnp.arrays(bool, st.tuples(st.integers(2, 40), st.integers(1, 5))), st.data())
def test_picks_equal_those_of_trying_each_in_turn(cells: np.ndarray, data: st.DataObject) -> None:
    rows, traits = cells.shape
    target = data.draw(hnp.arrays(bool, rows))
    margins = data.draw(hnp.arrays(float, traits, elements=st.sampled_from([0.0, 0.25, 0.8])))
    holders = holders_of(cells)
    choice = Choice(holders, target, ~target, margins, most=3, least=2)
    left, right, expected = target.copy(), ~target, []
    for step in range(3):
        best, value, leaning = None, 0.0, False
        for trait in range(traits):
            has = cells[:, trait]
            inside, outside = int((has & left).sum()), int((has & right).sum())
            if has.sum() > rows / 2 or inside < 2:
                continue
            gain = inside * margins[trait] if step < 2 else 0.0
            z = float(over_represented(
                np.array([inside]), np.array([outside]), int(left.sum()), int(right.sum())
            )[0])  # fmt: skip
            if not right.any():
                rank = float(inside)
            else:
                lifted = inside / left.sum() >= 2 * outside / right.sum()
                rank = z if lifted and z >= 3 else 0.0
            now = (gain > 0, gain if gain > 0 else rank)
            if now > (leaning, value):
                best, (leaning, value) = trait, now
        if best is None:
            break
        expected.append(f"w{best}")
        left, right = left & ~cells[:, best], right & ~cells[:, best]
    assert [pick.trait.value for pick in choice.picks()] == expected


def test_one_range_of_the_same_numbers_is_enough() -> None:
    cells = np.zeros((40, 2), bool)
    cells[:10, 0] = cells[5:20, 1] = True
    target = np.arange(40) < 20
    picks = Choice(holders_of(cells, "range"), target, ~target, np.ones(2), 5, 2).picks()
    assert [pick.trait.value for pick in picks] == ["w1"]


def test_words_that_go_with_a_pick_are_named() -> None:
    cells = np.zeros((400, 3), bool)
    cells[:100, 0] = cells[:90, 1] = True
    cells[::7, 2] = True
    target = np.arange(400) < 200
    picks = Choice(holders_of(cells), target, ~target, np.zeros(3), 1, 2).picks()
    assert [(pick.trait.value, pick.also) for pick in picks] == [("w0", ("w1",))]


def test_no_traits_no_picks() -> None:
    empty = Holders((), np.zeros(0, int), np.zeros(0, int), 3)
    target = np.ones(3, bool)
    assert Choice(empty, target, ~target, np.zeros(0), 3, 1).picks() == []
