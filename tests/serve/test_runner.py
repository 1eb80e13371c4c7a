"""Runners: the same answer alone and in a batch, and PyTorch's settings left alone."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gristmill.core.errors import BundleError, DataError, ServeError
from gristmill.data.features import Columns, Featurizer, HashedNgrams
from gristmill.serve.records import RecordError
from gristmill.serve.runner import ANSWER, Runner
from gristmill.serve.runners.answering import softmax
from gristmill.store.bundle import Bundle
from gristmill.train.bundle import bundle_model
from gristmill.train.text.text_models import BagOfNgrams, EmbeddingMLP, TextCNN, TextTransformer

BUCKETS = 200
NGRAMS = HashedNgrams(buckets=BUCKETS, max_tokens=32, chars=(3, 3))
WORDS = HashedNgrams(buckets=BUCKETS, max_tokens=32, words=(1, 1))
CLASSES = ["ham", "spam", "scam"]
MODELS: dict[str, tuple[Callable[[], nn.Module], Featurizer]] = {
    "bag": (lambda: BagOfNgrams(BUCKETS, 3), NGRAMS),
    "mlp": (lambda: EmbeddingMLP(BUCKETS, 3), NGRAMS),
    "cnn": (lambda: TextCNN(BUCKETS, 3), WORDS),
    "transformer": (lambda: TextTransformer(BUCKETS, 3), WORDS),
}
WORD = st.sampled_from(["win", "prize", "£900", "hello", "mum", "call", "now!", "ok", "日本"])
TEXT = st.lists(WORD, max_size=40).map(" ".join)


def bundled(folder: Path, name: str) -> Bundle:
    make, featurizer = MODELS[name]
    torch.manual_seed(4)
    module = make()
    for parameter in module.parameters():
        with torch.no_grad():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    for table in module.modules():
        if isinstance(table, nn.Embedding) and table.padding_idx is not None:
            with torch.no_grad():
                table.weight[table.padding_idx] = 0
    return bundle_model(module, folder, name=name, classes=CLASSES, featurizer=featurizer)


@pytest.fixture(scope="module", params=MODELS)
def runner(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(bundled(tmp_path_factory.mktemp("bundle") / "b", request.param))


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(bundled(tmp_path_factory.mktemp("bundle") / "b", "bag"))


def frame(texts: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"text": texts}, schema={"text": pl.String})


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(TEXT, min_size=1, max_size=12))
def test_a_row_gets_one_answer_alone_and_in_any_batch(runner: Runner, texts: list[str]) -> None:
    together = runner.predict(frame(texts))
    alone = pl.concat([runner.predict(frame([text])) for text in texts])
    np.testing.assert_allclose(
        np.array(together["probs"].to_list()), np.array(alone["probs"].to_list()), rtol=0, atol=1e-6
    )
    backwards = runner.predict(frame(texts[::-1]))
    np.testing.assert_allclose(
        together["prob"].to_numpy(), backwards["prob"].to_numpy()[::-1], rtol=0, atol=1e-6
    )


def test_an_answer_is_label_prob_and_probs(runner: Runner) -> None:
    texts = ["win a prize now!", "", "hello mum " * 50]
    answer = runner.predict(frame(texts))
    assert answer.schema == ANSWER
    for label, prob, probs in answer.iter_rows():
        assert math.isclose(sum(probs), 1.0, abs_tol=1e-12)
        assert prob == max(probs)
        assert CLASSES[probs.index(prob)] == label


def test_more_rows_than_fit_in_one_go_come_back_in_order(bag: Runner) -> None:
    texts = [f"win prize {number}" for number in range(2500)]
    answer = bag.predict(frame(texts))
    assert answer.height == 2500
    for row in (0, 1023, 1024, 2499):
        one = bag.predict(frame([texts[row]]))
        assert math.isclose(one["prob"][0], answer["prob"][row], abs_tol=1e-6)


def test_no_rows(runner: Runner) -> None:
    assert runner.predict(frame([])).equals(ANSWER.to_frame())


def test_what_a_runner_knows_of_its_bundle(bag: Runner) -> None:
    assert bag.classes == CLASSES
    assert [field.name for field in bag.signature.inputs] == ["text"]
    assert Runner(bag.bundle.folder).bundle.fingerprint == bag.bundle.fingerprint


def test_records_are_checked_and_become_a_frame(bag: Runner) -> None:
    good, errors = bag.check_records([{"text": "win", "id": 4}, {"text": 3}])
    assert good == [{"text": "win"}]
    assert errors == [RecordError(1, "text", "a string", "3")]
    assert bag.frame(good).equals(frame(["win"]))
    assert bag.frame([]).schema == {"text": pl.String}


def test_logits_of_arrays(bag: Runner) -> None:
    ids = NGRAMS.encode(["win a prize", "hello"])
    logits = bag.logits(ids)
    assert (logits.dtype, logits.shape) == (np.float64, (2, 3))
    expected = bag.predict(frame(["win a prize", "hello"]))["probs"].to_list()
    np.testing.assert_array_equal(softmax(logits), expected)
    ids.flags.writeable = False
    np.testing.assert_array_equal(bag.logits(ids), logits)
    with pytest.raises(ServeError, match=r"expected int64\[any, any\], found float32\[2, 2\]"):
        bag.logits(np.zeros((2, 2), dtype=np.float32))
    with pytest.raises(ServeError, match=r"^graph, node '%embedding': "):
        bag.logits(np.full((1, 1), BUCKETS + 1))


def test_a_frame_without_the_column(bag: Runner) -> None:
    with pytest.raises(DataError, match="expected a column 'text', found body"):
        bag.predict(pl.DataFrame({"body": ["x"]}))


def test_columns_of_numbers(tmp_path: Path) -> None:
    module = nn.Linear(2, 3)
    featurizer = Columns(("a", "b"))
    runner = Runner(
        bundle_model(module, tmp_path / "b", name="t", classes=CLASSES, featurizer=featurizer)
    )
    table = pl.DataFrame({"b": [1, 2], "c": ["x", "y"], "a": [0.5, -1.0]})
    with torch.inference_mode():
        expected = module(torch.tensor([[0.5, 1.0], [-1.0, 2.0]])).double().softmax(1)
    probs = runner.predict(table)["probs"].to_list()
    np.testing.assert_allclose(probs, expected.numpy(), rtol=0, atol=1e-6)
    _, errors = runner.check_records([{"a": 1e39, "b": 10**400}, {"a": 1, "b": "2"}])
    assert [(error.index, error.field) for error in errors] == [(0, "a"), (0, "b"), (1, "b")]


def test_softmax_does_not_overflow() -> None:
    probs = softmax(np.array([[1e4, 0.0], [-1e4, -1e4]]))
    np.testing.assert_array_equal(probs, [[1.0, 0.0], [0.5, 0.5]])


def test_a_damaged_bundle_does_not_load(bag: Runner, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    bag.bundle.save(copy)
    (copy / "weights.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(BundleError, match=r"weights.safetensors: expected \d+ bytes, found 8"):
        Runner(copy)


@pytest.mark.parametrize("threads", [None, 1, 2])
def test_the_number_of_threads_is_put_back(bag: Runner, threads: int | None) -> None:
    before = torch.get_num_threads()
    Runner(bag.bundle, threads=threads).predict(frame(["win"]))
    assert torch.get_num_threads() == before


def test_the_number_of_threads_is_put_back_after_calls_that_overlap(bag: Runner) -> None:
    before = torch.get_num_threads()

    def work(runner: Runner) -> None:
        for _ in range(30):
            runner.predict(frame(["win"]))

    threads = [
        threading.Thread(target=work, args=(Runner(bag.bundle, threads=count),))
        for count in (1, 2, 3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.get_num_threads() == before


def test_the_number_of_threads_is_put_back_after_an_error(bag: Runner) -> None:
    before = torch.get_num_threads()
    with pytest.raises(ServeError):
        Runner(bag.bundle, threads=before + 1).logits(np.full((1, 1), BUCKETS + 1))
    assert torch.get_num_threads() == before
