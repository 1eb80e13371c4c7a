"""Cuts into shards, against every cut there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.costs.layer_cost import CrossingValue, LayerCost, chain_values
from gristmill.train.costs.partition import Partition, partition
from gristmill.train.costs.tier_rates import TierRates

WAYS = ("kept", "recomputed", "spilled")
Cut = tuple[tuple[int, int, str], ...]
Memory = tuple[int, int | None]
"""(budget, bytes of it that records have to themselves)"""
NOTHING = (-(10**9), -(10**9))


def fits(memory: Memory, records: int, others: int) -> bool:
    budget, pool = memory
    if pool is None:
        return records + others <= budget
    return records <= pool and others <= budget - pool


def cuts_of(layers: int, ways: Sequence[str]) -> Iterator[Cut]:
    """Every cut into shards, with every choice for each shard."""
    for count in range(layers):
        for inner in combinations(range(1, layers), count):
            edges = (0, *inner, layers)
            for chosen in product(ways, repeat=count + 1):
                yield tuple(zip(edges[:-1], edges[1:], chosen, strict=True))


class Reckoning:
    """The time, traffic and memory of one cut, written out unit by unit, in nanoseconds."""

    def __init__(
        self,
        costs: Sequence[LayerCost],
        micros: int,
        rates: TierRates,
        values: Sequence[CrossingValue],
        cut: Cut,
    ) -> None:
        self.costs, self.micros, self.rates, self.values, self.cut = (
            costs,
            micros,
            rates,
            values,
            cut,
        )

    def total(self, shard: int, figure: str) -> int:
        first, last, _ = self.cut[shard]
        scale = 10**9 if figure.endswith("seconds") else 1
        return sum(round(getattr(cost, figure) * scale) for cost in self.costs[first:last])

    def moving(self, bytes_: int, rate: float) -> int:
        return round(bytes_ / rate * 10**9)

    def record(self, shard: int) -> int:
        return self.total(shard, "weight_bytes") + self.total(shard, "state_bytes")

    def arriving(self, shard: int) -> int:
        first = self.cut[shard][0]
        crossing = [each.nbytes for each in self.values if each.made < first <= each.read]
        return self.micros * sum(crossing)

    def left(self, shard: int) -> int:
        first, last, _ = self.cut[shard]
        made = [e.nbytes for e in self.values if first <= e.made < last <= e.read]
        return self.micros * sum(made)

    def spilled(self, shard: int) -> int:
        spilled = self.cut[shard][2] == "spilled"
        return self.micros * self.total(shard, "activation_bytes") * spilled

    def workspace(self, shard: int) -> int:
        first, last, _ = self.cut[shard]
        return max(cost.workspace_bytes for cost in self.costs[first:last])

    def held_after(self, shard: int) -> int:
        """What forward passes up to this shard's have left in memory."""
        held = 0
        for each in range(shard + 1):
            held += self.left(each)
            if self.cut[each][2] == "kept":
                held += self.micros * self.total(each, "activation_bytes")
        return held

    def in_forward(self, shard: int) -> tuple[int, int]:
        """Bytes of records, and of everything else."""
        passing = 2 * self.total(shard, "activation_bytes") * bool(self.cut[shard][2] == "spilled")
        others = self.workspace(shard) + passing + self.held_after(shard)
        return self.total(shard, "weight_bytes"), others

    def in_backward(self, shard: int) -> tuple[int, int]:
        copies = {"kept": 0, "recomputed": 1, "spilled": 2}[self.cut[shard][2]]
        others = self.total(shard, "gradient_bytes") + self.workspace(shard) + self.arriving(shard)
        others += copies * self.total(shard, "activation_bytes") + self.held_after(shard)
        return self.record(shard), others

    @property
    def moments(self) -> list[tuple[int, int]]:
        shards = range(len(self.cut))
        return [*map(self.in_forward, shards), *map(self.in_backward, shards)]

    @property
    def peak(self) -> int:
        return max(records + others for records, others in self.moments)

    def forward(self, shard: int) -> int:
        compute = self.micros * self.total(shard, "forward_seconds")
        return compute + self.hop(self.left(shard)) + round(self.rates.hop_seconds * 10**9)

    def backward(self, shard: int) -> int:
        first, last, way = self.cut[shard]
        compute = self.micros * self.total(shard, "backward_seconds")
        if way == "recomputed":
            again = [round(each.forward_seconds * 10**9) for each in self.costs[first : last - 1]]
            again.append(round(self.costs[last - 1].recomputing * 10**9))
            compute += self.micros * sum(again)
        compute += self.total(shard, "update_seconds") + self.hop(self.arriving(shard))
        return compute + 2 * round(self.rates.hop_seconds * 10**9)

    def hop(self, bytes_: int) -> int:
        return self.moving(bytes_, self.rates.hop_bytes_per_second)

    def step(self, memory: Memory) -> tuple[int, int]:
        """Nanoseconds and bytes moved of a step."""
        end = len(self.cut) - 1
        read, write = self.rates.read_bytes_per_second, self.rates.write_bytes_per_second
        time = moved = 0

        def unit(compute: int, transfers: list[tuple[int, float, tuple[int, int], int]]) -> None:
            """`transfers`: (bytes, rate, memory in use where they overlap, memory they need)."""
            nonlocal time, moved
            hidden = waited = 0
            for bytes_, rate, (records, others), need in transfers:
                moved += bytes_
                if fits(memory, records + need, others):
                    hidden += self.moving(bytes_, rate)
                else:
                    waited += self.moving(bytes_, rate)
            time += max(compute, hidden) + waited

        for shard in range(end + 1):
            transfers = [(self.spilled(shard), write, NOTHING, 0)]
            here = self.in_forward(shard)
            if shard < end:
                following = self.total(shard + 1, "weight_bytes")
                transfers.append((following, read, here, following))
            elif end:
                state = self.total(shard, "state_bytes")
                transfers.append((state, read, here, state))
            unit(self.forward(shard), transfers)
        for shard in range(end, -1, -1):
            transfers = [(self.spilled(shard), read, NOTHING, 0)]
            here = self.in_backward(shard)
            if shard:
                need = self.record(shard - 1)
                transfers.append((need, read, here, need))
                need = self.record(shard)
                transfers.append((need, write, self.in_backward(shard - 1), need))
            elif end:
                state = self.total(0, "state_bytes")
                transfers.append((self.record(0), write, self.in_forward(0), state))
            unit(self.backward(shard), transfers)
        return time, moved


