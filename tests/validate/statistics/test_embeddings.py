from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.validate.statistics.embeddings import SAMPLE_VECTORS, Embedding, hash_vectors

NUMBER = st.floats(-10, 10, width=32) | st.just(float("nan")) | st.none()
VECTORS = st.lists(st.none() | st.lists(NUMBER, min_size=2, max_size=3), max_size=30)


@given(VECTORS, st.integers(0, 30))
@settings(max_examples=100, deadline=None)
def test_figures_are_numpys_in_any_split(vectors: list[list[float] | None], cut: int) -> None:
    column = pl.Series("v", vectors, dtype=pl.List(pl.Float32))
    state = Embedding.of(column[cut:]) + Embedding.of(column[:cut])
    known = [vector for vector in vectors if vector is not None]
    assert state.dimensions == {
        size: n for size in (2, 3) if (n := sum(len(vector) == size for vector in known))
    }
    for size, space in state.spaces.items():
        sized = np.array([v for v in known if len(v) == size], dtype=np.float64)
        whole = sized[np.isfinite(sized).all(axis=1)]
        assert (space.n, space.broken) == (len(whole), len(sized) - len(whole))
        if len(whole):
            assert np.allclose(space.mean, whole.mean(axis=0), atol=1e-9)
            assert np.allclose(space.variance, whole.var(axis=0), atol=1e-9)
            norms = np.linalg.norm(whole, axis=1)
            assert space.norms.mean == pytest.approx(norms.mean(), abs=1e-9)
            assert space.zeros == int((norms == 0).sum())
        assert {*map(tuple, space.sample.tolist())} == {*map(tuple, (whole + 0.0).tolist())}
    assert Embedding.from_document(state.to_document()).to_document() == state.to_document()


def test_the_sample_is_the_same_in_any_order() -> None:
    vectors = np.random.default_rng(0).normal(size=(1000, 4))
    whole = Embedding.of(pl.Series(vectors)).space
    parts = [Embedding.of(pl.Series(part)) for part in np.array_split(vectors[::-1], 3)]
    merged = (parts[0] + (parts[1] + parts[2])).space
    assert whole is not None
    assert merged is not None
    assert np.array_equal(whole.sample, merged.sample)
    assert np.array_equal(whole.hashes, np.sort(hash_vectors(vectors))[:SAMPLE_VECTORS])


def test_the_commonest_dimension_is_described() -> None:
    state = Embedding.of(pl.Series([[1.0, 0.0], [3.0, 4.0], [1.0], None]))
    assert state.dimension == 2
    summary = state.describe()
    assert summary["dimensions"] == {"1": 1, "2": 2}
    assert summary["norm"] == {"mean": 3.0, "std": 2.0, "min": 1.0, "max": 5.0}
    nothing = Embedding.of(pl.Series([None], dtype=pl.List(pl.Float64)))
    assert nothing.describe() == {"dimensions": {}}


def test_only_lists_of_numbers_are_embeddings() -> None:
    with pytest.raises(UsageError, match=r"expected lists of numbers, found List\(String\)"):
        Embedding.of(pl.Series([["a"]]))
