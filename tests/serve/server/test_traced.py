"""Spans of whole requests, over HTTP and gRPC, from a real model's engine."""

import asyncio

import pytest
from tests.patience import web

pytest.importorskip("opentelemetry.sdk", reason="OpenTelemetry is not installed (extra otel)")

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gristmill.serve.protocols.served import Served
from gristmill.serve.server.app import App
from gristmill.serve.server.grpc_methods import GrpcMethods
from gristmill.serve.server.opening import open_model
from gristmill.serve.server.settings import Settings
from gristmill.serve.watch.tracing import Tracing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ONE = {"instances": [{"text": "abc"}]}


@pytest.fixture
def spans():
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    yield Tracing(provider)
    provider.shutdown()


def test_queue_model_and_batch_of_a_real_request(spam_bundle, tracing, spans, running):
    settings = Settings()
    opened = open_model("", spam_bundle, settings)
    app = App([Served(opened.endpoint, settings.limits)], tracing=tracing)
    with running(app) as (host, port):
        url = f"http://{host}:{port}/v1/predict"
        answer = web.post(url, json=ONE, headers={"traceparent": PARENT, "X-Request-Id": "r1"})
        assert answer.status_code == 200
    (span,) = spans.get_finished_spans()
    facts = dict(span.attributes)
    assert span.name == "POST /v1/predict"
    assert f"{span.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert facts.pop("gristmill.queue_seconds") >= 0
    assert facts.pop("gristmill.model_seconds") > 0
    assert facts == {
        "gristmill.batch_rows": 1,
        "gristmill.cached_rows": 0,
        "gristmill.degraded": False,
        "gristmill.fingerprint": spam_bundle.fingerprint,
        "gristmill.model": "spam",
        "gristmill.request_id": "r1",
        "gristmill.rows": 1,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/v1/predict",
    }


@pytest.mark.parametrize(
    ("text", "status", "failed"), [("x" * 21, 422, "UNSET"), ("boom", 500, "ERROR")]
)
def test_refusals_and_failures(make_app, ask, tracing, spans, text, status, failed):
    body = {"instances": [{"text": text}]}
    ask(make_app(tracing=tracing), "POST", "/v1/predict", json=body)
    (span,) = spans.get_finished_spans()
    assert span.attributes["http.response.status_code"] == status
    assert span.status.status_code.name == failed


def test_probes_have_no_spans_and_unknown_paths_no_route(make_app, ask, tracing, spans):
    app = make_app(tracing=tracing)
    for path in ("/healthz", "/readyz", "/metrics", "/nowhere"):
        ask(app, "GET", path)
    (span,) = spans.get_finished_spans()
    assert (span.name, "http.route" in span.attributes) == ("GET", False)


def test_a_call_of_grpc(make_app, tracing, spans):
    pytest.importorskip("google.protobuf", reason="protobuf is not installed (extra grpc)")
    app = make_app(tracing=tracing)
    methods = GrpcMethods(app)
    request = methods.request(
        "ModelReady", b"\x0a\x05other", {b"traceparent": PARENT.encode()}, 1.0
    )
    asyncio.run(app.respond(request, methods))
    (span,) = spans.get_finished_spans()
    assert span.name == "inference.GRPCInferenceService/ModelReady"
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert dict(span.attributes) == {
        "gristmill.request_id": request.name,
        "rpc.system": "grpc",
        "rpc.service": "inference.GRPCInferenceService",
        "rpc.method": "ModelReady",
        "rpc.grpc.status_code": 5,
    }


def test_nothing_is_loaded_or_wrapped_without(make_app):
    app = make_app()
    assert "respond" not in vars(app)
    assert app.hot
    assert not make_app(tracing=object()).hot
