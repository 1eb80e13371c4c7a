"""LitServe, one worker, up to 32 together, waiting 1 ms: python litserve_app.py PORT."""

import sys
from typing import Any

import litserve
from tiny_net import Batch


class Net(litserve.LitAPI):
    """One process with the model."""

    def setup(self, device: str) -> None:
        """Load the model."""
        self.run = Batch()

    def decode_request(self, request: dict[str, Any]) -> list[float]:
        """Return the row."""
        return request["instances"][0]["x"]

    def batch(self, inputs: list[list[float]]) -> list[list[float]]:
        """Rows stay a list."""
        return inputs

    def predict(self, x: list[list[float]]) -> list[list[float]]:
        """Answer rows."""
        return self.run(x)

    def unbatch(self, output: list[list[float]]) -> list[list[float]]:
        """Answers are a list already."""
        return output

    def encode_response(self, output: list[float]) -> dict[str, Any]:
        """Return the answer to a request."""
        return {"predictions": [{"y": output}]}


if __name__ == "__main__":
    api = Net(max_batch_size=32, batch_timeout=0.001, api_path="/v1/predict")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(
        port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False, log_level="error"
    )
