"""One model behind a server: checks records, batches them, runs the model, counts what it did."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Sequence

from gristmill.serve.batcher import Batcher
from gristmill.serve.instances import bad_records, checked, sample_record
from gristmill.serve.metrics import Metrics
from gristmill.serve.protocol import Answer, Limits, Model, Record, RunnerLike
from gristmill.serve.records import RecordError
from gristmill.serve.refusal import Refusal

_ANSWERABLE = "values for which the model gives a probability"


class Service:
    """Answers records with one runner.

    Args:
        runner: what computes; called in one worker thread.
        model: its name and fingerprint, as answers show them.
        limits: when to refuse.
    """

    def __init__(self, runner: RunnerLike, model: Model, limits: Limits) -> None:
        self.runner, self.model, self.limits = runner, model, limits
        self.signature, self.classes = runner.signature, tuple(runner.classes)
        self.batcher: Batcher[Record, Answer] = Batcher(
            self.run,
            max_batch=limits.max_batch,
            max_queue=limits.max_queue,
            deadline=limits.deadline,
            on_batch=lambda size, seconds: self.metrics.batch(size, seconds),
        )
        self.metrics = Metrics(lambda: self.batcher.waiting)

    async def answer(self, instances: Sequence[object]) -> list[Answer]:
        """Return one answer per instance, in order.

        Raises:
            Refusal: 413 too many, 422 some break the signature or have no answer, 503 overloaded.
        """
        if len(instances) > self.limits.max_instances:
            raise Refusal(
                413,
                "too_many_instances",
                f"expected at most {self.limits.max_instances} instances, found {len(instances)}",
                fix="send them in several requests, or use `gristmill predict` on a file",
            )
        answers = await self.batcher.submit(checked(self.runner, instances))
        self._check_finite(answers)
        return answers

    def run(self, records: Sequence[Record]) -> list[Answer]:
        """Run the model on checked records."""
        frame = self.runner.predict(self.runner.frame(records))
        columns = (frame[name].to_list() for name in Answer._fields)
        return [Answer(*row) for row in zip(*columns, strict=True)]

    def warm_up(self) -> None:
        """Run a sample record alone and in a full batch, so that the first request is not slow.

        What the two runs cost is the first estimate of the model's latency.
        """
        sample = sample_record(self.signature)
        self.run([sample])
        for size in (1, self.limits.max_batch):
            began = time.perf_counter()
            self.run([sample] * size)
            self.batcher.latency.observe(size, time.perf_counter() - began)

    def prediction_ids(self, count: int) -> list[str]:
        """Return ids of the form `p<bundle>-<request>-<row>` for the answers of one request."""
        request = secrets.token_hex(8)
        return [f"p{self.model.fingerprint[:8]}-{request}-{row}" for row in range(count)]

    @property
    def ready(self) -> bool:
        """Whether new requests are taken."""
        return not self.batcher.closing

    def _check_finite(self, answers: Sequence[Answer]) -> None:
        details = [
            RecordError(index, "", _ANSWERABLE, "no finite answer")
            for index, answer in enumerate(answers)
            if not math.isfinite(answer.prob)
        ]
        if details:
            raise bad_records(details, len(answers))
