"""Ray Serve, one replica, up to 32 together, waiting 1 ms: python ray_app.py PORT."""

import sys
import time
from typing import Any

import ray
from ray import serve
from starlette.requests import Request
from tiny_net import Batch


@serve.deployment(max_ongoing_requests=100)
class Net:
    """One process with the model."""

    def __init__(self) -> None:
        self.run = Batch()

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.001)
    async def together(self, rows: list[list[float]]) -> list[dict[str, Any]]:
        """Answer rows."""
        return [{"predictions": [{"y": row}]} for row in self.run(rows)]

    async def __call__(self, request: Request) -> dict[str, Any]:
        """Answer a request of one row."""
        body = await request.json()
        return await self.together(body["instances"][0]["x"])


if __name__ == "__main__":
    ray.init(include_dashboard=False, num_cpus=2, log_to_driver=False)
    serve.start(http_options={"port": int(sys.argv[1]), "host": "127.0.0.1"})
    serve.run(Net.bind(), route_prefix="/v1/predict")
    while True:
        time.sleep(1)
