"""mosec, one worker, up to 32 together, waiting 1 ms: python mosec_app.py --port PORT."""

from typing import Any

from mosec import Server, Worker
from tiny_net import Batch


class Net(Worker):
    """One process with the model."""

    def __init__(self) -> None:
        super().__init__()
        self.run = Batch()

    def forward(self, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Answer requests of one row each."""
        answers = self.run([each["instances"][0]["x"] for each in data])
        return [{"predictions": [{"y": row}]} for row in answers]


if __name__ == "__main__":
    server = Server()
    server.append_worker(Net, num=1, max_batch_size=32, max_wait_time=1)
    server.run()
