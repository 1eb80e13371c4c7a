"""mosec, one worker, up to TEXT_BATCH texts together: python mosec_text.py --port PORT."""

import os
from typing import Any

from encoder_net import Embed
from mosec import Server, Worker

SIZE = int(os.environ.get("TEXT_BATCH", "32"))


class Net(Worker):
    """One process with the model."""

    def __init__(self) -> None:
        super().__init__()
        self.run = Embed()

    def forward(self, data: Any) -> Any:
        """Answer requests of one text each; with no batches there is one, and no list."""
        requests = data if isinstance(data, list) else [data]
        rows = self.run([each["instances"][0]["text"] for each in requests])
        answers = [{"predictions": [{"embedding": row}]} for row in rows]
        return answers if isinstance(data, list) else answers[0]


if __name__ == "__main__":
    server = Server()
    waiting = {"max_batch_size": SIZE, "max_wait_time": 1} if SIZE > 1 else {}
    server.append_worker(Net, num=1, **waiting)
    server.run()
