"""`gristmill serve`: models, and routes over them, behind HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, json_option, say

if TYPE_CHECKING:
    from gristmill.serve.server.ready import Ready

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("serve", context_settings=HELP)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--grpc-port",
    type=click.IntRange(0, 65535),
    help="Answer gRPC on this port, too; 0 takes a free one.",
)
@click.option(
    "--deadline",
    default="2s",
    show_default=True,
    help="Time in which a request is answered or refused, unless its header says another.",
)
@click.option("--max-body", default="1MB", show_default=True, help="Largest body of a request.")
@click.option(
    "--max-batch",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Rows that go through the model together.",
)
@click.option(
    "--max-queue",
    type=click.IntRange(min=1),
    default=4096,
    show_default=True,
    help="Rows that may wait for a model.",
)
@click.option(
    "--schema",
    type=click.Choice(["reject", "warn", "off"]),
    default="reject",
    show_default=True,
    help="Of values outside their field's limits: refuse, answer and count, or don't look.",
)
@click.option(
    "--replicas",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Processes that run each model; 0 runs it in the server's own process.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads of one operator of a model.",
)
@click.option(
    "--cache", default="0", show_default=True, help="Memory for answers, as 64MB; 0: none."
)
@click.option(
    "--streams",
    default="0",
    show_default=True,
    help="Memory for streams of pictures, as 1GB, of each model that takes one; 0: none taken.",
)
@click.option(
    "--watch/--no-watch",
    default=True,
    show_default=True,
    help="Compare what is served with what the model was trained on, where its bundle says that.",
)
@click.option(
    "--watch-folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep statistics of what was served here. Default: with the serving file, else in memory.",
)
@click.option(
    "--keep-predictions",
    type=float,
    metavar="SHARE",
    help="Keep this share of the requests, in the watch folder, for what turns out to be true.",
)
@click.option("--token-file", type=_FILE, help="Answer only who has one of its bearer tokens.")
@click.option("--tls-cert", type=_FILE, help="Certificate (PEM): serve HTTPS.")
@click.option("--tls-key", type=_FILE, help="Its private key (PEM).")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="What goes to stderr; info is a line per request.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Lines of text, or of JSON with the request's id.",
)
@click.option(
    "--drain",
    default="10s",
    show_default=True,
    help="How long requests under way may take once the server is told to stop.",
)
@json_option
def command(
    sources: tuple[str, ...],
    deadline: str,
    max_body: str,
    max_batch: int,
    max_queue: int,
    cache: str,
    streams: str,
    watch_folder: Path | None,
    keep_predictions: float | None,
    token_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    drain: str,
    as_json: bool,
    **rest: object,
) -> None:
    """Answer requests over HTTP with the models named by SOURCEs, until Ctrl-C or SIGTERM.

    \b
    SOURCE is
      a bundle's folder
      registry:MODEL  the version that is live in this project's registry;
                      one that is promoted meanwhile takes its place;
                      MODEL@ALIAS follows another alias than champion
      NAME=SOURCE     one of these under another name
      FILE.toml       alone: models with settings of their own, and routes over
                      them: canary, shadow, ensemble, selection by feedback

    Each bundle is checked byte for byte before anything listens, then warmed up. When the server
    is ready it prints one line: what it serves, how fast each model was in the warm-up (rows per
    second in full batches, the median time of one row), and the URL. Open that in a browser.

    It speaks plain JSON, CSV, raw bytes and .npy (/v1/predict for the first route or model,
    /v1/models/NAME/predict for each) and the Open Inference Protocol v2 (/v2/...) with binary
    tensors; /openapi.json describes all of it, with the models' own fields.

    With --streams a model of images also answers streams of pictures, computing only what has
    changed since the one before: POST /v1/streams/NAME/STREAM takes one (JPEG, PNG, or the pixels
    as application/octet-stream), a WebSocket there as many as the model can answer.

    With --keep-predictions 0.1 a tenth of the requests is kept with its answers and their names;
    POST /v1/models/NAME/feedback, or `gristmill feedback` on a table, says later what was true.

    With --grpc-port it answers that protocol over gRPC, too (extra grpc). OpenTelemetry's own
    variables, such as OTEL_EXPORTER_OTLP_ENDPOINT, send a span for each request (extra otel).

    A model answers under the name in its bundle, or under NAME. A request that cannot be answered
    in time is refused at once, with 503 and a time to come back.

    \b
    Examples:
      gristmill serve bundles/spam
      gristmill serve bundles/spam topics=bundles/topics-v2 --port 0 --json
      gristmill serve registry:spam --cache 64MB
      gristmill serve serving.toml
      gristmill serve bundles/spam --grpc-port 8001
      gristmill serve bundles/vision --streams 1GB --max-body 5MB
      gristmill serve bundles/vision --replicas 2 --deadline 100ms --max-body 10MB
      gristmill serve bundles/spam --host 0.0.0.0 --token-file tokens \\
        --tls-cert cert.pem --tls-key key.pem --log-level info --log-format json
      curl localhost:8000/v1/predict -H 'Content-Type: application/json' \\
        -H 'X-Gristmill-Deadline-Ms: 50' \\
        -d '{"instances": [{"text": "Win a prize now"}]}'

    \b
    For operators: /healthz (the process runs), /readyz (requests are taken),
    /metrics (Prometheus), /v1/drift (how far what is served lies from what the
    model was trained on).
    Every answer has an X-Request-Id; a request may bring its own.

    \b
    Exit codes: 0 stopped by Ctrl-C or SIGTERM after answering what was under way,
    2 wrong call, 7 a project or a feedback log cannot be used, 8 a bundle is
    damaged, 10 the port is in use or the server cannot start.
    """
    import msgspec

    from gristmill.cli.server_process import handed_in
    from gristmill.core.quantities import parse_bytes, parse_seconds
    from gristmill.serve.protocol import Limits
    from gristmill.serve.server.lifecycle import serve
    from gristmill.serve.server.settings import Settings
    from gristmill.serve.watch.keeping import Keeping

    def announce(ready: Ready) -> None:
        say(msgspec.json.encode(ready).decode() if as_json else str(ready))

    seconds = parse_seconds(deadline, "--deadline")
    limits = Limits(
        max_body=parse_bytes(max_body, "--max-body"),
        max_batch=max_batch,
        max_queue=max_queue,
        max_instances=min(max_queue, Limits().max_instances),
        deadline=seconds,
        max_deadline=max(seconds, Limits().max_deadline),
    )
    settings = Settings(
        limits=limits,
        cache=parse_bytes(cache, "--cache"),
        streams=parse_bytes(streams, "--streams"),
        watch_folder=str(watch_folder or ""),
        keep=None if keep_predictions is None else Keeping(rate=keep_predictions),
        tokens=str(token_file or ""),
        tls_certificate=str(tls_cert or ""),
        tls_key=str(tls_key or ""),
        drain_seconds=parse_seconds(drain, "--drain"),
        **rest,  # type: ignore[arg-type]
    )
    with handed_in():
        serve(named(sources), settings, announce=announce)


def named(sources: tuple[str, ...]) -> dict[str, str]:
    """Return sources by the name given to each; one without a name has its model's own.

    Raises:
        UsageError: two have the same name.
    """
    from gristmill.core.errors import UsageError
    from gristmill.serve.server.serving_plan import REGISTRY, is_serving_file
    from gristmill.store.bundle import Bundle

    found: dict[str, str] = {}
    for text in sources:
        name, equals, source = text.partition("=")
        if not equals or Path(text).exists():
            name, source = "", text
        if not name and source.startswith(REGISTRY):
            name = source.removeprefix(REGISTRY)
        elif not name and len(sources) > 1 and not is_serving_file(source):
            name = Bundle.open(source).name
        if name in found:
            raise UsageError(
                f"two models have the name {name!r}", fix="serve one of them as NAME=SOURCE"
            )
        found[name] = source
    return found
