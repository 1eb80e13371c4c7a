"""Models whose weights pass through memory: planned within a budget, and the same answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gristmill.core.errors import BundleError, ServeError, UsageError
from gristmill.data.features import HashedNgrams
from gristmill.serve.runners.fit import check_fits
from gristmill.serve.runners.footprint import footprint_of
from gristmill.serve.runners.opening import open_runner
from gristmill.serve.runners.rows import Rows
from gristmill.serve.runners.stages import cut_stages
from gristmill.serve.runners.streaming import StreamedRunner, StreamingPlan, plan_streaming
from gristmill.store.bundle import Bundle, Field, Signature, write_bundle
from gristmill.store.tensor_file import StoredTensor
from gristmill.train.bundle import bundle_model
from gristmill.train.draws import seeded
from gristmill.train.text.text_models import TextTransformer

Writer = Callable[..., Bundle]


class Lender:
    """Lends the weights of a bundle stage by stage, and spoils them when they are given back."""

    def __init__(self, bundle: Bundle, plan: StreamingPlan) -> None:
        self._weights, self._groups = bundle.weights(), plan.groups
        self.asked: list[int] = []
        self.closed = False

    @contextmanager
    def group(self, at: int) -> Iterator[Mapping[str, Tensor]]:
        """Lend a stage's weights."""
        self.asked.append(at)
        lent = {name: torch.tensor(self._weights[name]) for name in self._groups[at]}
        yield lent
        for each in lent.values():
            each.zero_()

    def close(self) -> None:
        """Note that."""
        self.closed = True


def streamed(bundle: Bundle, memory: int) -> tuple[StreamedRunner, Lender, StreamingPlan]:
    plan = plan_streaming(bundle, memory)
    lender = Lender(bundle, plan)
    return StreamedRunner(bundle, plan, lender), lender, plan


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory, write_tower: Writer) -> Bundle:
    return write_tower(tmp_path_factory.mktemp("tower") / "bundle")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle_model(
        seeded(lambda: TextTransformer(200, 3), 0),
        tmp_path_factory.mktemp("texts") / "bundle",
        name="texts",
        classes=["a", "b", "c"],
        featurizer=HashedNgrams(buckets=200, max_tokens=32, words=(1, 1)),
    )


@pytest.mark.parametrize("rows", [0, 1, 5, 1500])
def test_a_dense_model_answers_the_same_bits(tower: Bundle, rows: int) -> None:
    x = np.random.default_rng(1).normal(size=(rows, 4)).astype(np.float32)
    expected = open_runner(tower)(Rows({"x": x}))
    runner, lender, plan = streamed(tower, 10_000_000)
    assert (plan.batch_rows, runner.body.kind) == (1024, "streamed")
    with runner:
        found = runner(Rows({"x": x}))
    assert found["label"] == expected["label"]
    np.testing.assert_array_equal(found["probs"], expected["probs"])
    assert lender.closed


def test_rows_pass_in_rounds_and_come_back_in_order(tower: Bundle) -> None:
    runner, lender, plan = streamed(tower, 40_000)
    rows = 3 * plan.rows + 1
    x = np.random.default_rng(1).normal(size=(rows, 4)).astype(np.float32)
    with runner:
        found = runner(Rows({"x": x}))
    assert plan.batch_rows < plan.rows
    assert len(lender.asked) >= 4 * len(plan.stages) > 4
    assert lender.asked[: len(plan.stages) + 1] == [*range(len(plan.stages)), 0]
    expected = open_runner(tower)(Rows({"x": x}))
    np.testing.assert_allclose(found["probs"], expected["probs"], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("memory", "least"), [(1_000_000, 2), (8_000_000, 1)])
def test_rows_of_different_lengths(texts: Bundle, memory: int, least: int) -> None:
    cells = ["", "win a prize", "hello", "one two three four five six seven eight", "a " * 40] * 7
    runner, _, plan = streamed(texts, memory)
    with runner:
        found = runner(Rows({"text": cells}))
    assert len(plan.stages) >= least
    expected = open_runner(texts)(Rows({"text": cells}))
    np.testing.assert_allclose(found["probs"], expected["probs"], rtol=0, atol=1e-6)


