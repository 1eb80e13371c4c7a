"""Parts of the OpenAPI document that are the same for every model."""

from __future__ import annotations

from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

REFUSALS = {
    "400": "The body or a header is malformed.",
    "401": "No bearer token, or none that is known.",
    "404": "No such path or model.",
    "406": "The answer cannot be had in a form that Accept allows.",
    "408": "The request did not arrive in time.",
    "413": "The body or the number of rows is above the limit.",
    "415": "The content type is none that the model reads.",
    "422": "Rows break the model's fields; all of them are listed.",
    "500": "The server failed; its log has the reason under the id given.",
    "503": "It cannot be answered in time, or the server is stopping; see Retry-After.",
}
"""What the status of a refusal means."""

REQUEST_HEADERS: list[Json] = [
    {
        "name": name,
        "in": "header",
        "description": text,
        "schema": schema,
    }
    for name, text, schema in (
        (
            "X-Request-Id",
            "Names the request in the answer, the log and feedback; made where it is missing.",
            {"type": "string", "pattern": "^[!-~]{1,128}$"},
        ),
        (
            "X-Gristmill-Deadline-Ms",
            "Milliseconds in which the answer is wanted; 503 where that cannot be.",
            {"type": "number", "exclusiveMinimum": 0, "maximum": 60_000},
        ),
        (
            "X-Gristmill-Priority",
            "Of requests that cannot all be answered in time, the larger number is refused first.",
            {"type": "integer", "minimum": -10, "maximum": 10},
        ),
        (
            "X-Gristmill-User",
            "Whom state is kept for, where the endpoint keeps some.",
            {"type": "string", "pattern": "^[ -~]{1,256}$"},
        ),
        (
            "X-Gristmill-Default",
            "true: a default answer, marked as degraded, is welcome instead of a refusal.",
            {"type": "boolean"},
        ),
    )
]
"""Parameters of every request for answers."""

ANSWER_HEADERS: Json = {
    "X-Request-Id": {"description": "The request's id.", "schema": {"type": "string"}},
    "X-Gristmill-Degraded": {
        "description": "true where something was left out, or a default stands in.",
        "schema": {"type": "boolean"},
    },
    "X-Gristmill-Prediction": {
        "description": "Of CSV, bytes and .npy: what the names of kept predictions begin with.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "schema": {"type": "integer", "minimum": 1},
    },
}
"""Headers of answers."""


def error_schemas() -> Json:
    """Return the schemas of refusals: of the plain form, and of the Open Inference Protocol."""
    text = {"type": "string"}
    detail = object_of(
        {"index": {"type": "integer"}, "field": text, "expected": text, "found": text}
    )
    error = object_of(
        {"code": text, "message": text, "fix": text, "details": array_of(detail)},
        required=("code", "message"),
    )
    return {"Error": object_of({"error": error}), "Error2": object_of({"error": text})}


def tensor_schemas() -> Json:
    """Return the schemas of the Open Inference Protocol."""
    text, integer = {"type": "string"}, {"type": "integer"}
    shape = array_of({"type": "integer", "minimum": 0})
    parameters = {"type": "object"}
    given = object_of(
        {
            "name": text,
            "datatype": text,
            "shape": shape,
            "data": array_of({}),
            "parameters": parameters,
        },
        required=("name", "datatype", "shape"),
    )
    output = object_of({"name": text, "parameters": parameters}, required=("name",))
    answer = object_of(
        {"name": text, "datatype": text, "shape": array_of(integer), "data": array_of({})},
        required=("name", "datatype", "shape"),
    )
    return {
        "Tensor": given,
        "AnswerTensor": answer,
        "InferRequest": object_of(
            {
                "id": text,
                "inputs": array_of(ref("Tensor")),
                "outputs": array_of(output),
                "parameters": parameters,
            },
            required=("inputs",),
        ),
        "InferResponse": object_of(
            {
                "id": text,
                "model_name": text,
                "model_version": text,
                "outputs": array_of(ref("AnswerTensor")),
                "parameters": parameters,
            },
            required=("model_name", "model_version", "outputs"),
        ),
    }


def object_of(properties: Json, required: tuple[str, ...] | None = None) -> Json:
    """Return the schema of an object; all properties are required unless it is said which."""
    names = properties if required is None else required
    return {"type": "object", "properties": properties, "required": list(names)}


def array_of(items: Json) -> Json:
    """Return the schema of an array."""
    return {"type": "array", "items": items}


def ref(name: str, kind: str = "schemas") -> Json:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def content(text: str, schema: Json, kind: str = "application/json") -> Json:
    """Return a response with one form of content."""
    return {"description": text, "content": {kind: {"schema": schema}}}
