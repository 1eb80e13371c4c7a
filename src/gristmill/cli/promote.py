"""`gristmill promote`: make a version the one that answers, by hand."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from gristmill.cli.model_options import alias_option, reason_option, told
from gristmill.cli.output import HELP, emit, json_option, say


@click.command("promote", context_settings=HELP)
@click.argument("model")
@click.argument("version", type=int)
@alias_option
@reason_option
@click.option("--force", is_flag=True, help="Whatever speaks against it; it goes on record.")
@click.option(
    "--requests",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Stored requests for the rehearsal, as JSON Lines.",
)
@click.option("--latency", metavar="TIME", help="What 99 % of them must keep, as 50ms.")
@json_option
def command(
    model: str,
    version: int,
    alias: str,
    reason: str,
    force: bool,
    requests: Path | None,
    latency: str | None,
    as_json: bool,
) -> None:
    """Make VERSION of MODEL the champion, or what another alias names.

    The version is rehearsed first: a server of its own answers stored requests, good ones and bad
    ones; without --requests they are made up from its signature. What the gate last said of the
    version counts, too. If either speaks against it, nothing changes, unless --force is given with
    a --reason: then the log says that it was forced, and against what.

    Running servers that follow the registry look four times a second, and take the new version once
    it is open beside the old one.

    \b
    gristmill promote spam 4 --reason "better on the holdout"
    gristmill promote spam 5 --alias candidate
    gristmill promote spam 4 --requests requests.jsonl --latency 50ms

    \b
    A line of stored requests:
      {"instances": [{"text": "hello"}], "label": "ham"}
      {"body": "{not JSON", "expect": "refusal"}

    \b
    Exit codes: 0 promoted, 2 no such version, 4 something speaks against it.
    """
    from gristmill.core.quantities import parse_seconds
    from gristmill.pipeline.releasing.promotion import promote
    from gristmill.pipeline.releasing.stored_request import read_requests
    from gristmill.store.project import find_project

    with find_project() as project:
        decision = promote(
            project,
            model,
            version,
            alias=alias,
            reason=reason,
            force=force,
            requests=None if requests is None else read_requests(requests),
            latency=None if latency is None else parse_seconds(latency, "--latency"),
        )
    emit(asdict(decision), as_json, lambda: say(told(decision)))
