from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest


def encoded(
    path: Path,
    frames: int = 6,
    *,
    size: tuple[int, int] = (48, 64),
    codec: str = "mpeg2video",
    first: int = 0,
    turned: int = 0,
) -> Path:
    """25 frames a second, number i of which is grey 40 + 8 (i mod 20), its upper left red."""
    height, width = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if turned:
            stream.set_display_rotation(turned)
        for number in range(frames):
            picture = np.full((height, width, 3), 40 + 8 * (number % 20), np.uint8)
            picture[: height // 2, : width // 2] = (255, 0, 0)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = first + number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def encode() -> Callable[..., Path]:
    return encoded


@pytest.fixture
def folder_server(tmp_path) -> Iterator[str]:
    """The address under which the temporary folder is served on this machine."""

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()
