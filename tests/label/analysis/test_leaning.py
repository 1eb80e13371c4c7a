from __future__ import annotations

import numpy as np
import pytest

from gristmill.core.intervals import wilson
from gristmill.label.analysis.leaning import Opinion
from gristmill.label.analysis.traits import Holders, Trait

TRUTH = np.array([1] * 12 + [0] * 68 + [-1] * 20)
HAS = np.arange(100) < 13


def test_gold_decides_where_there_is_enough() -> None:
    leaning = Opinion(("ham", "spam"), TRUTH).of(HAS, HAS)
    assert leaning is not None
    interval = wilson(12, 13)
    assert (leaning.label, leaning.judged, leaning.judge) == ("spam", 13, "gold")
    assert (leaning.share, leaning.low) == (interval.value, interval.low)
    assert leaning.clear


def test_a_class_that_most_rows_have_is_no_leaning() -> None:
    opinion = Opinion(("ham", "spam"), TRUTH)
    ham = opinion.of((np.arange(100) > 20) & (np.arange(100) < 30), HAS)
    assert ham is not None
    assert (ham.label, ham.share, ham.clear) == ("ham", 1.0, False)


def test_the_model_speaks_where_gold_does_not() -> None:
    probs = np.tile([0.5, 0.5], (100, 1))
    probs[HAS] = [0.02, 0.98]
    opinion = Opinion(("ham", "spam"), np.full(100, -1), probs)
    leaning = opinion.of(HAS, HAS)
    assert leaning is not None
    assert (leaning.label, leaning.judge, leaning.judged) == ("spam", "model", 13)
    assert leaning.share == pytest.approx(0.98)
    assert Opinion(("ham", "spam"), np.full(100, -1)).of(HAS, HAS) is None


@pytest.mark.parametrize("by_model", [False, True])
def test_margins_are_above_zero_exactly_for_clear_leanings(by_model: bool) -> None:
    cells = np.stack([HAS, ~HAS, (np.arange(100) % 2) == 0])
    holders = Holders(
        tuple(Trait("word", "t", str(at)) for at in range(3)), *np.nonzero(cells), 100
    )
    probs = np.eye(2)[np.maximum(TRUTH, 0)]
    opinion = Opinion(
        ("ham", "spam"), np.full(100, -1) if by_model else TRUTH, probs if by_model else None
    )
    margins = opinion.margins(holders, np.arange(100))
    for has, margin in zip(cells, margins, strict=True):
        leaning = opinion.of(has, has)
        assert leaning is not None
        assert (margin > 0) == leaning.clear
    nothing = Opinion(("ham", "spam"), np.full(100, -1)).margins(holders, np.arange(100))
    assert nothing.tolist() == [0, 0, 0]
