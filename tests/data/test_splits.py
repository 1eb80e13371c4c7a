from __future__ import annotations

import hashlib

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import DataError, UsageError
from gristmill.core.seeds import derive_seed
from gristmill.data.splits import sample, split

THIRDS = {"train": 0.5, "test": 0.3, "later": 0.2}


def table(n: int) -> pl.DataFrame:
    return pl.DataFrame({
        "row_id": range(n),
        "text": [f"t{i % 7}" for i in range(n)],
        "label": ["spam" if i % 5 == 0 else "ham" for i in range(n)],
    })  # fmt: skip


def ids(parts: dict[str, pl.DataFrame]) -> dict[str, list[int]]:
    return {name: part["row_id"].to_list() for name, part in parts.items()}


@given(st.integers(0, 60), st.integers(0, 5))
def test_parts_cover_the_table_and_keep_its_order(n, seed):
    parts = ids(split(table(n), THIRDS, seed=seed))
    assert list(parts) == list(THIRDS)
    assert sorted(i for part in parts.values() for i in part) == list(range(n))
    assert all(part == sorted(part) for part in parts.values())


def test_a_row_goes_where_its_own_hash_says():
    def slow(row_id: int) -> str:
        key = derive_seed(7, "split").to_bytes(8, "little")
        digest = hashlib.blake2b(b"\x01" + str(row_id).encode(), digest_size=8, key=key).digest()
        place = int.from_bytes(digest, "little") / 2**64
        return "train" if place < 0.5 else "test" if place < 0.8 else "later"

    parts = ids(split(table(300), THIRDS, seed=7))
    assert parts == {name: [i for i in range(300) if slow(i) == name] for name in THIRDS}


@given(st.permutations(range(40)), st.integers(1, 40))
def test_neither_order_nor_other_rows_matter(order, kept):
    whole = ids(split(table(40), THIRDS, seed=1))
    fewer = ids(split(table(40)[order[:kept]], THIRDS, seed=1))
    chosen = set(order[:kept])
    assert {name: set(part) for name, part in fewer.items()} == {
        name: set(part) & chosen for name, part in whole.items()
    }


def test_shares_and_seeds():
    parts = split(table(20_000), THIRDS, seed=0)
    for name, share in THIRDS.items():
        assert abs(parts[name].height / 20_000 - share) < 0.015
    assert ids(parts) != ids(split(table(20_000), THIRDS, seed=1))


def test_equal_values_stay_together():
    parts = split(table(70), THIRDS, seed=3, by="text")
    homes = [set(part["text"]) for part in parts.values()]
    assert sum(len(home) for home in homes) == 7


def test_missing_values_stay_together():
    frame = table(10).with_columns(text=pl.lit(None, dtype=pl.String))
    assert sorted(part.height for part in split(frame, THIRDS, seed=0, by="text").values()) == [
        0,
        0,
        10,
    ]


@given(st.integers(5, 200), st.integers(0, 3))
def test_stratified_parts_have_the_shares_of_each_class(n, seed):
    parts = split(table(n), THIRDS, seed=seed, stratify="label")
    for label in ("spam", "ham"):
        total = sum(part.filter(label=label).height for part in parts.values())
        for name, share in THIRDS.items():
            assert abs(parts[name].filter(label=label).height - share * total) <= 1


def test_stratified_by_text_keeps_texts_together():
    parts = split(table(700), THIRDS, seed=2, by="text", stratify="label")
    assert sum(part["text"].n_unique() for part in parts.values()) == 7


def test_a_table_without_ids_gets_them():
    parts = split(pl.DataFrame({"a": range(50)}), THIRDS, seed=7)
    assert ids(parts) == ids(split(table(50), THIRDS, seed=7))


def test_one_part_is_the_whole():
    assert split(table(9), {"all": 1.0}, seed=0)["all"].height == 9


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ({}, "expected fractions above 0 and at most 1, found {}"),
        ({"a": 1.2, "b": -0.2}, "expected fractions above 0 and at most 1, found {'a': 1.2"),
        ({"a": 0.5, "b": 0.3}, "expected fractions that sum to 1, found 0.8"),
    ],
)
def test_bad_fractions(fractions, message):
    with pytest.raises(UsageError) as error:
        split(table(3), fractions, seed=0)
    assert error.value.message.startswith(message)


@pytest.mark.parametrize("arguments", [{"by": "txt"}, {"stratify": "txt"}])
def test_missing_column(arguments):
    with pytest.raises(DataError) as error:
        split(table(3), THIRDS, seed=0, **arguments)
    assert str(error.value) == ("there is no column 'txt'\n  fix: use one of row_id, text, label")


@given(st.permutations(range(30)), st.integers(0, 30))
def test_sample_is_independent_of_order_and_nested(order, n):
    chosen = set(sample(table(30), n, seed=4)["row_id"])
    assert len(chosen) == n
    assert set(sample(table(30)[order], n, seed=4)["row_id"]) == chosen
    assert chosen <= set(sample(table(30), 30 - (30 - n) // 2, seed=4)["row_id"])


def test_sample_of_a_part_is_not_bent_by_the_split():
    train = split(table(20_000), THIRDS, seed=0)["train"]
    low = sample(train, 1000, seed=0)["row_id"].to_list()
    assert 8_500 < sum(low) / len(low) < 11_500


def test_sample_by_text_takes_whole_groups_first():
    chosen = sample(table(70), 20, seed=0, by="text")
    assert chosen["text"].n_unique() == 2


@pytest.mark.parametrize("n", [-1, 4])
def test_sample_of_too_many(n):
    with pytest.raises(UsageError, match=f"expected a sample of 0 to 3 rows, found {n}"):
        sample(table(3), n, seed=0)
