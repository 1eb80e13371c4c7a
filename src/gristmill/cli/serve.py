"""`gristmill serve`: a bundle behind HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, json_option, say

if TYPE_CHECKING:
    from gristmill.serve.server import Ready


@click.command("serve", context_settings=HELP)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option("--max-body", default="1MB", show_default=True, help="Largest body of a request.")
@click.option(
    "--max-batch",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Records that go through the model together.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="What goes to stderr; info is a line per request.",
)
@json_option
def command(
    bundle: Path,
    host: str,
    port: int,
    max_body: str,
    max_batch: int,
    log_level: str,
    as_json: bool,
) -> None:
    """Answer requests over HTTP with the model in BUNDLE, until Ctrl-C or SIGTERM.

    The bundle is checked byte for byte before anything listens. When the server is ready it prints
    one line with its URL; open that in a browser to try the model. It speaks plain JSON
    (/v1/predict) and the Open Inference Protocol v2 (/v2/...); /openapi.json describes both.

    \b
    Examples:
      gristmill serve bundles/spam
      gristmill serve bundles/spam --port 0 --json
      curl localhost:8000/v1/predict -H 'Content-Type: application/json' \\
        -d '{"instances": [{"text": "Win a prize now"}]}'

    \b
    Exit codes: 0 stopped by Ctrl-C or SIGTERM after answering what was under way, 2 wrong call,
    8 the bundle is damaged, 10 the port is in use or the server cannot start.
    """
    import msgspec

    from gristmill.core.quantities import parse_bytes
    from gristmill.serve.protocol import Limits
    from gristmill.serve.server import serve

    def announce(ready: Ready) -> None:
        say(msgspec.json.encode(ready).decode() if as_json else str(ready))

    limits = Limits(max_body=parse_bytes(max_body), max_batch=max_batch)
    serve(bundle, host=host, port=port, limits=limits, log_level=log_level, announce=announce)
