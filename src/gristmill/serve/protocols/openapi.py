"""The OpenAPI document of a server, made from its models' fields.

Source: OpenAPI Specification 3.1.0, https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

import numpy as np

from gristmill._version import __version__
from gristmill.serve.protocols.comma_separated import takes_csv
from gristmill.serve.protocols.instances import sample_of
from gristmill.serve.protocols.media import BYTES, CSV, JSON, NPY
from gristmill.serve.protocols.openapi_parts import (
    ANSWER_HEADERS,
    REFUSALS,
    REQUEST_HEADERS,
    array_of,
    content,
    error_schemas,
    object_of,
    ref,
    tensor_schemas,
)
from gristmill.serve.protocols.raw import tensor_field
from gristmill.serve.protocols.tensors import datatype_of, dtype_of

if TYPE_CHECKING:
    from gristmill.serve.protocols.served import Served
    from gristmill.store.bundle import Field

Json: TypeAlias = dict[str, Any]
_TYPES = {"string": "string", "int": "integer", "float": "number", "bool": "boolean"}
_INTEGER_BOUNDS = {"minimum": -(2**63), "maximum": 2**63 - 1}
_BINARY: Json = {"type": "string", "format": "binary"}
_TELLER: Json = {"who": {"type": ["string", "null"]}, "correction": {"type": ["boolean", "null"]}}


def openapi(models: Sequence[Served], tokens: bool = False) -> Json:
    """Return the document as a JSON-able object; `tokens` says that requests have to carry one."""
    paths: Json = {
        "/": {"get": _open("A page to try the models", "text/html")},
        "/healthz": {"get": _open("Whether the process runs")},
        "/readyz": {"get": _open("Whether requests are taken")},
        "/metrics": {"get": _get("Metrics for Prometheus", "text/plain")},
        "/v1/models": {"get": _get("What every model reads and answers")},
        "/v1/predict": {"post": _predict(models[0])},
        "/v1/feedback": {"post": _feedback()},
        "/v1/drift": {"get": _get("How far what is served lies from the training data")},
        "/v2": {"get": _get("Server metadata")},
        "/v2/health/live": {"get": _open("Whether the server runs")},
        "/v2/health/ready": {"get": _open("Whether the server takes requests")},
        "/v2/repository/index": {"post": _index()},
    }
    schemas = error_schemas() | tensor_schemas()
    for served in models:
        name = quote(served.name, safe="")
        paths[f"/v1/models/{name}/predict"] = {"post": _predict(served)}
        base = f"/v2/models/{name}"
        paths[base] = {"get": _get("Model metadata")}
        paths[f"{base}/ready"] = {"get": _get("Whether the model takes requests")}
        paths[f"{base}/config"] = {"get": _get("Model configuration, as Triton's clients ask for")}
        paths[f"{base}/infer"] = {"post": _infer(served)}
        if served.keeps:
            paths[f"/v1/models/{name}/feedback"] = {"post": _truths(served)}
        if served.streaming is not None:
            paths[f"/v1/streams/{name}/{{stream}}"] = _stream(served)
        schemas[_record_name(served)] = _record(served)
        schemas[_answer_name(served)] = _predictions(served)
    document: Json = {
        "openapi": "3.1.0",
        "info": {"title": _title(models), "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas, "headers": ANSWER_HEADERS},
    }
    if tokens:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _title(models: Sequence[Served]) -> str:
    names = ", ".join(served.name for served in models[:3])
    return f"{names}{' and more' if len(models) > 3 else ''}, served by Gristmill"


def _predict(served: Served) -> Json:
    record = ref(_record_name(served))
    instances = array_of(record) | {"maxItems": served.limits.max_instances}
    wrapped = object_of({"instances": instances}) | {"additionalProperties": False}
    example: Json = {"example": {"instances": [sample_of(served.inputs)]}}
    if any(value is None for value in sample_of(served.inputs).values()):
        example = {}  # a tensor too large to be shown
    bodies: Json = {JSON: {"schema": {"anyOf": [wrapped, record]}, **example}}
    if takes_csv(served.inputs):
        bodies[CSV] = {"schema": {"type": "string"}}
    if tensor_field(served.inputs) is not None:
        bodies |= {BYTES: {"schema": _BINARY}, NPY: {"schema": _BINARY}}
    answers = {
        JSON: {"schema": ref(_answer_name(served))},
        CSV: {"schema": {"type": "string"}},
        BYTES: {"schema": _BINARY},
        NPY: {"schema": _BINARY},
    }
    says = f" ({served.about['says']})" if served.about else ""
    return _post(f"Predict with {served.name}{says}", bodies, answers, "Error")


def _infer(served: Served) -> Json:
    sample = sample_of(served.inputs)
    example = {
        "inputs": [
            {
                "name": field.name,
                "datatype": datatype_of(field),
                "shape": [1, *(3 if size is None else size for size in field.shape or ())],
                "data": [sample[field.name]],
            }
            for field in served.inputs
        ]
    }
    body: Json = {"schema": ref("InferRequest")}
    if all(value is not None for value in sample.values()):
        body["example"] = example
    answers = {JSON: {"schema": ref("InferResponse")}, BYTES: {"schema": _BINARY}}
    bodies = {JSON: body, BYTES: {"schema": _BINARY}}
    said = _post(
        f"Infer with {served.name} (Open Inference Protocol v2)", bodies, answers, "Error2"
    )
    said["parameters"] = [
        *said["parameters"],
        {
            "name": "Inference-Header-Content-Length",
            "in": "header",
            "description": "Bytes of JSON before the binary tensors.",
            "schema": {"type": "integer", "minimum": 0, "maximum": 10_000_000},
        },
    ]
    return said


def _stream(served: Served) -> Json:
    """Return the operations on one stream of pictures."""
    name = {
        "name": "stream",
        "in": "path",
        "required": True,
        "description": "Of the client's choice: pictures of one name are compared with each other.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._~-]{1,128}$"},
    }
    bodies = {kind: {"schema": _BINARY} for kind in ("image/jpeg", "image/png", BYTES)}
    said = _post(
        f"Answer a stream's next picture with {served.name}",
        bodies,
        {JSON: {"schema": _streamed(served)}},
        "Error",
    )
    said["description"] = (
        "Only what has changed since the picture before is computed. A file, or as "
        f"{BYTES} bare pixels, red first. A WebSocket (GET with an upgrade) takes pictures as "
        "binary messages and answers the newest one each time, with its number as `frame` and how "
        "many before it were left out as `dropped`."
    )
    error: Json = {
        "name": "error",
        "in": "query",
        "description": "The relative error that answers may have, held by measuring; exact without "
        "it. What was measured on a picture stands in its answer.",
        "schema": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    }
    noise: Json = {
        "name": "noise",
        "in": "query",
        "description": "Grey levels that are no change; `decoded` suits decoded video.",
        "schema": {
            "oneOf": [
                {"type": "string", "enum": ["decoded", "none"]},
                {"type": "integer", "minimum": 0, "maximum": 254},
            ]
        },
    }
    said["parameters"] = [name, error, noise, *said["parameters"]]
    forgotten = object_of({"forgotten": {"type": "boolean"}})
    answers: Json = {"200": content("Whether there was anything.", forgotten)}
    for status in ("400", "401", "503"):
        answers[status] = content(REFUSALS[status], ref("Error"))
    forget = {"summary": "Forget a stream", "parameters": [name], "responses": answers}
    return {"post": said, "delete": forget}


def _streamed(served: Served) -> Json:
    share: Json = {"type": "number", "minimum": 0, "maximum": 1}
    marks: Json = {"share": share, "whole": {"type": "boolean"}}
    marks["milliseconds"] = {"type": "number", "minimum": 0}
    always = tuple(marks)
    marks["error"] = {"type": ["number", "null"], "minimum": 0}
    return {"allOf": [ref(_answer_name(served)), object_of(marks, always)]}


def _feedback() -> Json:
    text = {"type": "string"}
    loss = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
    label = {"type": ["string", "number", "boolean", "null"]}
    piece = object_of(
        {"prediction_id": text, "loss": loss, "label": label, **_TELLER}, ("prediction_id",)
    )
    return _told("Say how good predictions were", piece)


def _truths(served: Served) -> Json:
    label: Json = {"type": ["string", "number", "boolean"]}
    piece = object_of(
        {"prediction_id": {"type": "string"}, "label": label, **_TELLER},
        ("prediction_id", "label"),
    )
    said = _told(f"Say what was true of predictions of {served.name}", piece)
    said["description"] = (
        "By the prediction's id, or by the id that the request gave. Of one piece, 404 says that "
        "no such prediction is kept and 409 that this was told before; of many, `status` does."
    )
    return said


def _told(summary: str, piece: Json) -> Json:
    text: Json = {"type": "string"}
    common: Json = {"who": text, "correction": {"type": "boolean"}}
    many = object_of({"feedback": array_of(piece), **common}, ("feedback",))
    for each in (piece, many):
        each["additionalProperties"] = False
    result = object_of({"prediction_id": text, "status": text, "message": text})
    counts = {"type": "object", "additionalProperties": {"type": "integer"}}
    answer = object_of({"results": array_of(result), "counts": counts})
    said = _post(
        summary,
        {JSON: {"schema": {"oneOf": [piece, many]}}},
        {JSON: {"schema": {"oneOf": [result, answer]}}},
        "Error",
    )
    said["parameters"] = said["parameters"][:1]
    for status, meaning in (("404", "No such prediction is kept."), ("409", "Told before.")):
        said["responses"][status] = content(meaning, ref("Error"))
    return said


def _index() -> Json:
    body = {JSON: {"schema": object_of({"ready": {"type": "boolean"}}, required=())}}
    entry = object_of({name: {"type": "string"} for name in ("name", "version", "state", "reason")})
    said = _post("Model repository index", body, {JSON: {"schema": array_of(entry)}}, "Error2")
    said["parameters"] = said["parameters"][:1]
    said["requestBody"]["required"] = False
    return said


def _post(summary: str, bodies: Json, answers: Json, error: str) -> Json:
    responses: Json = {
        "200": {
            "description": "The answer.",
            "headers": {
                name: ref(name, "headers") for name in ANSWER_HEADERS if name != "Retry-After"
            },
            "content": answers,
        }
    }
    for status, text in REFUSALS.items():
        responses[status] = content(text, ref(error))
    responses["503"]["headers"] = {"Retry-After": ref("Retry-After", "headers")}
    return {
        "summary": summary,
        "parameters": REQUEST_HEADERS,
        "requestBody": {"required": True, "content": bodies},
        "responses": responses,
    }


def _get(summary: str, kind: str = JSON) -> Json:
    said: Json = {"200": content("The answer.", {}, kind)}
    for status in ("400", "401", "503"):
        said[status] = content(REFUSALS[status], {})
    return {"summary": summary, "responses": said}


def _open(summary: str, kind: str = JSON) -> Json:
    """Return a GET that needs no token."""
    said = _get(summary, kind)
    del said["responses"]["401"]
    return {**said, "security": []}


def _record_name(served: Served) -> str:
    return f"Record.{_slug(served.name)}"


def _answer_name(served: Served) -> str:
    return f"Predictions.{_slug(served.name)}"


def _slug(name: str) -> str:
    """Return a name as a key of components, which may hold few characters only."""
    return "".join(
        each if each.isascii() and each.isalnum() else f"_{ord(each):x}" for each in name
    )


def _record(served: Served) -> Json:
    return object_of(
        {field.name: _property(field) for field in served.inputs},
        required=tuple(field.name for field in served.inputs if field.required),
    )


def _predictions(served: Served) -> Json:
    probability = {"type": "number", "minimum": 0, "maximum": 1}
    outputs: Json = {field.name: _property(field) for field in served.outputs}
    if served.classes:
        outputs = {
            "label": {"type": "string", "enum": list(served.classes)},
            "prob": probability,
            "probs": object_of(dict.fromkeys(served.classes, probability)),
        }
    prediction = object_of({"id": {"type": "string"}, **outputs})
    prediction["properties"]["agreement"] = probability
    text = {"type": "string"}
    answer = object_of(
        {
            "predictions": array_of(prediction),
            "model": object_of({"name": text, "fingerprint": text}),
        }
    )
    answer["properties"] |= {"degraded": {"type": "boolean"}, "members": array_of(text)}
    return answer


def _property(field: Field) -> Json:
    if field.shape is not None:
        return _tensor(field)
    limits: Json = {
        "maxLength": field.max_length,
        "enum": field.domain,
        "minimum": field.min,
        "maximum": field.max,
    }
    if field.kind == "int":
        limits = _INTEGER_BOUNDS | {
            key: value for key, value in limits.items() if value is not None
        }
    kind: object = _TYPES[field.kind]
    if not field.required:
        kind = [kind, "null"]
        limits["enum"] = [*field.domain, None] if field.domain else None
    return {"type": kind, **_known(limits)}


def _known(limits: Json) -> Json:
    return {name: value for name, value in limits.items() if value is not None}


def _tensor(field: Field) -> Json:
    made: Json = _element(dtype_of(field)) | _known({"minimum": field.min, "maximum": field.max})
    for size in reversed(field.shape or []):
        made = array_of(made)
        if size is not None:
            made |= {"minItems": size, "maxItems": size}
        elif field.max_length is not None:
            made |= {"maxItems": field.max_length}
    return made


def _element(dtype: np.dtype[Any]) -> Json:
    """Return the schema of a tensor's element: the numbers that its type can hold."""
    if dtype == np.bool_:
        return {"type": "boolean"}
    if np.issubdtype(dtype, np.integer):
        whole = np.iinfo(dtype)
        return {"type": "integer", "minimum": int(whole.min), "maximum": int(whole.max)}
    largest = np.finfo(dtype).max
    most = max(float(largest), float(str(largest)))  # its few digits may stand for a little more
    return {"type": "number", "minimum": -most, "maximum": most}
