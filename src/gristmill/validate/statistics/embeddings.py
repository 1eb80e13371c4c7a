"""Embeddings: moments, norms and a sample of a column of vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import UsageError
from gristmill.validate.statistics.documents import Documented
from gristmill.validate.statistics.hashing import mix
from gristmill.validate.statistics.numbers import Numbers
from gristmill.validate.statistics.row_sample import smallest

Floats = NDArray[np.float64]
SAMPLE_VECTORS = 256
MAX_DIMENSIONS = 16


@dataclass(frozen=True)
class Space:
    """The vectors of one dimension d.

    Attributes:
        n: how many vectors hold finite numbers only; the figures below are of these.
        broken: how many hold a NaN, an infinity or a null.
        zeros: how many are zero in every place.
        mean: the mean vector: float64[d].
        m2: sums of squared deviations from it: float64[d].
        norms: the figures of the Euclidean norms.
        hashes: of the sampled vectors, ascending: uint64[k].
        sample: the different vectors with the smallest hashes, at most 256: float32[k, d].
    """

    n: int
    broken: int
    zeros: int
    mean: Floats
    m2: Floats
    norms: Numbers
    hashes: NDArray[np.uint64]
    sample: NDArray[np.float32]

    def __post_init__(self) -> None:
        shapes = (self.mean.shape, self.m2.shape, self.sample.shape[1:])
        if len(set(shapes)) > 1 or len(self.hashes) != len(self.sample):
            raise ValueError(f"vectors of different shapes: {shapes}")

    @classmethod
    def of(cls, vectors: Floats) -> Self:
        """Compute the state of vectors: float64[n, d]."""
        finite = np.isfinite(vectors).all(axis=1)
        broken = int((~finite).sum())
        vectors = vectors[finite] if broken else vectors
        mean = vectors.mean(axis=0) if len(vectors) else np.zeros(vectors.shape[1])
        norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        words, places, _ = smallest(hash_vectors(vectors), SAMPLE_VECTORS)
        return cls(
            n=len(vectors),
            broken=broken,
            zeros=int((norms == 0).sum()),
            mean=mean,
            m2=np.square(vectors - mean).sum(axis=0),
            norms=Numbers.of(pl.Series(norms)),
            hashes=words,
            sample=vectors[places].astype(np.float32),
        )

    def __add__(self, other: Space) -> Space:
        n = self.n + other.n
        share = other.n / n if n else 0.0
        gap = other.mean - self.mean
        words, places = np.unique(np.concatenate([self.hashes, other.hashes]), return_index=True)
        sample = np.concatenate([self.sample, other.sample])[places[:SAMPLE_VECTORS]]
        return Space(
            n=n,
            broken=self.broken + other.broken,
            zeros=self.zeros + other.zeros,
            mean=self.mean + gap * share,
            m2=self.m2 + other.m2 + gap * gap * self.n * share,
            norms=self.norms + other.norms,
            hashes=words[:SAMPLE_VECTORS],
            sample=sample,
        )

    @property
    def variance(self) -> Floats:
        """Population variance of each dimension: float64[d]."""
        return np.asarray(self.m2 / max(1, self.n))


@dataclass(frozen=True)
class Embedding(Documented):
    """Mergeable statistics of a column of vectors; `a + b` is of both columns on end.

    Attributes:
        dimensions: dimension -> vectors of it.
        spaces: the figures by dimension; of the 16 smallest dimensions where there are more (a
            column with that many holds lists, not embeddings).
    """

    dimensions: dict[int, int]
    spaces: dict[int, Space]

    @classmethod
    def of(cls, column: pl.Series) -> Self:
        """Compute the state of one partition: List or Array of numbers; null vectors are left out.

        Raises:
            UsageError: the column holds something else than lists of numbers.
        """
        lists = column.arr.to_list() if isinstance(column.dtype, pl.Array) else column
        if not (isinstance(lists.dtype, pl.List) and _numeric(lists.dtype)):
            raise UsageError(
                f"expected lists of numbers, found {column.dtype}", where=f"column {column.name!r}"
            )
        lists = lists.drop_nulls()
        lengths = lists.list.len().cast(pl.Int64)
        sizes = sorted(lengths.unique().to_list())
        dimensions = {size: int((lengths == size).sum()) for size in sizes}
        spaces = {
            size: Space.of(_matrix(lists.filter(lengths == size), size))
            for size in sizes[:MAX_DIMENSIONS]
        }
        return cls(dimensions, spaces)

    def __add__(self, other: Embedding) -> Embedding:
        sizes = sorted({*self.dimensions, *other.dimensions})
        spaces: dict[int, Space] = {}
        for size in sizes[:MAX_DIMENSIONS]:
            found = [side.spaces[size] for side in (self, other) if size in side.spaces]
            spaces[size] = found[0] if len(found) == 1 else found[0] + found[1]
        counts = {s: self.dimensions.get(s, 0) + other.dimensions.get(s, 0) for s in sizes}
        return Embedding(counts, spaces)

    @property
    def dimension(self) -> int | None:
        """The dimension of most vectors, the smaller of two; None without vectors."""
        return max(self.spaces, key=lambda size: (self.dimensions[size], -size), default=None)

    @property
    def space(self) -> Space | None:
        """The figures of the vectors of `dimension`."""
        return None if self.dimension is None else self.spaces[self.dimension]

    def describe(self) -> dict[str, object]:
        """The figures, JSON-able; of the dimension that most vectors have."""
        summary: dict[str, object] = {"dimensions": {str(k): n for k, n in self.dimensions.items()}}
        space = self.space
        if space is None:
            return summary
        return summary | {
            "vectors": space.n,
            "broken": space.broken,
            "zeros": space.zeros,
            "norm": {"mean": space.norms.mean, "std": space.norms.std}
            | {"min": space.norms.low, "max": space.norms.high},
            "variance": float(space.variance.sum()),
        }


def hash_vectors(vectors: Floats) -> NDArray[np.uint64]:
    """Hash vectors (float64[n, d]): uint64[n]; the same on every machine."""
    total = np.zeros(len(vectors), dtype=np.uint64)
    salts = mix(np.arange(1, vectors.shape[1] + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    for place, salt in enumerate(salts):
        total += mix((vectors[:, place] + 0.0).view(np.uint64) ^ salt)
    return mix(total)


def _numeric(dtype: pl.List) -> bool:
    inner = dtype.inner
    return isinstance(inner, pl.DataType) and inner.is_numeric()


def _matrix(lists: pl.Series, size: int) -> Floats:
    flat = lists.explode() if size else pl.Series([], dtype=pl.Float64)
    numbers = flat.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return np.array(numbers, dtype=np.float64).reshape(len(lists), size)
