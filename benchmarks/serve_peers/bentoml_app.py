"""BentoML, one worker, up to 32 together: bentoml serve bentoml_app:Net --port PORT."""

from __future__ import annotations

import bentoml
from tiny_net import Batch


@bentoml.service(workers=1, traffic={"timeout": 30})
class Net:
    """One process with the model."""

    def __init__(self) -> None:
        self.run = Batch()

    @bentoml.api(route="/v1/predict", batchable=True, max_batch_size=32, max_latency_ms=1000)
    def predict(self, instances: list[dict[str, list[float]]]) -> list[dict[str, list[float]]]:
        """Answer rows."""
        return [{"y": row} for row in self.run([each["x"] for each in instances])]
