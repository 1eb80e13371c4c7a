"""A runner that needs no bundle, requests without a network, and one small real bundle."""

from __future__ import annotations

import asyncio
import math

import httpx2
import polars as pl
import pytest

from gristmill.serve.app import app_from_runner
from gristmill.serve.records import check_records
from gristmill.store.bundle import Field, Signature

FINGERPRINT = "0123456789abcdef0123456789abcdef"


class FakeRunner:
    """Says `odd` of texts of odd length; fails on "boom", has no answer to "nan"."""

    signature = Signature(
        inputs=[
            Field("text", "string", max_length=20),
            Field("count", "int", required=False, min=0.0, max=100.0),
        ],
        outputs=[Field("label", "string"), Field("prob", "float")],
    )
    classes = ("even", "odd")

    def __init__(self):
        self.batches = []

    def check_records(self, records):
        return check_records(self.signature.inputs, records)

    def frame(self, records):
        return pl.DataFrame(records, schema={"text": pl.String, "count": pl.Int64})

    def predict(self, frame):
        self.batches.append(frame.height)
        rows = [self.answer(*row) for row in frame.iter_rows()]
        schema = {"label": pl.String, "prob": pl.Float64, "probs": pl.List(pl.Float64)}
        return pl.DataFrame(rows, schema=schema, orient="row")

    @staticmethod
    def answer(text, count=None):
        if text == "boom":
            raise RuntimeError("the secret inside")
        if text == "nan":
            return ("even", math.nan, [math.nan, math.nan])
        odd = (len(text) + (count or 0)) % 2
        prob = 1 - 1 / (3 + len(text))
        return (("even", "odd")[odd], prob, [1 - prob, prob] if odd else [prob, 1 - prob])


@pytest.fixture
def runner():
    return FakeRunner()


@pytest.fixture
def make_app(runner):
    return lambda limits=None: app_from_runner(
        runner, name="parity", fingerprint=FINGERPRINT, limits=limits
    )


@pytest.fixture
def app(make_app):
    return make_app()


@pytest.fixture
def ask():
    """Send one request to an application in this process: ask(app, method, path, **request)."""

    def send(app, method, path, **request):
        async def run():
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, **request)

        return asyncio.run(run())

    return send


@pytest.fixture(scope="session")
def spam_bundle(tmp_path_factory):
    """A linear model of hashed n-grams with random weights, as a bundle."""
    import torch

    from gristmill.data.features import HashedNgrams
    from gristmill.train.bundle import bundle_model
    from gristmill.train.text.text_models import BagOfNgrams

    module = BagOfNgrams(2**8, 2)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        module.weights.weight[1:] = torch.randn(2**8, 2, generator=generator)
    return bundle_model(
        module,
        tmp_path_factory.mktemp("bundles") / "spam",
        name="spam",
        classes=["ham", "spam"],
        featurizer=HashedNgrams(buckets=2**8),
    )