def best_of_all(
    costs: Sequence[LayerCost],
    memory: Memory,
    micros: int,
    rates: TierRates,
    values: Sequence[CrossingValue],
    ways: Sequence[str],
) -> tuple[int, int] | None:
    each = (Reckoning(costs, micros, rates, values, cut) for cut in cuts_of(len(costs), ways))
    possible = (one for one in each if all(fits(memory, *moment) for moment in one.moments))
    return min((one.step(memory) for one in possible), default=None)


small = st.integers(0, 20)


@st.composite
def layers(draw: st.DrawFn) -> LayerCost:
    forward = draw(st.integers(0, 30))
    return LayerCost(
        "layer",
        forward * 1e-9,
        draw(st.integers(0, 60)) * 1e-9,
        draw(small) * 1e-9,
        *(draw(small) for _ in range(6)),
        draw(st.none() | st.integers(0, forward).map(lambda each: each * 1e-9)),
    )


@st.composite
def crossing(draw: st.DrawFn, count: int) -> list[CrossingValue]:
    pairs = [(made, read) for made in range(count) for read in range(made + 1, count)]
    if not pairs:
        return []
    chosen = draw(st.lists(st.sampled_from(pairs), max_size=5))
    return [CrossingValue(made, read, draw(small)) for made, read in chosen]


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[LayerCost], list[CrossingValue] | None]:
    costs = draw(st.lists(layers(), min_size=1, max_size=5))
    return costs, draw(st.none() | crossing(len(costs)))


SPEEDS = st.sampled_from([2e8, 1e9, 5e9])


@settings(max_examples=150, deadline=None)
@given(
    problems(),
    st.integers(0, 500),
    st.none() | st.floats(0, 1),
    st.integers(1, 3),
    st.builds(TierRates, SPEEDS, SPEEDS, st.sampled_from([0.0, 3e-9]), SPEEDS),
)
def test_partition_is_the_best_of_all_cuts(
    problem: tuple[list[LayerCost], list[CrossingValue] | None],
    budget: int,
    share: float | None,
    micros: int,
    rates: TierRates,
) -> None:
    costs, values = problem
    pool = None if share is None else round(share * budget)
    known = chain_values(costs) if values is None else values
    best = best_of_all(costs, (budget, pool), micros, rates, known, WAYS)
    try:
        found = partition(
            costs,
            budget,
            rates=rates,
            micro_batches=micros,
            values=values,
            activations=WAYS,
            pool=pool,
        )
    except TrainError as error:
        assert best is None
        least = int(str(error.fix).split(" bytes")[0].split()[-1])
        frugal = ("recomputed",)
        assert best_of_all(costs, (least, None), micros, rates, known, frugal) is not None
        assert best_of_all(costs, (least - 1, None), micros, rates, known, frugal) is None
        return
    assert best is not None
    assert (round(found.seconds * 1e9), found.moved_bytes) == best
    check(found, costs, (budget, pool), micros, rates, known)


