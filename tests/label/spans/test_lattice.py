from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.label.spans import lattice
from gristmill.label.spans.lattice import Chain, Timeline, beliefs, best_path

lengths = st.lists(st.integers(0, 4), min_size=1, max_size=4).filter(any)


def drawn(sizes: list[int], states: int, seed: int) -> tuple[np.ndarray, Chain, np.ndarray]:
    rng = np.random.default_rng(seed)
    chain = Chain(rng.dirichlet(np.ones(states)), rng.dirichlet(np.ones(states), states))
    return np.concatenate([[0], np.cumsum(sizes)]), chain, rng.normal(0, 3, (sum(sizes), states))


def paths(scores: np.ndarray, chain: Chain) -> dict[tuple[int, ...], float]:
    """Every path of a document with its log-probability."""
    return {
        path: float(
            np.log(chain.first[path[0]])
            + sum(np.log(chain.move[a, b]) for a, b in pairwise(path))
            + sum(scores[step, state] for step, state in enumerate(path))
        )
        for path in product(range(scores.shape[1]), repeat=len(scores))
    }


@given(lengths, st.integers(2, 3), st.integers(0, 2**32 - 1))
def test_beliefs_and_best_path_equal_those_over_all_paths(
    sizes: list[int], states: int, seed: int
) -> None:
    offsets, chain, scores = drawn(sizes, states, seed)
    expected, first, likelihood = np.zeros_like(scores), np.zeros(states), 0.0
    best: list[int] = []
    moves = np.zeros((states, states))
    for begin, end in pairwise(offsets):
        if begin == end:
            continue
        all_paths = paths(scores[begin:end], chain)
        total = np.logaddexp.reduce(list(all_paths.values()))
        likelihood += total
        best += max(all_paths, key=lambda path: all_paths[path])
        for path, log in all_paths.items():
            weight = np.exp(log - total)
            expected[np.arange(begin, end), list(path)] += weight
            first[path[0]] += weight
            for pair in pairwise(path):
                moves[pair] += weight
    timeline = Timeline.of(offsets)
    found = beliefs(timeline, chain, scores)
    np.testing.assert_allclose(found.states, expected, atol=1e-9)
    np.testing.assert_allclose(found.first, first, atol=1e-9)
    np.testing.assert_allclose(found.moves, moves, atol=1e-9)
    assert found.log_likelihood == pytest.approx(likelihood)
    assert best_path(timeline, chain, scores).tolist() == best


def test_the_timeline_takes_all_documents_a_step_at_a_time() -> None:
    #   document 0: tokens 0 1;  document 1: none;  document 2: tokens 2 3 4
    timeline = Timeline.of(np.array([0, 2, 2, 5]))
    assert timeline.order.tolist() == [2, 0, 3, 1, 4]
    assert timeline.steps == (slice(0, 2), slice(2, 4), slice(4, 5))


def test_long_documents_do_not_underflow() -> None:
    offsets, chain, scores = drawn([20_000], 3, 0)
    found = beliefs(Timeline.of(offsets), chain, scores * 100)
    np.testing.assert_allclose(found.states.sum(axis=1), 1)
    assert np.isfinite(found.log_likelihood)


def test_many_documents_are_decoded_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    offsets, chain, scores = drawn([3] * 20, 3, 1)
    whole = best_path(Timeline.of(offsets), chain, scores)
    monkeypatch.setattr(lattice, "_BLOCK_CELLS", 40)
    assert (best_path(Timeline.of(offsets), chain, scores) == whole).all()
