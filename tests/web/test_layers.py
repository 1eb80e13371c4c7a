from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.web.layers import _spread, count_crossings, lay_out


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, str]]]:
    count = draw(st.integers(0, 30))
    ids = [f"n{place}" for place in range(count)]
    pairs = list(itertools.combinations(ids, 2))
    edges = draw(st.lists(st.sampled_from(pairs), max_size=50)) if pairs else []
    shuffled = draw(st.permutations(ids))
    return list(shuffled), edges


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_nothing_overlaps_and_edges_point_down(
    graph: tuple[list[str], list[tuple[str, str]]],
) -> None:
    ids, edges = graph
    layout = lay_out(ids, edges, box=100, gap=10, lane=8)
    assert sorted(
        place[0] for layer in layout.layers for place in layer if len(place) == 1
    ) == sorted(ids)
    depth = {place: at for at, layer in enumerate(layout.layers) for place in layer}
    for layer in layout.layers:
        for left, right in itertools.pairwise(layer):
            sizes = sum(100 if len(place) == 1 else 8 for place in (left, right)) / 2
            least = 4 if len(left) > 1 and len(right) > 1 else 10
            assert layout.centre[right] - layout.centre[left] >= sizes + least - 1e-6
    for (start, end), route in layout.routes.items():
        assert (route[0], route[-1]) == ((start,), (end,))
        assert [depth[place] for place in route] == list(range(depth[start,], depth[end,] + 1))
    assert all(0 <= x <= layout.width for x in layout.centre.values())


def test_layers_are_longest_paths_with_sources_pulled_near() -> None:
    ids = ["a", "b", "c", "late"]
    edges = [("a", "b"), ("b", "c"), ("a", "c"), ("late", "c")]
    layout = lay_out(ids, edges, box=10, gap=1, lane=1)
    layers = [sorted(place[0] for place in layer if len(place) == 1) for layer in layout.layers]
    assert layers == [["a"], ["b", "late"], ["c"]]


def test_the_same_graph_gives_the_same_layout() -> None:
    ids = [str(place) for place in range(20)]
    edges = [(str(a), str(b)) for a, b in itertools.combinations(range(20), 2) if (a * b) % 7 == 1]
    first, second = (lay_out(ids, edges, box=10, gap=1, lane=1) for _ in range(2))
    assert first == second


def test_sweeps_untangle_what_can_be_untangled() -> None:
    ids = ["a1", "a2", "a3", "b3", "b2", "b1"]
    edges = [("a1", "b1"), ("a2", "b2"), ("a3", "b3")]
    layout = lay_out(ids, edges, box=10, gap=1, lane=1)
    assert count_crossings(layout.layers, [((a,), (b,)) for a, b in edges]) == 0


@given(st.integers(0, 10_000))
def test_crossings_equal_the_count_by_pairs(seed: int) -> None:
    draw = random.Random(seed)
    upper, lower = [(f"u{at}",) for at in range(6)], [(f"l{at}",) for at in range(6)]
    links = list({(draw.choice(upper), draw.choice(lower)) for _ in range(12)})
    at = {place: rank for layer in (upper, lower) for rank, place in enumerate(layer)}
    slow = sum(
        (at[a] - at[c]) * (at[b] - at[d]) < 0 for (a, b), (c, d) in itertools.combinations(links, 2)
    )
    assert count_crossings([upper, lower], links) == slow


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=7), st.integers(0, 1000))
def test_spread_is_the_least_squares_fit(wanted: list[float], seed: int) -> None:
    layer = [(f"p{at}",) for at in range(len(wanted))]
    placed = _spread(wanted, layer, dict.fromkeys(layer, 10.0), 2.0)
    assert all(b - a >= 12 - 1e-6 for a, b in itertools.pairwise(placed))
    cost = sum((x - want) ** 2 for x, want in zip(placed, wanted, strict=True))
    draw = random.Random(seed)
    for _ in range(20):  # no allowed position nearby is better
        tried = sorted(x + draw.gauss(0, 3) for x in placed)
        if all(b - a >= 12 for a, b in itertools.pairwise(tried)):
            assert (
                cost <= sum((x - want) ** 2 for x, want in zip(tried, wanted, strict=True)) + 1e-6
            )


@pytest.mark.parametrize(
    ("ids", "edges", "message"),
    [
        (["a", "b"], [("a", "b"), ("b", "a")], "the graph has a cycle among ['a', 'b']"),
        (["a"], [("a", "a")], "the graph has a cycle among ['a']"),
        (["a", "a"], [], "node id 'a' appears more than once"),
        (["a"], [("a", "z")], "edge 'a' -> 'z' names no known node: 'z'"),
    ],
)
def test_graphs_that_cannot_be_drawn(
    ids: list[str], edges: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        lay_out(ids, edges, box=10, gap=1, lane=1)
    assert caught.value.message == message
