from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.validate.statistics.frequent import MAX_EXACT, Frequent, FrequentValues, shorten


@given(st.lists(st.text(max_size=3), max_size=60), st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_few_values_are_counted_exactly_in_any_split(texts: list[str], cut: int) -> None:
    parts = [FrequentValues.of(Counter(part)) for part in (texts[:cut], texts[cut:])]
    merged = parts[0] + parts[1]
    assert merged.counts() == dict(Counter(texts))
    assert merged.total == len(texts)
    assert merged.to_bytes() == FrequentValues.of(Counter(texts)).to_bytes()
    assert FrequentValues.from_bytes(merged.to_bytes()).counts() == merged.counts()


def test_ties_are_ranked_by_value() -> None:
    made = FrequentValues.of({"b": 2, "a": 2, "c": 5})
    assert made.top(2) == [Frequent("c", 5, 5, 5), Frequent("a", 2, 2, 2)]


def test_many_values_keep_the_heavy_ones_within_bounds() -> None:
    rare = {f"rare{i}": 1 for i in range(4 * MAX_EXACT)}
    merged = FrequentValues.of(rare | {"heavy": 3000}) + FrequentValues.of(
        {"heavy": 2000, "b": 900}
    )
    assert not merged.exact
    assert merged.counts() is None
    top = merged.top(2)
    assert [item.value for item in top] == ["heavy", "b"]
    assert top[0].low <= 5000 <= top[0].high
    assert top[1].low <= 900 <= top[1].high
    assert merged.total == 4 * MAX_EXACT + 5900
    assert FrequentValues.from_bytes(merged.to_bytes()).to_bytes() == merged.to_bytes()


def test_long_texts_are_cut_but_told_apart() -> None:
    one, two = shorten("a" * 5000 + "1"), shorten("a" * 5000 + "2")
    assert len(one) == 256
    assert one != two
    assert shorten("short") == "short"
