"""A real server on a real socket, in a thread of this process."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager

import numpy as np
import pytest
import uvloop

from gristmill.data.features import HashedNgrams
from gristmill.serve.server.listener import listen
from gristmill.serve.server.settings import Settings
from gristmill.serve.server.uvicorn_server import run_uvicorn
from gristmill.store.bundle import Bundle, Field, Signature, write_bundle
from gristmill.store.graph import GraphSpec, Input, Items, Node, Ref


@pytest.fixture(scope="session")
def running():
    """Serve an application for a block: `with running(app) as address: ...`."""

    @contextmanager
    def run(app, settings=None):
        started, stop = threading.Event(), []
        settings = settings or Settings(drain_seconds=2.0)
        sock = listen("127.0.0.1", 0)

        def serve():
            with sock, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(run_uvicorn(app, sock, settings, started.set, stop.append))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            assert started.wait(60)
            yield sock.getsockname()
        finally:
            stop[0]()
            thread.join(60)
            assert not thread.is_alive()

    return run


@pytest.fixture(scope="session")
def exchange():
    """Send bytes to an address and return all that comes back until the server closes."""

    def send(address, *parts, timeout=60.0, pause=None):
        with socket.create_connection(address, timeout=timeout) as client:
            for part in parts:
                try:
                    client.sendall(part)
                except (BrokenPipeError, ConnectionResetError):
                    break
                if pause is not None:
                    pause.wait(0.02)
            return received(client)

    def received(client):
        found = b""
        while True:
            try:
                part = client.recv(65536)
            except ConnectionResetError:
                return found
            if not part:
                return found
            found += part

    return send


@pytest.fixture
def complaints(monkeypatch):
    """What uvicorn calls an error while a test runs."""
    found = []
    monkeypatch.setattr(
        logging.getLogger("uvicorn.error"), "error", lambda *said, **_: found.append(said)
    )
    return found


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that signs itself, and its key: two files."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


@pytest.fixture(scope="session")
def constant():
    """constant(folder, says="spam", ...): a bundle that says the same of every text."""

    def make(folder, says="spam", name="toy", classes=("ham", "spam"), more=()):
        graph = GraphSpec(
            inputs=[Input("ids", "int64", [None, None])],
            weights=["table"],
            nodes=[
                Node("rows", "aten.embedding.default", [Ref("table"), Ref("ids"), 0]),
                Node("sum", "aten.sum.dim_IntList", [Ref("rows"), Items([1])]),
            ],
            outputs=["sum"],
        )
        row = [float(each == says) for each in classes]
        write_bundle(
            folder,
            name=name,
            classes=list(classes),
            signature=Signature([Field("text", "string", max_length=200), *more], []),
            featurizer=HashedNgrams(buckets=9),
            graph=graph,
            weights={"table": np.tile(np.array([row], np.float32), (10, 1))},
        )
        return Bundle.open(folder)

    return make


@pytest.fixture(scope="session")
def twins(constant, tmp_path_factory):
    """A folder of two bundles of one name: `ham` and `spam` each say nothing else."""
    folder = tmp_path_factory.mktemp("twins")
    for says in ("ham", "spam"):
        constant(folder / says, says)
    return folder