def test_threads_take_turns(tower: Bundle) -> None:
    x = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
    expected = open_runner(tower)(Rows({"x": x}))["probs"]
    found: dict[int, object] = {}
    runner, lender, plan = streamed(tower, 40_000)

    def work(at: int) -> None:
        found[at] = runner(Rows({"x": x[at * 10 : at * 10 + 10]}))["probs"]

    with runner:
        threads = [threading.Thread(target=work, args=(at,)) for at in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    whole = np.concatenate([found[at] for at in range(4)])
    np.testing.assert_allclose(whole, expected, rtol=0, atol=1e-6)
    stages = len(plan.stages)
    assert [at % stages for at in range(len(lender.asked))] == lender.asked


def test_what_the_model_cannot_compute_is_told_and_ends_nothing(tmp_path: Path) -> None:
    bundle = bundle_model(
        seeded(lambda: TextTransformer(9, 2), 0),
        tmp_path / "bundle",
        name="texts",
        classes=["a", "b"],
        featurizer=HashedNgrams(buckets=9, max_tokens=8, words=(1, 1)),
    )
    wide = write_bundle(
        tmp_path / "wide", name="wide", classes=["a", "b"], signature=bundle.signature,
        featurizer=HashedNgrams(buckets=999, max_tokens=8, words=(1, 1)),
        graph=bundle.graph(), weights=bundle.weights(),
    )  # fmt: skip
    runner, _, _ = streamed(wide, 1_000_000)
    with runner:
        with pytest.raises(ServeError, match=r"^graph, node '%embedding'"):
            runner(Rows({"text": [" ".join(map(str, range(50)))]}))
        assert runner(Rows({"text": [""]})).count == 1


def test_the_plan_follows_from_bundle_and_memory_alone(tower: Bundle) -> None:
    plan = plan_streaming(tower, 40_000)
    again = plan_streaming(tower, 40_000)
    assert (plan.rows, plan.batch_rows, plan.groups) == (again.rows, again.batch_rows, again.groups)
    assert plan.largest <= plan.pool < plan.memory
    assert plan.weight_bytes == sum(each.nbytes for each in tower.weights().values())
    assert [name for group in plan.groups for name in group] == tower.graph().weights
    assert plan.summary.startswith("weights of 17.9 KB pass through ")


def test_a_plan_in_words(tower: Bundle) -> None:
    assert str(plan_streaming(tower, 10_000_000)) == (
        "weights  17.9 KB on disk, read in one stage of at most 18.0 KB\n"
        "memory   10 MB: 4.37 MB for weights, 2.19 MB for rows, the rest for values and kernels\n"
        "rows     4,152 between two readings of the weights, in batches of 1,024\n"
        "reading  0.09 ms at 200 MB/s, hidden behind the computing (from 1,038 rows)"
    )
    assert str(plan_streaming(tower, 40_000)).endswith(
        ", not hidden by the computing (from 1,038 rows)"
    )


def test_more_memory_never_means_fewer_rows(tower: Bundle) -> None:
    rows = [plan_streaming(tower, memory).rows for memory in (22_000, 50_000, 200_000, 10**6)]
    assert rows == sorted(rows)
    assert rows[0] < rows[-1]


def test_a_budget_that_is_too_small_names_the_layer_and_the_least(tower: Bundle) -> None:
    with pytest.raises(UsageError) as caught:
        plan_streaming(tower, 10_000)
    assert str(caught.value) == (
        "model 'tower': a memory of 10 KB is too small for this model: layer 'dense1' (weight "
        "'w1') alone takes 8.19 KB, and the values of one row 256 B\n  fix: give it 22KB or more"
    )
    assert plan_streaming(tower, 22_000).rows >= 1


def test_weights_that_the_file_lacks(tmp_path: Path, tower: Bundle) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    tower.save(copy)
    bundle = Bundle.open(copy)
    graph = tower.graph()
    graph.weights.append("more")
    object.__setattr__(bundle, "graph", lambda: graph)
    with pytest.raises(BundleError, match="expected a weight 'more' for the graph, found none"):
        plan_streaming(bundle, 1_000_000)


def test_the_footprint_of_a_row(tower: Bundle) -> None:
    spec = tower.graph()
    stored = {
        name: StoredTensor(name, each.dtype.name, each.shape, 0, each.nbytes)
        for name, each in tower.weights().items()
    }
    sizes = {name: each.nbytes for name, each in stored.items()}
    found = footprint_of(spec, cut_stages(spec, sizes, 1), stored, 1)
    assert found.carried == 32 * 4
    assert found.working == 2 * 32 * 4
    assert found.operations == 2 * (4 * 32 + 4 * 32 * 32 + 32 * 3)


class Convolved(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide, self.dense = nn.Conv2d(3, 8, 3), nn.Linear(8, 2)

    def forward(self, image: Tensor) -> Tensor:
        return self.dense(self.wide(image).relu().mean((2, 3)))


def test_images(tmp_path: Path) -> None:
    from gristmill.train.module_bundle import bundle_module

    images = torch.randint(0, 256, (3, 6, 5, 3), dtype=torch.uint8)
    bundle = bundle_module(
        seeded(Convolved, 0),
        tmp_path / "bundle",
        inputs=[Field("image", "image", shape=[6, 5, 3])],
        example={"image": images},
    )
    runner, _, plan = streamed(bundle, 100_000)
    assert plan.hiding_rows == -(-plan.weight_bytes * 500 // (2 * 8 * 12 * 27 + 2 * 16))
    with runner:
        found = runner(Rows({"image": images.numpy()}))
    expected = open_runner(bundle)(Rows({"image": images.numpy()}))
    np.testing.assert_array_equal(found["output"], expected["output"])


def test_a_server_refuses_what_is_larger_than_memory(
    tower: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_fits(tower)
    monkeypatch.setattr("gristmill.serve.runners.fit.free_memory", lambda: 5000)
    with pytest.raises(ServeError) as caught:
        check_fits(tower)
    assert str(caught.value).startswith(
        "model 'tower': the model is larger than memory: its weights take 18.7 KB, and 5 KB are "
        "free; a request would wait for all of them to be read\n  fix: answer tables with it by "
        "`gristmill predict`"
    )
    monkeypatch.setattr("gristmill.serve.runners.fit.free_memory", lambda: None)
    check_fits(tower)


def test_signatures_that_are_not_the_graphs(tmp_path: Path, tower: Bundle) -> None:
    odd = write_bundle(
        tmp_path / "odd",
        name="odd",
        signature=Signature(
            tower.signature.inputs,
            [Field(name, "tensor", dtype="float32", shape=[3]) for name in ("one", "two")],
        ),
        graph=tower.graph(),
        weights=tower.weights(),
    )
    with pytest.raises(BundleError, match="expected the outputs of the signature, found 1"):
        plan_streaming(odd, 1_000_000)