def check(
    found: Partition,
    costs: Sequence[LayerCost],
    memory: Memory,
    micros: int,
    rates: TierRates,
    values: Sequence[CrossingValue],
) -> None:
    """What is said of the cut is what it costs."""
    cut = tuple((each.first, each.last, each.activations) for each in found.shards)
    slow = Reckoning(costs, micros, rates, values, cut)
    assert slow.step(memory) == (round(found.seconds * 1e9), found.moved_bytes)
    assert slow.peak == found.peak_bytes <= memory[0]
    for number, shard in enumerate(found.shards):
        assert round(shard.forward_seconds * 1e9) == slow.forward(number)
        assert round(shard.backward_seconds * 1e9) == slow.backward(number)
    assert found.cut_bytes * micros == sum(slow.arriving(each) for each in range(len(cut)))
    assert found.cuts == (*(first for first, _, _ in cut), len(costs))


def test_a_model_that_fits_is_one_shard(layer: Callable[..., LayerCost], rates: TierRates) -> None:
    found = partition([layer(), layer(), layer()], 300, rates=rates)
    assert found.cuts == (0, 3)
    assert (found.seconds, found.moved_bytes, found.peak_bytes) == (9.0, 0, 300)


def test_shards_are_small_enough_to_be_read_ahead(
    layer: Callable[..., LayerCost], rates: TierRates
) -> None:
    costs = [layer(weight_bytes=1_000_000_000) for _ in range(4)]
    found = partition(costs, 2_000_000_000, rates=rates)
    assert found.cuts == (0, 1, 2, 3, 4)
    assert found.seconds == 4 * 1.0 + 4 * 2.0  # reading and writing a shard takes 1 s each
    slow = partition(costs, 1_000_000_000, rates=rates)
    assert slow.seconds > found.seconds


def test_activations_are_kept_where_there_is_room(
    layer: Callable[..., LayerCost], rates: TierRates
) -> None:
    costs = [layer(activation_bytes=50) for _ in range(4)]
    assert partition(costs, 600, rates=rates).recompute == (False,)
    tight = partition(costs, 250, rates=rates)
    assert True in tight.recompute
    never = partition(costs, 600, rates=rates, activations=["recomputed"])
    assert never.recompute == (True,) * len(never.shards)


def test_recomputation_stops_early(layer: Callable[..., LayerCost], rates: TierRates) -> None:
    costs = [layer(recompute_seconds=0.25), layer(recompute_seconds=0.5)]
    found = partition(costs, 200, rates=rates, activations=["recomputed"])
    assert found.cuts == (0, 1, 2)
    assert [each.backward_seconds for each in found.shards] == [2.25, 2.5]


def test_resident_records_do_not_move(layer: Callable[..., LayerCost], rates: TierRates) -> None:
    costs = [layer(state_bytes=200, gradient_bytes=100) for _ in range(4)]
    moving = partition(costs, 1_000, rates=rates)
    assert moving.moved_bytes > 0
    state = partition(costs, 1_200, rates=rates, resident="state")
    assert state.peak_bytes >= 800
    assert 0 < state.moved_bytes < moving.moved_bytes
    both = partition(costs, 1_300, rates=rates, resident="all")
    assert both.moved_bytes == 0
    assert both.peak_bytes <= 1_300


def test_a_skip_is_held_once_however_many_cuts_it_crosses(
    layer: Callable[..., LayerCost], rates: TierRates
) -> None:
    costs = [layer(weight_bytes=10) for _ in range(4)]
    skip = [CrossingValue(0, 3, 100)]
    found = partition(costs, 20 + 100 + 100, rates=rates, values=skip)
    assert found.peak_bytes <= 220


def test_too_small_a_budget_names_the_layer_and_what_would_do(
    layer: Callable[..., LayerCost], rates: TierRates
) -> None:
    costs = [
        layer("embed", weight_bytes=1000, gradient_bytes=1000, state_bytes=2000),
        layer("head", activation_bytes=7, workspace_bytes=3),
    ]
    with pytest.raises(TrainError) as caught:
        partition(costs, 3_999, rates=rates)
    assert str(caught.value) == (
        "no cut of the model fits a budget of 3999 bytes (4.00 KB); the largest layer is 'embed', "
        "which alone takes 4000 bytes: 1000 of weights, 1000 of gradients, 2000 of optimiser "
        "state, 0 of activations and 0 of workspace\n"
        "  fix: give at least 4000 bytes (4 KB), or smaller micro-batches"
    )
    assert partition(costs, 4_000, rates=rates).cuts == (0, 1, 2)


def test_bad_arguments(layer: Callable[..., LayerCost], rates: TierRates) -> None:
    with pytest.raises(UsageError, match="expected at least one layer to cut, found none"):
        partition([], 100, rates=rates)
    with pytest.raises(UsageError, match="micro_batches must be at least 1, found 0"):
        partition([layer()], 100, rates=rates, micro_batches=0)
