"""The plain JSON form: records by field name in, predictions with class names out.

POST /v1/predict   {"instances": [{"text": "..."}, ...]}   or one record   {"text": "..."}
answer             {"predictions": [{"id", "label", "prob", "probs": {class: p}}, ...],
                    "model": {"name", "fingerprint"}}
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gristmill.serve.instances import found
from gristmill.serve.protocol import Answer
from gristmill.serve.refusal import Refusal
from gristmill.serve.service import Service

INSTANCES = "instances"


def instances_of(payload: object) -> list[object]:
    """Return the instances of a request's body; a body without that key is one instance.

    Raises:
        Refusal: 400, the body is no object, or its instances are no array.
    """
    if not isinstance(payload, dict):
        raise _wrong_form(f"an object, found {found(payload)}")
    if INSTANCES not in payload:
        return [payload]
    instances = payload[INSTANCES]
    if not isinstance(instances, list):
        raise _wrong_form(f"an array of records under {INSTANCES!r}, found {found(instances)}")
    extra = sorted(set(payload) - {INSTANCES})
    if extra:
        raise _wrong_form(f"nothing beside {INSTANCES!r}, found {', '.join(map(repr, extra))}")
    return instances


async def predict(service: Service, payload: object) -> dict[str, object]:
    """Answer one request of the plain form.

    Raises:
        Refusal: the request is malformed, too large, breaks the signature or came in overload.
    """
    answers = await service.answer(instances_of(payload))
    return predictions(service, answers)


def predictions(service: Service, answers: Sequence[Answer]) -> dict[str, object]:
    """Return the body of the answer."""
    return {
        "predictions": [
            {
                "id": name,
                "label": answer.label,
                "prob": answer.prob,
                "probs": dict(zip(service.classes, answer.probs, strict=True)),
            }
            for name, answer in zip(service.prediction_ids(len(answers)), answers, strict=True)
        ],
        "model": msgspec.structs.asdict(service.model),
    }


def _wrong_form(expected: str) -> Refusal:
    return Refusal(
        400,
        "wrong_form",
        f"expected {expected}",
        fix='send {"instances": [{field: value, ...}, ...]} or one record {field: value, ...}',
    )
