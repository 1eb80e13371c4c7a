from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import LabelError
from gristmill.data.splits import split
from gristmill.label.augmenting.augmentation import augment, carry_labels
from gristmill.label.augmenting.policies import ApplyAll, ApplyEach, ApplyOne, MeanField, Random
from gristmill.label.augmenting.row_hashes import copy_id
from gristmill.label.augmenting.transformation import transformation_function
from gristmill.label.functions.preprocess import preprocessor
from gristmill.label.models.majority import MajorityVote
from gristmill.label.votes import Votes

# Snorkel's shared test data: numbers, a function that squares and one that leaves some rows.
NUMBERS = pl.DataFrame({"num": [1, 2, 3], "label": [0, 1, 0], "split": ["train", "test", "train"]})


@transformation_function
def square(row):
    return {"num": row.num**2}


@transformation_function
def triple_small(row):
    return {"num": row.num * 3} if row.num <= 2 else None


@transformation_function(kind="batch")
def negate(frame):
    return frame.select("row_id", -pl.col("num"))


@transformation_function
def jitter(row, rng):
    return {"num": row.num + int(rng.integers(1000))}


def numbers(*arguments, **options) -> list[int]:
    return augment(*arguments, **options)["num"].to_list()


def test_each_function_makes_a_copy_beside_the_original():
    found = augment([square, triple_small], NUMBERS, policy=ApplyEach())
    assert found["num"].to_list() == [1, 1, 3, 2, 4, 6, 3, 9]
    assert found["augmented_from"].to_list() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert found["augmented_by"].to_list() == [
        [], ["square"], ["triple_small"], [], ["square"], ["triple_small"], [], ["square"],
    ]  # fmt: skip
    assert found["label"].to_list() == [0, 0, 0, 1, 1, 1, 0, 0]
    assert found["row_id"].is_unique().all()
    assert found["row_id"][2] == copy_id(0, 2)


def test_all_functions_in_turn():
    policy = ApplyAll()
    assert numbers([square, triple_small], NUMBERS, policy=policy, keep_original=False) == [3, 4, 9]
    found = augment([triple_small, square], NUMBERS, policy=policy, n_per_original=2)
    assert found["num"].to_list() == [1, 9, 9, 2, 36, 36, 3, 9, 9]
    # None passes a function over; the others still make the copy.
    assert found["augmented_by"].to_list()[-1] == ["square"]


def test_a_copy_that_nothing_changed_is_not_made():
    assert numbers([triple_small], NUMBERS, keep_original=False) == [3, 6]


def test_batch_functions_do_what_row_functions_do():
    @transformation_function(name="negate")
    def by_row(row):
        return {"num": -row.num}

    batch = augment([square, negate], NUMBERS, policy=Random(3), n_per_original=4)
    rows = augment([square, by_row], NUMBERS, policy=Random(3), n_per_original=4)
    assert batch.equals(rows)


def test_rows_that_a_batch_leaves_out_are_passed_over():
    @transformation_function(kind="batch")
    def odd(frame):
        return frame.filter(pl.col("num") % 2 == 1).select("row_id", pl.col("num") + 100)

    assert numbers([odd], NUMBERS, keep_original=False) == [101, 103]


def test_only_training_rows():
    found = augment([square], NUMBERS, where=pl.col("split") == "train")
    assert found["num"].to_list() == [1, 1, 2, 3, 9]
    assert found.filter(pl.col("augmented_by").list.len() > 0)["split"].unique().to_list() == [
        "train"
    ]


def test_a_later_split_keeps_copies_beside_their_original():
    table = pl.DataFrame({"num": range(200)})
    found = augment([square, negate], table, policy=ApplyEach())
    parts = split(found, {"train": 0.7, "test": 0.3}, seed=0, by="augmented_from")
    sides = [set(part["augmented_from"]) for part in parts.values()]
    assert not sides[0] & sides[1]


@settings(max_examples=20, deadline=None)
@given(
    st.permutations(range(6)),
    st.sampled_from([ApplyOne(), Random(3), MeanField((0.2, 0.3, 0.5), 2), ApplyAll()]),
    st.integers(1, 3),
    st.sets(st.integers(0, 5), min_size=1),
)
def test_a_row_s_copies_depend_on_that_row_alone(order, policy, copies, kept):
    functions = [square, triple_small, jitter]
    table = pl.DataFrame({"row_id": range(6), "num": [5, 1, 2, 2, 0, 9]})
    every = augment(functions, table, policy=policy, n_per_original=copies, seed=3)
    some = table[list(order)].filter(pl.col("row_id").is_in(list(kept)))
    found = augment(functions, some, policy=policy, n_per_original=copies, seed=3)
    expected = every.filter(pl.col("augmented_from").is_in(list(kept)))
    assert found.sort("row_id").equals(expected.sort("row_id"))


