import pytest

pytest.importorskip("opentelemetry.sdk", reason="OpenTelemetry is not installed (extra otel)")

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gristmill.core.errors import UsageError
from gristmill.serve.watch.tracing import Tracing, tracing_of

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans():
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    yield Tracing(provider)
    provider.shutdown()


def test_a_span_continues_the_trace_of_its_caller(tracing, spans):
    tracing.begin("POST", {b"traceparent": PARENT, b"tracestate": b"a=b"}).end("x", {}, False)
    tracing.begin("POST", {b"traceparent": b"nonsense"}).end("y", {}, True)
    told, alone = spans.get_finished_spans()
    assert (told.name, told.kind.name, told.status.status_code.name) == ("x", "SERVER", "UNSET")
    assert f"{told.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{told.parent.span_id:016x}" == "b7ad6b7169203331"
    assert told.context.trace_state["a"] == "b"
    assert alone.parent is None
    assert alone.status.status_code.name == "ERROR"


def test_what_became_of_the_rows(tracing, spans):
    trace = tracing.begin("POST", {})
    ran = trace.model("spam")
    ran(0.0, 0.25, 8)  # began before it was asked: no time in the queue, not a negative one
    trace.answered("spam", "f1", 2, 1, False)
    trace.end("POST /v1/predict", {"http.route": "/v1/predict"}, False)
    ran(9e9, 1.0, 1)  # too late to be told
    (span,) = spans.get_finished_spans()
    batch = {
        "gristmill.queue_seconds": 0.0,
        "gristmill.model_seconds": 0.25,
        "gristmill.batch_rows": 8,
    }
    assert dict(span.attributes) == {
        **batch,
        "gristmill.model": "spam",
        "gristmill.fingerprint": "f1",
        "gristmill.rows": 2,
        "gristmill.cached_rows": 1,
        "gristmill.degraded": False,
        "http.route": "/v1/predict",
    }
    (event,) = span.events
    assert (event.name, dict(event.attributes)) == ("batch", {"gristmill.model": "spam", **batch})


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_off(environment):
    with tracing_of(environment) as tracing:
        assert tracing is None


@pytest.mark.parametrize(
    ("environment", "service"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, "gristmill"),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_SERVICE_NAME": "mine"}, "mine"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, ""),
    ],
)
def test_on(environment, service, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with tracing_of(environment) as tracing:
        span = tracing.begin("POST", {})._span
        assert span.resource.attributes["service.name"] == (service or "gristmill")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "otlp,jaeger"},
            "expected OTEL_TRACES_EXPORTER of otlp, console, none, found 'jaeger'",
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            },
            "expected OTEL_EXPORTER_OTLP_PROTOCOL http/protobuf, found 'grpc'",
        ),
    ],
)
def test_what_is_not_supported(environment, message):
    with pytest.raises(UsageError) as caught, tracing_of(environment):
        pass
    assert caught.value.message == message
