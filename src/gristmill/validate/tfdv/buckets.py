"""Histograms as TFDV lays them out: ten buckets of equal width, ten of equal mass."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2

from gristmill.validate.statistics.quantiles import Quantiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.validate.statistics.numbers import Numbers

    Floats = NDArray[np.float64]

BUCKETS = 10
_Bucket = tuple[float, float, float]
_STANDARD = statistics_pb2.Histogram.STANDARD
_QUANTILES = statistics_pb2.Histogram.QUANTILES


class Mass(Protocol):
    """Numbers with their mass: counts, or weights."""

    def quantiles(self, ranks: Sequence[float]) -> Floats:
        """The smallest numbers whose rank reaches each of `ranks`."""

    def counts_between(self, edges: Floats) -> Floats:
        """The mass in (-inf, e0], (e0, e1], ..., (e_last, inf)."""


def histograms(numbers: Numbers) -> list[statistics_pb2.Histogram]:
    """Ten buckets of equal width, and ten of equal mass; infinities have buckets of their own."""
    found = both(numbers.quantiles, numbers.low, numbers.high, numbers.nan)
    for histogram in found:
        ends = ((0, -math.inf, numbers.neg_inf), (len(histogram.buckets) + 1, math.inf,
                numbers.pos_inf))  # fmt: skip
        for place, edge, count in ends:
            if count:
                bucket = statistics_pb2.Histogram.Bucket(
                    low_value=edge, high_value=edge, sample_count=count
                )
                histogram.buckets.insert(place, bucket)
    return found


def both(
    mass: Mass, low: float | None, high: float | None, nan: float
) -> list[statistics_pb2.Histogram]:
    """The two histograms of finite numbers between the least and the greatest.

    Where TFDV guesses what a bucket of equal width holds from cut points, these are counts. A
    number that fills several buckets of equal mass has buckets of no width.
    """
    wide: list[_Bucket] = []
    heavy: list[_Bucket] = []
    if low is not None and high is not None:
        edges = np.linspace(float(low), float(high), BUCKETS + 1)
        counts = mass.counts_between(edges[1:-1])
        wide = list(zip(edges.tolist(), edges[1:].tolist(), counts.tolist(), strict=False))
        heavy = list(_equal_mass(mass, float(low), float(high)))
    return [_histogram(_STANDARD, wide, nan), _histogram(_QUANTILES, heavy, nan)]


def length_histogram(lengths: Quantiles) -> statistics_pb2.Histogram:
    """How many values the cells hold, as ten buckets of equal mass."""
    buckets: list[_Bucket] = []
    if lengths.n:
        low, high = lengths.quantiles([0.0, 1.0]).tolist()
        buckets = list(_equal_mass(lengths, low, high))
    return _histogram(_QUANTILES, buckets, 0)


def plain_lengths(cells: int) -> Quantiles:
    """The lengths of plain cells, each a list of one."""
    if not cells:
        return Quantiles.empty()
    return Quantiles.of_counts(np.ones(1), np.array([cells], dtype=np.int64))


def quantiles_of(histogram: statistics_pb2.Histogram) -> Quantiles:
    """Turn a histogram into a distribution that has its mass at the upper edge of each bucket.

    At the edges of the buckets its ranks are the histogram's; between them it says nothing, and
    comparing on its own bins never looks there. Counts are rounded so that their sum is right.
    """
    finite = [b for b in histogram.buckets if math.isfinite(b.high_value - b.low_value)]
    at = np.array([b.high_value for b in finite])
    values, places = np.unique(at + 0.0, return_inverse=True)
    mass = np.zeros(len(values))
    np.add.at(mass, places, [b.sample_count for b in finite])
    reached = np.round(np.concatenate([[0.0], np.cumsum(mass)])).astype(np.int64)
    counts = reached[1:] - reached[:-1]
    return Quantiles.of_counts(values[counts > 0], counts[counts > 0])


def _equal_mass(mass: Mass, low: float, high: float) -> Iterator[_Bucket]:
    marks = mass.quantiles([i / BUCKETS for i in range(1, BUCKETS)])
    edges = np.concatenate([[low], marks, [high]])
    steps, places, repeats = np.unique(edges[1:], return_inverse=True, return_counts=True)
    counts = mass.counts_between(steps[:-1])
    for number, place in enumerate(places.tolist()):
        shared = float(counts[place] / repeats[place])
        yield float(edges[number]), float(edges[number + 1]), shared


def _histogram(kind: int, buckets: list[_Bucket], nan: float) -> statistics_pb2.Histogram:
    histogram = statistics_pb2.Histogram(type=kind, num_nan=round(nan))
    for low, high, count in buckets:
        histogram.buckets.add(low_value=low, high_value=high, sample_count=count)
    return histogram
