"""The OpenAPI document of a server, made from its model's signature.

Source: OpenAPI Specification 3.1.0, https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from gristmill.serve.instances import sample_record
from gristmill.serve.openinference import DATATYPE

if TYPE_CHECKING:
    from gristmill.serve.service import Service
    from gristmill.store.bundle import Field

Json: TypeAlias = dict[str, Any]
_TYPES = {"string": "string", "int": "integer", "float": "number", "bool": "boolean"}
_REFUSALS = {
    "400": "The body is malformed.",
    "408": "The body did not arrive in time.",
    "413": "The body or the number of instances is above the limit.",
    "415": "The content type is not application/json.",
    "422": "Records break the signature; all of them are listed.",
    "500": "The server failed; its log has the reason under the id given.",
    "503": "Overloaded or stopping; see Retry-After.",
}


def openapi(service: Service) -> Json:
    """Return the document as a JSON-able object."""
    model = service.model.name
    base = f"/v2/models/{quote(model, safe='')}"
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{model}, served by Gristmill", "version": service.model.fingerprint},
        "paths": {
            "/v1/predict": {"post": _predict(service)},
            "/v2": {"get": _get("Server metadata")},
            "/v2/health/live": {"get": _get("Whether the server runs")},
            "/v2/health/ready": {"get": _get("Whether the server takes requests")},
            base: {"get": _get("Model metadata")},
            f"{base}/ready": {"get": _get("Whether the model takes requests")},
            f"{base}/infer": {"post": _infer(service)},
            "/metrics": {"get": _get("Metrics for Prometheus", "text/plain")},
        },
        "components": {"schemas": _schemas(service)},
    }


def _predict(service: Service) -> Json:
    record = sample_record(service.signature)
    body = {"oneOf": [_object({"instances": _array(_ref("Record"))}), _ref("Record")]}
    return _post("Predict", body, {"instances": [record]}, _ref("Predictions"), _ref("Error"))


def _infer(service: Service) -> Json:
    record = sample_record(service.signature)
    example = {
        "inputs": [
            {"name": field.name, "datatype": DATATYPE[field.kind], "shape": [1], "data": [value]}
            for field, value in zip(service.signature.inputs, record.values(), strict=True)
        ]
    }
    error = _object({"error": {"type": "string"}})
    return _post(
        "Infer (Open Inference Protocol v2)",
        _ref("InferRequest"),
        example,
        _ref("InferResponse"),
        error,
    )


def _post(summary: str, body: Json, example: Json, answer: Json, error: Json) -> Json:
    responses = {"200": _content("The answer.", answer)}
    responses |= {status: _content(text, error) for status, text in _REFUSALS.items()}
    content = {"application/json": {"schema": body, "example": example}}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": responses,
    }


def _get(summary: str, kind: str = "application/json") -> Json:
    return {"summary": summary, "responses": {"200": _content("The answer.", {}, kind)}}


def _content(text: str, schema: Json, kind: str = "application/json") -> Json:
    return {"description": text, "content": {kind: {"schema": schema}}}


def _schemas(service: Service) -> Json:
    probability = {"type": "number", "minimum": 0, "maximum": 1}
    label = {"type": "string", "enum": list(service.classes)}
    text, integer = {"type": "string"}, {"type": "integer"}
    tensor = _object({"name": text, "datatype": text, "shape": _array(integer), "data": _array({})})
    detail = _object({"index": integer, "field": text, "expected": text, "found": text})
    return {
        "Record": _record(service),
        "Prediction": _object(
            {
                "id": text,
                "label": label,
                "prob": probability,
                "probs": _object(dict.fromkeys(service.classes, probability)),
            }
        ),
        "Predictions": _object(
            {
                "predictions": _array(_ref("Prediction")),
                "model": _object({"name": text, "fingerprint": text}),
            }
        ),
        "Error": _object(
            {
                "error": _object(
                    {"code": text, "message": text, "fix": text, "details": _array(detail)},
                    required=("code", "message"),
                )
            }
        ),
        "Tensor": tensor,
        "InferRequest": _object(
            {"id": text, "inputs": _array(_ref("Tensor"))}, required=("inputs",)
        ),
        "InferResponse": _object(
            {
                "id": text,
                "model_name": text,
                "model_version": text,
                "outputs": _array(_ref("Tensor")),
            },
            required=("model_name", "model_version", "outputs"),
        ),
    }


def _record(service: Service) -> Json:
    fields = service.signature.inputs
    return _object(
        {field.name: _property(field) for field in fields},
        required=tuple(field.name for field in fields if field.required),
    )


def _property(field: Field) -> Json:
    kind: object = _TYPES[field.kind]
    limits: Json = {
        "maxLength": field.max_length,
        "enum": field.domain,
        "minimum": field.min,
        "maximum": field.max,
    }
    if not field.required:
        kind = [kind, "null"]
        limits["enum"] = [*field.domain, None] if field.domain else None
    return {"type": kind, **{key: value for key, value in limits.items() if value is not None}}


def _object(properties: Json, required: tuple[str, ...] | None = None) -> Json:
    names = properties if required is None else required
    return {"type": "object", "properties": properties, "required": list(names)}


def _array(items: Json) -> Json:
    return {"type": "array", "items": items}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
