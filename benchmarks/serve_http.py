"""One small model behind HTTP: ours with everything switched on, and others.

The model is 16-64-10 in torch; one worker each, loopback, a JSON request of one row, at one
connection and at 32. Ours checks the fields, batches, keeps deadlines, limits and metrics; its
cache is off. Each peer runs in an environment of its own, and ours and the peer take turns, so
that both figures come from the same minutes. Images go through the binary path.

    python benchmarks/serve_http.py [--quick] [--json FILE]

`serve_process.py` says where their environments are. A peer that is not there has the figure that
was recorded on a like machine, marked as such.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from torch import nn

from claims import RECORDED, Claim, claim, main
from gristmill.serve.runners.opening import open_runner
from gristmill.serve.runners.rows import Rows
from gristmill.store.bundle import Field, Signature, write_bundle
from gristmill.train import export_graph
from serve_load import Load, generator, load
from serve_peers.picture_net import net as picture_net
from serve_process import JSON, Peer, environment_of, gristmill, server

BYTES = "application/octet-stream"
BODY = msgspec.json.encode({"instances": [{"x": [round(0.1 * i, 1) for i in range(16)]}]})
PATH = "/v1/predict"


PEERS = (
    Peer(
        "FastAPI",
        ("fastapi", "uvicorn", "uvloop", "httptools"),
        ("{python}", "fastapi_app.py", "{port}"),
        PATH,
        6_700,
        2.5,
    ),
    Peer(
        "mosec",
        ("mosec",),
        ("{python}", "mosec_app.py", "--port", "{port}"),
        "/inference",
        19_900,
        1.0,
    ),
    Peer("LitServe", ("litserve",), ("{python}", "litserve_app.py", "{port}"), PATH, 1_700, 10.0),
    Peer(
        "BentoML",
        ("bentoml",),
        ("{python}", "-m", "bentoml", "serve", "bentoml_app:Net", "--port", "{port}"),
        PATH,
        1_200,
        10.0,
    ),
    Peer("Ray Serve", ("ray[serve]",), ("{python}", "ray_app.py", "{port}"), PATH, 493, 30.0),
)


class Both(NamedTuple):
    """What two servers did that took turns."""

    ours: list[Load]
    theirs: list[Load]

    def rates(self) -> tuple[float, float]:
        """Return the medians of requests a second."""
        return (
            statistics.median(each.requests_per_second for each in self.ours),
            statistics.median(each.requests_per_second for each in self.theirs),
        )

    def p50s(self) -> tuple[float, float]:
        """Return the medians of the medians, in milliseconds."""
        return (
            statistics.median(each.p50_ms for each in self.ours),
            statistics.median(each.p50_ms for each in self.theirs),
        )


def measure(quick: bool) -> Iterator[Claim]:
    """Yield all claims."""
    seconds, rounds = (1.0, 2) if quick else (3.0, 5)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "tiny"
        layers = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 10))
        _bundle(bundle, layers, [16], 10)
        with server(gristmill(bundle), PATH, BODY) as ours:
            yield from _against_bare(ours, seconds, rounds)
            for peer in PEERS:
                yield _against(ours, peer, seconds, 1 if quick else 3)
        yield _images(Path(folder) / "image", seconds, 3 * rounds)


def _against_bare(ours: str, seconds: float, rounds: int) -> Iterator[Claim]:
    command = [sys.executable, "bare_app.py", "{port}"]
    with server(command, PATH, BODY) as bare:
        # Waking a sleeping core takes longer than the answer, and which core is woken changes from
        # minute to minute: many short turns meet both servers alike.
        one = _turns(ours, bare + PATH, 1, seconds / 3, 3 * rounds)
        many = _turns(ours, bare + PATH, 32, seconds, rounds)
    how = (
        f"tiny model, one worker, loopback, {generator()}; peer: raw ASGI on uvicorn with "
        f"micro-batches, without checks, limits or metrics; {rounds} turns of {seconds:g} s each, "
        "at one connection three times as many of a third"
    )
    for both, connections in ((one, "one connection"), (many, "32 connections")):
        rate, peer = both.rates()
        print(f"bare, {connections}: {rate:.0f}, {peer:.0f}; {both.p50s()}", file=sys.stderr)
        yield claim(
            f"serve: {connections}, against bare uvicorn",
            round(rate),
            "requests/s",
            how,
            goal=f">= {0.8 * peer:.0f}",
            peer=round(peer),
        )
    p50, peer_p50 = one.p50s()
    yield claim(
        "serve: p50 at one connection, against bare uvicorn",
        p50,
        "ms",
        f"{how}; the goal is the peer's and 0.1 ms",
        goal=f"<= {peer_p50 + 0.1:.3f}",
        peer=peer_p50,
    )


def _against(ours: str, peer: Peer, seconds: float, rounds: int) -> Claim:
    name = f"serve: 32 connections, against {peer.name}"
    python = environment_of(peer.packages)
    how = f"tiny model, one worker, loopback, {generator()}; {rounds} turns of {seconds:g} s each"
    if python is None:
        return _recorded(name, ours, peer, seconds, rounds, f"{how}; {peer.name} is not installed")
    command = [each.replace("{python}", str(python)) for each in peer.command]
    try:
        with server(command, peer.path, BODY) as theirs:
            rate, found = _turns(ours, theirs + peer.path, 32, seconds, rounds).rates()
    except RuntimeError as error:
        return _recorded(name, ours, peer, seconds, rounds, f"{how}; {error}")
    return _claim(name, rate, found, peer, how)


def _recorded(name: str, ours: str, peer: Peer, seconds: float, rounds: int, how: str) -> Claim:
    rate = _loads(ours + PATH, 32, seconds, rounds)
    return _claim(name, rate, peer.recorded, peer, f"{how}, on a like machine {RECORDED}")


def _claim(name: str, rate: float, found: float, peer: Peer, how: str) -> Claim:
    goal = f">= {peer.times * found:.0f}"
    print(f"{name}: {rate:.0f}, {found:.0f}", file=sys.stderr)
    return claim(name, round(rate), "requests/s", how, goal=goal, peer=round(found))


def _images(bundle: Path, seconds: float, rounds: int) -> Claim:
    """A picture of 600 kB: what the way there and back adds to the model's own time."""
    _bundle(bundle, picture_net(), [3, 224, 224], 10)
    picture = np.random.default_rng(0).random((1, 3, 224, 224), np.float32)
    runner, row = open_runner(bundle), Rows({"x": picture})
    body, found = picture.tobytes(), []
    bare = [sys.executable, "bare_app.py", "{port}"]
    with server(gristmill(bundle), PATH, BODY) as ours, server(bare, PATH, BODY) as other:
        urls = ours + PATH, other + "/picture", other + "/length"
        for _ in range(rounds):
            loads = [load(url, 1, seconds / 3, BYTES, body) for url in urls]
            _check(loads)
            alone = _median_ms(lambda: runner(row), 300)
            found.append([*(each.p50_ms for each in loads), alone])
    p50, peer, reads, alone = (statistics.median(each) for each in zip(*found, strict=True))
    print(
        f"image: {p50:.3f} ms, bare {peer:.3f} ms, only read {reads:.3f} ms, model {alone:.3f} ms",
        file=sys.stderr,
    )
    return claim(
        "serve: what HTTP adds to the model's time for an image",
        p50 - alone,
        "ms",
        f"3x224x224 float32 as application/octet-stream, one connection, {generator()}, medians of "
        f"{rounds} turns: p50 {p50:.3f} ms, the model alone in a process {alone:.3f} ms; peer: "
        f"bare uvicorn with the same model and nothing else, p50 {peer:.3f} ms ({reads:.3f} ms "
        f"where it only reads)",
        goal="<= 0.2",
        peer=peer - alone,
    )


