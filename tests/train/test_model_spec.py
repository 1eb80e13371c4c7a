from __future__ import annotations

import msgspec
import pytest
import torch

from gristmill.core.errors import TrainError
from gristmill.data.features import HashedNgrams
from gristmill.train.model_spec import KINDS, ModelSpec, build_model, spec_of

FEATURIZER = HashedNgrams(words=(1, 1), buckets=32, max_tokens=8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_spec_survives_json_and_builds_the_same_weights(kind):
    spec = ModelSpec.for_text(kind, FEATURIZER, ["a", "b", "c"])
    again = msgspec.json.decode(msgspec.json.encode(spec), type=ModelSpec)
    one, other = build_model(spec, seed=4), build_model(again, seed=4)
    assert all(
        torch.equal(mine, yours)
        for mine, yours in zip(one.parameters(), other.parameters(), strict=True)
    )
    assert one(torch.ones(2, 3, dtype=torch.int64)).shape == (2, 3)
    assert spec_of(one) == spec
    assert spec_of(torch.nn.Linear(1, 1)) is None


def test_seeds_differ():
    spec = ModelSpec.for_text("mlp", FEATURIZER, ["a", "b"])
    one, other = build_model(spec, seed=1), build_model(spec, seed=2)
    assert not torch.equal(one.embedding.weight, other.embedding.weight)


def test_unknown_kind_and_parameter():
    with pytest.raises(
        TrainError, match=r"^unknown model 'tree', expected one of linear, mlp, cnn, transformer$"
    ):
        build_model(ModelSpec("tree", {}))
    with pytest.raises(TrainError, match=r"^model 'linear' has no parameter 'depth', expected"):
        build_model(ModelSpec.for_text("linear", FEATURIZER, ["a", "b"], depth=3))
    with pytest.raises(TrainError, match=r"^model 'linear' cannot be built with \{'buckets': 4\}"):
        build_model(ModelSpec("linear", {"buckets": 4}))
