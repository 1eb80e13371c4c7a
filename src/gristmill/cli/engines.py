"""`gristmill engines`: where work can run, and what of it can run where."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import click

from gristmill.cli.output import HELP, emit, json_option, say, table

if TYPE_CHECKING:
    from gristmill.engine.installations import Installation

ABILITIES = (
    # what, local, ray, spark
    ("label: apply functions, vote counts", "yes", "yes", "yes"),
    ("validate: profile, check, quarantine", "yes", "yes", "yes"),
    ("predict: batch prediction", "yes", "yes", "yes"),
    ("train: search, data parallel, shards", "yes", "yes", "-"),
    ("serve: online", "yes", "Ray Serve", "-"),
    ("run: what steps call of the above", "yes", "yes", "as above"),
    ("run: steps with each=", "yes", "yes", "yes"),
)
"""What each stage can do on each engine; `docs/engines` says how."""


@click.command("engines", context_settings=HELP)
@click.argument("address", required=False)
@json_option
def command(address: str | None, as_json: bool) -> None:
    """List the engines that work can run on, or try one.

    \b
    gristmill engines                       what is installed here
    gristmill engines local:2               start it, and have each worker answer
    gristmill engines ray://head:10001      join a cluster, compare its versions
    gristmill engines spark://head:7077 --json

    An address is what --engine of the other commands takes. Workers with another
    Python or another Gristmill are refused, other differences are told.

    Exit codes: 0 done, 2 the engine cannot be used, 6 its workers do not work.
    """
    if address is None:
        _list(as_json)
    else:
        _try(address, as_json)


def _list(as_json: bool) -> None:
    from gristmill.engine.installations import installations

    found = list(installations())
    columns = ("what", "local", "ray", "spark")
    abilities = [dict(zip(columns, row, strict=True)) for row in ABILITIES]

    def show() -> None:
        table("", ("engine", "ready", "what is here"), [_row(each) for each in found])
        table("What runs where, with the same results", columns, ABILITIES)

    emit({"engines": found, "abilities": abilities}, as_json, show)


def _row(each: Installation) -> tuple[str, str, str]:
    fix = f"\nfix: {each.fix}" if each.fix else ""
    return each.engine, "yes" if each.ready else "no", each.found + fix


def _try(address: str, as_json: bool) -> None:
    """Open an engine and have as many items answered as it works on at once."""
    from gristmill.engine.opening import open_engine
    from gristmill.engine.versions import Versions

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        with open_engine(address) as engine:
            places = list(engine.map(_place, range(engine.parallelism)))
            at_once = engine.parallelism
    here = Versions.here()
    payload: dict[str, Any] = {
        "engine": address,
        "items_at_once": at_once,
        "hosts": sorted({host for host, _ in places}),
        "processes": len(set(places)),
        "python": here.python,
        "gristmill": here.gristmill,
        "packages": dict(here.packages),
        "warnings": [str(each.message) for each in told if each.category is UserWarning],
    }
    emit(payload, as_json, lambda: _show(payload))


def _place(_: int) -> tuple[str, int]:
    """Say where an item is worked on: the machine and the process."""
    import os
    import socket

    return socket.gethostname(), os.getpid()


def _show(payload: dict[str, Any]) -> None:
    hosts = payload["hosts"]
    machines = "1 machine" if len(hosts) == 1 else f"{len(hosts)} machines"
    say(f"{payload['engine']}: works, {payload['items_at_once']} items at once on {machines}")
    for warning in payload["warnings"]:
        say(f"  warning: {warning}")
    packages = ", ".join(f"{name} {version}" for name, version in payload["packages"].items())
    say(f"  Python {payload['python']}, gristmill {payload['gristmill']}, {packages}")