def _median_ms(work: object, times: int) -> float:
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        work()  # type: ignore[operator]
        spent.append(time.perf_counter() - began)
    return statistics.median(spent) * 1000


def _turns(ours: str, theirs: str, connections: int, seconds: float, rounds: int) -> Both:
    both = Both([], [])
    for url in (ours + PATH, theirs):
        load(url, connections, 1.0, JSON, BODY)
    for _ in range(rounds):
        both.ours.append(load(ours + PATH, connections, seconds, JSON, BODY))
        both.theirs.append(load(theirs, connections, seconds, JSON, BODY))
    _check(both.ours)
    return both


def _loads(url: str, connections: int, seconds: float, rounds: int) -> float:
    found = [load(url, connections, seconds, JSON, BODY) for _ in range(rounds)]
    _check(found)
    return statistics.median(each.requests_per_second for each in found)


def _check(loads: Sequence[Load]) -> None:
    errors = sum(each.errors for each in loads)
    if errors:
        raise RuntimeError(f"{errors} requests were not answered with 200")


def _bundle(folder: Path, module: nn.Module, shape: list[int], answer: int) -> None:
    """Write a module that maps `x` float32[n, *shape] to `y` float32[n, answer] as a bundle."""
    graph, weights = export_graph(module.eval(), torch.rand(2, *shape), dynamic=(0,))
    signature = Signature(
        inputs=[Field("x", "tensor", dtype="float32", shape=[*shape])],
        outputs=[Field("y", "tensor", dtype="float32", shape=[answer])],
    )
    write_bundle(folder, name=folder.name, signature=signature, graph=graph, weights=weights)


if __name__ == "__main__":
    sys.exit(main(measure))
