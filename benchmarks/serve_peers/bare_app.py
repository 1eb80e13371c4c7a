"""Bare: raw ASGI on uvicorn, uvloop and httptools; requests read in one turn share a batch.

python bare_app.py PORT
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import orjson
import uvicorn
from picture_net import Pictures
from tiny_net import Batch


class Bare:
    """The least that answers: no checks, no limits, no metrics."""

    def __init__(self) -> None:
        self.run, self.waiting = Batch(), []
        self.run_picture = Pictures()

    def flush(self) -> None:
        waiting, self.waiting = self.waiting, []
        for (_, future), row in zip(waiting, self.run([row for row, _ in waiting]), strict=True):
            if not future.done():
                future.set_result(row)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        body, more = bytearray(), True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if scope["path"] == "/length":  # what a large body costs that is only read
            answer = b"%d" % len(body)
        elif scope["path"] == "/picture":
            answer = orjson.dumps({"predictions": [{"y": self.run_picture(body)}]})
        else:
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            self.waiting.append((orjson.loads(body)["instances"][0]["x"], future))
            if len(self.waiting) == 1:
                loop.call_soon(self.flush)
            answer = orjson.dumps({"predictions": [{"y": await future}]})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(answer)),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    uvicorn.run(
        Bare(), port=int(sys.argv[1]), access_log=False, log_level="warning", http="httptools"
    )
