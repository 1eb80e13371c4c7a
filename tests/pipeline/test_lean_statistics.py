"""What leaves with a bundle: enough to compare with, nothing of a row."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.pipeline.lean_statistics import LEAST_ROWS, MOST_VALUES, kept, shipped
from gristmill.validate import measure, profile

SECRET = "the passport of Ms Quill is 4711"


def saved(statistics, folder):
    folder.mkdir(exist_ok=True)
    statistics.save(folder)
    return b"".join((folder / n).read_bytes() for n in ("statistics.json", "sketches.bin"))


def texts(rows, seed=0):
    generator = np.random.default_rng(seed)
    return [f"{SECRET} {n} {'x' * int(generator.integers(60))}" for n in range(rows)]


def test_no_text_leaves(tmp_path):
    frame = pl.DataFrame({"text": [*texts(3000), *[SECRET] * 50]})
    full = profile(frame)
    assert b"Quill" in saved(full, tmp_path / "full")
    lean = saved(shipped(full), tmp_path / "lean")
    for word in (b"Quill", b"passport", b"4711", *(f"{n}".encode() for n in (2987, 2988))):
        assert word not in lean
    assert len(lean) < 25_000


def test_letters_without_case_are_no_pattern(tmp_path):
    full = profile(pl.DataFrame({"text": [f"奎尔护照{n:03d}!" for n in range(900)]}))
    lean = shipped(full)
    assert lean.features["text"].text.classes.counts() == {"LLLL9{3}!": 900}
    assert "护照".encode() not in saved(lean, tmp_path)
    again = kept(profile(pl.DataFrame({"text": ["奎尔护照777!"] * 300})), ())
    assert again.features["text"].text.classes.counts() == {"LLLL9{3}!": 300}


def test_categories_of_a_few_rows_keep_their_counts_and_lose_their_names(tmp_path):
    values = ["de"] * 400 + ["fr"] * 300 + ["Quill"] * 4 + ["Sand"] + ["it"] * LEAST_ROWS
    full = profile(pl.DataFrame({"country": values}))
    lean = shipped(full)
    assert lean.features["country"].values.counts() == {
        "de": 400,
        "fr": 300,
        "it": LEAST_ROWS,
        "(rare 1)": 4,
        "(rare 2)": 1,
    }
    assert b"Quill" not in saved(lean, tmp_path)
    assert measure("country", lean.features["country"], full.features["country"]).distance == 0


@pytest.mark.parametrize("different", [3, 64, 65, 5000])
def test_how_many_values_there_are_is_still_known(different):
    full = profile(pl.DataFrame({"text": [f"text {n % different}" for n in range(5000)]}))
    lean = shipped(full).features["text"].distinct_count
    assert lean.low <= different <= lean.high
    assert lean.exact == (different <= 64)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-(10**6), 10**6), min_size=600, max_size=900, unique=True),
    st.integers(1, 9),
)
def test_many_numbers_are_grouped_and_ranks_stay_exact(numbers, repeats):
    full = profile(pl.DataFrame({"x": numbers + numbers[: len(numbers) // 9] * repeats}))
    before = full.features["x"].numbers.quantiles
    after = shipped(full).features["x"].numbers.quantiles
    values, counts = after.value_counts()
    assert len(values) <= MOST_VALUES
    assert counts.min() >= LEAST_ROWS
    assert counts.sum() == before.n == after.n
    assert np.array_equal(after.ranks(values), before.ranks(values))
    assert values[-1] == max(numbers)


@given(st.lists(st.sampled_from([1.5, 2.0, 7.0, float("nan")]), min_size=1, max_size=60))
def test_few_numbers_stay_as_they_are(numbers):
    full = profile(pl.DataFrame({"x": numbers}))
    before, after = full.features["x"].numbers, shipped(full).features["x"].numbers
    assert after.quantiles.to_bytes() == before.quantiles.to_bytes()
    assert (after.n, after.nan, after.low) == (before.n, before.nan, before.low)
    assert after.mean == pytest.approx(before.mean, rel=1e-11)


def test_what_is_left_is_as_near_to_other_data_as_all_of_it():
    generator = np.random.default_rng(1)
    for shift in (0.0, 0.3, 1.0):
        full, other = (
            profile(pl.DataFrame({"x": generator.normal(by, 1, 5000), "text": texts(5000, seed)}))
            for seed, by in ((1, 0), (2, shift))
        )
        for name in ("x", "text"):
            features = full.features[name], shipped(full).features[name]
            every, lean = (measure(name, each, other.features[name]) for each in features)
            assert lean.distance == pytest.approx(every.distance, abs=0.01)
            assert lean.alarm == every.alarm


def test_parts_of_what_was_served_add_up():
    parts = [
        pl.DataFrame({"text": texts(300, seed), "kind": ["a", "b", "c"] * 100}) for seed in range(4)
    ]
    whole = kept(profile(pl.concat(parts)), {"kind"})
    total = kept(profile(parts[0]), {"kind"})
    for part in parts[1:]:
        total = kept(total + kept(profile(part), {"kind"}), {"kind"})
    assert total.features["text"].values is None
    assert total.features["text"].text.shapes == whole.features["text"].text.shapes
    assert total.features["text"].lengths.figures() == pytest.approx(
        whole.features["text"].lengths.figures()
    )
    assert total.features["kind"].values.counts() == {"a": 400, "b": 400, "c": 400}


def test_what_is_kept_of_much_is_no_more_than_of_little(tmp_path):
    generator = np.random.default_rng(0)
    total = None
    for seed in range(30):
        frame = pl.DataFrame({"text": texts(512, seed), "x": generator.random(512)})
        part = kept(profile(frame), {"kind"})
        total = part if total is None else kept(total + part, {"kind"})
    assert b"Quill" not in saved(total, tmp_path)
    assert len(saved(total, tmp_path)) < 100_000
