from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gristmill.label.models.influence import influence


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(scores) / np.exp(scores).sum()


@given(
    hnp.arrays(np.int8, st.tuples(st.integers(1, 20), st.just(3)), elements=st.integers(-1, 1)),
    st.integers(0, 2**16),
)
def test_labels_are_made_again_without_each_source(matrix: NDArray[np.int8], seed: int) -> None:
    rng = np.random.default_rng(seed)
    log_prior, table = rng.normal(size=2), rng.normal(size=(3, 3, 2))
    found = influence(matrix, ["a", "b", "c"], 2, log_prior, table).to_dicts()
    for source in range(3):
        votes = changed = lost = 0
        shifts = []
        for line in matrix:
            added = [table[each, vote] for each, vote in enumerate(line)]
            scores = log_prior + sum(added)
            without = scores - added[source]
            label = scores.argmax()
            if line[source] >= 0:
                votes += 1
                shifts.append(abs(softmax(without)[label] - softmax(scores)[label]))
            if line[source] >= 0 and (line >= 0).sum() == 1:
                lost += 1
            elif (line >= 0).any():
                changed += int(without.argmax() != label)
        assert {**found[source], "shift": None} == {
            "source": "abc"[source], "votes": votes, "changed": changed, "lost": lost,
            "shift": None,
        }  # fmt: skip
        assert (found[source]["shift"] is None) == (votes == 0)
        if votes:
            assert np.isclose(found[source]["shift"], np.mean(shifts))
