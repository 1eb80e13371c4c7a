"""Bundling: a model is tried before it is written, and what fails the trial is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gristmill.core.errors import TrainError
from gristmill.data.features import Columns, HashedNgrams
from gristmill.store.bundle import Bundle, Field, Signature
from gristmill.train.bundle import bundle_model, example_input, signature_of
from gristmill.train.text.text_models import BagOfNgrams

NGRAMS = HashedNgrams(buckets=10, max_tokens=16)
CLASSES = ["ham", "spam"]


class Text(nn.Module):
    """An embedding, and whatever the test makes of it."""

    def __init__(self, pool: str = "sum", rows: int = 11, positions: int = 16) -> None:
        super().__init__()
        self.table = nn.Embedding(rows, 2, padding_idx=0)
        self.places = nn.Embedding(positions, 2)
        self.pool = pool

    def forward(self, ids: Tensor) -> object:
        """Return logits, or what passes for them."""
        rows = self.table(ids)
        match self.pool:
            case "mean":
                return rows.mean(dim=1)
            case "batch":
                return rows.sum(dim=1) - rows.sum(dim=1).mean(dim=0)
            case "places":
                real = (ids != 0).unsqueeze(2)
                return ((rows + self.places(torch.arange(ids.shape[1]))) * real).sum(dim=1)
            case "divide":
                return rows.sum(dim=1) / (ids != 0).sum(dim=1, keepdim=True)
            case "wide":
                return rows.sum(dim=1).repeat(1, 2)
            case "pair":
                return rows.sum(dim=1), rows
            case "ids":
                return ids[:, :1].repeat(1, 2)
        return rows.sum(dim=1)


def bundled(module: nn.Module, folder: Path, featurizer: object = NGRAMS) -> Bundle:
    return bundle_model(
        module, folder, name="toy", classes=CLASSES, featurizer=featurizer  # type: ignore[arg-type]
    )  # fmt: skip


def refusal(module: nn.Module, folder: Path) -> str:
    with pytest.raises(TrainError) as caught:
        bundled(module, folder)
    assert not folder.exists()
    return str(caught.value)


def test_a_bundle_holds_all_that_was_given(tmp_path: Path) -> None:
    bundle = bundle_model(
        BagOfNgrams(10, 2),
        tmp_path / "b",
        name="toy",
        classes=CLASSES,
        featurizer=NGRAMS,
        metrics={"f1": 0.9},
        lineage={"labels": "abc"},
        schema_text="[text]\n",
        extra_files={"profile/figures.json": b"{}", "schema.toml": "of no account"},
    )
    assert bundle.featurizer() == NGRAMS
    assert bundle.read("profile/figures.json") == b"{}"
    assert bundle.read("schema.toml") == b"[text]\n"
    assert bundle.manifest.metrics == {"f1": 0.9}
    assert bundle.manifest.lineage == {"labels": "abc"}
    assert bundle.signature == Signature(
        inputs=[Field("text", "string")],
        outputs=[
            Field("label", "string", domain=CLASSES),
            Field("prob", "float", min=0.0, max=1.0),
        ],
    )


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    module = Text()
    one, two = bundled(module, tmp_path / "one"), bundled(module, tmp_path / "two")
    assert one.fingerprint == two.fingerprint


def test_a_model_of_columns(tmp_path: Path) -> None:
    bundle = bundled(nn.Linear(3, 2), tmp_path / "b", Columns(("a", "b", "c")))
    assert [field.name for field in bundle.signature.inputs] == ["a", "b", "c"]
    assert {field.kind for field in bundle.signature.inputs} == {"float"}
    assert bundle.signature.inputs[0].max == torch.finfo(torch.float32).max


def test_a_signature_of_ones_own(tmp_path: Path) -> None:
    plain = signature_of(NGRAMS, CLASSES)
    own = Signature([Field("text", "string", max_length=160)], plain.outputs)
    bundle = bundle_model(
        Text(), tmp_path / "b", name="toy", classes=CLASSES, featurizer=NGRAMS, signature=own
    )
    assert bundle.signature == own


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            Text("wide"),
            "Text: expected floating-point logits of shape [3, 2], "
            "found torch.float32 of shape [3, 4]",
        ),
        (
            Text("ids"),
            "Text: expected floating-point logits of shape [3, 2], "
            "found torch.int64 of shape [3, 2]",
        ),
        (Text("pair"), "Text: expected one tensor of logits, found tuple"),
        (
            Text("divide"),
            "Text: expected finite logits for a small batch, an empty row included, "
            "found nan or inf",
        ),
        (Text(rows=10), "Text: the model fails on an input [3, 8] that the featurizer can make: "),
        (
            Text("places", positions=15),
            "Text: the model fails on an input [2, 16] that the featurizer can make: ",
        ),
    ],
)
def test_models_that_fail_on_what_the_featurizer_makes(
    tmp_path: Path, module: nn.Module, message: str
) -> None:
    assert refusal(module, tmp_path / "b").startswith(message)


@pytest.mark.parametrize("pool", ["mean", "batch"])
def test_models_whose_answer_depends_on_the_batch(tmp_path: Path, pool: str) -> None:
    message = refusal(Text(pool), tmp_path / "b")
    assert message.startswith(
        "Text: expected the same logits for a row alone and in a batch, found them "
    )
    assert message.endswith("fix: leave ids of 0 out of sums, means, maxima and attention")


def test_positions_that_reach_far_enough_pass(tmp_path: Path) -> None:
    assert bundled(Text("places", positions=16), tmp_path / "b").name == "toy"


def test_example_rows_have_all_lengths_and_the_largest_id() -> None:
    example = example_input(HashedNgrams(buckets=1000, max_tokens=100))
    assert example.shape == (3, 8)
    assert (example != 0).sum(dim=1).tolist() == [8, 4, 0]
    assert example.max() == 1000
    assert torch.equal(example, example_input(HashedNgrams(buckets=1000, max_tokens=100)))
    assert example_input(HashedNgrams(max_tokens=1)).shape == (3, 2)
    assert example_input(Columns(("a", "b"))).shape == (3, 2)
