"""Modules of any kind as bundles: what is kept, and what fails the trial."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gristmill.core.errors import BundleError, TrainError
from gristmill.data.features import Columns
from gristmill.serve.runners.opening import open_runner
from gristmill.serve.runners.rows import Ragged, Rows
from gristmill.store.bundle import Bundle, Field
from gristmill.train.draws import seeded
from gristmill.train.module_bundle import bundle_module

IDS = Field("ids", "tensor", dtype="int64", shape=[None])
ROWS = [torch.tensor([1, 2, 3]), torch.tensor([4])]


class Act(nn.Module):
    """One weight, and whatever the test wants."""

    def __init__(self, act):
        super().__init__()
        self.weight, self._act = nn.Parameter(torch.ones(1)), act

    def forward(self, *inputs):
        return self._act(self.weight, *inputs)


def written(tmp_path, act, **more):
    arguments = {"inputs": [IDS], "example": {"ids": ROWS}} | more
    return bundle_module(Act(act), tmp_path / "bundle", **arguments)


def test_rows_of_free_length(tmp_path):
    bundle = written(tmp_path, lambda w, ids: (ids * w, (ids * w).sum(1)), outputs=["each", "sum"])
    each, total = Bundle.open(bundle.folder).signature.outputs
    assert (each.name, each.ragged, total.shape) == ("each", True, [])
    assert bundle.example()["ids"].tolist() == [1, 2, 3, 4]
    assert bundle.example()["ids.offsets"].tolist() == [0, 3, 4]
    ids = Ragged.of([np.array([5, 6]), np.array([7, 8, 9])])
    answers = open_runner(bundle)(Rows({"ids": ids}))
    assert isinstance(answers["each"], Ragged)
    assert answers["each"][1].tolist() == [7.0, 8.0, 9.0]
    assert answers["sum"].tolist() == [11.0, 24.0]


def test_answers_may_have_names_of_their_own_and_none_is_none(tmp_path):
    def act(w, ids):
        return {"sum": (ids * w).sum(1), "nothing": None, "each": ids * w}

    bundle = written(tmp_path, act)
    assert [field.name for field in bundle.signature.outputs] == ["sum", "each"]
    answers = open_runner(bundle)(Rows({"ids": Ragged.of([np.array([5, 6])])}))
    assert answers["sum"].tolist() == [11.0]
    assert answers["each"][0].tolist() == [5.0, 6.0]
    alone = written(tmp_path, lambda w, ids: ((ids * w).sum(1), None))
    assert [field.name for field in alone.signature.outputs] == ["output"]


class Tables(nn.Module):
    """Looks numbers up in two tables, the first ones of them as they are."""

    def __init__(self):
        super().__init__()
        self.large, self.small = nn.Embedding(9, 2), nn.Embedding(5, 2)

    def forward(self, ids, numbers, others):
        looked_up = self.large(ids).sum(1) + self.small(ids[:, 0].int())
        return looked_up + self.large(others % 9).sum(1) + numbers.sum(1)[:, None]


def test_numbers_that_look_up_rows_are_bounded_by_the_table(tmp_path):
    inputs = [
        Field(name, "tensor", dtype="int64", shape=[2], min=low)
        for name, low in (("ids", None), ("numbers", None), ("others", 1.0))
    ]
    example = dict.fromkeys(["ids", "numbers", "others"], torch.tensor([[1, 2], [4, 0]]))
    example["others"] = example["others"] + 1
    bundle = bundle_module(Tables(), tmp_path / "b", inputs=inputs, example=example)
    limits = [(field.min, field.max) for field in bundle.signature.inputs]
    assert limits == [(0.0, 4.0), (None, None), (1.0, None)]


def test_a_classifier_of_images(tmp_path):
    field = Field("picture", "image", shape=[4, 5, 3])
    module = seeded(lambda: nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(12, 2)), 0)
    pixels = torch.arange(3 * 60, dtype=torch.uint8).reshape(3, 4, 5, 3)
    bundle = bundle_module(
        module, tmp_path / "b", inputs=[field], example={"picture": pixels}, classes=["a", "b"]
    )
    assert (bundle.manifest.task, bundle.has_featurizer, bundle.name) == (
        "classification", False, "b"
    )  # fmt: skip
    answers = open_runner(bundle)(Rows({"picture": pixels.numpy()}))
    with torch.inference_mode():
        expected = module(pixels.permute(0, 3, 1, 2) / 255.0).softmax(1)
    np.testing.assert_allclose(answers["probs"], expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_captured_in_the_order_in_which_they_are_served(tmp_path, channels):
    field = Field("picture", "image", shape=[4, 5, channels])
    module = nn.Sequential(nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    pixels = torch.arange(40 * channels, dtype=torch.uint8).reshape(2, 4, 5, channels)
    bundle = bundle_module(module, tmp_path / "b", inputs=[field], example={"picture": pixels})
    answers = open_runner(bundle)(Rows({"picture": pixels.numpy()}))
    expected = module(pixels.permute(0, 3, 1, 2) / 255.0)
    np.testing.assert_allclose(answers["output"], expected.numpy(), atol=1e-6)


def test_numbers_and_tensors_together(tmp_path):
    fields = [Field("x", "tensor", dtype="float32", shape=[2]), Field("scale", "float")]
    bundle = written(
        tmp_path,
        lambda w, x, scale: x * w * scale.unsqueeze(1),
        inputs=fields,
        example={"x": torch.ones(2, 2), "scale": torch.tensor([1.0, 2.0])},
    )
    rows = Rows({"x": np.ones((2, 2), np.float32), "scale": np.array([3.0, 4.0])})
    assert open_runner(bundle)(rows)["output"].tolist() == [[3.0, 3.0], [4.0, 4.0]]


def test_columns_of_a_table(tmp_path):
    bundle = bundle_module(nn.Linear(2, 1), tmp_path / "b", featurizer=Columns(("a", "b")))
    assert [field.kind for field in bundle.signature.inputs] == ["float", "float"]
    assert open_runner(bundle)(Rows({"a": [1.0], "b": [2.0]}))["output"].shape == (1, 1)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda w, ids: (ids * w).mean(1), "expected the same answer to a row alone and in a"),
        (lambda w, ids: (ids * w).sum(1) - (ids * w).mean(), "apart for row 0"),
        (lambda w, ids: (ids / ids * w).sum(1), "expected finite answers, found nan or inf"),
        (lambda w, ids: (ids * w).sum(), "expected a tensor, or several, with 2 rows each"),
        (lambda w, ids: torch.cat([ids, ids], 1) * w, "expected the same shape alone and in a"),
    ],
)  # fmt: skip
def test_modules_that_fail_the_trial(tmp_path, act, message):
    with pytest.raises(TrainError, match=message):
        written(tmp_path, act)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"example": {"ids": ROWS[:1]}}, "input 'ids': expected an example of two rows or more"),
        ({"example": None}, "input 'ids': expected an example of two rows or more"),
        (
            {"example": {"ids": [torch.ones(2), torch.ones(3)]}},
            r"input 'ids': expected rows of int64 \[None\], found float32 \[2\]",
        ),
        ({"outputs": ["a", "b"]}, "expected 2 outputs, found 1"),
        ({"classes": ["a", "b"]}, r"expected logits \[n, 2\], found rows of \[\]"),
    ],
)
def test_arguments_that_do_not_fit(tmp_path, changes, message):
    with pytest.raises(TrainError, match=message):
        written(tmp_path, lambda w, ids: (ids * w).sum(1), **changes)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"kind": "tensor", "shape": [2]}, "expected a dtype for a tensor"),
        ({"kind": "int", "dtype": "int64"}, "expected a dtype for a tensor"),
        ({"kind": "float", "shape": [2]}, "expected a shape for a tensor or an image alone"),
        ({"kind": "tensor", "dtype": "int64", "shape": [2, None]}, "only the first of them free"),
        ({"kind": "tensor", "dtype": "int64", "shape": [0]}, "expected sizes above 0"),
        ({"kind": "image", "shape": [2, 2, 4]}, "1 or 3 channels of an image"),
        ({"kind": "image", "shape": [None, 2, 3]}, "1 or 3 channels of an image"),
    ],
)
def test_fields_that_make_no_sense(field, message):
    with pytest.raises(BundleError, match=message):
        Field("x", **field)
