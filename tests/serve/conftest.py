"""Endpoints that need no bundle, requests without a network, and one small real bundle."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path

import httpx2
import numpy as np
import pytest
from tests.patience import patient

from gristmill.data.features import HashedNgrams
from gristmill.serve.online.endpoint import Answered
from gristmill.serve.protocols.served import Served
from gristmill.serve.runners.rows import Ragged, Rows
from gristmill.store.bundle import Bundle, Field, Signature, write_bundle
from gristmill.store.graph import GraphSpec, Input, Items, Node, Ref

FINGERPRINT = "0123456789abcdef0123456789abcdef"


class ParityEndpoint:
    """Says `odd` of texts of odd length; fails on "boom", has no answer to "nan"."""

    name = "parity"
    fingerprint = FINGERPRINT
    inputs = (
        Field("text", "string", max_length=20),
        Field("count", "int", required=False, min=0.0, max=100.0),
    )
    outputs = (Field("label", "string"), Field("prob", "float"))
    classes = ("even", "odd")

    def __init__(self):
        self.calls = []
        self.degraded = False
        self.refusal = None
        self.gate = None

    async def answer(self, rows, call):
        self.calls.append(call)
        if self.gate is not None:
            await self.gate.wait()
        if self.refusal is not None:
            raise self.refusal
        counts = rows.columns.get("count", [None] * rows.count)
        counts = counts.tolist() if isinstance(counts, np.ndarray) else counts
        answers = [self.of(*row) for row in zip(rows.columns["text"], counts, strict=True)]
        labels, prob, probs = zip(*answers, strict=True)
        columns = {"label": list(labels), "prob": np.array(prob), "probs": np.array(probs)}
        return Answered(rows=Rows(columns, rows.count), model=FINGERPRINT, degraded=self.degraded)

    @staticmethod
    def of(text, count=None):
        if text == "boom":
            raise RuntimeError("the secret inside")
        if text == "nan":
            return ("even", math.nan, [math.nan, math.nan])
        odd = (len(text) + int(count or 0)) % 2
        prob = 1 - 1 / (3 + len(text))
        return (("even", "odd")[odd], prob, [1 - prob, prob] if odd else [prob, 1 - prob])

    async def close(self):
        pass


class SumEndpoint:
    """Answers the sums of a tensor field's rows, [n, 2]: of all elements, and of their squares."""

    fingerprint = FINGERPRINT
    outputs = (Field("sums", "tensor", dtype="float64", shape=[2]),)
    classes = ()

    def __init__(self, field, name="sums"):
        self.inputs, self.name = (field,), name

    async def answer(self, rows, call):
        column = rows.columns[self.inputs[0].name]
        rows_ = [np.asarray(column[row], np.float64) for row in range(rows.count)]
        sums = np.array([[row.sum(), (row**2).sum()] for row in rows_])
        return Answered(rows=Rows({"sums": sums}, rows.count), model=FINGERPRINT)

    async def close(self):
        pass


class EchoEndpoint(SumEndpoint):
    """Answers rows of free length with themselves."""

    outputs = (Field("same", "tensor", dtype="float32", shape=[None]),)

    async def answer(self, rows, call):
        column = rows.columns[self.inputs[0].name]
        assert isinstance(column, Ragged)
        return Answered(rows=Rows({"same": column}, rows.count), model=FINGERPRINT)


VECTOR = Field("x", "tensor", dtype="float32", shape=[4], min=-1000.0, max=1000.0)
IMAGE = Field("picture", "image", shape=[2, 3, 3])
RAGGED = Field("signal", "tensor", dtype="float32", shape=[None], max_length=6)


@pytest.fixture
def endpoint():
    return ParityEndpoint()


@pytest.fixture
def make_served():
    """Make a served model: parity (by default), vector, image or ragged."""

    def make(kind="parity", limits=None):
        made = {
            "parity": ParityEndpoint,
            "vector": lambda: SumEndpoint(VECTOR, "vector"),
            "image": lambda: SumEndpoint(IMAGE, "image"),
            "ragged": lambda: EchoEndpoint(RAGGED, "ragged"),
        }
        return Served(made[kind](), limits or patient())

    return make


@pytest.fixture
def served(endpoint):
    return Served(endpoint, patient())


@pytest.fixture
def make_app(endpoint, make_served):
    """Make an application of the parity endpoint and, by name, others."""
    from gristmill.serve.server.app import App

    def make(limits=None, others=(), **options):
        models = [Served(endpoint, limits or patient())]
        models += [make_served(kind, limits) for kind in others]
        return App(models, **options)

    return make


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
def write_toy() -> Callable[..., Bundle]:
    """Write a bag of words: write_toy(folder, seed)."""

    def write(folder: Path, seed: int = 0) -> Bundle:
        graph = GraphSpec(
            inputs=[Input("ids", "int64", [None, None])],
            weights=["table"],
            nodes=[
                Node("rows", "aten.embedding.default", [Ref("table"), Ref("ids"), 0]),
                Node("sum", "aten.sum.dim_IntList", [Ref("rows"), Items([1])]),
            ],
            outputs=["sum"],
        )
        table = np.random.default_rng(seed).normal(size=(101, 2)).astype(np.float32)
        table[0] = 0
        return write_bundle(
            folder,
            name="toy",
            classes=["ham", "spam"],
            signature=Signature([Field("text", "string", max_length=50)], []),
            featurizer=HashedNgrams(buckets=100),
            graph=graph,
            weights={"table": table},
        )

    return write


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()
