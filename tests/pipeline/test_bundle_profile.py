import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import DataError
from gristmill.data.features import Columns, HashedNgrams
from gristmill.pipeline import answers_of, training_profile
from gristmill.pipeline.tensor_figures import with_tensor_figures
from gristmill.serve.runners.rows import Ragged, Rows
from gristmill.serve.watch.served_rows import ServedRows
from gristmill.validate import Schema, Statistics, profile

FILES = {"schema.toml", "profile/statistics.json", "profile/sketches.bin"}


def messages(rows=400, seed=0):
    generator = np.random.default_rng(seed)
    words = np.array(["win", "a", "prize", "see", "you", "at", "home", "5"])
    texts = [" ".join(generator.choice(words, n)) for n in generator.integers(1, 9, rows)]
    return pl.DataFrame({"text": texts, "secret": texts, "age": generator.normal(40, 9, rows)})


def statistics_of(files, folder):
    for name in ("statistics.json", "sketches.bin"):
        (folder / name).write_bytes(files[f"profile/{name}"])
    return Statistics.load(folder)


def test_only_what_the_model_reads_is_told(tmp_path):
    files = training_profile(messages(), HashedNgrams())
    assert set(files) == FILES
    assert set(statistics_of(files, tmp_path).features) == {"text"}
    assert set(Schema.parse(files["schema.toml"].decode()).features) == {"text"}
    assert sum(map(len, files.values())) < 20_000


def test_equal_rows_in_any_form_give_equal_files():
    frame = messages()
    answers = {"label": ["ham", "spam"] * 60}
    first = training_profile(frame, HashedNgrams(), answers=answers)
    assert training_profile(frame.clone(), ["text"], answers=answers) == first
    assert training_profile(frame.with_row_index("row_id"), ["text"], answers=answers) == first
    assert training_profile(frame.head(399), ["text"], answers=answers) != first


def test_answers_stand_beside_the_inputs_with_their_own_number_of_rows(tmp_path):
    probs = np.array([[0.25, 0.75], [0.5, 0.5], [0.9, 0.1]], np.float32)
    answers = answers_of(probs, ["ham", "5"])
    assert answers["label"] == ["5", "ham", "ham"]
    assert answers["prob"] == [0.75, 0.5, pytest.approx(0.9)]
    files = training_profile(messages(), ["text", "age"], answers=answers)
    found = statistics_of(files, tmp_path)
    assert list(found.features) == ["text", "age", "prediction.label", "prediction.prob"]
    assert found.rows == 400
    assert [found.features[name].rows for name in ("age", "prediction.label")] == [400, 3]
    assert found.features["prediction.label"].kind == "string"


def test_a_schema_that_is_given_is_kept():
    frame = messages()
    schema = Schema.infer(profile(frame))
    files = training_profile(frame, HashedNgrams(), schema=schema)
    assert files["schema.toml"].decode() == schema.text


def test_text_that_spells_numbers_and_numbers_that_are_true_or_false(tmp_path):
    frame = pl.DataFrame({"code": ["1", "2"] * 50, "yes": [True, False] * 50})
    found = statistics_of(training_profile(frame, Columns(("code", "yes"))), tmp_path)
    assert [found.features[name].kind for name in ("code", "yes")] == ["string", "int"]


def test_a_wide_table_is_profiled_in_part(tmp_path):
    frame = pl.DataFrame({f"x{n}": [1.0, 2.0] for n in range(300)})
    files = training_profile(frame, Columns(tuple(frame.columns)))
    assert len(statistics_of(files, tmp_path).features) == 256


def test_what_is_missing_is_named():
    with pytest.raises(DataError, match="reads column 'text', which the table does not have") as e:
        training_profile(messages().drop("text"), HashedNgrams())
    assert e.value.fix == "columns are: row_id, secret, age"
    with pytest.raises(DataError, match="expected rows that the model learned from, found none"):
        training_profile(messages().head(0), HashedNgrams())


def test_tensors_are_told_as_they_are_watched(tmp_path):
    draw = np.random.default_rng(0)
    pictures = draw.integers(0, 256, (60, 4, 6, 3), np.uint8)
    lengths = draw.integers(1, 9, 60)
    tokens = [draw.integers(0, 100, length) for length in lengths]
    frame = pl.DataFrame({"picture": pl.Series(pictures), "tokens": [t.tolist() for t in tokens],
                          "age": draw.normal(40, 9, 60)})  # fmt: skip
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    served = ServedRows()
    rows = {"picture": pictures, "tokens": Ragged(np.concatenate(tokens), offsets)}
    served.observe(Rows({**rows, "age": frame["age"].to_numpy()}), Rows({}, 60))
    expected = pl.DataFrame(served.take().columns)
    found = with_tensor_figures(frame)
    assert sorted(found.columns) == ["age", "picture.mean", "tokens.length", "tokens.mean"]
    assert found.select(sorted(found.columns)).equals(expected.select(sorted(found.columns)))
    files = training_profile(frame, ["picture", "tokens", "age"])
    assert set(statistics_of(files, tmp_path).features) == set(found.columns)
    assert set(Schema.parse(files["schema.toml"].decode()).features) == {"age"}
    assert "schema.toml" not in training_profile(frame, ["picture"])


def test_tensors_with_nothing_to_tell():
    frame = pl.DataFrame(
        {
            "empty": pl.Series([[], None, []], dtype=pl.List(pl.Float64)),
            "some": [[1.0, 3.0], None, []],
            "deep": [[[1, 2], [3, 6]], [[1]], []],
            "words": [["a"], ["b"], None],
            "array": pl.Series([[1, 2], None, [3, 5]], dtype=pl.Array(pl.UInt8, 2)),
        }
    )
    assert with_tensor_figures(frame).to_dict(as_series=False) == {
        "empty.mean": [None] * 3,
        "some.length": [2, None, 0],
        "some.mean": [2.0, None, None],
        "deep.length": [2, 1, 0],
        "deep.mean": [3.0, 1.0, None],
        "array.mean": [1.5, None, 4.0],
    }
