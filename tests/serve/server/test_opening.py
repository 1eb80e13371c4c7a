import asyncio

import numpy as np
import pytest

from gristmill.core.errors import BundleError, ServeError
from gristmill.serve.protocol import Limits
from gristmill.serve.runners.rows import Ragged
from gristmill.serve.server import opening
from gristmill.serve.server.opening import measure, open_beside, open_model
from gristmill.serve.server.sample import sample_rows
from gristmill.serve.server.settings import Settings
from gristmill.store import bundle_environment
from gristmill.store.bundle import OFFSETS, Field


class Kept:
    """A bundle of which only the inputs and the example are looked at."""

    def __init__(self, *fields, **example):
        self.signature = type("Signature", (), {"inputs": list(fields)})
        self._example = example

    def example(self):
        return self._example


def test_a_bundle_is_opened_and_answers_its_sample(spam_bundle):
    settings = Settings(limits=Limits(max_batch=4), cache=1_000_000)
    opened = open_model("mine", spam_bundle.folder, settings)
    model = opened.model
    assert (model.name, model.fingerprint) == ("mine", spam_bundle.fingerprint)
    assert opened.endpoint.name == "mine"
    assert model.cache.capacity == 1_000_000
    asked = []
    answer = model.answer

    async def counted(rows, call):
        asked.append(rows.count)
        return await answer(rows, call)

    model.answer = counted

    async def measured():
        try:
            return await measure(model, opened.sample, settings.limits)
        finally:
            await model.close()

    capacity = asyncio.run(measured())
    assert set(asked) == {1, 4}
    assert capacity.rows_per_second > 0
    assert capacity.seconds > 0


def test_a_folder_that_is_no_bundle(tmp_path):
    with pytest.raises(BundleError):
        open_model("", tmp_path, Settings())


def test_beside_what_answers_it_is_opened_without_holding_up_the_loop(spam_bundle):
    async def run():
        turns = 0

        async def others():
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        beside = asyncio.ensure_future(others())
        endpoint = await open_beside("mine", spam_bundle, Settings())
        beside.cancel()
        rows = endpoint.engine.tally.rows
        await endpoint.close()
        return endpoint.name, rows, turns

    name, rows, turns = asyncio.run(run())
    assert name == "mine"
    assert rows == 2 * (1 + 64)
    assert turns > 10


def test_beside_what_answers_a_model_that_fails_is_closed(spam_bundle, monkeypatch):
    def fail(*_):
        raise RuntimeError("shapes")

    monkeypatch.setattr("gristmill.serve.server.opening.warm_with", lambda _: fail)
    closed = []

    async def close(self):
        closed.append(self.name)

    monkeypatch.setattr("gristmill.serve.online.model_endpoint.ModelEndpoint.close", close)
    with pytest.raises(ServeError) as caught:
        asyncio.run(open_beside("mine", spam_bundle, Settings()))
    assert caught.value.message == "the model fails on a sample record: shapes"
    assert closed == ["mine"]


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


def test_a_bundle_made_with_other_versions_is_served_and_said_to_be(spam_bundle, monkeypatch):
    here = bundle_environment.environment_here()
    monkeypatch.setattr(bundle_environment, "environment_here", lambda: {**here, "torch": "0.1"})
    told = []
    reporter = type("Reporter", (), {"say": lambda self, text: told.append(text)})()
    monkeypatch.setattr(opening, "current", lambda: reporter)
    open_model("mine", spam_bundle.folder, Settings())
    assert told == [
        f"note: mine was made with torch {here['torch']}, here is torch 0.1: "
        "answers may differ in their last digits"
    ]
