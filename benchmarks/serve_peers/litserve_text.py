"""LitServe, one worker, up to BATCH texts together: python litserve_text.py PORT BATCH."""

import sys
from typing import Any

import litserve
from encoder_net import Embed


class Net(litserve.LitAPI):
    """One process with the model."""

    def setup(self, device: str) -> None:
        """Load the model."""
        self.run = Embed()

    def decode_request(self, request: dict[str, Any]) -> str:
        """Return the text."""
        return request["instances"][0]["text"]

    def batch(self, inputs: list[str]) -> list[str]:
        """Texts stay a list."""
        return inputs

    def predict(self, x: str | list[str]) -> list[list[float]]:
        """Answer rows."""
        return self.run([x] if isinstance(x, str) else x)

    def unbatch(self, output: list[list[float]]) -> list[list[float]]:
        """Answers are a list already."""
        return output

    def encode_response(self, output: list[Any]) -> dict[str, Any]:
        """Return the answer to a request."""
        row = output[0] if isinstance(output[0], list) else output
        return {"predictions": [{"embedding": row}]}


if __name__ == "__main__":
    size = int(sys.argv[2])
    together = {"max_batch_size": size, "batch_timeout": 0.001} if size > 1 else {}
    api = Net(api_path="/v1/predict", **together)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(
        port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False, log_level="error"
    )