def slow_augment(policy, table, n_per_original, seed):
    """Row by row, copy by copy, step by step; sequences from the fast code, one row a call."""
    functions, rows = [square, triple_small, negate], []
    bodies = [lambda n: n * n, lambda n: 3 * n if n <= 2 else None, lambda n: -n]
    for row_id, num in table.iter_rows():
        alone = table.filter(pl.col("row_id") == row_id)
        fast = augment(
            functions, alone, policy=policy, n_per_original=n_per_original,
            seed=seed, keep_original=False,
        )  # fmt: skip
        for names in fast["augmented_by"].to_list():
            value = num
            for name in names:
                value = bodies[[f.name for f in functions].index(name)](value)
            rows.append(value)
    return rows


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=5),
    st.sampled_from([ApplyAll(), ApplyEach(), Random(3)]),
    st.integers(0, 50),
)
def test_the_functions_named_are_those_applied(values, policy, seed):
    table = pl.DataFrame({"row_id": range(len(values)), "num": values})
    found = numbers([square, triple_small, negate], table, policy=policy, n_per_original=2,
                    seed=seed, keep_original=False)  # fmt: skip
    assert found == slow_augment(policy, table, 2, seed)


def test_draws_differ_by_copy_and_seed_and_repeat():
    found = numbers([jitter], NUMBERS, n_per_original=3, keep_original=False)
    assert len(set(found)) == 9
    assert numbers([jitter], NUMBERS, n_per_original=3, keep_original=False) == found
    assert numbers([jitter], NUMBERS, n_per_original=3, keep_original=False, seed=1) != found
    # More copies leave the first ones as they were.
    more = augment([jitter], NUMBERS, n_per_original=5, keep_original=False)
    assert set(found) <= set(more["num"].to_list())


def test_global_random_state_is_left_alone():
    np.random.seed(0)
    before = np.random.get_state()[1].tolist()
    augment([jitter, square], NUMBERS, policy=Random(2), n_per_original=4)
    assert np.random.get_state()[1].tolist() == before


def test_text_ids():
    table = NUMBERS.with_columns(row_id=pl.Series(["a", "b", "c"]))
    found = augment([square], table, n_per_original=2, keep_original=False)
    assert found["row_id"].to_list() == ["a~1", "a~2", "b~1", "b~2", "c~1", "c~2"]


def test_narrow_ids_become_wide_ones():
    found = augment([square], NUMBERS.with_row_index("row_id"))
    assert found.schema["row_id"] == found.schema["augmented_from"] == pl.Int64
    assert found["augmented_from"].to_list() == [0, 0, 1, 1, 2, 2]


def test_preprocessors():
    @preprocessor
    def doubled(row):
        return {"double": row.num * 2}

    @transformation_function(pre=[doubled])
    def quadruple(row):
        return {"num": row.double * 2}

    assert numbers([quadruple], NUMBERS, keep_original=False) == [4, 8, 12]


def test_no_rows():
    found = augment([square, negate], NUMBERS.clear())
    assert found.height == 0
    assert found.columns == ["row_id", *NUMBERS.columns, "augmented_from", "augmented_by"]


def test_carry_labels():
    labels = pl.DataFrame({"row_id": [0, 2], "label": [1, 0], "weight": [1.0, 0.5]})
    found = carry_labels(labels, augment([square], NUMBERS))
    assert found.to_dicts() == [
        {"row_id": 0, "label": 1, "weight": 1.0},
        {"row_id": copy_id(0, 1), "label": 1, "weight": 1.0},
        {"row_id": 2, "label": 0, "weight": 0.5},
        {"row_id": copy_id(2, 1), "label": 0, "weight": 0.5},
    ]
    with pytest.raises(LabelError, match=r"^expected a table that augment returned, with a colum"):
        carry_labels(labels, NUMBERS)


def test_refusals():
    with pytest.raises(LabelError, match=r"^expected one or more transformation functions, found"):
        augment([], NUMBERS)
    with pytest.raises(LabelError, match=r"^two transformation functions are named 'square'$"):
        augment([square, square], NUMBERS)
    with pytest.raises(LabelError, match=r"^n_per_original must be at least 1, found 0$"):
        augment([square], NUMBERS, n_per_original=0)
    with pytest.raises(LabelError, match=r"^the table has a column 'augmented_from' already"):
        augment([square], augment([square], NUMBERS))


def test_carry_labels_takes_labels():
    votes = Votes.from_matrix([[0], [1], [1]], classes=2)
    labels = MajorityVote(2).predict(votes)
    made = augment([square], NUMBERS)
    assert carry_labels(labels, made).equals(carry_labels(labels.table, made))
    with pytest.raises(LabelError, match=r"^expected labels and an augmented table, found Labels"):
        carry_labels(made, labels)
