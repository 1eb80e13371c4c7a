import asyncio

import numpy as np
import pytest

from gristmill.core.errors import BundleError
from gristmill.serve.protocol import Limits
from gristmill.serve.runners.rows import Ragged
from gristmill.serve.server.opening import measure, named_sources, open_model
from gristmill.serve.server.sample import sample_rows
from gristmill.serve.server.settings import Settings
from gristmill.store.bundle import OFFSETS, Field


class Kept:
    """A bundle of which only the inputs and the example are looked at."""

    def __init__(self, *fields, **example):
        self.signature = type("Signature", (), {"inputs": list(fields)})
        self._example = example

    def example(self):
        return self._example


def test_a_source_may_have_a_name():
    assert named_sources("bundles/spam") == {"": "bundles/spam"}
    assert named_sources({"a": "x", "b": "y"}) == {"a": "x", "b": "y"}


def test_a_bundle_is_opened_and_answers_its_sample(spam_bundle):
    settings = Settings(limits=Limits(max_batch=4), cache=1_000_000)
    served, sample = open_model("mine", spam_bundle.folder, settings)
    assert (served.name, served.version) == ("mine", spam_bundle.fingerprint)
    assert served.endpoint.cache.capacity == 1_000_000
    asked = []
    answer = served.endpoint.answer

    async def counted(rows, call):
        asked.append(rows.count)
        return await answer(rows, call)

    served.endpoint.answer = counted

    async def measured():
        try:
            return await measure(served, sample)
        finally:
            await served.endpoint.close()

    capacity = asyncio.run(measured())
    assert set(asked) == {1, 4}
    assert capacity.rows_per_second > 0
    assert capacity.seconds > 0


def test_a_folder_that_is_no_bundle(tmp_path):
    with pytest.raises(BundleError):
        open_model("", tmp_path, Settings())


def test_the_sample_is_the_one_that_the_bundle_keeps():
    field = Field("x", "tensor", dtype="int64", shape=[None])
    kept = {"x": np.arange(5), f"x{OFFSETS}": np.array([0, 2, 5])}
    rows = sample_rows(Kept(field, **kept))
    assert (rows.count, rows["x"][0].tolist()) == (1, [0, 1])


def test_else_it_is_made_up():
    fields = [
        Field("text", "string", max_length=3),
        Field("count", "int", min=2.0),
        Field("x", "tensor", dtype="float32", shape=[2], min=1.0),
        Field("free", "tensor", dtype="int64", shape=[None, 2]),
    ]
    rows = sample_rows(Kept(*fields))
    assert list(rows["text"]) == ["Hel"]
    assert list(rows["count"]) == [2]
    assert rows["x"].tolist() == [[1.0, 1.0]]
    assert rows["free"][0].shape == (3, 2)


def test_large_tensors_are_made_up_too():
    fields = [
        Field("big", "image", shape=[300, 200, 3]),
        Field("free", "tensor", dtype="float32", shape=[None, 5000]),
        Field("text", "string"),
    ]
    rows = sample_rows(Kept(*fields))
    assert (rows["big"].shape, rows["big"].dtype) == ((1, 300, 200, 3), np.uint8)
    assert isinstance(rows["free"], Ragged)
    assert rows["free"][0].shape == (3, 5000)
    assert rows["text"] == ["Hello there"]
