"""A span for each request, for OpenTelemetry: who asked, what answered, how long it waited and ran.

Switched on by OpenTelemetry's own variables: an exporter is named (`OTEL_TRACES_EXPORTER`), or an
address to send spans to (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`). All
others that the SDK knows mean what they mean elsewhere. Without one of these the packages are not
even loaded.

Sources: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/;
the semantic conventions for HTTP and RPC server spans; https://www.w3.org/TR/trace-context/.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Any, TypeAlias

from gristmill._version import __version__
from gristmill.core.errors import UsageError

Ran: TypeAlias = Callable[[float, float, int], None]
"""Told of a batch when it began (monotonic clock), the model's seconds, its rows."""

_EXPORTERS = ("otlp", "console", "none")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"
_FLUSH_SECONDS = 3.0


class Trace:
    """The span of one request.

    Args:
        span: open.
    """

    __slots__ = ("_span",)

    def __init__(self, span: Any) -> None:
        self._span = span

    def model(self, name: str) -> Ran:
        """Say that rows begin to wait for a model; return what to tell of the batch they are in."""
        asked = time.monotonic()

        def ran(began: float, seconds: float, rows: int) -> None:
            facts: dict[str, float] = {
                "gristmill.queue_seconds": max(began - asked, 0.0),
                "gristmill.model_seconds": seconds,
                "gristmill.batch_rows": rows,
            }
            # A request may go through several models, and through one in several batches: each is
            # an event, the span itself has the last. One that has ended (its client did not wait
            # for a shadow) is left as it is.
            if self._span.is_recording():
                self._span.set_attributes(facts)
                self._span.add_event("batch", {"gristmill.model": name, **facts})

        return ran

    def answered(self, name: str, fingerprint: str, rows: int, cached: int, degraded: bool) -> None:
        """Say who answered how many rows, how many of them from the cache."""
        self._span.set_attributes(
            {
                "gristmill.model": name,
                "gristmill.fingerprint": fingerprint,
                "gristmill.rows": rows,
                "gristmill.cached_rows": cached,
                "gristmill.degraded": degraded,
            }
        )

    def end(self, name: str, facts: Mapping[str, str | int], failed: bool) -> None:
        """End the span.

        Args:
            name: of the span.
            facts: attributes of it.
            failed: whether the server is to blame that there was no answer.
        """
        from opentelemetry.trace import StatusCode

        self._span.update_name(name)
        self._span.set_attributes(facts)
        if failed:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class Tracing:
    """Makes spans.

    Args:
        provider: a `TracerProvider` of OpenTelemetry.
    """

    def __init__(self, provider: Any) -> None:
        from opentelemetry.propagate import get_global_textmap
        from opentelemetry.trace import SpanKind

        self._kind = SpanKind.SERVER
        self._tracer = provider.get_tracer("gristmill.serve", __version__)
        self._propagator = get_global_textmap()
        self._fields = {name: name.encode() for name in sorted(self._propagator.fields)}

    def begin(self, name: str, headers: Mapping[bytes, bytes]) -> Trace:
        """Begin the span of a request, as part of the trace that its headers name, if any."""
        carrier = {
            field: headers[raw].decode("latin-1")
            for field, raw in self._fields.items()
            if raw in headers
        }
        context = self._propagator.extract(carrier) if carrier else None
        return Trace(self._tracer.start_span(name, context=context, kind=self._kind))


@contextmanager
def tracing_of(environment: Mapping[str, str]) -> Iterator[Tracing | None]:
    """Make spans during the block if the variables ask for them; None if they do not.

    Args:
        environment: read to see whether spans are wanted, and which exporter; the SDK reads the
            rest from the process's own.

    Raises:
        UsageError: an exporter or protocol that is not supported.
        ModuleNotFoundError: OpenTelemetry is wanted and not installed.
    """
    names = _exporters(environment)
    if not names:
        yield None
        return
    if "otlp" in names:
        _check_protocol(environment)
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = "OTEL_SERVICE_NAME" in environment or "service.name" in environment.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    resource = Resource.create({} if named else {"service.name": "gristmill"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for name in names:
        provider.add_span_processor(BatchSpanProcessor(_exporter(name)))
    try:
        yield Tracing(provider)
    finally:
        _close(provider)


def _close(provider: Any) -> None:
    """Send what is left; a collector that does not answer holds nobody up for long."""
    closing = Thread(target=provider.shutdown, daemon=True)
    closing.start()
    closing.join(_FLUSH_SECONDS)


def _exporters(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the exporters that are wanted."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    named = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    if not named:
        return ["otlp"] if any(environment.get(name) for name in _ENDPOINTS) else []
    names = [name.strip() for name in named.split(",")]
    for name in names:
        if name not in _EXPORTERS:
            raise UsageError(
                f"expected OTEL_TRACES_EXPORTER of {', '.join(_EXPORTERS)}, found {name!r}"
            )
    return [name for name in names if name != "none"]


def _check_protocol(environment: Mapping[str, str]) -> None:
    found = next((environment[name] for name in _PROTOCOLS if environment.get(name)), _PROTOCOL)
    if found != _PROTOCOL:
        raise UsageError(
            f"expected OTEL_EXPORTER_OTLP_PROTOCOL {_PROTOCOL}, found {found!r}",
            fix="send spans to the collector's port for HTTP, 4318 by default",
        )


def _exporter(name: str) -> Any:
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()
