"""Bundles opened: packed where that is right and pays, else dense, and why; equal answers."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import nn

from gristmill.core.errors import BundleError, DataError
from gristmill.data.features import HashedNgrams
from gristmill.serve.runners.dense import DenseBody
from gristmill.serve.runners.graph import Graph
from gristmill.serve.runners.opening import open_runner
from gristmill.serve.runners.packed import PackedBody
from gristmill.serve.runners.rows import Ragged, Rows
from gristmill.serve.runners.samples import example_rows
from gristmill.store.bundle import Bundle, Field, Signature, write_bundle
from gristmill.train.draws import seeded
from gristmill.train.module_bundle import bundle_module

TEXTS = ["win a prize", "", "hello", "call now to claim the prize that you won, it is yours"]
IDS = Field("ids", "tensor", dtype="int64", shape=[None])


class Embedder(nn.Module):
    """The mean of a row's words, through two dense layers; `leak` lets padding in."""

    def __init__(self, leak=0.0):
        super().__init__()
        self.words = nn.Embedding(2**8 + 1, 64)
        self.wide, self.narrow = nn.Linear(64, 128), nn.Linear(128, 64)
        self.leak = leak

    def forward(self, ids):
        leaking = self.leak * (torch.arange(ids.shape[1]) >= 5).float()
        real = ((ids != 0).float() + leaking).unsqueeze(-1)
        x = self.narrow(self.wide(self.words(ids)).relu())
        return (x * real).sum(1) / real.sum(1).clamp(min=1.0)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return bundle_module(
        seeded(Embedder, 0),
        tmp_path_factory.mktemp("bundles") / "embedder",
        featurizer=HashedNgrams(buckets=2**8),
        outputs=["embedding"],
    )


def test_a_classifier_of_texts(spam_bundle):
    runner = open_runner(spam_bundle)
    assert (runner.name, runner.fingerprint) == ("spam", spam_bundle.fingerprint)
    assert runner.classes == ("ham", "spam")
    assert [field.name for field in runner.outputs] == ["label", "prob", "probs"]
    assert runner.body.kind == "dense"  # no dense layer: nothing to gain
    rows = runner(Rows({"text": TEXTS}))
    ids = torch.from_numpy(spam_bundle.featurizer().encode(TEXTS))
    (logits,) = Graph(spam_bundle.graph(), spam_bundle.weights())(ids)
    expected = logits.double().softmax(1).numpy()
    assert rows["label"] == [runner.classes[best] for best in expected.argmax(1)]
    np.testing.assert_allclose(rows["probs"], expected, atol=1e-9)


def test_an_embedder_of_texts_is_packed(embedder):
    runner = open_runner(embedder.folder)
    assert isinstance(runner.body, PackedBody)
    assert (runner.body.kind, runner.note, runner.classes) == ("packed", "", ())
    whole = runner(Rows({"text": TEXTS}))["embedding"]
    assert whole.shape == (4, 64)
    for at, text in enumerate(TEXTS):
        one = runner(Rows({"text": [text]}))["embedding"]
        np.testing.assert_allclose(whole[at], one[0], atol=1e-6)


def test_work_follows_the_length(embedder):
    runner = open_runner(embedder)
    assert runner.work(Rows({"text": ["", "12345", None]})).tolist() == [2.0, 3.0, 2.0]
    ragged = Ragged.of([np.ones(3), np.ones(1)])
    assert runner.work(Rows({"ids": ragged})).tolist() == [3.0, 1.0]
    assert runner.work(Rows({"x": np.ones((2, 5))})).tolist() == [1.0, 1.0]


def bundle_of_ids(tmp_path, module, **more):
    example = {"ids": [torch.tensor([1, 2, 3]), torch.tensor([4]), torch.tensor([5, 6])]}
    return bundle_module(module, tmp_path / "bundle", inputs=[IDS], **({"example": example} | more))


def test_ids_as_they_are(tmp_path):
    module = seeded(Embedder, 0)
    bundle = bundle_of_ids(tmp_path, module)
    kept = example_rows(bundle)
    assert [kept["ids"][at].tolist() for at in range(3)] == [[1, 2, 3], [4], [5, 6]]
    runner = open_runner(bundle)
    assert runner.body.kind == "packed"
    with torch.inference_mode():
        expected = module(torch.tensor([[4]]))[0].numpy()
    np.testing.assert_allclose(runner(kept)["output"][1], expected, atol=1e-6)


def test_a_model_that_does_not_ignore_padding_runs_dense(tmp_path):
    bundle = bundle_of_ids(tmp_path, seeded(lambda: Embedder(leak=0.5), 0))
    example = dict(bundle.example(), ids=np.arange(1, 12), **{"ids.offsets": np.array([0, 9, 11])})
    bundle = write_bundle(
        bundle.folder, name="b", signature=bundle.signature, graph=bundle.graph(),
        weights=bundle.weights(), example=example,
    )  # fmt: skip
    runner = open_runner(bundle)
    assert isinstance(runner.body, DenseBody)
    assert "from the padded ones" in runner.note


def test_without_an_example_it_runs_dense(tmp_path):
    bundle = bundle_of_ids(tmp_path, seeded(Embedder, 0))
    bundle = write_bundle(
        bundle.folder, name="b", signature=bundle.signature, graph=bundle.graph(),
        weights=bundle.weights(),
    )  # fmt: skip
    assert example_rows(bundle) is None
    runner = open_runner(bundle)
    assert (runner.body.kind, runner.note) == (
        "dense", "the bundle keeps no example to try it on"
    )  # fmt: skip


def test_a_signature_that_is_not_the_graphs(tmp_path):
    bundle = bundle_of_ids(tmp_path, seeded(Embedder, 0))
    several = Signature(inputs=[IDS, IDS], outputs=bundle.signature.outputs)
    number = Signature(inputs=[Field("ids", "int")], outputs=bundle.signature.outputs)
    more = Signature(inputs=[IDS], outputs=[*bundle.signature.outputs, Field("x", "float")])
    for signature, message in (
        (several, "expected 1 fields for the graph, found 2"),
        (number, "field 'ids': expected a field for int64"),
        (more, "expected the outputs of the signature, found 1 of the graph"),
    ):
        odd = write_bundle(
            tmp_path / "odd", name="b", signature=signature, graph=bundle.graph(),
            weights=bundle.weights(),
        )  # fmt: skip
        with pytest.raises(BundleError, match=message):
            open_runner(odd)


def test_threads_are_put_back_and_calls_overlap(embedder):
    runner, before = open_runner(embedder, threads=1), torch.get_num_threads()
    expected = runner(Rows({"text": TEXTS}))["embedding"]
    found = []

    def ask():
        found.extend(runner(Rows({"text": TEXTS}))["embedding"] for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 15
    assert all(np.array_equal(each, expected) for each in found)
    assert torch.get_num_threads() == before


def test_rows_that_cannot_be_read(embedder):
    with pytest.raises(DataError, match="expected a column 'text', found body"):
        open_runner(embedder)(Rows({"body": ["x"]}))


def test_no_rows(embedder, spam_bundle):
    assert open_runner(spam_bundle)(Rows({"text": []})).count == 0
    rows = open_runner(embedder)(Rows({"text": []}))
    assert rows["embedding"].shape == (0, 64)


def test_the_bundle_is_one_of_tensors(embedder):
    again = Bundle.open(embedder.folder)
    assert (again.manifest.task, again.classes, again.has_featurizer) == ("tensors", [], True)
