"""`gristmill serve --streams` as a process: streams are answered, and told when it stops."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from contextlib import ExitStack

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("websockets")

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

HEIGHT, WIDTH = 32, 48
PATIENCE_SECONDS = 60.0


@pytest.fixture
def cameras(tmp_path):
    """Return the folder of a bundle of pictures."""
    import torch
    from torch import nn

    from gristmill.store.bundle import Field
    from gristmill.train.module_bundle import bundle_module

    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    field = Field("picture", "image", shape=[HEIGHT, WIDTH, 3])
    rows = torch.zeros((2, HEIGHT, WIDTH, 3), dtype=torch.uint8)
    folder = tmp_path / "cameras"
    bundle_module(net, folder, inputs=[field], example={"picture": rows}, classes=list("wxyz"))
    return folder


def test_streams_of_a_server_that_is_told_to_stop(cameras):
    words = [sys.executable, "-m", "gristmill", "serve", str(cameras), "--streams", "10MB"]
    server = subprocess.Popen([*words, "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        found = re.search(r"http://[^ ]+", server.stdout.readline())
        assert found is not None
        address = found[0].replace("http", "ws", 1)
        with ExitStack() as opened:
            streams = [
                opened.enter_context(connect(f"{address}/v1/streams/cameras/door{number}"))
                for number in range(2)
            ]
            for stream in streams:
                stream.send(json.dumps({"height": HEIGHT, "width": WIDTH}))
                stream.send(np.zeros((HEIGHT, WIDTH, 3), np.uint8).tobytes())
                answer = json.loads(stream.recv(PATIENCE_SECONDS))
                assert (answer["frame"], answer["whole"]) == (0, True)
            server.send_signal(signal.SIGTERM)
            for stream in streams:
                with pytest.raises(ConnectionClosed) as ended:
                    stream.recv(PATIENCE_SECONDS)
                assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (
                    1001, "the server is stopping",
                )  # fmt: skip
        assert server.wait(PATIENCE_SECONDS) == 0
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
