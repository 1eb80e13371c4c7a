import json

import numpy as np
import orjson
import pytest

from gristmill.serve.protocol import Limits
from gristmill.serve.protocols.openapi import openapi
from gristmill.serve.protocols.served import Served
from gristmill.serve.server.tokens import Tokens
from gristmill.store.bundle import Field


@pytest.fixture
def document(served):
    served.name = "a b"
    return openapi([served])


def references(value):
    if isinstance(value, dict):
        yield from (found for item in value.values() for found in references(item))
        if "$ref" in value:
            yield value["$ref"]
    elif isinstance(value, list):
        yield from (found for item in value for found in references(item))


def test_a_record_has_the_limits_of_its_fields(document):
    assert document["components"]["schemas"]["Record.a_20b"] == {
        "type": "object",
        "properties": {
            "text": {"type": "string", "maxLength": 20},
            "count": {"type": ["integer", "null"], "minimum": 0.0, "maximum": 100.0},
        },
        "required": ["text"],
    }


def test_tensors_have_their_shape(make_served):
    schemas = openapi([make_served("vector"), make_served("image"), make_served("ragged")])[
        "components"
    ]["schemas"]
    number = {"type": "number", "minimum": -1000.0, "maximum": 1000.0}
    assert schemas["Record.vector"]["properties"]["x"] == {
        "type": "array",
        "items": number,
        "minItems": 4,
        "maxItems": 4,
    }
    picture = schemas["Record.image"]["properties"]["picture"]
    assert (picture["minItems"], picture["items"]["maxItems"]) == (2, 3)
    assert picture["items"]["items"]["items"] == {"type": "integer", "minimum": 0, "maximum": 255}
    assert schemas["Record.ragged"]["properties"]["signal"]["maxItems"] == 6


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "float32", "float64"])
def test_elements_are_the_numbers_that_their_type_can_hold(make_served, dtype):
    endpoint = make_served("vector").endpoint
    endpoint.inputs = (Field("x", "tensor", dtype=dtype, shape=[4]),)
    schema = openapi([Served(endpoint, Limits())])["components"]["schemas"]["Record.vector"]
    found = schema["properties"]["x"]["items"]
    limits = np.iinfo(dtype) if dtype[0] in "iu" else np.finfo(dtype)
    assert found["type"] == ("integer" if dtype[0] in "iu" else "number")
    assert found["minimum"] == pytest.approx(limits.min, rel=1e-7)
    written = orjson.loads(orjson.dumps(limits.max, option=orjson.OPT_SERIALIZE_NUMPY))
    assert limits.max <= written <= found["maximum"] == pytest.approx(limits.max, rel=1e-7)


def test_every_reference_leads_somewhere(document):
    found = set(references(document))
    parts = document["components"]
    known = {f"#/components/{kind}/{name}" for kind, names in parts.items() for name in names}
    assert found <= known
    assert len(found) > 6


def test_every_path_of_the_document_is_served(ask, make_app):
    app = make_app(others=["vector", "image", "ragged"])
    document = ask(app, "GET", "/openapi.json").json()
    assert len(document["paths"]) == 12 + 4 * 5
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            example = content.get("application/json", {}).get("example")
            answer = ask(app, method.upper(), path, **({"json": example} if example else {}))
            expected = 400 if path == "/v1/feedback" else 200
            assert answer.status_code == expected, (path, answer.text)


def test_the_document_is_json_and_quotes_names(document):
    assert json.loads(json.dumps(document)) == document
    assert "/v2/models/a%20b/infer" in document["paths"]
    assert document["info"]["title"] == "a b, served by Gristmill"


def test_tokens_are_told(served):
    document = openapi([served], tokens=True)
    assert document["security"] == [{"token": []}]
    assert "security" not in openapi([served])


def test_who_needs_no_token_is_told(ask, make_app):
    app = make_app(tokens=Tokens(["t" * 16]))
    open_paths = set()
    for path, operations in openapi(list(app.models.values()), tokens=True)["paths"].items():
        for method, operation in operations.items():
            refused = ask(app, method.upper(), path).status_code == 401
            assert refused == ("401" in operation["responses"]) == ("security" not in operation)
            open_paths |= set() if refused else {path}
    assert open_paths == {"/", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"}
