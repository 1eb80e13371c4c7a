"""Loaded bundles: the same answer alone and in a batch, and PyTorch's settings left alone."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gristmill.core.errors import BundleError, DataError, ServeError
from gristmill.data.features import Columns, Featurizer, HashedNgrams
from gristmill.serve.runners.answering import softmax
from gristmill.serve.runners.loaded import LoadedRunner
from gristmill.serve.runners.opening import open_runner
from gristmill.serve.runners.rows import Rows
from gristmill.store.bundle import Bundle, Field, Signature, write_bundle
from gristmill.store.graph import GraphSpec, Input, Node, Ref
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
def runner(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> LoadedRunner:
    return open_runner(bundled(tmp_path_factory.mktemp("bundle") / "b", request.param))


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> LoadedRunner:
    return open_runner(bundled(tmp_path_factory.mktemp("bundle") / "b", "bag"))


@pytest.fixture
def lookup(tmp_path: Path) -> LoadedRunner:
    """A table of two rows, which is asked for a row by its number."""
    graph = GraphSpec(
        inputs=[Input("ids", "int64", [None, 1])],
        weights=["table"],
        nodes=[Node("rows", "aten.embedding.default", [Ref("table"), Ref("ids")])],
        outputs=["rows"],
    )
    bundle = write_bundle(
        tmp_path / "lookup",
        name="lookup",
        signature=Signature(
            [Field("ids", "tensor", dtype="int64", shape=[1])],
            [Field("found", "tensor", dtype="float32", shape=[1, 3])],
        ),
        graph=graph,
        weights={"table": np.arange(6, dtype=np.float32).reshape(2, 3)},
    )
    return open_runner(bundle)


def texts(*cells: str | None) -> Rows:
    return Rows({"text": list(cells)})


@settings(max_examples=25, deadline=None)
@given(cells=st.lists(TEXT, min_size=1, max_size=12))
def test_a_row_gets_one_answer_alone_and_in_any_batch(
    runner: LoadedRunner, cells: list[str]
) -> None:
    # float32 sums in another order: 1e-6 in one text of thousands, as weights are large here.
    bound = {"rtol": 0, "atol": 5e-6}
    together = runner(texts(*cells))
    alone = Rows.concat([runner(texts(cell)) for cell in cells])
    np.testing.assert_allclose(together["probs"], alone["probs"], **bound)
    backwards = runner(texts(*cells[::-1]))
    np.testing.assert_allclose(together["prob"], backwards["prob"][::-1], **bound)


def test_an_answer_is_label_prob_and_probs(runner: LoadedRunner) -> None:
    answers = runner(texts("win a prize now!", "", "hello mum " * 50))
    assert list(answers.columns) == ["label", "prob", "probs"]
    assert answers["probs"].dtype == np.float64
    for row in range(3):
        label, prob, probs = (answers[name][row] for name in ("label", "prob", "probs"))
        assert math.isclose(sum(probs), 1.0, abs_tol=1e-12)
        assert prob == max(probs)
        assert CLASSES[probs.argmax()] == label


def test_more_rows_than_fit_in_one_go_come_back_in_order(bag: LoadedRunner) -> None:
    cells = [f"win prize {number}" for number in range(2500)]
    answers = bag(texts(*cells))
    assert answers.count == 2500
    for row in (0, 1023, 1024, 2499):
        one = bag(texts(cells[row]))
        assert math.isclose(one["prob"][0], answers["prob"][row], abs_tol=1e-6)


def test_no_rows(runner: LoadedRunner) -> None:
    answers = runner(texts())
    assert (answers.count, answers["label"], answers["probs"].shape) == (0, [], (0, 3))


def test_what_a_runner_knows_of_its_bundle(bag: LoadedRunner) -> None:
    assert bag.classes == tuple(CLASSES)
    assert [field.name for field in bag.inputs] == ["text"]
    assert open_runner(bag.bundle.folder).fingerprint == bag.fingerprint


def test_a_missing_text_reads_as_an_empty_one(bag: LoadedRunner) -> None:
    np.testing.assert_array_equal(bag(texts(None))["probs"], bag(texts(""))["probs"])


def test_rows_without_the_column(bag: LoadedRunner) -> None:
    with pytest.raises(DataError, match="expected a column 'text', found body"):
        bag(Rows({"body": ["x"]}))


def test_columns_of_numbers(tmp_path: Path) -> None:
    module = nn.Linear(2, 3)
    featurizer = Columns(("a", "b"))
    runner = open_runner(
        bundle_model(module, tmp_path / "b", name="t", classes=CLASSES, featurizer=featurizer)
    )
    rows = Rows({"b": np.array([1, 2]), "c": ["x", "y"], "a": np.array([0.5, -1.0])})
    with torch.inference_mode():
        expected = module(torch.tensor([[0.5, 1.0], [-1.0, 2.0]])).double().softmax(1)
    np.testing.assert_allclose(runner(rows)["probs"], expected.numpy(), rtol=0, atol=1e-6)


def test_softmax_does_not_overflow() -> None:
    probs = softmax(np.array([[1e4, 0.0], [-1e4, -1e4]]))
    np.testing.assert_array_equal(probs, [[1.0, 0.0], [0.5, 0.5]])


def test_a_damaged_bundle_does_not_load(bag: LoadedRunner, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    bag.bundle.save(copy)
    (copy / "weights.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(BundleError, match=r"weights.safetensors: expected \d+ bytes, found 8"):
        open_runner(copy)


@pytest.mark.parametrize("threads", [None, 1, 2])
def test_the_number_of_threads_is_put_back(bag: LoadedRunner, threads: int | None) -> None:
    before = torch.get_num_threads()
    open_runner(bag.bundle, threads=threads)(texts("win"))
    assert torch.get_num_threads() == before


def test_the_number_of_threads_is_put_back_after_calls_that_overlap(bag: LoadedRunner) -> None:
    before = torch.get_num_threads()

    def work(runner: LoadedRunner) -> None:
        for _ in range(30):
            runner(texts("win"))

    threads = [
        threading.Thread(target=work, args=(open_runner(bag.bundle, threads=count),))
        for count in (1, 2, 3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.get_num_threads() == before


def test_the_number_of_threads_is_put_back_after_an_error(lookup: LoadedRunner) -> None:
    before = torch.get_num_threads()
    lookup.threads = before + 1
    with pytest.raises(ServeError, match=r"^graph, node 'rows': "):
        lookup(Rows({"ids": np.array([[7]])}))
    assert torch.get_num_threads() == before
